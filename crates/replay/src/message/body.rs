//! How the end of a body is found (RFC 9112 §6.3).

use super::{Kind, Malformed, Message, status_of};
use crate::head::Head;

/// Largest line of a chunked body: a size with its extensions, or a trailer.
const MAX_LINE_BYTES: usize = 64 * 1024;

#[derive(Debug)]
pub(super) enum Body {
    Length(u64),
    UntilClose,
    Chunked { at: Chunk, line: Vec<u8> },
}

#[derive(Debug, Eq, PartialEq)]
pub(super) enum Chunk {
    Size,
    Data(u64),
    /// The line end after the data.
    End,
    Trailers,
    Done,
}

impl Body {
    pub(super) fn of(kind: Kind, head: &Head) -> Result<Self, Malformed> {
        if let Kind::Response { to_head } = kind {
            let status = status_of(head.start()).unwrap_or_default();
            if to_head || status == 204 || status == 304 || (100..200).contains(&status) {
                return Ok(Self::Length(0));
            }
        }
        if head.first("transfer-encoding").is_some() {
            return Ok(if head.lists("transfer-encoding", "chunked") {
                Self::Chunked { at: Chunk::Size, line: Vec::new() }
            } else {
                Self::UntilClose
            });
        }
        match (head.first("content-length"), kind) {
            (Some(length), _) => number(length, 10).map(Self::Length).ok_or(Malformed::Framing),
            (None, Kind::Request) => Ok(Self::Length(0)),
            (None, Kind::Response { .. }) => Ok(Self::UntilClose),
        }
    }

    /// What the head says.
    pub(super) fn length(&self) -> Option<usize> {
        match self {
            Self::Length(bytes) => usize::try_from(*bytes).ok(),
            Self::UntilClose | Self::Chunked { .. } => None,
        }
    }

    pub(super) fn until_close(&self) -> bool {
        matches!(self, Self::UntilClose)
    }

    pub(super) fn is_complete(&self) -> bool {
        matches!(self, Self::Length(0) | Self::Chunked { at: Chunk::Done, .. })
    }

    /// Takes what belongs to the body and says how much that was.
    pub(super) fn feed(
        &mut self,
        bytes: &[u8],
        message: &mut Message,
        limit: usize,
    ) -> Result<usize, Malformed> {
        match self {
            Self::UntilClose => {
                keep(message, bytes, limit);
                Ok(bytes.len())
            }
            Self::Length(left) => Ok(take(left, bytes, message, limit)),
            Self::Chunked { at, line } => {
                let mut used = 0;
                while *at != Chunk::Done {
                    let rest = bytes.get(used..).unwrap_or_default();
                    if rest.is_empty() {
                        break;
                    }
                    if let Chunk::Data(left) = at {
                        used += take(left, rest, message, limit);
                        if *left == 0 {
                            *at = Chunk::End;
                        }
                        continue;
                    }
                    let (taken, whole) = until_line_feed(rest);
                    line.extend_from_slice(taken);
                    used += taken.len();
                    if line.len() > MAX_LINE_BYTES {
                        return Err(Malformed::Framing);
                    }
                    if whole {
                        *at = after_line(at, line.trim_ascii_end(), message)?;
                        line.clear();
                    }
                }
                Ok(used)
            }
        }
    }
}

fn until_line_feed(bytes: &[u8]) -> (&[u8], bool) {
    match memchr::memchr(b'\n', bytes) {
        Some(at) => (bytes.get(..=at).unwrap_or_default(), true),
        None => (bytes, false),
    }
}

fn after_line(at: &Chunk, line: &[u8], message: &mut Message) -> Result<Chunk, Malformed> {
    match at {
        Chunk::Size => {
            let size = line.split(|&byte| byte == b';').next().unwrap_or_default().trim_ascii();
            match number(size, 16).ok_or(Malformed::Framing)? {
                0 => Ok(Chunk::Trailers),
                size => Ok(Chunk::Data(size)),
            }
        }
        Chunk::End if line.is_empty() => Ok(Chunk::Size),
        Chunk::End => Err(Malformed::Framing),
        Chunk::Trailers if line.is_empty() => Ok(Chunk::Done),
        Chunk::Trailers => {
            let colon = memchr::memchr(b':', line).ok_or(Malformed::Framing)?;
            let (name, value) = line.split_at(colon);
            let value = value.get(1..).unwrap_or_default().trim_ascii();
            message.trailers.push((name.to_vec(), value.to_vec()));
            Ok(Chunk::Trailers)
        }
        Chunk::Data(_) | Chunk::Done => Ok(Chunk::Done),
    }
}

fn take(left: &mut u64, bytes: &[u8], message: &mut Message, limit: usize) -> usize {
    let wanted = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
    keep(message, bytes.get(..wanted).unwrap_or_default(), limit);
    *left -= wanted as u64;
    wanted
}

fn keep(message: &mut Message, bytes: &[u8], limit: usize) {
    let room = limit.saturating_sub(message.body.len()).min(bytes.len());
    message.body.extend_from_slice(bytes.get(..room).unwrap_or_default());
    message.body_bytes += bytes.len() as u64;
}

/// Digits alone: no sign, no blank.
fn number(digits: &[u8], radix: u32) -> Option<u64> {
    let fine = !digits.is_empty() && digits.iter().all(u8::is_ascii_hexdigit);
    fine.then(|| u64::from_str_radix(std::str::from_utf8(digits).ok()?, radix).ok()).flatten()
}
