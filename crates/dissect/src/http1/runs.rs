//! What the run ordinals tell: which exchange a record belongs to, and which vanished.

use weir_abi::{Direction, HoleReason};

use super::{
    Http1, Pairing, Sink,
    slot::{Part, Slot},
    stream::Gap,
};
use crate::{
    event::{Event, HalfReason, UndecodableReason},
    exchange::Message,
    head::kind::HeadKind,
    place::Place,
};

impl Http1 {
    /// Takes note of where a record lies: gaps before it and turns of the connection. Gives
    /// its run.
    pub(super) fn arrive(&mut self, place: Place, sink: Sink<'_>) -> i64 {
        let Place { direction, position, begins_run, .. } = place;
        let run = self.unwrap_run(place.run);
        let gap = position.saturating_sub(self.next(direction));
        if gap > 0 {
            let unseen = Unseen { bytes: gap, reason: HoleReason::RingFull, time_ns: None };
            self.gap(direction, unseen, run, sink);
        }
        if run > self.last_run {
            self.turn(direction, run, sink);
        }
        if begins_run && direction == self.asking {
            self.requests.try_start();
        } else if begins_run {
            self.responses.try_start();
        }
        run
    }

    /// The ordinal without its wrapping at 32 bits.
    pub(super) fn unwrap_run(&self, run: u32) -> i64 {
        if self.last_run < 0 {
            return i64::from(run);
        }
        let low = u32::try_from(self.last_run & 0xFFFF_FFFF).unwrap_or_default();
        self.last_run + i64::from(run.wrapping_sub(low).cast_signed())
    }

    /// The exchange that a run belongs to, by its request run.
    fn exchange_of(&self, direction: Direction, run: i64) -> i64 {
        if direction == self.asking { run } else { run - 1 }
    }

    /// The connection turned: runs between the last one and `run` were not seen at all.
    fn turn(&mut self, direction: Direction, run: i64, sink: Sink<'_>) {
        let exchange = self.exchange_of(direction, run);
        self.parity = exchange.rem_euclid(2);
        if run - self.last_run > 1 {
            let vanished = requests_between(self.last_run, run - 2, exchange);
            self.disturb(direction, run, Some(HoleReason::RingFull), sink);
            self.lose(vanished, HoleReason::RingFull, sink);
        } else if self.pairing == Pairing::ByRun {
            self.retire(direction, exchange, None, sink);
        }
        self.last_run = run;
    }

    /// Bytes of `direction` were not seen, the last of them in `run`.
    pub(super) fn gap(&mut self, direction: Direction, gap: Unseen, run: i64, sink: Sink<'_>) {
        let Unseen { bytes, reason, time_ns } = gap;
        if direction == self.asking {
            match self.requests.skip(bytes, reason, time_ns) {
                Gap::Harmless => return,
                Gap::Between => {}
                Gap::Done(message, aligned) => {
                    self.settle_request(Part::Whole(message), sink);
                    if aligned {
                        return;
                    }
                }
                Gap::Broken(read) => {
                    let (part, bytes) = broken(read, HalfReason::RequestLost(reason));
                    self.skip_bytes(bytes, UndecodableReason::Unaligned, sink);
                    if let Some(slot) = self.open_request() {
                        slot.request = part;
                        slot.lost.get_or_insert(reason);
                    }
                }
            }
        } else {
            match self.responses.skip(bytes, reason, time_ns) {
                Gap::Harmless => return,
                Gap::Between => {}
                Gap::Done(message, aligned) => {
                    self.settle_response(Part::Whole(message), sink);
                    if aligned {
                        return;
                    }
                }
                Gap::Broken(read) => {
                    let (part, bytes) = broken(read, HalfReason::ResponseLost(reason));
                    self.skip_bytes(bytes, UndecodableReason::Unaligned, sink);
                    if let Some(slot) = self.open_response() {
                        slot.response = part;
                        slot.lost.get_or_insert(reason);
                    }
                }
            }
        }
        self.report_finished(sink);
        self.disturb(direction, run, Some(reason), sink);
    }

    /// What was read last is in doubt, in `run`: order alone pairs no longer.
    pub(super) fn disturb(
        &mut self,
        direction: Direction,
        run: i64,
        reason: Option<HoleReason>,
        sink: Sink<'_>,
    ) {
        match self.pairing {
            Pairing::Off => {}
            _ if self.pipelined => self.stop_pairing(HalfReason::Unpaired, sink),
            Pairing::InOrder | Pairing::ByRun => {
                self.pairing = Pairing::ByRun;
                self.retire(direction, self.exchange_of(direction, run), reason, sink);
            }
        }
    }

    /// Ends the exchanges before `exchange`, except one whose message may go on: without a
    /// `reason` any that is being read, after a loss only one in the record of `direction`
    /// that is at hand.
    fn retire(
        &mut self,
        direction: Direction,
        exchange: i64,
        reason: Option<HoleReason>,
        sink: Sink<'_>,
    ) {
        let mut at = 0;
        while let Some(slot) = self.slots.get_mut(at) {
            // The framing of a response to an unknown request is a guess.
            let answering =
                slot.response.is_open() && !slot.request.is_absent() && self.responses.is_inside();
            let asking = slot.request.is_open() && self.requests.is_inside();
            let at_hand = if direction == self.asking { asking } else { answering };
            let goes_on = at_hand || (reason.is_none() && (asking || answering));
            if slot.key >= exchange {
                at += 1;
            } else if goes_on {
                if at_hand {
                    slot.key = exchange;
                }
                at += 1;
            } else if let Some(mut slot) = self.slots.remove(at) {
                if let Some(reason) = reason {
                    slot.lost.get_or_insert(reason);
                }
                self.give_up(&mut slot, sink);
                self.report(slot, HalfReason::Unpaired, sink);
            }
        }
    }

