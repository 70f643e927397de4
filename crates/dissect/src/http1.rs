//! HTTP/1.0 and HTTP/1.1 (RFC 9112) on one connection: two streams of messages and the
//! pairing between them.
//!
//! While nothing is lost, the n-th response answers the n-th request. After a loss that is
//! no longer certain, and the kernel's run ordinals take over: without pipelining a request
//! lies in one run and its response in the next, so that exchanges are matched, and those
//! that vanished are counted, by run. A connection that pipelined gives up pairing then.

mod body;
mod chunked;
mod end;
mod head_buffer;
mod runs;
mod slot;
mod stream;

use std::collections::VecDeque;

use weir_abi::{Direction, HoleReason, Role};

pub(crate) use self::runs::requests_between;
use self::{
    runs::Unseen,
    slot::{Outcome, Part, Slot},
    stream::{Context, Step, Stream},
};
use crate::{
    detect,
    event::{Event, HalfReason, UndecodableReason, UpgradeProtocol},
    exchange::Message,
    head::{RequestHead, ResponseHead, framing::Asked},
    limits::Limits,
    place::Place,
};

/// Where events go. A trait object: the dissector is compiled once, not per sink.
pub(crate) type Sink<'a> = &'a mut dyn FnMut(Event);

/// How responses find their requests.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Pairing {
    /// The n-th response answers the n-th request.
    InOrder,
    /// Something was lost: a response answers the request of the run before its own.
    ByRun,
    /// Something was lost on a pipelined connection: nothing is certain any more.
    Off,
}

/// The state of one HTTP/1 connection.
#[derive(Debug)]
pub(crate) struct Http1 {
    limits: Limits,
    role: Role,
    /// Direction of the requests.
    asking: Direction,
    requests: Stream<RequestHead>,
    responses: Stream<ResponseHead>,
    /// Exchanges under way, oldest first.
    slots: VecDeque<Slot>,
    pairing: Pairing,
    /// Requests were seen that did not wait for the response to the one before.
    pipelined: bool,
    /// Last run seen in either direction; -1 before the first.
    last_run: i64,
    /// Run ordinals of requests are even (0) or odd (1).
    parity: i64,
    /// Exchanges up to this one may have begun before the capture.
    joined_until: i64,
    /// Last exchange (by its request run) that was reported.
    reported: i64,
    /// A head was read: this is HTTP.
    confirmed: bool,
    /// Losses that are told once it is certain that they were HTTP exchanges.
    held_back: (u64, HoleReason),
    ordinal: u64,
    skipped: (u64, UndecodableReason),
    left_bytes: u64,
    /// Set when the rest of the connection is not for us.
    pub(crate) opaque: Option<UndecodableReason>,
}

impl Http1 {
    /// A connection seen from its first byte on.
    pub(crate) fn new(role: Role, limits: Limits) -> Self {
        Self::with_streams(role, limits, (0, 0), true)
    }

    /// A connection that began before its capture; the next record is in the run after
    /// `last_run`, the positions are those seen so far, and so many exchanges vanished.
    pub(crate) fn joined(
        role: Role,
        limits: Limits,
        positions: (u64, u64),
        last_run: i64,
        vanished: u64,
    ) -> Self {
        let mut http = Self::with_streams(role, limits, positions, false);
        http.pairing = Pairing::ByRun;
        http.last_run = last_run;
        http.joined_until = 0;
        http.held_back.0 = vanished;
        http
    }

    /// `positions` of ingress and egress.
    fn with_streams(role: Role, limits: Limits, positions: (u64, u64), aligned: bool) -> Self {
        let (ingress, egress) = positions;
        let (asking, asked, answered) = match role {
            Role::Client => (Direction::Egress, egress, ingress),
            Role::Server | Role::Unknown => (Direction::Ingress, ingress, egress),
        };
        Self {
            limits,
            role,
            asking,
            requests: Stream::new(asked, aligned),
            responses: Stream::new(answered, aligned),
            slots: VecDeque::new(),
            pairing: Pairing::InOrder,
            pipelined: false,
            last_run: -1,
            parity: 0,
            joined_until: i64::MIN,
            reported: i64::MIN,
            confirmed: false,
            held_back: (0, HoleReason::RingFull),
            ordinal: 0,
            skipped: (0, UndecodableReason::Unaligned),
            left_bytes: 0,
            opaque: None,
        }
    }

