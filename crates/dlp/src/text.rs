//! Text whose structure is not known: what is found as it stands, and in what it encodes.

use base64::Engine as _;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use base64::{alphabet, engine::DecodePaddingMode};
use std::ops::Range;

use crate::edit::{Edit, apply, hits, settle, shift};
use crate::engine::{At, MAX_DEPTH, Run};
use crate::layer::Layer;
use crate::signs::Signs;
use crate::{json, sql, xml};

/// Shorter runs of base64 hold nothing to redact.
const SHORTEST_BASE64: usize = 16;

const fn lenient(alphabet: &alphabet::Alphabet) -> GeneralPurpose {
    let config = GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true);
    GeneralPurpose::new(alphabet, config)
}

const STANDARD: GeneralPurpose = lenient(&alphabet::STANDARD);
const URL_SAFE: GeneralPurpose = lenient(&alphabet::URL_SAFE);

impl Run<'_> {
    /// Redacts what is found in a text, and in the texts that it holds in another form.
    pub(crate) fn text(&mut self, at: At<'_>, text: &[u8]) -> Vec<Edit> {
        self.text_by(at, text, Signs::of(text))
    }

    /// The same, for a text whose signs are known.
    pub(crate) fn text_by(&mut self, at: At<'_>, text: &[u8], signs: Signs) -> Vec<Edit> {
        if text.len() < 3 {
            return Vec::new();
        }
        if !self.charge(at.depth, text.len()) {
            return self.give_up(text);
        }
        let mut edits = Vec::new();
        let inner = at.deeper();
        let nested = at.depth < MAX_DEPTH;
        let start = text.iter().position(|byte| !byte.is_ascii_whitespace()).unwrap_or(0);
        match text[start] {
            b'{' | b'[' if nested && text.len() > start + 4 => {
                let document = json::document(self, inner, text);
                if document.clean {
                    return settle(document.edits);
                }
                edits = document.edits;
            }
            b'<' if nested => edits = xml::document(self, inner, text),
            _ => {}
        }
        edits.extend(self.found_by(at, text, true, signs));
        if signs.bracket() && !self.engine.keys.is_empty() {
            edits.extend(sql::insert_values(self, at, text));
        }
        if nested {
            self.encoded(inner, text, signs, &mut edits);
        }
        settle(edits)
    }

    /// Looks below the encodings that the text shows signs of.
    fn encoded(&mut self, at: At<'_>, text: &[u8], signs: Signs, edits: &mut Vec<Edit>) {
        if signs.escape() {
            self.escaped(at, text, edits);
        }
        for run in base64_runs(text) {
            let start = run.start;
            edits.extend(shift(self.base64(at, &text[run]), start));
        }
    }

    fn escaped(&mut self, at: At<'_>, text: &[u8], edits: &mut Vec<Edit>) {
        let sign = |byte: u8, then: fn(&[u8]) -> bool| {
            memchr::memchr_iter(byte, text).any(|at| then(&text[at + 1..]))
        };
        let hex = |rest: &[u8]| {
            rest.get(..2).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
        };
        let mut layers = Vec::new();
        if sign(b'%', hex) {
            layers.push(Layer::Percent { plus: false });
        }
        if sign(b'\\', |rest| matches!(rest.first(), Some(b'"' | b'u' | b'/' | b'n' | b'\\'))) {
            layers.push(Layer::Json);
        }
        if sign(b'&', |rest| rest.iter().take(8).any(|byte| *byte == b';')) {
            layers.push(Layer::Xml);
        }
        for layer in layers {
            let decoded = layer.decode(text);
            if decoded.bytes != text {
                let inner = self.text(at, &decoded.bytes);
                edits.extend(decoded.translate(inner, layer));
            }
        }
    }

    /// Redacts in the text that base64 stands for, and writes it again.
    pub(crate) fn base64(&mut self, at: At<'_>, run: &[u8]) -> Vec<Edit> {
        let breaks = |byte: &u8| matches!(byte, b'\r' | b'\n');
        let folded = run.iter().any(breaks);
        let compact: Vec<u8>;
        let digits: &[u8] = if folded {
            compact = run.iter().copied().filter(|byte| !breaks(byte)).collect();
            &compact
        } else {
            run
        };
        let engine = if digits.iter().any(|byte| matches!(byte, b'-' | b'_')) {
            &URL_SAFE
        } else {
            &STANDARD
        };
        if !may_be_text(engine, digits) {
            return Vec::new();
        }
        let Ok(decoded) = engine.decode(digits) else { return Vec::new() };
        if !is_text(&decoded) {
            return Vec::new();
        }
        let inner = self.bytes(at, b"", &decoded);
        if inner.is_empty() {
            return Vec::new();
        }
        let mut with = engine.encode(apply(&decoded, &inner)).into_bytes();
        if digits.ends_with(b"=") {
            with.resize(with.len().next_multiple_of(4), b'=');
        }
        if folded {
            with = fold(&with, run);
        }
        vec![Edit { range: 0..run.len(), with, hits: hits(&inner) }]
    }
}

