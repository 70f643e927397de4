//! Encodings that are undone to look at a value, with the way back: an edit of the decoded
//! bytes becomes one of the bytes that were sent, and nothing else changes.

use std::ops::Range;

use crate::edit::Edit;

/// How a replacement is written in the encoded text.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Layer {
    /// `%XX`; `plus` when `+` is a space.
    Percent {
        plus: bool,
    },
    /// Escapes of a JSON string.
    Json,
    /// Character references.
    Xml,
    Utf16 {
        little: bool,
    },
    /// RFC 2045 §6.7.
    QuotedPrintable,
}

/// Bytes without their encoding.
#[derive(Debug, Default)]
pub(crate) struct Decoded {
    pub(crate) bytes: Vec<u8>,
    /// Where in the input each byte came from; one more for the end.
    starts: Vec<u32>,
}

impl Layer {
    /// Undoes the encoding; what is not encoded as it should be stays as it is.
    pub(crate) fn decode(self, input: &[u8]) -> Decoded {
        let mut out = Decoded {
            bytes: Vec::with_capacity(input.len()),
            starts: Vec::with_capacity(input.len() + 1),
        };
        let mut at = 0;
        while at < input.len() {
            let rest = &input[at..];
            let mut buffer = [0; 4];
            let (bytes, taken): (&[u8], usize) = match self {
                Self::Percent { plus } => percent(rest, plus, &mut buffer),
                Self::Json => json(rest, &mut buffer),
                Self::Xml => xml(rest, &mut buffer),
                Self::Utf16 { little } => utf16(rest, little, &mut buffer),
                Self::QuotedPrintable => quoted_printable(rest, &mut buffer),
            };
            for byte in bytes {
                out.bytes.push(*byte);
                out.starts.push(offset(at));
            }
            at += taken;
        }
        out.starts.push(offset(input.len()));
        out
    }

    /// Writes `text` in the encoding.
    pub(crate) fn encode(self, text: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(text.len());
        match self {
            Self::Percent { .. } => {
                for byte in text {
                    match byte {
                        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'*' => {
                            out.push(*byte);
                        }
                        _ => out.extend_from_slice(format!("%{byte:02X}").as_bytes()),
                    }
                }
            }
            Self::Json => {
                for byte in text {
                    match byte {
                        b'"' | b'\\' => out.extend_from_slice(&[b'\\', *byte]),
                        0..0x20 => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
                        _ => out.push(*byte),
                    }
                }
            }
            Self::Xml => {
                for byte in text {
                    match byte {
                        b'<' => out.extend_from_slice(b"&lt;"),
                        b'>' => out.extend_from_slice(b"&gt;"),
                        b'&' => out.extend_from_slice(b"&amp;"),
                        b'"' => out.extend_from_slice(b"&quot;"),
                        b'\'' => out.extend_from_slice(b"&apos;"),
                        _ => out.push(*byte),
                    }
                }
            }
            Self::QuotedPrintable => {
                for byte in text {
                    match byte {
                        b'=' => out.extend_from_slice(b"=3D"),
                        _ => out.push(*byte),
                    }
                }
            }
            Self::Utf16 { little } => {
                for unit in String::from_utf8_lossy(text).encode_utf16() {
                    out.extend(if little { unit.to_le_bytes() } else { unit.to_be_bytes() });
                }
            }
        }
        out
    }
}

impl Decoded {
    /// The edits as ones of the encoded input.
    pub(crate) fn translate(&self, edits: Vec<Edit>, layer: Layer) -> Vec<Edit> {
        edits
            .into_iter()
            .map(|edit| Edit {
                range: self.range(&edit.range),
                with: layer.encode(&edit.with),
                hits: edit.hits,
            })
            .collect()
    }

    /// Where in the input these bytes came from; whole characters of the input.
    fn range(&self, range: &Range<usize>) -> Range<usize> {
        let start = self.start(range.start);
        let end = match range.end.checked_sub(1).filter(|_| !range.is_empty()) {
            None => start,
            Some(last) => {
                let from = self.start(last);
                // One encoded character gives at most four bytes.
                (range.end..range.end + 4)
                    .map(|place| self.start(place))
                    .find(|place| *place > from)
                    .unwrap_or(from)
            }
        };
        start..end
    }

    fn start(&self, place: usize) -> usize {
        let last = self.starts.last().copied().unwrap_or(0);
        self.starts.get(place).copied().unwrap_or(last) as usize
    }
}