    /// Position after the last record of `direction`.
    pub(crate) fn next(&self, direction: Direction) -> u64 {
        if direction == self.asking { self.requests.next } else { self.responses.next }
    }

    /// Captured bytes held.
    pub(crate) fn held_bytes(&self) -> usize {
        self.kept_bytes() + self.requests.pending_bytes() + self.responses.pending_bytes()
    }

    fn kept_bytes(&self) -> usize {
        let slots: usize = self.slots.iter().map(Slot::held_bytes).sum();
        slots + self.requests.kept_bytes() + self.responses.kept_bytes()
    }

    /// Takes a data record that is not a repetition; a position ahead is a gap.
    pub(crate) fn data(&mut self, place: Place, mut bytes: &[u8], sink: Sink<'_>) {
        let run = self.arrive(place, sink);
        let unknown = !self.confirmed && self.lost_boundary(place.direction);
        if place.begins_run && unknown && detect::is_tls_record(bytes) {
            self.opaque = Some(UndecodableReason::Tls);
        }
        let length = bytes.len() as u64;
        if place.direction == self.asking {
            self.requests.next = self.requests.next.saturating_add(length);
        } else {
            self.responses.next = self.responses.next.saturating_add(length);
        }
        while !bytes.is_empty() && self.opaque.is_none() {
            let taken = if place.direction == self.asking {
                self.advance_requests(run, place.time_ns, bytes, sink)
            } else {
                self.advance_responses(run, place.time_ns, bytes, sink)
            };
            bytes = bytes.get(taken..).unwrap_or_default();
        }
        // Bytes that the next protocol owns.
        self.left_bytes += bytes.len() as u64;
    }

    /// Takes a hole record that is not a repetition.
    pub(crate) fn hole(&mut self, place: Place, length: u64, reason: HoleReason, sink: Sink<'_>) {
        let run = self.arrive(place, sink);
        let unseen = Unseen { bytes: length, reason, time_ns: Some(place.time_ns) };
        self.gap(place.direction, unseen, run, sink);
        if self.lost_boundary(place.direction) {
            self.touch(place.direction, run);
        }
    }

    fn lost_boundary(&self, direction: Direction) -> bool {
        if direction == self.asking {
            self.requests.is_seeking()
        } else {
            self.responses.is_seeking()
        }
    }

    fn advance_requests(&mut self, run: i64, time_ns: u64, bytes: &[u8], sink: Sink<'_>) -> usize {
        let context = Context {
            limits: &self.limits,
            asked: Asked::Content,
            time_ns,
            room: self.limits.max_buffered_bytes.saturating_sub(self.kept_bytes()),
        };
        let (taken, step) = self.requests.advance(bytes, &context);
        match step {
            Step::More if self.requests.is_seeking() => {
                self.skip_bytes(taken as u64, self.requests.skipped_as, sink);
                self.touch(self.asking, run);
            }
            Step::More | Step::Interim => {}
            Step::Begin => self.begin_request(run, sink),
            Step::Head => self.request_head(sink),
            Step::Done(message) => {
                self.request_head(sink);
                self.settle_request(Part::Whole(message), sink);
            }
            Step::Endless(mut message) => {
                message.body.cut = true;
                self.request_head(sink);
                self.settle_request(Part::Broken(message, HalfReason::RequestMalformed), sink);
                self.disturb(self.asking, run, None, sink);
            }
            Step::Refused { reason, before, tentative } => {
                if let Some(slot) = self.open_request() {
                    slot.request = Part::Absent;
                }
                self.disturb(self.asking, run, None, sink);
                self.refuse(reason, tentative);
                self.skip_refused(before, self.requests.skipped_as, sink);
            }
        }
        taken
    }

