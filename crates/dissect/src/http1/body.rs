//! A message's body on its way in.

use super::{
    chunked::{Chunked, Piece},
    stream::Context,
};
use crate::{
    exchange::{Defect, Message},
    head::{framing::Framing, kind::HeadKind, parse, scan::EndScanner},
};

#[derive(Debug)]
pub(super) struct Body<Head> {
    pub(super) message: Box<Message<Head>>,
    rest: Rest,
}

#[derive(Debug)]
enum Rest {
    /// Never 0.
    Fixed(u64),
    Chunked(Chunked),
    Trailers(Trailers),
    UntilEnd,
}

#[derive(Default)]
struct Trailers {
    bytes: Vec<u8>,
    scanner: EndScanner,
}

impl std::fmt::Debug for Trailers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Trailers({} bytes)", self.bytes.len())
    }
}

#[derive(Debug, PartialEq)]
pub(super) enum BodyStep {
    /// All bytes are used.
    More,
    Done,
    /// The body broke its own framing.
    Broken,
}

pub(super) enum BodyGap {
    Inside,
    /// The body ends in the gap; so many bytes of it lie behind.
    Done {
        beyond: u64,
    },
    /// Where the body ends is unknown.
    Broken,
}

impl<Head: HeadKind> Body<Head> {
    /// A body that is to be read, or the message back when there is none.
    pub(super) fn new(
        message: Box<Message<Head>>,
        framing: Framing,
    ) -> Result<Self, Box<Message<Head>>> {
        let rest = match framing {
            Framing::Fixed(bytes) => Rest::Fixed(bytes),
            Framing::Chunked => Rest::Chunked(Chunked::START),
            Framing::UntilEnd => Rest::UntilEnd,
            Framing::Empty | Framing::Interim | Framing::Unknown => return Err(message),
        };
        Ok(Self { message, rest })
    }

    pub(super) fn is_until_end(&self) -> bool {
        matches!(self.rest, Rest::UntilEnd)
    }

    /// Bytes of trailers that are not complete yet.
    pub(super) fn pending_bytes(&self) -> usize {
        match &self.rest {
            Rest::Trailers(trailers) => trailers.bytes.len(),
            _ => 0,
        }
    }

    /// Uses bytes up to the end of the body; says how many.
    pub(super) fn advance(&mut self, bytes: &[u8], context: &Context<'_>) -> (usize, BodyStep) {
        self.message.last_byte_ns = context.time_ns;
        let mut room = context.room;
        let mut at = 0;
        while let Some(rest @ [_, ..]) = bytes.get(at..) {
            let (taken, data, step) = match &mut self.rest {
                Rest::UntilEnd => (rest.len(), rest.len(), BodyStep::More),
                Rest::Fixed(left) => {
                    let taken =
                        usize::try_from(*left).map_or(rest.len(), |left| rest.len().min(left));
                    *left -= taken as u64;
                    (taken, taken, if *left == 0 { BodyStep::Done } else { BodyStep::More })
                }
                Rest::Chunked(coding) => match coding.step(rest) {
                    (taken, Piece::Coding) => (taken, 0, BodyStep::More),
                    (taken, Piece::Data(count)) => (taken, count, BodyStep::More),
                    (taken, Piece::Malformed) => (taken, 0, BodyStep::Broken),
                    (taken, Piece::Last) => {
                        self.rest = Rest::Trailers(Trailers::default());
                        (taken, 0, BodyStep::More)
                    }
                },
                Rest::Trailers(_) => {
                    let (taken, step) = self.advance_trailers(rest, context.limits.max_head_bytes);
                    (taken, 0, step)
                }
            };
            self.keep(&rest[..data], context.limits.max_body_bytes, &mut room);
            at += taken;
            if step != BodyStep::More {
                return (at, step);
            }
        }
        (at, BodyStep::More)
    }

    /// Keeps what still joins the kept bytes without a gap and fits.
    fn keep(&mut self, data: &[u8], max_body_bytes: usize, room: &mut usize) {
        let body = &mut self.message.body;
        if body.kept.len() as u64 == body.original_bytes {
            let fits = data.len().min(max_body_bytes.saturating_sub(body.kept.len())).min(*room);
            body.kept.extend_from_slice(&data[..fits]);
            *room -= fits;
        }
        body.original_bytes = body.original_bytes.saturating_add(data.len() as u64);
    }

    fn advance_trailers(&mut self, bytes: &[u8], max_bytes: usize) -> (usize, BodyStep) {
        let Rest::Trailers(trailers) = &mut self.rest else { return (0, BodyStep::Broken) };
        let end = trailers.scanner.find(bytes);
        let taken = end.unwrap_or(bytes.len());
        if trailers.bytes.len() + taken > max_bytes {
            return (taken, BodyStep::Broken);
        }
        trailers.bytes.extend_from_slice(&bytes[..taken]);
        if end.is_none() {
            return (taken, BodyStep::More);
        }
        let raw = std::mem::take(&mut trailers.bytes);
        if trailers.scanner.saw_bare_lf() {
            self.message.defects.insert(Defect::BareLf);
        }
        if raw.len() <= 2 {
            return (taken, BodyStep::Done);
        }
        match parse::trailers(raw, &mut self.message.defects) {
            Ok(lines) => {
                self.message.trailers = lines;
                (taken, BodyStep::Done)
            }
            Err(_too_large) => (taken, BodyStep::Broken),
        }
    }

    /// Takes bytes that were not seen.
    pub(super) fn skip(&mut self, gap: u64, time_ns: Option<u64>) -> BodyGap {
        let (missing, outcome) = match &mut self.rest {
            Rest::UntilEnd => (gap, BodyGap::Inside),
            Rest::Fixed(left) if gap < *left => {
                *left -= gap;
                (gap, BodyGap::Inside)
            }
            Rest::Fixed(left) => (*left, BodyGap::Done { beyond: gap - *left }),
            Rest::Chunked(coding) if gap <= coding.data_left() => {
                coding.pass(gap);
                (gap, BodyGap::Inside)
            }
            Rest::Chunked(_) | Rest::Trailers(_) => return BodyGap::Broken,
        };
        let body = &mut self.message.body;
        body.missing_bytes = body.missing_bytes.saturating_add(missing);
        body.original_bytes = body.original_bytes.saturating_add(missing);
        if let Some(time_ns) = time_ns {
            self.message.last_byte_ns = time_ns;
        }
        outcome
    }
}