/// Inputs are bodies, which are far below 4 GiB; a larger one is cut by the caller.
fn offset(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

fn one(byte: u8, buffer: &mut [u8; 4]) -> &[u8] {
    buffer[0] = byte;
    &buffer[..1]
}

fn character(code: u32, buffer: &mut [u8; 4]) -> &[u8] {
    char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER).encode_utf8(buffer).as_bytes()
}

fn hex(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0, |number, digit| Some(number << 4 | char::from(*digit).to_digit(16)?))
}

fn percent<'b>(rest: &[u8], plus: bool, buffer: &'b mut [u8; 4]) -> (&'b [u8], usize) {
    match rest {
        [b'+', ..] if plus => (one(b' ', buffer), 1),
        [b'%', digits @ ..] => match digits.get(..2).and_then(hex) {
            Some(byte) => (one(u8::try_from(byte).unwrap_or(b'%'), buffer), 3),
            None => (one(b'%', buffer), 1),
        },
        _ => (one(rest[0], buffer), 1),
    }
}

fn quoted_printable<'b>(rest: &[u8], buffer: &'b mut [u8; 4]) -> (&'b [u8], usize) {
    match rest {
        [b'=', b'\r', b'\n', ..] => (&[], 3),
        [b'=', b'\n', ..] => (&[], 2),
        [b'=', digits @ ..] => match digits.get(..2).and_then(hex) {
            Some(byte) => (one(u8::try_from(byte).unwrap_or(b'='), buffer), 3),
            None => (one(b'=', buffer), 1),
        },
        _ => (one(rest[0], buffer), 1),
    }
}

fn json<'b>(rest: &[u8], buffer: &'b mut [u8; 4]) -> (&'b [u8], usize) {
    let [b'\\', escape, digits @ ..] = rest else { return (one(rest[0], buffer), 1) };
    let byte = match escape {
        b'"' | b'\\' | b'/' => *escape,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'b' => 8,
        b'f' => 12,
        b'u' => {
            let Some(high) = digits.get(..4).and_then(hex) else {
                return (one(b'\\', buffer), 1);
            };
            let low = (0xd800..0xdc00).contains(&high).then(|| match digits.get(4..10) {
                Some([b'\\', b'u', low @ ..]) => {
                    hex(low).filter(|low| (0xdc00..0xe000).contains(low))
                }
                _ => None,
            });
            return match low.flatten() {
                Some(low) => {
                    (character(0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00), buffer), 12)
                }
                None => (character(high, buffer), 6),
            };
        }
        _ => return (one(b'\\', buffer), 1),
    };
    (one(byte, buffer), 2)
}

fn xml<'b>(rest: &[u8], buffer: &'b mut [u8; 4]) -> (&'b [u8], usize) {
    if rest[0] != b'&' {
        return (one(rest[0], buffer), 1);
    }
    let Some(end) = rest.iter().take(12).position(|byte| *byte == b';') else {
        return (one(b'&', buffer), 1);
    };
    let byte = match &rest[1..end] {
        b"lt" => b'<',
        b"gt" => b'>',
        b"amp" => b'&',
        b"quot" => b'"',
        b"apos" => b'\'',
        [b'#', b'x' | b'X', digits @ ..] if !digits.is_empty() => match hex(digits) {
            Some(code) => return (character(code, buffer), end + 1),
            None => return (one(b'&', buffer), 1),
        },
        [b'#', digits @ ..] => {
            let code = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok());
            return match code {
                Some(code) => (character(code, buffer), end + 1),
                None => (one(b'&', buffer), 1),
            };
        }
        _ => return (one(b'&', buffer), 1),
    };
    (one(byte, buffer), end + 1)
}

fn utf16<'b>(rest: &[u8], little: bool, buffer: &'b mut [u8; 4]) -> (&'b [u8], usize) {
    let unit = |at: usize| {
        let bytes: [u8; 2] = rest.get(at..at + 2)?.try_into().ok()?;
        Some(if little { u16::from_le_bytes(bytes) } else { u16::from_be_bytes(bytes) })
    };
    match (unit(0), unit(2)) {
        (Some(high @ 0xd800..0xdc00), Some(low @ 0xdc00..0xe000)) => {
            let code = 0x10000 + (u32::from(high - 0xd800) << 10) + u32::from(low - 0xdc00);
            (character(code, buffer), 4)
        }
        (Some(unit), _) => (character(u32::from(unit), buffer), 2),
        // Half a unit at the end of a body that was cut.
        (None, _) => (&[], rest.len()),
    }
}

#[cfg(test)]
mod tests;
