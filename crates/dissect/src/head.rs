//! Heads as they came, with an index into them.

pub(crate) mod framing;
pub(crate) mod kind;
pub(crate) mod parse;
pub(crate) mod scan;

use std::{fmt, ops::Range};

/// HTTP version of a message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Version {
    Http10,
    Http11,
}

impl Version {
    /// `1.0` or `1.1`
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http10 => "1.0",
            Self::Http11 => "1.1",
        }
    }
}

/// Half-open range of bytes in a head.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Span {
    pub(crate) start: u32,
    pub(crate) end: u32,
}

impl Span {
    pub(crate) fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct FieldSpan {
    pub(crate) name: Span,
    pub(crate) value: Span,
}

/// The bytes of a head or trailer section with the places of its field lines. `Debug`
/// shows sizes alone.
#[derive(Clone, Default, PartialEq)]
pub struct FieldLines {
    pub(crate) raw: Vec<u8>,
    pub(crate) fields: Vec<FieldSpan>,
}

impl FieldLines {
    /// The section as it came, with its start line, if it has one, and its blank line.
    pub fn raw(&self) -> &[u8] {
        &self.raw
    }

    /// Number of field lines.
    pub fn len(&self) -> usize {
        self.fields.len()
    }

    /// True when there is no field line.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// Name and value of every field line, in order, bytes as they came; no white space
    /// around a value, but the line ends inside a folded one are still there.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.fields.iter().map(|field| (self.slice(field.name), self.slice(field.value)))
    }

    /// First value of the field, names compared without case.
    pub fn first(&self, name: &str) -> Option<&[u8]> {
        self.iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name.as_bytes()))
            .map(|(_, value)| value)
    }

    pub(crate) fn slice(&self, span: Span) -> &[u8] {
        self.raw.get(span.range()).unwrap_or_default()
    }

    pub(crate) fn held_bytes(&self) -> usize {
        self.raw.len() + self.fields.len() * size_of::<FieldSpan>()
    }
}

impl fmt::Debug for FieldLines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FieldLines({} lines, {} bytes)", self.fields.len(), self.raw.len())
    }
}

/// Head of a request.
#[derive(Clone, Debug, PartialEq)]
pub struct RequestHead {
    pub lines: FieldLines,
    pub version: Version,
    pub(crate) method: Span,
    pub(crate) target: Span,
}

impl RequestHead {
    /// Method, as sent.
    pub fn method(&self) -> &[u8] {
        self.lines.slice(self.method)
    }

    /// Request target, as sent: origin, absolute, authority or asterisk form.
    pub fn target(&self) -> &[u8] {
        self.lines.slice(self.target)
    }
}

/// Head of a response.
#[derive(Clone, Debug, PartialEq)]
pub struct ResponseHead {
    pub lines: FieldLines,
    pub version: Version,
    /// Status code, 100 to 999.
    pub status: u16,
    pub(crate) reason: Span,
}

impl ResponseHead {
    /// Reason phrase, as sent; may be empty.
    pub fn reason(&self) -> &[u8] {
        self.lines.slice(self.reason)
    }
}
