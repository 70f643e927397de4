//! XML and HTML, as far as it takes to know which element a text belongs to.

use crate::act::ActId;
use crate::edit::{Edit, shift};
use crate::engine::{At, Run};
use crate::layer::Layer;
use crate::paths::{Trail, TrailStep};

/// Elements that are open, innermost last, with what their content inherits.
type Open<'t> = Vec<(&'t [u8], Option<ActId>)>;

/// An end tag closes at most so many elements that were left open.
const MAX_UNCLOSED: usize = 64;

/// A path is looked for along so many elements, from the outermost on.
const MAX_STEPS: usize = 64;

/// Redacts in the text, the attributes and the comments of a document.
pub(crate) fn document(run: &mut Run<'_>, at: At<'_>, input: &[u8]) -> Vec<Edit> {
    let mut edits = Vec::new();
    let mut open: Open<'_> = Vec::new();
    let mut place = 0;
    while place < input.len() {
        let rest = &input[place..];
        let under = open.last().map_or(at.under, |(_, under)| *under);
        let here = At { under, ..at };
        if rest[0] != b'<' {
            let length = memchr::memchr(b'<', rest).unwrap_or(rest.len());
            let way = Way { open: &open, attribute: None };
            content(run, here, way, &rest[..length], true, place, &mut edits);
            place += length;
            continue;
        }
        let between = |open: usize, end: &[u8]| {
            let from = rest.get(open..).unwrap_or_default();
            let length = memchr::memmem::find(from, end);
            let inner = length.unwrap_or(from.len());
            (open..open + inner, open + inner + length.map_or(0, |_| end.len()))
        };
        if rest.starts_with(b"<![CDATA[") {
            let (inner, taken) = between(9, b"]]>");
            let way = Way { open: &open, attribute: None };
            let text = &rest[inner.clone()];
            content(run, here, way, text, false, place + inner.start, &mut edits);
            place += taken;
        } else if rest.starts_with(b"<!--") {
            let (inner, taken) = between(4, b"-->");
            edits.extend(shift(run.text(here, &rest[inner.clone()]), place + inner.start));
            place += taken;
        } else if rest.starts_with(b"</") {
            let (inner, taken) = between(2, b">");
            close(local_name(&rest[inner]), &mut open);
            place += taken;
        } else {
            place += tag(run, at, rest, place, &mut open, &mut edits);
        }
    }
    edits
}

/// The elements around a value, and the attribute whose value it is.
#[derive(Clone, Copy)]
struct Way<'w> {
    open: &'w [(&'w [u8], Option<ActId>)],
    attribute: Option<&'w [u8]>,
}

/// Redacts a value; paths name elements, and attributes with an `@`.
fn value(run: &mut Run<'_>, at: At<'_>, way: Way<'_>, text: &[u8]) -> Vec<Edit> {
    fn below(run: &mut Run<'_>, at: At<'_>, names: &[&[u8]], text: &[u8]) -> Vec<Edit> {
        let Some((name, rest)) = names.split_first() else { return run.value(at, text) };
        let trail = Trail { parent: at.trail, step: TrailStep::Name(name) };
        below(run, At { trail: Some(&trail), ..at }, rest, text)
    }
    if !run.engine.knows_paths() {
        return run.value(at, text);
    }
    let attribute = way.attribute.map(|name| [b"@", name].concat());
    let names = way.open.iter().map(|(name, _)| *name).take(MAX_STEPS);
    let names: Vec<&[u8]> = names.chain(attribute.as_deref()).collect();
    below(run, at, &names, text)
}

fn content(
    run: &mut Run<'_>,
    at: At<'_>,
    way: Way<'_>,
    text: &[u8],
    references: bool,
    offset: usize,
    edits: &mut Vec<Edit>,
) {
    // White space between elements is no value.
    let trimmed = text.trim_ascii();
    if trimmed.is_empty() {
        return;
    }
    let start = text.len() - text.trim_ascii_start().len();
    let found = if references && trimmed.contains(&b'&') {
        let decoded = Layer::Xml.decode(trimmed);
        let found = value(run, at, way, &decoded.bytes);
        decoded.translate(found, Layer::Xml)
    } else {
        value(run, at, way, trimmed)
    };
    edits.extend(shift(found, offset + start));
}

/// Takes a start tag, an empty-element tag or an instruction; its length.
fn tag<'t>(
    run: &mut Run<'_>,
    at: At<'_>,
    rest: &'t [u8],
    offset: usize,
    open: &mut Open<'t>,
    edits: &mut Vec<Edit>,
) -> usize {
    let name_ends = |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, b'>' | b'/' | b'<');
    let length = rest[1..].iter().position(name_ends).unwrap_or(rest.len() - 1);
    let name = local_name(&rest[1..=length]);
    let inherited = open.last().map_or(at.under, |(_, under)| *under);
    let under = inherited.max(run.engine.keys.act(&at.place, name));
    let mut place = 1 + length;
    while let Some(byte) = rest.get(place) {
        match byte {
            b'<' => return place,
            b'>' => {
                let alone = rest[place - 1] == b'/' || matches!(rest[1], b'?' | b'!');
                if !alone {
                    open.push((name, under));
                }
                return place + 1;
            }
            b'"' | b'\'' => {
                let value = &rest[place + 1..];
                let end = memchr::memchr(*byte, value).unwrap_or(value.len());
                let attribute = local_name(attribute_name(&rest[..place]));
                let act = under.max(run.engine.keys.act(&at.place, attribute));
                let start = offset + place + 1;
                if matches!(rest[1], b'?' | b'!') {
                    edits.extend(shift(run.found(at, &value[..end], false), start));
                } else {
                    open.push((name, under));
                    let way = Way { open: &*open, attribute: Some(attribute) };
                    let text = &value[..end];
                    content(run, At { under: act, ..at }, way, text, true, start, edits);
                    open.pop();
                }
                place += end + 2;
            }
            _ => place += 1,
        }
    }
    rest.len()
}

/// Name before `=` and the quote at the end of `before`.
fn attribute_name(before: &[u8]) -> &[u8] {
    let before = before.trim_ascii_end();
    let before = before.strip_suffix(b"=").unwrap_or(before).trim_ascii_end();
    let ends = |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, b'"' | b'\'' | b'<' | b'=');
    let start = before.iter().rev().take(256).position(ends);
    start.map_or(before, |length| &before[before.len() - length..])
}

/// Without the prefix of its namespace.
fn local_name(name: &[u8]) -> &[u8] {
    let name = name.trim_ascii();
    memchr::memrchr(b':', name).map_or(name, |colon| &name[colon + 1..])
}

fn close(name: &[u8], open: &mut Open<'_>) {
    let opened = open.iter().rev().take(MAX_UNCLOSED).position(|(known, _)| *known == name);
    if let Some(above) = opened {
        open.truncate(open.len() - above - 1);
    }
}
