//! JSON as it is found in bodies: whole, cut, one document after the other.
//!
//! The tokens are looked at where they stand. Nothing is built and written again, so what is
//! not redacted keeps every byte.

use crate::edit::{Edit, shift};
use crate::engine::{At, Run};
use crate::layer::Layer;
use crate::paths::{Trail, TrailStep};
use crate::signs::Signs;

/// Deeper nesting is searched as text.
const MAX_NESTING: usize = 64;

/// What became of a text that looks like JSON.
pub(crate) struct Document {
    pub(crate) edits: Vec<Edit>,
    /// It is JSON to its end, though the end may be missing.
    pub(crate) clean: bool,
}

struct Walker<'r, 'e, 't> {
    run: &'r mut Run<'e>,
    input: &'t [u8],
    at: usize,
    edits: Vec<Edit>,
    clean: bool,
}

/// Redacts in every document of `input`.
pub(crate) fn document(run: &mut Run<'_>, at: At<'_>, input: &[u8]) -> Document {
    let mut walker = Walker { run, input, at: 0, edits: Vec::new(), clean: true };
    if input.starts_with(b"\xef\xbb\xbf") {
        walker.at = 3;
    }
    while walker.peek().is_some() {
        walker.value(at, 0);
    }
    Document { edits: walker.edits, clean: walker.clean }
}

impl Walker<'_, '_, '_> {
    /// Next byte that is no white space; it is not consumed.
    fn peek(&mut self) -> Option<u8> {
        let rest = self.input.get(self.at..)?;
        let space = |byte: &&u8| matches!(**byte, b' ' | b'\t' | b'\n' | b'\r' | 0x1e);
        self.at += rest.iter().take_while(space).count();
        self.input.get(self.at).copied()
    }

    fn value(&mut self, at: At<'_>, nesting: usize) {
        match self.peek() {
            None => {}
            Some(b'{') if nesting < MAX_NESTING => self.object(at, nesting),
            Some(b'[') if nesting < MAX_NESTING => self.array(at, nesting),
            Some(b'"') => self.string(at),
            Some(_) => self.scalar(at),
        }
    }

    fn object(&mut self, at: At<'_>, nesting: usize) {
        self.at += 1;
        while let Some(byte) = self.peek() {
            match byte {
                b'}' => {
                    self.at += 1;
                    return;
                }
                b',' => self.at += 1,
                b'"' => self.member(at, nesting),
                _ => {
                    self.clean = false;
                    self.value(at, nesting + 1);
                }
            }
        }
    }

    fn member(&mut self, at: At<'_>, nesting: usize) {
        let (content, signs) = self.content();
        let raw = &self.input[content.clone()];
        let decoded;
        let name = if signs.backslash() {
            decoded = Layer::Json.decode(raw);
            &decoded.bytes
        } else {
            raw
        };
        // Names can be values too: a map by mail address.
        if name.len() >= 7 {
            let edits = self.run.found_by(at, raw, false, signs);
            self.edits.extend(shift(edits, content.start));
        }
        if self.peek() != Some(b':') {
            // Cut after the name, or no member at all.
            self.clean &= self.at >= self.input.len();
            return;
        }
        self.at += 1;
        let trail = Trail { parent: at.trail, step: TrailStep::Name(name) };
        let under = at.under.max(self.run.engine.keys.act(&at.place, name));
        self.value(At { trail: Some(&trail), under, ..at }, nesting + 1);
    }

    fn array(&mut self, at: At<'_>, nesting: usize) {
        self.at += 1;
        let mut index = 0;
        while let Some(byte) = self.peek() {
            match byte {
                b']' => {
                    self.at += 1;
                    return;
                }
                b',' => {
                    self.at += 1;
                    index += 1;
                }
                _ => {
                    let trail = Trail { parent: at.trail, step: TrailStep::Index(index) };
                    self.value(At { trail: Some(&trail), ..at }, nesting + 1);
                }
            }
        }
    }

    /// Takes a string; where its content stands. Without a closing quote it was cut.
    fn content(&mut self) -> (std::ops::Range<usize>, Signs) {
        let start = self.at + 1;
        let (mut at, mut signs) = (start, Signs::default());
        // Most strings are short: one loop that does everything beats several fast searches.
        while let Some(byte) = self.input.get(at) {
            if *byte == b'"' {
                self.at = at + 1;
                return (start..at, signs);
            }
            signs.add(*byte);
            at += 1;
            if *byte == b'\\'
                && let Some(escaped) = self.input.get(at)
            {
                signs.add(*escaped);
                at += 1;
            }
        }
        self.at = self.input.len();
        (start..self.at, signs)
    }

    fn string(&mut self, at: At<'_>) {
        let (content, signs) = self.content();
        let raw = &self.input[content.clone()];
        let edits = if signs.backslash() {
            let decoded = Layer::Json.decode(raw);
            let edits = self.run.value(at, &decoded.bytes);
            decoded.translate(edits, Layer::Json)
        } else {
            self.run.value_by(at, raw, signs)
        };
        self.edits.extend(shift(edits, content.start));
    }

    /// A number or a literal name; anything else is no JSON.
    fn scalar(&mut self, at: At<'_>) {
        let rest = &self.input[self.at..];
        let ends = |byte: &u8| byte.is_ascii_whitespace() || b",:{}[]\"".contains(byte);
        let length = rest.iter().position(ends).unwrap_or(rest.len()).max(1);
        let token = &rest[..length];
        let number = matches!(token[0], b'-' | b'0'..=b'9')
            && token.iter().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(byte));
        let start = self.at;
        self.at += length;
        let cut = self.at == self.input.len();
        let literal = |name: &[u8]| token == name || (cut && name.starts_with(token));
        if literal(b"null") {
            return;
        }
        if !number && !literal(b"true") && !literal(b"false") {
            self.clean = false;
            return;
        }
        let edits = if self.run.is_named(at) {
            self.run.value(at, token)
        } else if length >= 8 {
            self.run.found(at, token, false)
        } else {
            return;
        };
        if edits.is_empty() {
            return;
        }
        // Redacted leaves become strings (contract §3.4), as a whole.
        let hits = crate::edit::hits(&edits);
        let mut with = crate::edit::apply(token, &edits);
        with.insert(0, b'"');
        with.push(b'"');
        self.edits.push(Edit { range: start..start + length, with, hits });
    }
}
