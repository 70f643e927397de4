//! Reads HTTP/1 messages leniently: what a strict reader refuses (a raw DEL in a target, bytes
//! that are not ASCII, bare line feeds) is what a replay is about.

mod body;
#[cfg(test)]
mod tests;

use crate::head::Head;
use body::Body;

/// Largest head in bytes.
const MAX_HEAD_BYTES: usize = 256 * 1024;
/// Most bytes that are set aside for a body because its head says how long it is.
const ROOM_BYTES: usize = 64 * 1024;

/// What is being read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    Request,
    /// `to_head`: the request was `HEAD`, so no body follows.
    Response {
        to_head: bool,
    },
}

/// Bytes that are no HTTP/1 message.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Malformed {
    #[error("not HTTP/1: the first line is no status or request line")]
    StartLine,
    #[error("the head is larger than 256 KiB")]
    HeadTooLarge,
    #[error("the body's length or chunks cannot be read")]
    Framing,
    #[error("the connection ended within a message")]
    Ended,
}

/// One message.
#[derive(Clone, Eq, PartialEq)]
pub struct Message {
    pub head: Head,
    /// Transfer coding undone, content coding kept; cut at the limit.
    pub body: Vec<u8>,
    /// Bytes of the body that came.
    pub body_bytes: u64,
    /// After a chunked body.
    pub trailers: Vec<(Vec<u8>, Vec<u8>)>,
    /// The connection can be used for another message.
    pub persists: bool,
}

impl std::fmt::Debug for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Message").field("body_bytes", &self.body_bytes).finish_non_exhaustive()
    }
}

/// The parts of a request line; any byte but blanks may be in the target.
#[derive(Clone, Copy)]
pub struct RequestLine<'a> {
    pub method: &'a [u8],
    pub target: &'a [u8],
    /// `1.1`
    pub version: &'a [u8],
}

impl Message {
    /// Status code of a response.
    pub fn status(&self) -> Option<u16> {
        status_of(self.head.start())
    }

    /// `200 OK`: the status line without its version.
    pub fn status_message(&self) -> &[u8] {
        let start = self.head.start();
        memchr::memchr(b' ', start).and_then(|at| start.get(at + 1..)).unwrap_or_default()
    }

    /// The request line of a request.
    pub fn request_line(&self) -> Option<RequestLine<'_>> {
        request_line(self.head.start())
    }
}

/// Reads one message from pieces of any size.
#[derive(Debug)]
pub struct Reader {
    kind: Kind,
    max_body_bytes: usize,
    state: State,
}

#[derive(Debug)]
enum State {
    Head(Vec<u8>),
    Body(Box<Message>, Body),
    Done(Box<Message>),
}

impl Reader {
    /// Keeps at most `max_body_bytes` of the body and counts the rest.
    pub fn new(kind: Kind, max_body_bytes: usize) -> Self {
        Self { kind, max_body_bytes, state: State::Head(Vec::new()) }
    }

