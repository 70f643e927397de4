//! Every connection that the kernel side tells of, by its number.

mod entry;
mod held;
mod waiting;
mod wire;

#[cfg(test)]
mod tests;

use std::{
    collections::{HashMap, hash_map::Entry as Slot},
    sync::Arc,
};

use weir_abi::{ConnectionInfo, PLAINTEXT, RecordHeader};
use weir_dissect::Limits;

use self::{
    entry::{Entry, State, Unclaimed, Waiting},
    held::Held,
    wire::{Record, RecordBody, address},
};
use crate::{
    attribution::Attribution,
    clock::WallClock,
    export::OwnEndpoints,
    pipeline::{Book, Pipeline},
};

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
    /// Connections of which something waits.
    waiting: Vec<u64>,
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
            waiting: Vec::new(),
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
        self.settle(u64::MAX, pipeline, book);
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
            let claimed = unclaimed.claim(header.connection, &self.attribution, pipeline);
            if let Some(claim) = claimed {
                claim.live(self.clock, self.limits.connection, pipeline, book)
            } else if info.undecided == 1 {
                self.waiting.push(header.connection);
                let held = Held::default();
                State::Waiting(Box::new(Waiting { unclaimed, held, closed: false }))
            } else {
                counts.ignored += 1;
                State::Ignored(Box::new(unclaimed))
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
            entry.look_again(header, &self.attribution, (clock, limits), pipeline, book);
        }
        let (before, waited) = (entry.held_bytes(), entry.waits());
        // The plaintext's end is not the connection's.
        let mut closes = matches!(body, RecordBody::Close { .. }) && header.flags & PLAINTEXT == 0;
        match &mut entry.state {
            State::Live(live) => live.feed(header, body, pipeline, book),
            State::Waiting(waiting) => {
                if waiting.held.push(header, body) {
                    waiting.closed |= std::mem::take(&mut closes);
                } else {
                    entry.ignore(book);
                }
            }
            State::Own | State::Ignored(_) | State::GivenUp => {}
        }
        self.held_bytes = self.held_bytes - before + entry.held_bytes();
        if entry.waits() && !waited {
            self.waiting.push(header.connection);
        }
        if closes {
            if let Some(entry) = self.table.remove(&header.connection) {
                self.held_bytes -= entry.held_bytes();
            }
        } else if self.held_bytes > self.limits.held_bytes {
            self.give_up(pipeline, book);
        }
    }

    /// Gives up the connections that hold most until an eighth of the budget is free.
    fn give_up(&mut self, pipeline: &mut Pipeline, book: &mut Book) {
        let held = self.table.iter().map(|(id, entry)| (entry.held_bytes(), *id));
        let mut holders: Vec<_> = held.filter(|(bytes, _)| *bytes > 0).collect();
        holders.sort_unstable();
        let target = self.limits.held_bytes - self.limits.held_bytes / 8;
        while self.held_bytes > target {
            let Some((bytes, id)) = holders.pop() else { break };
            let Some(entry) = self.table.get_mut(&id) else { continue };
            if let State::Live(mut live) = std::mem::replace(&mut entry.state, State::GivenUp) {
                live.finish(entry.seen_ns, pipeline, book);
            }
            self.held_bytes -= bytes;
            book.node.connections.over_memory += 1;
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
            self.held_bytes -= entry.held_bytes();
            if let State::Live(mut live) = entry.state {
                live.finish(seen_ns, pipeline, book);
            }
        }
    }
}