    fn advance_responses(&mut self, run: i64, time_ns: u64, bytes: &[u8], sink: Sink<'_>) -> usize {
        self.note_overtaking(run, sink);
        if self.pairing == Pairing::Off {
            self.skip_bytes(bytes.len() as u64, UndecodableReason::Unpaired, sink);
            return bytes.len();
        }
        let context = Context {
            limits: &self.limits,
            asked: self.asked(),
            time_ns,
            room: self.limits.max_buffered_bytes.saturating_sub(self.kept_bytes()),
        };
        let (taken, step) = self.responses.advance(bytes, &context);
        match step {
            Step::More if self.responses.is_seeking() => {
                self.skip_bytes(taken as u64, self.responses.skipped_as, sink);
                self.touch(self.asking.opposite(), run);
            }
            Step::More => {}
            Step::Begin => self.begin_response(run),
            Step::Head => self.head_complete(sink),
            Step::Interim => {
                self.confirm(sink);
                if let Some(slot) = self.open_response() {
                    slot.response = Part::Absent;
                    slot.interim_responses = slot.interim_responses.saturating_add(1);
                }
                self.slots.retain(|slot| !slot.unsolicited || !slot.response.is_absent());
            }
            Step::Done(message) => {
                self.head_complete(sink);
                self.settle_response(Part::Whole(message), sink);
            }
            Step::Endless(mut message) => {
                message.body.cut = true;
                self.head_complete(sink);
                self.settle_response(Part::Broken(message, HalfReason::ResponseMalformed), sink);
                self.disturb(self.asking.opposite(), run, None, sink);
            }
            Step::Refused { reason, before, tentative } => {
                if let Some(slot) = self.open_response() {
                    slot.response = Part::Absent;
                }
                self.disturb(self.asking.opposite(), run, None, sink);
                self.refuse(reason, tentative);
                let unpaired = self.pairing == Pairing::Off;
                let counted_as =
                    if unpaired { UndecodableReason::Unpaired } else { self.responses.skipped_as };
                self.skip_refused(before, counted_as, sink);
            }
        }
        taken
    }

    /// What the request says that the next response answers.
    fn asked(&self) -> Asked {
        let Some(slot) = self.slots.iter().find(|slot| !slot_has_response(slot)) else {
            return Asked::default();
        };
        let open = if slot.request.is_open() { self.requests.head() } else { None };
        let head = open.or_else(|| slot.request.message().map(|message| &message.head));
        head.map_or_else(Asked::default, Asked::by)
    }

    fn begin_request(&mut self, run: i64, sink: Sink<'_>) {
        if self.slots.len() >= self.limits.max_pending_exchanges {
            self.stop_pairing(HalfReason::TooManyPending, sink);
        }
        let touched = self.slots.back_mut().filter(|slot| {
            self.pairing == Pairing::ByRun && slot.key == run && slot.request.is_absent()
        });
        match touched {
            Some(slot) => slot.request = Part::Open,
            None => {
                self.slots.push_back(Slot { request: Part::Open, ..Slot::new(run) });
            }
        }
    }

    /// A request's head is complete.
    fn request_head(&mut self, sink: Sink<'_>) {
        self.head_complete(sink);
        let waiting = self.slots.front().is_some_and(|first| {
            matches!(first.request, Part::Whole(_)) && first.response.is_absent()
        });
        if self.slots.len() > 1 && waiting {
            self.note_pipelining(sink);
        }
    }

    fn head_complete(&mut self, sink: Sink<'_>) {
        self.confirm(sink);
        if self.kept_bytes() > self.limits.max_buffered_bytes {
            self.stop_pairing(HalfReason::TooManyPending, sink);
        }
    }

    fn begin_response(&mut self, run: i64) {
        let key = run - 1;
        let by_run = self.pairing == Pairing::ByRun;
        let answered = self
            .slots
            .iter_mut()
            .find(|slot| slot.response.is_absent() && (!by_run || slot.key == key));
        if let Some(slot) = answered {
            slot.response = Part::Open;
            return;
        }
        let joined_late = key <= self.joined_until && key > self.reported;
        let mut slot = Slot { response: Part::Open, joined_late, ..Slot::new(key) };
        if by_run && key > self.reported {
            slot.lost = Some(self.requests.lost_by.unwrap_or(HoleReason::RingFull));
        } else {
            slot.unsolicited = true;
        }
        let at = self.slots.partition_point(|other| other.key < key);
        self.slots.insert(at, slot);
    }

    fn settle_request(&mut self, part: Part<RequestHead>, sink: Sink<'_>) {
        if let Some(slot) = self.open_request() {
            slot.request = part;
        }
        self.report_finished(sink);
    }

    fn settle_response(&mut self, part: Part<ResponseHead>, sink: Sink<'_>) {
        let switched = match &part {
            Part::Whole(message) => self.switches(message),
            _ => None,
        };
        if let Some(slot) = self.open_response() {
            slot.response = part;
        }
        self.report_finished(sink);
        if let Some((protocol, reason)) = switched {
            sink(Event::Upgraded { protocol });
            self.opaque = Some(reason);
        }
    }

