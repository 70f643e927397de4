//! Bodies of several parts (RFC 2046, RFC 7578).

use crate::edit::{Edit, shift};
use crate::engine::{At, Run};
use crate::layer::Layer;

/// A boundary has at most 70 bytes (RFC 2046 §5.1.1).
const LONGEST_BOUNDARY: usize = 70;

/// What the head of a part says.
#[derive(Default)]
struct Head<'t> {
    name: &'t [u8],
    content_type: &'t [u8],
    transfer_encoding: &'t [u8],
}

/// Redacts in every part of `input`; `None` without a boundary.
pub(crate) fn parts(
    run: &mut Run<'_>,
    at: At<'_>,
    content_type: &[u8],
    input: &[u8],
) -> Option<Vec<Edit>> {
    let declared = parameter(content_type, b"boundary");
    let boundary = if let Some(boundary) = declared {
        [b"--", boundary].concat()
    } else {
        let line = input.split(|byte| *byte == b'\n').next()?.trim_ascii_end();
        line.starts_with(b"--").then(|| line.to_vec())?
    };
    if !(3..=LONGEST_BOUNDARY + 2).contains(&boundary.len()) {
        return None;
    }
    let marks: Vec<usize> = memchr::memmem::find_iter(input, &boundary).collect();
    let first = *marks.first()?;
    let mut edits: Vec<Edit> = run.found(at, &input[..first], true);
    for (index, mark) in marks.iter().enumerate() {
        let start = mark + boundary.len();
        let end = marks.get(index + 1).copied().unwrap_or(input.len());
        let part = input.get(start..end).unwrap_or_default();
        edits.extend(shift(one(run, at, part), start));
    }
    Some(edits)
}

/// One part, from the line break after its boundary to the one before the next.
fn one(run: &mut Run<'_>, at: At<'_>, part: &[u8]) -> Vec<Edit> {
    let separated = [&b"\r\n\r\n"[..], b"\n\n"]
        .into_iter()
        .filter_map(|blank| memchr::memmem::find(part, blank).map(|at| (at, at + blank.len())))
        .min();
    let Some((head_end, start)) = separated else { return run.found(at, part, true) };
    let head = read(&part[..head_end]);
    let body = &part[start..];
    let body = body.strip_suffix(b"\n").map_or(body, |b| b.strip_suffix(b"\r").unwrap_or(b));
    let mut edits = run.found(at, &part[..head_end], false);
    let found = run.below(at, head.name, |run, at| {
        if run.is_named(at) {
            run.value(at, body)
        } else if head.transfer_encoding.eq_ignore_ascii_case(b"base64") {
            run.base64(at, body)
        } else if head.transfer_encoding.eq_ignore_ascii_case(b"quoted-printable") {
            let decoded = Layer::QuotedPrintable.decode(body);
            let found = run.bytes(at.deeper(), head.content_type, &decoded.bytes);
            decoded.translate(found, Layer::QuotedPrintable)
        } else {
            run.bytes(at.deeper(), head.content_type, body)
        }
    });
    edits.extend(shift(found, start));
    edits
}

fn read(head: &[u8]) -> Head<'_> {
    let mut read = Head::default();
    for line in head.split(|byte| *byte == b'\n') {
        let Some(colon) = memchr::memchr(b':', line) else { continue };
        let (name, value) = (line[..colon].trim_ascii(), line[colon + 1..].trim_ascii());
        if name.eq_ignore_ascii_case(b"content-disposition") {
            read.name = parameter(value, b"name").unwrap_or_default();
        } else if name.eq_ignore_ascii_case(b"content-type") {
            read.content_type = value;
        } else if name.eq_ignore_ascii_case(b"content-transfer-encoding") {
            read.transfer_encoding = value;
        }
    }
    read
}

/// Value of `name` in `value; name=text; name="text"`.
pub(crate) fn parameter<'t>(line: &'t [u8], name: &[u8]) -> Option<&'t [u8]> {
    line.split(|byte| *byte == b';').skip(1).find_map(|part| {
        let equals = memchr::memchr(b'=', part)?;
        if !part[..equals].trim_ascii().eq_ignore_ascii_case(name) {
            return None;
        }
        let value = part[equals + 1..].trim_ascii();
        let quoted = value.strip_prefix(b"\"").map(|v| v.strip_suffix(b"\"").unwrap_or(v));
        Some(quoted.unwrap_or(value))
    })
}
