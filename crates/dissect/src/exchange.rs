use std::fmt;

use weir_abi::Role;

use crate::{
    event::HalfReason,
    head::{FieldLines, RequestHead, ResponseHead},
};

/// One request with its response. At least one of the two is present; `half` says why the
/// other is not, and is absent exactly when both are there and belong together for certain.
#[derive(Clone, Debug, PartialEq)]
pub struct Exchange {
    pub request: Option<Message<RequestHead>>,
    pub response: Option<Message<ResponseHead>>,
    /// Which end the captured process holds; never [`Role::Unknown`].
    pub role: Role,
    /// Number among the exchanges that this connection reported, from 0.
    pub ordinal: u64,
    pub half: Option<HalfReason>,
    /// Interim responses (1xx) before the response.
    pub interim_responses: u32,
}

/// One HTTP message.
#[derive(Clone, Debug, PartialEq)]
pub struct Message<Head> {
    pub head: Head,
    /// After a chunked body; empty otherwise.
    pub trailers: FieldLines,
    pub body: MessageBody,
    /// Kernel monotonic time of the record with the first byte.
    pub first_byte_ns: u64,
    /// Kernel monotonic time of the last record seen of the message.
    pub last_byte_ns: u64,
    /// Bytes of this direction up to the end of the message, since the connection was
    /// first seen.
    pub end_position: u64,
    pub defects: Defects,
}

/// Body as sent: transfer coding undone, content coding kept. `Debug` shows sizes alone.
#[derive(Clone, Default, PartialEq)]
pub struct MessageBody {
    /// First bytes of the body, without a gap.
    pub kept: Vec<u8>,
    /// Bytes that were sent, kept or not.
    pub original_bytes: u64,
    /// Bytes of `original_bytes` that passed through holes.
    pub missing_bytes: u64,
    /// The end of the body was not seen.
    pub cut: bool,
}

impl MessageBody {
    /// True when `kept` is not the whole body.
    pub fn is_truncated(&self) -> bool {
        self.cut || (self.kept.len() as u64) < self.original_bytes
    }
}

impl fmt::Debug for MessageBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MessageBody")
            .field("kept_bytes", &self.kept.len())
            .field("original_bytes", &self.original_bytes)
            .field("missing_bytes", &self.missing_bytes)
            .field("cut", &self.cut)
            .finish()
    }
}

/// Something in a message that RFC 9112 forbids or deprecates.
#[repr(u8)]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Defect {
    /// Both `Transfer-Encoding` and `Content-Length`; the former wins (§6.3).
    LengthAndTransferCoding = 0,
    /// `Content-Length` more than once with one value.
    RepeatedLength = 1,
    /// `Content-Length` with different values.
    DifferentLengths = 2,
    /// `Content-Length` that is no number.
    BadLength = 3,
    /// A transfer coding other than `chunked`; it is left in the body.
    UnknownTransferCoding = 4,
    /// A line that ends in LF alone.
    BareLf = 5,
    /// A field value over several lines.
    FoldedField = 6,
    /// A field line without a colon, or with a name that is no token.
    BadField = 7,
    /// Bytes that the grammar does not allow, such as DEL in the target.
    ForbiddenByte = 8,
}

impl Defect {
    const ALL: [Self; 9] = [
        Self::LengthAndTransferCoding,
        Self::RepeatedLength,
        Self::DifferentLengths,
        Self::BadLength,
        Self::UnknownTransferCoding,
        Self::BareLf,
        Self::FoldedField,
        Self::BadField,
        Self::ForbiddenByte,
    ];

    /// Name for tags.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::LengthAndTransferCoding => "length_and_transfer_coding",
            Self::RepeatedLength => "repeated_length",
            Self::DifferentLengths => "different_lengths",
            Self::BadLength => "bad_length",
            Self::UnknownTransferCoding => "unknown_transfer_coding",
            Self::BareLf => "bare_lf",
            Self::FoldedField => "folded_field",
            Self::BadField => "bad_field",
            Self::ForbiddenByte => "forbidden_byte",
        }
    }
}

/// Set of [`Defect`]s.
#[derive(Clone, Copy, Default, Eq, PartialEq)]
pub struct Defects(u16);

impl Defects {
    /// True for a message without any.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// True when `defect` is among them.
    pub const fn contains(self, defect: Defect) -> bool {
        self.0 & (1 << defect as u8) != 0
    }

    /// Adds `defect`.
    pub const fn insert(&mut self, defect: Defect) {
        self.0 |= 1 << defect as u8;
    }

    /// All of them.
    pub fn iter(self) -> impl Iterator<Item = Defect> {
        Defect::ALL.into_iter().filter(move |defect| self.contains(*defect))
    }
}

impl fmt::Debug for Defects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}