    /// Takes bytes and says how many belong to this message; the rest is the next one's.
    ///
    /// # Errors
    ///
    /// When this is not HTTP/1.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<usize, Malformed> {
        let mut used = 0;
        loop {
            let rest = bytes.get(used..).unwrap_or_default();
            // As a rule a head comes in one piece, and is taken from where it is.
            if self.is_untouched()
                && let Some(end) = head_end(rest, 0)
            {
                used += end;
                self.head(Head::from_raw(rest.get(..end).unwrap_or_default()))?;
                continue;
            }
            match &mut self.state {
                State::Done(_) => return Ok(used),
                State::Body(message, body) => {
                    used += body.feed(rest, message, self.max_body_bytes)?;
                    if !body.is_complete() {
                        return Ok(used);
                    }
                    self.complete();
                }
                State::Head(buffer) => {
                    let before = buffer.len();
                    buffer.extend_from_slice(rest);
                    let Some(end) = head_end(buffer, before) else {
                        if buffer.len() > MAX_HEAD_BYTES {
                            return Err(Malformed::HeadTooLarge);
                        }
                        return Ok(bytes.len());
                    };
                    used += end - before;
                    let head = Head::from_raw(buffer.get(..end).unwrap_or_default());
                    self.head(head)?;
                }
            }
        }
    }

    /// The connection ended. A body that goes on until then is complete now.
    ///
    /// # Errors
    ///
    /// When the message is not whole.
    pub fn end(&mut self) -> Result<(), Malformed> {
        if let State::Body(_, body) = &self.state
            && body.until_close()
        {
            self.complete();
        }
        if self.is_complete() { Ok(()) } else { Err(Malformed::Ended) }
    }

    /// Nothing of a message has come yet.
    pub fn is_untouched(&self) -> bool {
        matches!(&self.state, State::Head(buffer) if buffer.is_empty())
    }

    /// The message is whole.
    pub fn is_complete(&self) -> bool {
        matches!(self.state, State::Done(_))
    }

    /// The head, once it is whole.
    pub fn head_so_far(&self) -> Option<&Head> {
        match &self.state {
            State::Head(_) => None,
            State::Body(message, _) | State::Done(message) => Some(&message.head),
        }
    }

    /// The message, when it is whole.
    pub fn take(self) -> Option<Message> {
        match self.state {
            State::Done(message) => Some(*message),
            State::Head(_) | State::Body(..) => None,
        }
    }

    fn head(&mut self, head: Head) -> Result<(), Malformed> {
        let version = match self.kind {
            Kind::Request => request_line(head.start()).map(|line| line.version),
            Kind::Response { .. } => status_of(head.start()).map(|_| b"1.1".as_slice()),
        };
        let version = version.ok_or(Malformed::StartLine)?;
        let old = version == b"1.0" || head.start().starts_with(b"HTTP/1.0");
        if let (Kind::Response { .. }, Some(code)) = (self.kind, status_of(head.start()))
            && (100..200).contains(&code)
            && code != 101
        {
            self.state = State::Head(Vec::new()); // an interim response: the real one follows
            return Ok(());
        }
        let body = Body::of(self.kind, &head)?;
        let keeps = if old {
            head.lists("connection", "keep-alive")
        } else {
            !head.lists("connection", "close")
        };
        let persists = keeps && !body.until_close() && status_of(head.start()) != Some(101);
        let room = body.length().unwrap_or_default().min(self.max_body_bytes).min(ROOM_BYTES);
        let message = Message {
            head,
            body: Vec::with_capacity(room),
            body_bytes: 0,
            trailers: Vec::new(),
            persists,
        };
        self.state = State::Body(Box::new(message), body);
        Ok(())
    }

    fn complete(&mut self) {
        match std::mem::replace(&mut self.state, State::Head(Vec::new())) {
            State::Body(message, _) => self.state = State::Done(message),
            other => self.state = other,
        }
    }
}

/// End of the empty line that ends a head. `seen` bytes were looked at before.
fn head_end(buffer: &[u8], seen: usize) -> Option<usize> {
    let start = seen.saturating_sub(3);
    let tail = buffer.get(start..)?;
    memchr::memchr_iter(b'\n', tail).find_map(|at| {
        let before = buffer.get(..start + at)?;
        let ends = before.ends_with(b"\n") || before.ends_with(b"\n\r");
        ends.then_some(start + at + 1)
    })
}

fn request_line(start: &[u8]) -> Option<RequestLine<'_>> {
    let (method, rest) = start.split_at_checked(memchr::memchr(b' ', start)?)?;
    let rest = rest.get(1..)?;
    let (target, version) = rest.split_at_checked(memchr::memrchr(b' ', rest)?)?;
    let version = version.get(1..)?.strip_prefix(b"HTTP/")?;
    let fine = !method.is_empty() && !target.is_empty() && version.starts_with(b"1.");
    fine.then_some(RequestLine { method, target, version })
}

fn status_of(start: &[u8]) -> Option<u16> {
    let rest = start.strip_prefix(b"HTTP/1.")?;
    let code = rest.get(1..)?.trim_ascii_start().get(..3)?;
    let code = std::str::from_utf8(code).ok()?.parse().ok()?;
    (100..1000).contains(&code).then_some(code)
}
