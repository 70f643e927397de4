//! What requests and responses do differently while they are being read.

use super::{
    RequestHead, ResponseHead,
    framing::{self, Asked, Framing},
    parse,
};
use crate::{
    detect,
    event::UndecodableReason,
    exchange::{Defects, Message},
};

/// Longest method that we take for one.
const MAX_METHOD_BYTES: usize = 32;

/// Whether bytes can be the beginning of a message.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Start {
    Possible,
    /// Too few bytes to say.
    Undecided,
    Impossible(UndecodableReason),
}

/// Head of either kind.
pub(crate) trait HeadKind: Sized {
    /// Judges the first bytes of a message, however few; 40 are always enough.
    fn start(first: &[u8]) -> Start;

    /// Judges a complete start line, without its line end.
    ///
    /// # Errors
    /// Why no message of this kind begins so.
    fn check_line(line: &[u8]) -> Result<(), UndecodableReason>;

    /// Reads a complete head: `raw` ends with its blank line.
    ///
    /// # Errors
    /// Why it is none, or none that we keep.
    fn parse(raw: Raw<'_>, defects: &mut Defects) -> Result<Self, UndecodableReason>;

    /// Where the body ends.
    fn framing(&self, asked: Asked, defects: &mut Defects) -> Framing;

    fn lines_bytes(&self) -> usize;
}

/// A complete head, copied only once it is known to be one.
pub(crate) enum Raw<'a> {
    InPlace(&'a [u8]),
    Gathered(Vec<u8>),
}

impl Raw<'_> {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::InPlace(bytes) => bytes,
            Self::Gathered(bytes) => bytes,
        }
    }

    fn into_vec(self) -> Vec<u8> {
        match self {
            Self::InPlace(bytes) => bytes.to_vec(),
            Self::Gathered(bytes) => bytes,
        }
    }
}

impl HeadKind for RequestHead {
    fn start(first: &[u8]) -> Start {
        let first = first.get(..=MAX_METHOD_BYTES).unwrap_or(first);
        match first.iter().position(|&byte| !parse::is_token(byte)) {
            Some(0) => detect::not_http(first),
            Some(end) if parse::is_blank(first[end]) => Start::Possible,
            None if first.len() <= MAX_METHOD_BYTES => Start::Undecided,
            _ => Start::Impossible(UndecodableReason::Malformed),
        }
    }

    fn check_line(line: &[u8]) -> Result<(), UndecodableReason> {
        parse::request_line(line).map(|_line| ())
    }

    fn parse(raw: Raw<'_>, defects: &mut Defects) -> Result<Self, UndecodableReason> {
        let parsed = parse::request(raw.bytes(), defects)?;
        Ok(Self::assemble(raw.into_vec(), parsed))
    }

    fn framing(&self, _asked: Asked, defects: &mut Defects) -> Framing {
        framing::of_request(self, defects)
    }

    fn lines_bytes(&self) -> usize {
        self.lines.held_bytes()
    }
}

impl HeadKind for ResponseHead {
    fn start(first: &[u8]) -> Start {
        const PREFIX: &[u8] = b"HTTP/1.";
        if first.starts_with(PREFIX) {
            Start::Possible
        } else if PREFIX.starts_with(first) {
            Start::Undecided
        } else {
            detect::not_http(first)
        }
    }

    fn check_line(line: &[u8]) -> Result<(), UndecodableReason> {
        parse::status_line(line).map(|_line| ())
    }

    fn parse(raw: Raw<'_>, defects: &mut Defects) -> Result<Self, UndecodableReason> {
        let parsed = parse::response(raw.bytes(), defects)?;
        Ok(Self::assemble(raw.into_vec(), parsed))
    }

    fn framing(&self, asked: Asked, defects: &mut Defects) -> Framing {
        framing::of_response(self, asked, defects)
    }

    fn lines_bytes(&self) -> usize {
        self.lines.held_bytes()
    }
}

/// Captured bytes that a message holds.
pub(crate) fn held_bytes<Head: HeadKind>(message: &Message<Head>) -> usize {
    message.head.lines_bytes() + message.trailers.held_bytes() + message.body.kept.len()
}
