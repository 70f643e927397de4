//! How long a body is (RFC 9112 §6.3).

use crate::{
    exchange::{Defect, Defects},
    head::{FieldLines, RequestHead, ResponseHead},
};

/// End of a message's body.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Framing {
    Empty,
    Fixed(u64),
    Chunked,
    /// The body ends with the connection.
    UntilEnd,
    /// No body, and the response is still to come.
    Interim,
    /// Contradictory: where the message ends is anybody's guess.
    Unknown,
}

/// What the answered request says about the framing of its response.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) enum Asked {
    #[default]
    Content,
    /// `HEAD`: the response has no body, whatever its fields say.
    HeadAlone,
    /// `CONNECT`: a 2xx has no body and a tunnel follows.
    Tunnel,
}

impl Asked {
    pub(crate) fn by(request: &RequestHead) -> Self {
        match request.method() {
            b"HEAD" => Self::HeadAlone,
            b"CONNECT" => Self::Tunnel,
            _ => Self::Content,
        }
    }
}

pub(crate) fn of_request(head: &RequestHead, defects: &mut Defects) -> Framing {
    match lengths(&head.lines, defects) {
        Lengths { coding: Coding::Chunked, .. } => Framing::Chunked,
        Lengths { coding: Coding::Other, .. } | Lengths { content: Content::Contradictory, .. } => {
            Framing::Unknown
        }
        Lengths { content: Content::Bytes(0) | Content::Unsaid, .. } => Framing::Empty,
        Lengths { content: Content::Bytes(bytes), .. } => Framing::Fixed(bytes),
    }
}

pub(crate) fn of_response(head: &ResponseHead, asked: Asked, defects: &mut Defects) -> Framing {
    let lengths = lengths(&head.lines, defects);
    match (head.status, asked, lengths.coding, lengths.content) {
        (101, ..) => Framing::Empty,
        (100..200, ..) => Framing::Interim,
        (204 | 304, ..) | (_, Asked::HeadAlone, ..) | (200..300, Asked::Tunnel, ..) => {
            Framing::Empty
        }
        (_, _, Coding::Chunked, _) => Framing::Chunked,
        (_, _, Coding::Other, _) | (_, _, Coding::None, Content::Unsaid) => Framing::UntilEnd,
        (_, _, Coding::None, Content::Bytes(0)) => Framing::Empty,
        (_, _, Coding::None, Content::Bytes(bytes)) => Framing::Fixed(bytes),
        (_, _, Coding::None, Content::Contradictory) => Framing::Unknown,
    }
}

struct Lengths {
    coding: Coding,
    content: Content,
}

#[derive(Clone, Copy, PartialEq)]
enum Coding {
    None,
    Chunked,
    /// The last coding is not `chunked`, so it does not end the body.
    Other,
}

#[derive(Clone, Copy, PartialEq)]
enum Content {
    Unsaid,
    Bytes(u64),
    Contradictory,
}

fn lengths(lines: &FieldLines, defects: &mut Defects) -> Lengths {
    let mut coding = Coding::None;
    let mut content = Content::Unsaid;
    for (name, value) in lines.iter() {
        if name.len() == 14 && name.eq_ignore_ascii_case(b"content-length") {
            for item in value.split(|&byte| byte == b',') {
                content = next_length(content, item.trim_ascii(), defects);
            }
        } else if name.len() == 17 && name.eq_ignore_ascii_case(b"transfer-encoding") {
            for item in value.split(|&byte| byte == b',') {
                coding = next_coding(coding, item.trim_ascii(), defects);
            }
        }
    }
    if coding != Coding::None && content != Content::Unsaid {
        defects.insert(Defect::LengthAndTransferCoding);
    }
    Lengths { coding, content }
}

fn next_coding(before: Coding, item: &[u8], defects: &mut Defects) -> Coding {
    if item.eq_ignore_ascii_case(b"chunked") {
        Coding::Chunked
    } else if item.is_empty() || item.eq_ignore_ascii_case(b"identity") {
        before
    } else {
        defects.insert(Defect::UnknownTransferCoding);
        Coding::Other
    }
}

fn next_length(before: Content, item: &[u8], defects: &mut Defects) -> Content {
    let Some(bytes) = decimal(item) else {
        defects.insert(Defect::BadLength);
        return Content::Contradictory;
    };
    match before {
        Content::Unsaid => Content::Bytes(bytes),
        Content::Bytes(same) if same == bytes => {
            defects.insert(Defect::RepeatedLength);
            before
        }
        Content::Bytes(_) => {
            defects.insert(Defect::DifferentLengths);
            Content::Contradictory
        }
        Content::Contradictory => before,
    }
}

/// Digits alone: no sign, no blank, no overflow.
fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |value, digit| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        value.checked_mul(10)?.checked_add(digit)
    })
}