    /// Takes what its streams hold of a slot that ends now.
    fn give_up(&mut self, slot: &mut Slot, sink: Sink<'_>) {
        if slot.request.is_open() {
            let why = slot.lost.map_or(HalfReason::Unpaired, HalfReason::RequestLost);
            let (part, bytes) = broken(self.requests.abandon(), why);
            self.requests.lost_by = slot.lost.or(self.requests.lost_by);
            slot.lost = slot.lost.or(self.requests.lost_by);
            self.skip_bytes(bytes, UndecodableReason::Unaligned, sink);
            slot.request = part;
        }
        if slot.response.is_open() {
            let why = slot.lost.map_or(HalfReason::Unpaired, HalfReason::ResponseLost);
            let (part, bytes) = broken(self.responses.abandon(), why);
            self.responses.lost_by = slot.lost.or(self.responses.lost_by);
            slot.lost = slot.lost.or(self.responses.lost_by);
            self.skip_bytes(bytes, UndecodableReason::Unaligned, sink);
            slot.response = part;
        }
    }

    /// Bytes of a message whose beginning is unknown came by: its exchange will not be
    /// reported unless the other half of it is seen.
    pub(super) fn touch(&mut self, direction: Direction, run: i64) {
        let lost_by =
            if direction == self.asking { self.requests.lost_by } else { self.responses.lost_by };
        let key = self.exchange_of(direction, run);
        let (Some(reason), Pairing::ByRun) = (lost_by, self.pairing) else { return };
        if key <= self.reported {
            return;
        }
        let at = self.slots.partition_point(|slot| slot.key < key);
        match self.slots.get_mut(at).filter(|slot| slot.key == key) {
            Some(slot) => {
                slot.lost.get_or_insert(reason);
            }
            None => self.slots.insert(at, Slot { lost: Some(reason), ..Slot::new(key) }),
        }
    }

    /// A request came while the one before it waited: the connection pipelines.
    pub(super) fn note_pipelining(&mut self, sink: Sink<'_>) {
        self.pipelined = true;
        if self.pairing == Pairing::ByRun {
            self.stop_pairing(HalfReason::Unpaired, sink);
        }
    }

    /// The same, seen from a response that goes on after the next request.
    pub(super) fn note_overtaking(&mut self, run: i64, sink: Sink<'_>) {
        if let (Some(first), Some(second)) = (self.slots.front(), self.slots.get(1)) {
            let asked = second.request.message().is_some()
                || (second.request.is_open() && self.requests.head().is_some());
            let goes_on = first.response.is_open() && self.responses.is_inside();
            if goes_on && asked && run > second.key {
                self.note_pipelining(sink);
            }
        }
    }

    /// From here on requests are reported alone.
    pub(super) fn stop_pairing(&mut self, why: HalfReason, sink: Sink<'_>) {
        self.pairing = Pairing::Off;
        if let Err(bytes) = self.responses.abandon() {
            self.skip_bytes(bytes, UndecodableReason::Unpaired, sink);
        }
        for mut slot in std::mem::take(&mut self.slots) {
            if slot.request.is_open() {
                slot.response = Part::Absent;
                self.slots.push_back(slot);
                continue;
            }
            if slot.response.is_open() {
                slot.response = Part::Absent;
            }
            self.report(slot, why, sink);
        }
    }

    /// Tells of lost exchanges, or keeps that back until it is sure that this is HTTP.
    pub(super) fn lose(&mut self, exchanges: u64, reason: HoleReason, sink: Sink<'_>) {
        if exchanges == 0 {
            return;
        }
        if self.confirmed {
            sink(Event::Lost { exchanges, reason });
        } else {
            self.held_back = (self.held_back.0.saturating_add(exchanges), reason);
        }
    }

    pub(super) fn release_losses(&mut self, sink: Sink<'_>) {
        let (exchanges, reason) = std::mem::replace(&mut self.held_back, (0, HoleReason::RingFull));
        if exchanges > 0 {
            sink(Event::Lost { exchanges, reason });
        }
    }
}

/// The part of a slot for what was read of a message, or the number of bytes if it is none.
fn broken<Head: HeadKind>(
    read: Result<Box<Message<Head>>, u64>,
    why: HalfReason,
) -> (Part<Head>, u64) {
    match read {
        Ok(mut message) => {
            message.body.cut = true;
            (Part::Broken(message, why), 0)
        }
        Err(bytes) => (Part::Absent, bytes),
    }
}

/// Number of request runs after `last` up to `end`; `request` is one of them or of the others.
pub(crate) fn requests_between(last: i64, end: i64, request: i64) -> u64 {
    let parity = request.rem_euclid(2);
    let count = (end - parity).div_euclid(2) - (last - parity).div_euclid(2);
    u64::try_from(count).unwrap_or(0)
}

/// Bytes that passed without being seen.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unseen {
    pub(super) bytes: u64,
    pub(super) reason: HoleReason,
    /// When a record told of them.
    pub(super) time_ns: Option<u64>,
}