    /// The protocol that follows this response, if it ends HTTP/1 here.
    fn switches(
        &self,
        response: &Message<ResponseHead>,
    ) -> Option<(UpgradeProtocol, UndecodableReason)> {
        match response.head.status {
            101 => {
                let protocol = response.head.lines.first("upgrade").unwrap_or_default();
                Some(if protocol.eq_ignore_ascii_case(b"websocket") {
                    (UpgradeProtocol::WebSocket, UndecodableReason::Upgraded)
                } else if protocol.eq_ignore_ascii_case(b"h2c") {
                    (UpgradeProtocol::H2c, UndecodableReason::Http2)
                } else {
                    (UpgradeProtocol::Other, UndecodableReason::Upgraded)
                })
            }
            200..300 => {
                let slot = self.slots.iter().find(|slot| slot.response.is_open())?;
                let request = slot.request.message()?;
                (Asked::by(&request.head) == Asked::Tunnel)
                    .then_some((UpgradeProtocol::Tunnel, UndecodableReason::Tunnel))
            }
            _ => None,
        }
    }

    fn open_request(&mut self) -> Option<&mut Slot> {
        self.slots.iter_mut().rev().find(|slot| slot.request.is_open())
    }

    fn open_response(&mut self) -> Option<&mut Slot> {
        self.slots.iter_mut().find(|slot| slot.response.is_open())
    }

    /// A head was read: what was held back is HTTP for certain.
    fn confirm(&mut self, sink: Sink<'_>) {
        self.flush_skipped(sink);
        if !self.confirmed {
            self.confirmed = true;
            self.release_losses(sink);
        }
    }

    /// What looked like a message is none: where one had to be, this is not HTTP/1.
    fn refuse(&mut self, reason: UndecodableReason, tentative: bool) {
        if !tentative && !self.confirmed {
            self.opaque = Some(match reason {
                UndecodableReason::Malformed => UndecodableReason::UnknownProtocol,
                known => known,
            });
        }
    }

    /// Counts bytes that were taken for a head as those after them will be.
    fn skip_refused(&mut self, bytes: u64, reason: UndecodableReason, sink: Sink<'_>) {
        if self.opaque.is_some() {
            self.left_bytes += bytes;
        } else {
            self.skip_bytes(bytes, reason, sink);
        }
    }

    /// Counts bytes of no exchange. They are told together.
    fn skip_bytes(&mut self, bytes: u64, reason: UndecodableReason, sink: Sink<'_>) {
        if bytes == 0 {
            return;
        }
        if self.skipped.1 != reason {
            self.flush_skipped(sink);
            self.skipped.1 = reason;
        }
        self.skipped.0 = self.skipped.0.saturating_add(bytes);
    }

    fn flush_skipped(&mut self, sink: Sink<'_>) {
        let (bytes, reason) = self.skipped;
        if bytes > 0 {
            self.skipped.0 = 0;
            sink(Event::Undecodable { bytes, reason });
        }
    }

    /// Reports every exchange of which nothing more is to come.
    fn report_finished(&mut self, sink: Sink<'_>) {
        while let Some(at) = self.slots.iter().position(Slot::is_finished) {
            if let Some(slot) = self.slots.remove(at) {
                self.report(slot, HalfReason::NoResponse, sink);
            }
        }
        if self.pairing == Pairing::Off {
            while let Some(at) = self.slots.iter().position(|slot| !slot.request.is_open()) {
                if let Some(slot) = self.slots.remove(at) {
                    self.report(slot, HalfReason::Unpaired, sink);
                }
            }
        }
        let quiet = self.slots.is_empty() && self.requests.is_idle() && self.responses.is_idle();
        if quiet && self.pairing == Pairing::ByRun {
            self.pairing = Pairing::InOrder;
        }
    }

    fn report(&mut self, slot: Slot, otherwise: HalfReason, sink: Sink<'_>) {
        self.reported = self.reported.max(slot.key);
        match slot.finish(self.role, self.ordinal, otherwise) {
            Outcome::Exchange(exchange) => {
                self.ordinal += 1;
                sink(Event::Exchange(exchange));
            }
            Outcome::Lost(reason) => self.lose(1, reason, sink),
            Outcome::Nothing => {}
        }
    }
}

fn slot_has_response(slot: &Slot) -> bool {
    !slot.response.is_absent() && !slot.response.is_open()
}
