//! Every connection that the kernel side tells of, by its number.

mod wire;

#[cfg(test)]
mod tests;

use std::{
    collections::{HashMap, hash_map::Entry as Slot},
    sync::Arc,
};

use weir_abi::{ConnectionInfo, Direction, HoleReason, RecordHeader, Role};
use weir_dissect::{Connection, Limits};

use self::wire::{Record, RecordBody, address};
use crate::{
    attribution::Attribution,
    clock::WallClock,
    export::OwnEndpoints,
    pipeline::{Book, Facts, Pipeline, Side},
};

/// A process that is not known yet is asked for again after this time.
const ASK_AGAIN_NS: u64 = 1_000_000_000;

/// Bounds of what all connections together take.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct TableLimits {
    /// Connections in the table. Above it those go that were idle for longest.
    pub connections: usize,
    /// Captured bytes held. Above it the connections that hold most are given up.
    pub held_bytes: usize,
    /// Of each connection; `max_body_bytes` is the captures' own.
    pub connection: Limits,
}

impl Default for TableLimits {
    fn default() -> Self {
        Self { connections: 100_000, held_bytes: 64 * 1024 * 1024, connection: Limits::default() }
    }
}

/// The connections, with what it takes to know them.
pub(crate) struct Connections {
    table: HashMap<u64, Entry>,
    limits: TableLimits,
    attribution: Arc<dyn Attribution>,
    own: OwnEndpoints,
    clock: WallClock,
    held_bytes: usize,
}

struct Entry {
    /// Of the last record.
    seen_ns: u64,
    /// Of the pipeline, when this entry last looked.
    generation: u64,
    state: State,
}

enum State {
    /// One of our own exporters' connections.
    Own,
    /// Nobody wants it, as far as is known.
    Ignored(Box<Unclaimed>),
    Live(Box<Live>),
    /// It held too much.
    GivenUp,
}

/// What is needed to look again whether somebody wants the connection.
struct Unclaimed {
    info: ConnectionInfo,
    first_seen_ns: u64,
    asked_ns: u64,
    tgid: u32,
}

struct Live {
    info: ConnectionInfo,
    tgid: u32,
    facts: Facts,
    stream: Connection,
    held_bytes: usize,
}

impl Connections {
    pub(crate) fn new(
        limits: TableLimits,
        attribution: Arc<dyn Attribution>,
        own: OwnEndpoints,
    ) -> Self {
        Self {
            table: HashMap::new(),
            limits,
            attribution,
            own,
            clock: WallClock::measure(),
            held_bytes: 0,
        }
    }

    /// Takes one record of the ring.
    pub(crate) fn record(&mut self, bytes: &[u8], pipeline: &mut Pipeline, book: &mut Book) {
        book.node.ring.records += 1;
        let Some(Record { header, body }) = Record::parse(bytes) else {
            book.node.ring.malformed += 1;
            return;
        };
        match body {
            RecordBody::Open(info) => self.open(&header, info, pipeline, book),
            body => self.feed(&header, &body, pipeline, book),
        }
    }

    /// Once a second: follows a step of the wall clock.
    pub(crate) fn tick(&mut self) {
        self.clock.measure_again();
    }

    /// After a drain: what the book says of the table as a whole.
    pub(crate) fn note(&self, book: &mut Book) {
        book.node.connections.active = self.table.len() as u64;
        book.node.connections.held_bytes = self.held_bytes as u64;
    }

    /// Ends every connection: what is under way becomes half pairs.
    pub(crate) fn finish(&mut self, pipeline: &mut Pipeline, book: &mut Book) {
        for (_, entry) in self.table.drain() {
            if let State::Live(mut live) = entry.state {
                live.finish(entry.seen_ns, pipeline, book);
            }
        }
        self.held_bytes = 0;
    }

    fn open(
        &mut self,
        header: &RecordHeader,
        info: ConnectionInfo,
        pipeline: &mut Pipeline,
        book: &mut Book,
    ) {
        if self.table.len() >= self.limits.connections {
            self.evict(pipeline, book);
        }
        let Slot::Vacant(slot) = self.table.entry(header.connection) else {
            book.node.ring.malformed += 1;
            return;
        };
        let counts = &mut book.node.connections;
        counts.opened += 1;
        let ends = [
            (address(info.local_address), info.local_port),
            (address(info.remote_address), info.remote_port),
        ];
        let state = if ends.iter().any(|(address, port)| self.own.contains(*address, *port)) {
            counts.own += 1;
            State::Own
        } else {
            let unclaimed = Unclaimed {
                info,
                first_seen_ns: header.time_ns,
                asked_ns: header.time_ns,
                tgid: header.tgid,
            };
            let claimed = unclaimed.claim(header.connection, &*self.attribution, pipeline);
            match claimed {
                Some(claim) => claim.live(self.clock, self.limits.connection),
                None => {
                    counts.ignored += 1;
                    State::Ignored(Box::new(unclaimed))
                }
            }
        };
        let generation = pipeline.generation();
        slot.insert(Entry { seen_ns: header.time_ns, generation, state });
    }

