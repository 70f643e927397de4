//! Messages of one direction of a connection.

use weir_abi::HoleReason;

use super::{
    body::{Body, BodyGap, BodyStep},
    head_buffer::HeadBuffer,
};
use crate::{
    event::UndecodableReason,
    exchange::{Message, MessageBody},
    head::{
        FieldLines,
        framing::{Asked, Framing},
        kind::{HeadKind, held_bytes},
    },
    limits::Limits,
};

/// One direction: where its next byte lies and what is being read.
#[derive(Debug)]
pub(super) struct Stream<Head> {
    /// Position after the last record. While a record is being read: after that record.
    pub(super) next: u64,
    /// Why the message boundary is unknown, when a hole is to blame.
    pub(super) lost_by: Option<HoleReason>,
    /// What bytes count as while the message boundary is unknown.
    pub(super) skipped_as: UndecodableReason,
    state: State<Head>,
}

#[derive(Debug)]
enum State<Head> {
    /// The message boundary is unknown.
    Seeking,
    /// Between messages. `tentative`: we only hope so.
    Idle {
        tentative: bool,
    },
    Head(Box<HeadBuffer>),
    Body(Body<Head>),
}

/// What [`Stream::advance`] came upon.
pub(super) enum Step<Head> {
    /// All bytes are used.
    More,
    /// A message begins with the next byte.
    Begin,
    /// A head is complete and its body follows.
    Head,
    /// An interim response: the real one is still to come.
    Interim,
    Done(Box<Message<Head>>),
    /// Where the message ends cannot be known.
    Endless(Box<Message<Head>>),
    /// No message after all. So many bytes before this call were taken for one.
    Refused {
        reason: UndecodableReason,
        before: u64,
        tentative: bool,
    },
}

/// What a gap did to the message that is being read.
pub(super) enum Gap<Head> {
    /// The boundary is where it was, known or unknown.
    Harmless,
    /// The message ends in the gap; whether the gap ends there, too.
    Done(Box<Message<Head>>, bool),
    /// The gap lies between messages, and at least one began in it.
    Between,
    /// The boundary is lost; the message if its head was read, else the bytes read of it.
    Broken(Result<Box<Message<Head>>, u64>),
}

/// What the caller knows and the stream does not.
pub(super) struct Context<'a> {
    pub(super) limits: &'a Limits,
    pub(super) asked: Asked,
    pub(super) time_ns: u64,
    /// Body bytes that may be kept now.
    pub(super) room: usize,
}

impl<Head: HeadKind> Stream<Head> {
    /// `aligned`: the first byte begins a message.
    pub(super) fn new(next: u64, aligned: bool) -> Self {
        let state = if aligned { State::Idle { tentative: false } } else { State::Seeking };
        Self { next, lost_by: None, skipped_as: UndecodableReason::Unaligned, state }
    }

    /// Between messages for certain.
    pub(super) fn is_idle(&self) -> bool {
        matches!(self.state, State::Idle { tentative: false })
    }

    /// The message boundary is unknown.
    pub(super) fn is_seeking(&self) -> bool {
        matches!(self.state, State::Seeking)
    }

    /// In a message whose beginning was seen.
    pub(super) fn is_inside(&self) -> bool {
        match &self.state {
            State::Seeking | State::Idle { .. } => false,
            State::Head(buffer) => !buffer.is_tentative(),
            State::Body(_) => true,
        }
    }

    /// Head of the message that is being read, once it is complete.
    pub(super) fn head(&self) -> Option<&Head> {
        match &self.state {
            State::Body(body) => Some(&body.message.head),
            _ => None,
        }
    }

    /// Captured bytes in complete heads and kept bodies.
    pub(super) fn kept_bytes(&self) -> usize {
        match &self.state {
            State::Body(body) => held_bytes(&body.message),
            _ => 0,
        }
    }

    /// Captured bytes in heads and trailers that are not complete yet.
    pub(super) fn pending_bytes(&self) -> usize {
        match &self.state {
            State::Head(buffer) => buffer.len(),
            State::Body(body) => body.pending_bytes(),
            _ => 0,
        }
    }

    /// Hopes that a message begins with the next byte, when nothing better is known.
    pub(super) fn try_start(&mut self) {
        let hope = match &self.state {
            State::Seeking => true,
            State::Idle { tentative } => *tentative,
            State::Head(buffer) => buffer.is_tentative(),
            State::Body(_) => false,
        };
        if hope {
            self.state = State::Idle { tentative: true };
        }
    }

