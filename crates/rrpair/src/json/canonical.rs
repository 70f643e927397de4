//! JSON with its members sorted and no space, every token as it was sent.

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::ops::Range;

/// Deeper nesting is not taken for JSON; serde_json's own limit.
const MAX_DEPTH: usize = 128;

/// The document with members sorted by name and no white space between tokens, or `None` if
/// it is no JSON text (RFC 8259). Numbers and strings are copied as they stand, so that
/// `1.0`, `1e400` and a number of 20 digits stay what they were. Members of the same name
/// stay in their order.
pub fn canonical(document: &[u8]) -> Option<Vec<u8>> {
    // Most bodies that are no JSON are seen here.
    let first = document.iter().find(|byte| !is_space(**byte))?;
    if !matches!(first, b'{' | b'[' | b'"' | b'-' | b'0'..=b'9' | b't' | b'f' | b'n') {
        return None;
    }
    let mut canonical = Canonical {
        input: std::str::from_utf8(document).ok()?.as_bytes(),
        at: 0,
        out: Vec::with_capacity(document.len()),
        members: Vec::new(),
    };
    canonical.value(0)?;
    (canonical.peek().is_none()).then_some(canonical.out)
}

struct Canonical<'a> {
    input: &'a [u8],
    at: usize,
    out: Vec<u8>,
    /// Members of the objects that are open, the innermost last.
    members: Vec<Member<'a>>,
}

struct Member<'a> {
    name: Cow<'a, [u8]>,
    /// Place in the output, name to value.
    written: Range<usize>,
}

impl<'a> Canonical<'a> {
    /// Next byte that is no white space; it is not consumed.
    fn peek(&mut self) -> Option<u8> {
        loop {
            let byte = *self.input.get(self.at)?;
            if !is_space(byte) {
                return Some(byte);
            }
            self.at += 1;
        }
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| {
            self.at += 1;
            self.out.push(byte);
        })
    }

    fn value(&mut self, depth: usize) -> Option<()> {
        if depth == MAX_DEPTH {
            return None;
        }
        match self.peek()? {
            b'{' => self.object(depth),
            b'[' => self.array(depth),
            b'"' => self.token(string_end).map(drop),
            b't' => self.token(|rest| rest.starts_with(b"true").then_some(4)).map(drop),
            b'f' => self.token(|rest| rest.starts_with(b"false").then_some(5)).map(drop),
            b'n' => self.token(|rest| rest.starts_with(b"null").then_some(4)).map(drop),
            _ => self.token(number_end).map(drop),
        }
    }

    /// Copies the token whose length `end` finds.
    fn token(&mut self, end: impl FnOnce(&[u8]) -> Option<usize>) -> Option<&'a [u8]> {
        let rest = self.input.get(self.at..)?;
        let token = rest.get(..end(rest)?)?;
        self.at += token.len();
        self.out.extend_from_slice(token);
        Some(token)
    }

    fn array(&mut self, depth: usize) -> Option<()> {
        self.expect(b'[')?;
        if self.peek()? == b']' {
            return self.expect(b']');
        }
        loop {
            self.value(depth + 1)?;
            if self.peek()? == b']' {
                return self.expect(b']');
            }
            self.expect(b',')?;
        }
    }

    fn object(&mut self, depth: usize) -> Option<()> {
        self.expect(b'{')?;
        if self.peek()? == b'}' {
            return self.expect(b'}');
        }
        let first_member = self.members.len();
        let start = self.out.len();
        loop {
            let begin = self.out.len();
            if self.peek()? != b'"' {
                return None;
            }
            let name = name(self.token(string_end)?);
            self.expect(b':')?;
            self.value(depth + 1)?;
            self.members.push(Member { name, written: begin..self.out.len() });
            if self.peek()? == b'}' {
                break;
            }
            self.expect(b',')?;
        }
        self.sort(first_member, start);
        self.expect(b'}')
    }

    /// Puts the members from `first_member` on, which were written from `start` on, in order.
    fn sort(&mut self, first_member: usize, start: usize) {
        let mut members = self.members.split_off(first_member);
        if members.is_sorted_by(|a, b| a.name <= b.name) {
            return;
        }
        members.sort_by(|a, b| a.name.cmp(&b.name));
        let unsorted = self.out.split_off(start);
        for (i, member) in members.iter().enumerate() {
            if i > 0 {
                self.out.push(b',');
            }
            let written = member.written.start - start..member.written.end - start;
            self.out.extend_from_slice(unsorted.get(written).unwrap_or_default());
        }
    }
}

const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

/// What a string token says; of lone surrogates, which no Rust string holds, the token.
fn name(token: &[u8]) -> Cow<'_, [u8]> {
    let literal = token.get(1..token.len() - 1).unwrap_or_default();
    if literal.contains(&b'\\')
        && let Ok(name) = serde_json::from_slice::<String>(token)
    {
        return Cow::Owned(name.into_bytes());
    }
    Cow::Borrowed(literal)
}

/// Length of the string token that `rest` starts with.
fn string_end(rest: &[u8]) -> Option<usize> {
    let mut at = 1;
    loop {
        match *rest.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => {
                at += match *rest.get(at + 1)? {
                    b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => 2,
                    b'u' => {
                        let digits = rest.get(at + 2..at + 6)?;
                        if !digits.iter().all(u8::is_ascii_hexdigit) {
                            return None;
                        }
                        6
                    }
                    _ => return None,
                }
            }
            0..=0x1f => return None,
            _ => at += 1,
        }
    }
}

/// Length of the number that `rest` starts with (RFC 8259 §6).
fn number_end(rest: &[u8]) -> Option<usize> {
    let digits = |from: usize| {
        let tail = rest.get(from..).unwrap_or_default();
        from + tail.iter().take_while(|byte| byte.is_ascii_digit()).count()
    };
    let at = |at: usize| rest.get(at).copied();

    let start = usize::from(at(0) == Some(b'-'));
    let mut end = if at(start) == Some(b'0') { start + 1 } else { digits(start) };
    if end == start {
        return None;
    }
    if at(end) == Some(b'.') {
        let fraction = end + 1;
        end = digits(fraction);
        if end == fraction {
            return None;
        }
    }
    if matches!(at(end), Some(b'e' | b'E')) {
        let exponent = end + 1 + usize::from(matches!(at(end + 1), Some(b'+' | b'-')));
        end = digits(exponent);
        if end == exponent {
            return None;
        }
    }
    Some(end)
}
