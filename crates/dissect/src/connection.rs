#[cfg(test)]
mod tests;

use weir_abi::{Direction, HoleReason, Role};

use crate::{
    event::{Event, UndecodableReason},
    http1::Http1,
    joining::{Found, Joining},
    limits::Limits,
    place::Place,
};

/// State of one captured connection.
///
/// Feed it the kernel's records of that connection in ring order. Events go to `sink`, which is called before the
/// method returns and never after [`Connection::close`] or [`Connection::finish`] did.
#[derive(Debug)]
pub struct Connection {
    limits: Limits,
    stage: Stage,
}

/// What is known of the connection's protocol. A further protocol is a variant here.
#[derive(Debug)]
enum Stage {
    Joining(Joining),
    Http1(Box<Http1>),
    /// Nothing is looked at; bytes are counted.
    Opaque(Opaque),
    Closed,
}

#[derive(Debug)]
struct Opaque {
    reason: UndecodableReason,
    /// Expected positions of ingress and egress.
    next: [u64; 2],
    untold_bytes: u64,
}

/// A long-lived opaque connection tells of its bytes in portions of this size.
const PORTION_BYTES: u64 = 1024 * 1024;

impl Connection {
    /// A connection of which nothing was seen yet.
    pub fn new(role: Role, limits: Limits) -> Self {
        let stage = match role {
            Role::Unknown => Stage::Joining(Joining::new()),
            Role::Server | Role::Client => Stage::Http1(Box::new(Http1::new(role, limits))),
        };
        Self { limits, stage }
    }

    /// Takes the bytes of a data record. A position past the expected one is a gap, one
    /// before it is a repetition, of which only the new bytes are used.
    pub fn data(&mut self, place: Place, bytes: &[u8], sink: &mut impl FnMut(Event)) {
        let repeated = self.next(place.direction).saturating_sub(place.position);
        let fresh = usize::try_from(repeated).ok().and_then(|repeated| bytes.get(repeated..));
        if let Some(fresh @ [_, ..]) = fresh {
            self.fresh_data(behind(place, repeated), fresh, sink);
        }
    }

    /// Takes a hole record: `length` bytes from `position` on passed without a copy.
    pub fn hole(
        &mut self,
        place: Place,
        length: u64,
        reason: HoleReason,
        sink: &mut impl FnMut(Event),
    ) {
        let repeated = self.next(place.direction).saturating_sub(place.position);
        let length = length.saturating_sub(repeated);
        let place = behind(place, repeated);
        if length == 0 {
            return;
        }
        match &mut self.stage {
            Stage::Closed => {}
            Stage::Opaque(opaque) => opaque.count(place, length, 0, sink),
            Stage::Joining(joining) => joining.hole(place, length),
            Stage::Http1(http) => {
                http.hole(place, length, reason, sink);
                self.look_for_end(sink);
            }
        }
    }

    /// Takes the close record: `run` is the last run of the connection, the ends are the
    /// final positions, that of ingress 0 when it is not known. Nothing is reported
    /// afterwards.
    pub fn close(
        &mut self,
        ingress_end: u64,
        egress_end: u64,
        run: u32,
        _time_ns: u64,
        sink: &mut impl FnMut(Event),
    ) {
        match std::mem::replace(&mut self.stage, Stage::Closed) {
            Stage::Closed => {}
            Stage::Opaque(mut opaque) => opaque.tell(sink),
            Stage::Joining(mut joining) => {
                let exchanges = joining.vanished_until(run);
                let silent = joining.is_silent() && run == 0 && ingress_end | egress_end == 0;
                if exchanges > 0 && !silent {
                    sink(Event::Lost { exchanges, reason: HoleReason::RingFull });
                }
                tell_joined(&mut joining, sink);
            }
            Stage::Http1(mut http) => {
                let ends = [(Direction::Ingress, ingress_end), (Direction::Egress, egress_end)];
                http.close(ends, run, sink);
            }
        }
    }

    /// Ends the connection without a close record: the reader stops, or gives the
    /// connection up. Exchanges under way become half pairs; nothing is reported afterwards.
    pub fn finish(&mut self, _time_ns: u64, sink: &mut impl FnMut(Event)) {
        match std::mem::replace(&mut self.stage, Stage::Closed) {
            Stage::Closed => {}
            Stage::Opaque(mut opaque) => opaque.tell(sink),
            Stage::Joining(mut joining) => tell_joined(&mut joining, sink),
            Stage::Http1(mut http) => http.finish(sink),
        }
    }