    /// Uses bytes up to the next thing that the caller must know of; says how many. `bytes`
    /// reach to the end of the record, at `self.next`.
    pub(super) fn advance(&mut self, bytes: &[u8], context: &Context<'_>) -> (usize, Step<Head>) {
        match &mut self.state {
            State::Seeking => (bytes.len(), Step::More),
            State::Idle { tentative } => {
                // Empty lines may precede a start line (RFC 9112 §2.2), but where we only
                // hope for one they are rather the end of something else.
                let is_blank = |byte: &u8| !*tentative && matches!(byte, b'\r' | b'\n');
                let blank = bytes.iter().position(|byte| !is_blank(byte));
                let Some(blank) = blank else { return (bytes.len(), Step::More) };
                let buffer = HeadBuffer::new(context.time_ns, *tentative);
                self.state = State::Head(Box::new(buffer));
                (blank, Step::Begin)
            }
            State::Head(_) => self.advance_head(bytes, context),
            State::Body(body) => {
                let (taken, step) = body.advance(bytes, context);
                let end = self.next - (bytes.len() - taken) as u64;
                if step == BodyStep::More {
                    return (taken, Step::More);
                }
                let Ok(message) = self.abandon_at(end) else { return (taken, Step::More) };
                if step == BodyStep::Broken {
                    self.skipped_as = UndecodableReason::Malformed;
                    return (taken, Step::Endless(message));
                }
                self.state = State::Idle { tentative: false };
                (taken, Step::Done(message))
            }
        }
    }

    fn advance_head(&mut self, bytes: &[u8], context: &Context<'_>) -> (usize, Step<Head>) {
        let State::Head(buffer) = &mut self.state else { return (0, Step::More) };
        let before = buffer.len() as u64;
        let (tentative, first_byte_ns) = (buffer.is_tentative(), buffer.first_byte_ns());
        let (taken, head, mut defects) = match buffer.advance(bytes, context.limits.max_head_bytes)
        {
            Ok(None) => return (bytes.len(), Step::More),
            Ok(Some(complete)) => complete,
            Err(reason) => {
                self.state = State::Seeking;
                self.skipped_as = if tentative { UndecodableReason::Unaligned } else { reason };
                return (0, Step::Refused { reason, before, tentative });
            }
        };
        self.lost_by = None;
        self.skipped_as = UndecodableReason::Unaligned;
        let framing = Head::framing(&head, context.asked, &mut defects);
        self.state = State::Idle { tentative: false };
        if framing == Framing::Interim {
            return (taken, Step::Interim);
        }
        let message = Box::new(Message {
            head,
            trailers: FieldLines::default(),
            body: MessageBody::default(),
            first_byte_ns,
            last_byte_ns: context.time_ns,
            end_position: self.next - (bytes.len() - taken) as u64,
            defects,
        });
        match Body::new(message, framing) {
            Ok(body) => {
                self.state = State::Body(body);
                (taken, Step::Head)
            }
            Err(message) if framing == Framing::Empty => (taken, Step::Done(message)),
            Err(message) => {
                self.state = State::Seeking;
                self.skipped_as = UndecodableReason::Malformed;
                (taken, Step::Endless(message))
            }
        }
    }

    /// Takes `gap` unseen bytes at `self.next` and moves on behind them; `time_ns` is given when a record told of them.
    pub(super) fn skip(&mut self, gap: u64, reason: HoleReason, time_ns: Option<u64>) -> Gap<Head> {
        let start = self.next;
        self.next = start.saturating_add(gap);
        let outcome = match &mut self.state {
            State::Seeking => return Gap::Harmless,
            State::Idle { .. } => Gap::Between,
            State::Head(_) => Gap::Broken(self.abandon()),
            State::Body(body) => match body.skip(gap, time_ns) {
                BodyGap::Inside => return Gap::Harmless,
                BodyGap::Broken => Gap::Broken(self.abandon_at(start)),
                BodyGap::Done { beyond } => {
                    let end = self.next - beyond;
                    match self.abandon_at(end) {
                        Ok(message) => Gap::Done(message, beyond == 0),
                        Err(_no_body) => Gap::Between,
                    }
                }
            },
        };
        if matches!(outcome, Gap::Done(_, true)) {
            self.state = State::Idle { tentative: false };
            return outcome;
        }
        self.state = State::Seeking;
        self.lost_by = Some(reason);
        self.skipped_as = UndecodableReason::Unaligned;
        outcome
    }

    /// The boundary is unknown from here on. Gives what was read of a message: the message
    /// if its head was complete, else the number of bytes.
    pub(super) fn abandon(&mut self) -> Result<Box<Message<Head>>, u64> {
        self.abandon_at(self.next)
    }

    fn abandon_at(&mut self, end_position: u64) -> Result<Box<Message<Head>>, u64> {
        match std::mem::replace(&mut self.state, State::Seeking) {
            State::Seeking | State::Idle { .. } => Err(0),
            State::Head(buffer) => Err(buffer.len() as u64),
            State::Body(body) => {
                let mut message = body.message;
                message.end_position = end_position;
                Ok(message)
            }
        }
    }

    /// The connection ended. As [`Stream::abandon`], and whether that ends the message well.
    pub(super) fn end(&mut self) -> (Result<Box<Message<Head>>, u64>, bool) {
        let ends_well = matches!(&self.state, State::Body(body) if body.is_until_end());
        (self.abandon(), ends_well)
    }
}
