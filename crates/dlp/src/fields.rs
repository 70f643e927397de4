//! Names with values on one line: field lines, cookies, queries and forms, request targets.

use crate::edit::{Edit, settle, shift};
use crate::engine::{At, Run};
use crate::layer::Layer;

/// Field lines that say how a message is to be read: a profile that denies all keeps them.
const FRAMING: [&str; 10] = [
    "accept-encoding",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "grpc-encoding",
    "grpc-status",
    "host",
    "te",
    "transfer-encoding",
];

impl Run<'_> {
    /// Redacts in the value of a field line.
    pub(crate) fn field(&mut self, at: At<'_>, name: &str, value: &[u8]) -> Vec<Edit> {
        let is = |known: &&str| name.eq_ignore_ascii_case(known);
        self.below(at, name.as_bytes(), |run, at| {
            if is(&"cookie") {
                run.cookies(at, value)
            } else if is(&"set-cookie") {
                let pair = memchr::memchr(b';', value).unwrap_or(value.len());
                let mut edits = run.cookies(at, &value[..pair]);
                edits.extend(shift(run.found(at, &value[pair..], false), pair));
                edits
            } else if at.under.is_none() && FRAMING.iter().any(is) {
                run.text(at, value)
            } else {
                run.value(at, value)
            }
        })
    }

    /// `a=1; b=2`, each value by itself.
    fn cookies(&mut self, at: At<'_>, value: &[u8]) -> Vec<Edit> {
        let mut edits = Vec::new();
        let mut start = 0;
        for pair in value.split(|byte| *byte == b';') {
            let (name, from) = match memchr::memchr(b'=', pair) {
                Some(equals) => (&pair[..equals], equals + 1),
                None => (&pair[..0], 0),
            };
            let value = &pair[from..];
            let blank = value.len() - value.trim_ascii_start().len();
            let value = value.trim_ascii();
            // Quotes are no part of the value.
            let quoted = value.len() > 1 && value.starts_with(b"\"") && value.ends_with(b"\"");
            let value = if quoted { &value[1..value.len() - 1] } else { value };
            let offset = start + from + blank + usize::from(quoted);
            let found = self.below(at, name.trim_ascii(), |run, at| run.percent(at, value, false));
            edits.extend(shift(found, offset));
            start += pair.len() + 1;
        }
        edits
    }

    /// A value in which `%XX` stands for bytes.
    fn percent(&mut self, at: At<'_>, value: &[u8], plus: bool) -> Vec<Edit> {
        if !value.iter().any(|byte| *byte == b'%' || (plus && *byte == b'+')) {
            return self.value(at, value);
        }
        let layer = Layer::Percent { plus };
        let decoded = layer.decode(value);
        let edits = self.value(at, &decoded.bytes);
        decoded.translate(edits, layer)
    }

    /// `a=1&b=2`: a query or a form.
    pub(crate) fn pairs(&mut self, at: At<'_>, input: &[u8]) -> Vec<Edit> {
        let mut edits = Vec::new();
        let mut start = 0;
        for pair in input.split(|byte| *byte == b'&') {
            let end = start + pair.len();
            match memchr::memchr(b'=', pair) {
                None => {
                    // A name alone is not bound to a key, but may be a value.
                    edits.extend(shift(self.percent(at, pair, true), start));
                }
                Some(equals) => {
                    let layer = Layer::Percent { plus: true };
                    let name = layer.decode(&pair[..equals]);
                    if name.bytes.len() >= 7 {
                        let found = self.found(at, &name.bytes, false);
                        edits.extend(shift(name.translate(found, layer), start));
                    }
                    let value = &pair[equals + 1..];
                    let found = self.below(at, &name.bytes, |run, at| {
                        let last = last_segment(&name.bytes);
                        let under = at.under.max(run.engine.keys.act(&at.place, last));
                        run.percent(At { under, ..at }, value, true)
                    });
                    edits.extend(shift(found, start + equals + 1));
                }
            }
            start = end + 1;
        }
        settle(edits)
    }

    /// The path of a request target.
    pub(crate) fn path(&mut self, at: At<'_>, path: &[u8]) -> Vec<Edit> {
        if !self.is_named(at) {
            return self.percent(at, path, false);
        }
        let mut edits = Vec::new();
        let mut start = 0;
        for segment in path.split(|byte| *byte == b'/') {
            if !segment.is_empty() {
                edits.extend(shift(self.percent(at, segment, false), start));
            }
            start += segment.len() + 1;
        }
        edits
    }

    /// A request target: its path, then its query.
    pub(crate) fn target(&mut self, at: At<'_>, query: At<'_>, target: &[u8]) -> Vec<Edit> {
        let path = memchr::memchr(b'?', target).unwrap_or(target.len());
        let mut edits = self.path(at, &target[..path]);
        if path < target.len() {
            edits.extend(shift(self.pairs(query, &target[path + 1..]), path + 1));
        }
        edits
    }
}

/// `user[password]` names a password.
fn last_segment(name: &[u8]) -> &[u8] {
    let inside = name
        .strip_suffix(b"]")
        .and_then(|name| memchr::memrchr(b'[', name).map(|bracket| &name[bracket + 1..]));
    inside.unwrap_or(name)
}