    /// Captured bytes held now; at most [`Limits::max_held_bytes`].
    pub fn held_bytes(&self) -> usize {
        match &self.stage {
            Stage::Joining(joining) => joining.held_bytes(),
            Stage::Http1(http) => http.held_bytes(),
            Stage::Opaque(_) | Stage::Closed => 0,
        }
    }

    /// Position that the next record of `direction` has, if nothing is lost.
    pub fn next(&self, direction: Direction) -> u64 {
        match &self.stage {
            Stage::Joining(joining) => joining.next[direction as usize],
            Stage::Http1(http) => http.next(direction),
            Stage::Opaque(opaque) => opaque.next[direction as usize],
            Stage::Closed => 0,
        }
    }

    fn fresh_data(&mut self, place: Place, bytes: &[u8], sink: &mut impl FnMut(Event)) {
        match &mut self.stage {
            Stage::Closed => {}
            Stage::Opaque(opaque) => {
                let length = bytes.len() as u64;
                opaque.count(place, length, length, sink);
            }
            Stage::Joining(joining) => {
                let (taken, found) = joining.data(place, bytes, &self.limits);
                self.joined(place, bytes, taken, found, sink);
            }
            Stage::Http1(http) => {
                http.data(place, bytes, sink);
                self.look_for_end(sink);
            }
        }
    }

    /// Goes on with what a record told about a connection that was joined late.
    fn joined(
        &mut self,
        place: Place,
        bytes: &[u8],
        taken: usize,
        found: Found,
        sink: &mut impl FnMut(Event),
    ) {
        let Stage::Joining(joining) = &mut self.stage else { return };
        let [ingress, egress] = joining.next;
        match found {
            Found::Nothing => {}
            Found::Opaque(reason) => {
                let untold_bytes = joining.take_skipped() + (bytes.len() - taken) as u64;
                sink(Event::Opaque { reason });
                self.stage =
                    Stage::Opaque(Opaque { reason, next: [ingress, egress], untold_bytes });
            }
            Found::Http1 { role, held, vanished } => {
                tell_joined(joining, sink);
                let positions = match place.direction {
                    Direction::Ingress => (held.place.position, egress),
                    Direction::Egress => (ingress, held.place.position),
                };
                let last_run = i64::from(held.place.run) - 1;
                let mut http = Http1::joined(role, self.limits, positions, last_run, vanished);
                http.data(held.place, &held.bytes, sink);
                self.stage = Stage::Http1(Box::new(http));
                self.look_for_end(sink);
                if let Some(rest @ [_, ..]) = bytes.get(taken..) {
                    self.fresh_data(behind(place, taken as u64), rest, sink);
                }
            }
        }
    }

    /// Leaves HTTP/1 when it is over.
    fn look_for_end(&mut self, sink: &mut impl FnMut(Event)) {
        let Stage::Http1(http) = &mut self.stage else { return };
        let Some(reason) = http.opaque else { return };
        let next = [http.next(Direction::Ingress), http.next(Direction::Egress)];
        let untold_bytes = http.leave(sink);
        sink(Event::Opaque { reason });
        self.stage = Stage::Opaque(Opaque { reason, next, untold_bytes });
    }
}

impl Opaque {
    fn count(&mut self, place: Place, length: u64, seen: u64, sink: &mut impl FnMut(Event)) {
        self.next[place.direction as usize] = place.position.saturating_add(length);
        self.untold_bytes = self.untold_bytes.saturating_add(seen);
        if self.untold_bytes >= PORTION_BYTES {
            self.tell(sink);
        }
    }

    fn tell(&mut self, sink: &mut impl FnMut(Event)) {
        let bytes = std::mem::take(&mut self.untold_bytes);
        if bytes > 0 {
            sink(Event::Undecodable { bytes, reason: self.reason });
        }
    }
}

/// The place `bytes` after the beginning of `place`.
fn behind(place: Place, bytes: u64) -> Place {
    let begins_run = place.begins_run && bytes == 0;
    Place { position: place.position.saturating_add(bytes), begins_run, ..place }
}

fn tell_joined(joining: &mut Joining, sink: &mut impl FnMut(Event)) {
    let bytes = joining.take_skipped();
    if bytes > 0 {
        sink(Event::Undecodable { bytes, reason: UndecodableReason::JoinedLate });
    }
}