    fn feed(
        &mut self,
        header: &RecordHeader,
        body: &RecordBody<'_>,
        pipeline: &mut Pipeline,
        book: &mut Book,
    ) {
        let Some(entry) = self.table.get_mut(&header.connection) else {
            book.node.ring.without_open += 1;
            return;
        };
        entry.seen_ns = header.time_ns;
        if entry.generation != pipeline.generation() || entry.should_ask(header) {
            let (clock, limits) = (self.clock, self.limits.connection);
            entry.look_again(header, &*self.attribution, (clock, limits), pipeline, book);
        }
        if let State::Live(live) = &mut entry.state {
            let before = live.held_bytes;
            live.feed(header, body, pipeline, book);
            self.held_bytes = self.held_bytes - before + live.held_bytes;
        }
        if let RecordBody::Close { .. } = body {
            if let Some(Entry { state: State::Live(live), .. }) =
                self.table.remove(&header.connection)
            {
                self.held_bytes -= live.held_bytes;
            }
        } else if self.held_bytes > self.limits.held_bytes {
            self.give_up(pipeline, book);
        }
    }

    /// Gives up the connections that hold most until an eighth of the budget is free.
    fn give_up(&mut self, pipeline: &mut Pipeline, book: &mut Book) {
        let held = |(id, entry): (&u64, &Entry)| match &entry.state {
            State::Live(live) if live.held_bytes > 0 => Some((live.held_bytes, *id)),
            _ => None,
        };
        let mut holders: Vec<_> = self.table.iter().filter_map(held).collect();
        holders.sort_unstable();
        let target = self.limits.held_bytes - self.limits.held_bytes / 8;
        while self.held_bytes > target {
            let Some((bytes, id)) = holders.pop() else { break };
            let Some(entry) = self.table.get_mut(&id) else { continue };
            if let State::Live(mut live) = std::mem::replace(&mut entry.state, State::GivenUp) {
                live.finish(entry.seen_ns, pipeline, book);
                self.held_bytes -= bytes;
                book.node.connections.over_memory += 1;
            }
        }
    }

    /// Drops the sixteenth of the connections that was idle for longest: the kernel side may
    /// have had no room to tell of their end.
    fn evict(&mut self, pipeline: &mut Pipeline, book: &mut Book) {
        let mut ages: Vec<_> = self.table.iter().map(|(id, entry)| (entry.seen_ns, *id)).collect();
        let count = (ages.len() / 16).max(1).min(ages.len());
        ages.sort_unstable();
        for (seen_ns, id) in ages.into_iter().take(count) {
            let Some(entry) = self.table.remove(&id) else { continue };
            book.node.connections.evicted += 1;
            if let State::Live(mut live) = entry.state {
                self.held_bytes -= live.held_bytes;
                live.finish(seen_ns, pipeline, book);
            }
        }
    }
}

impl Entry {
    /// An ignored connection is asked about again when another process uses it, and once in a
    /// while since its process may not have been known yet.
    fn should_ask(&self, header: &RecordHeader) -> bool {
        match &self.state {
            State::Ignored(unclaimed) => {
                unclaimed.tgid != header.tgid
                    || header.time_ns.saturating_sub(unclaimed.asked_ns) >= ASK_AGAIN_NS
            }
            _ => false,
        }
    }

    fn look_again(
        &mut self,
        header: &RecordHeader,
        attribution: &dyn Attribution,
        (clock, limits): (WallClock, Limits),
        pipeline: &mut Pipeline,
        book: &mut Book,
    ) {
        self.generation = pipeline.generation();
        match &mut self.state {
            State::Own | State::GivenUp => {}
            State::Ignored(unclaimed) => {
                (unclaimed.asked_ns, unclaimed.tgid) = (header.time_ns, header.tgid);
                if let Some(claim) = unclaimed.claim(header.connection, attribution, pipeline) {
                    book.node.connections.ignored -= 1;
                    self.state = claim.live(clock, limits);
                }
            }
            // The stream goes on; a plan that no longer wants it leaves it without captures.
            State::Live(live) => live.route_again(attribution, pipeline),
        }
    }
}