/// Lines of the same length and ending as in `before`.
fn fold(text: &[u8], before: &[u8]) -> Vec<u8> {
    let Some(width) = memchr::memchr2(b'\r', b'\n', before).filter(|width| *width > 0) else {
        return text.to_vec();
    };
    let ending: &[u8] = if before[width] == b'\r' { b"\r\n" } else { b"\n" };
    let mut out = text.chunks(width).collect::<Vec<_>>().join(ending);
    if before.ends_with(b"\n") {
        out.extend_from_slice(ending);
    }
    out
}

/// Whether the first bytes are those of something that [`is_text`]: most runs are words.
fn may_be_text(engine: &GeneralPurpose, digits: &[u8]) -> bool {
    let mut first = [0; 6];
    let Some(Ok(6)) = digits.get(..8).map(|digits| engine.decode_slice(digits, &mut first)) else {
        return true;
    };
    let whole =
        std::str::from_utf8(&first).map_or_else(|error| error.error_len().is_none(), |_| true);
    packed(&first) || (whole && !first.iter().any(|byte| is_odd_control(*byte)))
}

fn is_odd_control(byte: u8) -> bool {
    byte.is_ascii_control() && !byte.is_ascii_whitespace()
}

fn packed(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0x1f, 0x8b]) || bytes.starts_with(&[0x28, 0xb5, 0x2f, 0xfd])
}

/// Readable, or packed by a coding that is known: anything else is chance.
fn is_text(bytes: &[u8]) -> bool {
    if packed(bytes) {
        return true;
    }
    !bytes.is_empty()
        && !bytes.iter().any(|byte| is_odd_control(*byte))
        && std::str::from_utf8(bytes).is_ok()
}

/// Runs of base64, with line breaks inside where every line is of one length.
fn base64_runs(text: &[u8]) -> Vec<Range<usize>> {
    let set =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_' | b'=');
    let mut runs = Vec::new();
    let mut at = 0;
    // A run of that length covers one of the bytes looked at first.
    while let Some(byte) = text.get(at + SHORTEST_BASE64 - 1) {
        if !set(*byte) {
            at += SHORTEST_BASE64;
            continue;
        }
        let last = at + SHORTEST_BASE64 - 1;
        let start = last - text[at..last].iter().rev().take_while(|byte| set(**byte)).count();
        let mut end = last;
        loop {
            end += text[end..].iter().take_while(|byte| set(**byte)).count();
            let gap = match &text[end..] {
                [b'\r', b'\n', next, ..] if set(*next) => 2,
                [b'\n', next, ..] if set(*next) => 1,
                _ => break,
            };
            // Folded text has lines of 64 or 76; other lines are words.
            if !matches!(end - start, 64 | 76) && end - start < 128 {
                break;
            }
            end += gap;
        }
        if end - start >= SHORTEST_BASE64 {
            runs.push(start..end);
        }
        at = end.max(at + 1);
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_of_base64_are_found_wherever_they_begin() {
        for offset in 0..40 {
            let text = format!("{} QUJDREVGR0hJSktMTU5P!", ".".repeat(offset));
            assert_eq!(base64_runs(text.as_bytes()), vec![offset + 1..offset + 21]);
        }
        assert!(base64_runs(b"only short words in here, nothing else").is_empty());
    }

    #[test]
    fn folded_text_is_one_run_and_folds_again() {
        let folded = fold(&[b'A'; 160], &[&[b'B'; 76][..], b"\r\n", b"BBBB"].concat());
        assert_eq!(folded.len(), 164);
        assert_eq!(base64_runs(&folded), vec![0..164]);
    }
}