/// An unclaimed connection with who wants it.
struct Claim {
    info: ConnectionInfo,
    tgid: u32,
    facts: Facts,
}

impl Unclaimed {
    fn claim(
        &self,
        id: u64,
        attribution: &dyn Attribution,
        pipeline: &mut Pipeline,
    ) -> Option<Claim> {
        let workload = attribution.workload(self.tgid, self.info.cgroup_id)?;
        let info = &self.info;
        let mut facts = Facts {
            id,
            local: (address(info.local_address), info.local_port),
            remote: (address(info.remote_address), info.remote_port),
            role: Role::from_u8(info.role),
            established_ns: info.established_ns,
            first_seen_ns: self.first_seen_ns,
            clock: WallClock::default(),
            workload,
            as_server: None,
            as_client: None,
            origin: None,
        };
        facts.route(pipeline);
        let wanted = facts.as_server.is_some() || facts.as_client.is_some();
        wanted.then_some(Claim { info: self.info, tgid: self.tgid, facts })
    }
}

impl Claim {
    fn live(mut self, clock: WallClock, limits: Limits) -> State {
        self.facts.clock = clock;
        let max_body_bytes = self.facts.max_body_bytes();
        // Both bodies of an exchange fit, and the budget of all connections bounds the sum.
        let max_buffered_bytes = limits.max_buffered_bytes.max(max_body_bytes.saturating_mul(2));
        let limits = Limits { max_body_bytes, max_buffered_bytes, ..limits };
        let stream = Connection::new(self.facts.role, limits);
        let Self { info, tgid, facts } = self;
        State::Live(Box::new(Live { info, tgid, facts, stream, held_bytes: 0 }))
    }
}

impl Facts {
    fn route(&mut self, pipeline: &mut Pipeline) {
        let mut side = |role, port| {
            let possible = self.role == role || self.role == Role::Unknown;
            let side = Side { role, port };
            possible.then(|| pipeline.route(&self.workload, side)).flatten()
        };
        let (as_server, as_client) =
            (side(Role::Server, self.local.1), side(Role::Client, self.remote.1));
        (self.as_server, self.as_client) = (as_server, as_client);
    }

    fn max_body_bytes(&self) -> usize {
        let sets = self.captures(Role::Unknown);
        let largest = sets.map(|set| set.max_body_bytes).max().unwrap_or(0);
        usize::try_from(largest).unwrap_or(usize::MAX)
    }
}

impl Live {
    fn route_again(&mut self, attribution: &dyn Attribution, pipeline: &mut Pipeline) {
        let workload = attribution.workload(self.tgid, self.info.cgroup_id);
        if let Some(workload) = workload {
            if workload != self.facts.workload {
                self.facts.workload = workload;
                self.facts.origin = None;
            }
            self.facts.route(pipeline);
        } else {
            (self.facts.as_server, self.facts.as_client) = (None, None);
        }
    }

    fn feed(
        &mut self,
        header: &RecordHeader,
        body: &RecordBody<'_>,
        pipeline: &mut Pipeline,
        book: &mut Book,
    ) {
        let RecordHeader { position, run, time_ns, .. } = *header;
        let direction = Direction::from_u8(header.direction);
        let Self { facts, stream, .. } = self;
        match body {
            RecordBody::Open(_) => {}
            RecordBody::Data(bytes) => {
                book.node.ring.payload_bytes += bytes.len() as u64;
                stream.data(direction, position, run, time_ns, bytes, &mut |event| {
                    pipeline.event(facts, event, book);
                });
            }
            RecordBody::Hole => {
                let (length, reason) =
                    (u64::from(header.length), HoleReason::from_u8(header.reason));
                stream.hole(direction, position, length, reason, run, time_ns, &mut |event| {
                    pipeline.event(facts, event, book);
                });
            }
            RecordBody::Close { ingress_end } => {
                let mut sink = |event| pipeline.event(facts, event, book);
                let next = stream.next(Direction::Ingress);
                // Bytes that the kernel side had no room to tell of.
                if let Some(length) = ingress_end.and_then(|end| end.checked_sub(next))
                    && length > 0
                {
                    let (direction, reason) = (Direction::Ingress, HoleReason::RingFull);
                    stream.hole(direction, next, length, reason, run, time_ns, &mut sink);
                }
                stream.close(position, run, time_ns, &mut sink);
            }
        }
        self.held_bytes = self.stream.held_bytes();
    }

    fn finish(&mut self, time_ns: u64, pipeline: &mut Pipeline, book: &mut Book) {
        let Self { facts, stream, .. } = self;
        stream.finish(time_ns, &mut |event| pipeline.event(facts, event, book));
    }
}
