//! One connection of the table, and who wants it.

use std::sync::Arc;

use weir_abi::{
    AHEAD_OF_EGRESS, BEGINS_RUN, ConnectionInfo, Direction, HoleReason, PLAINTEXT, RecordHeader,
    Role,
};
use weir_dissect::{Connection, Event, Hellos, Limits, Place, TlsFacts, UndecodableReason};
use weir_link::TlsCoverage;

use super::{
    held::Held,
    wire::{RecordBody, address},
};
use crate::{
    attribution::Attribution,
    clock::WallClock,
    ledger::TlsNews,
    pipeline::{Book, Facts, Pipeline, Side},
};

/// A process that is not known yet is asked for again after this time. So long records wait to
/// be claimed, and for those that belong before them.
pub(super) const ASK_AGAIN_NS: u64 = 1_000_000_000;

pub(super) struct Entry {
    /// Of the last record.
    pub(super) seen_ns: u64,
    /// Of the pipeline, when this entry last looked.
    pub(super) generation: u64,
    pub(super) state: State,
}

pub(super) enum State {
    /// One of our own exporters' connections.
    Own,
    /// Nobody wants it, as far as is known.
    Ignored(Box<Unclaimed>),
    /// Its process is so new that nobody can say yet.
    Waiting(Box<Waiting>),
    Live(Box<Live>),
    /// It held too much.
    GivenUp,
}

/// What is needed to look again whether somebody wants the connection.
pub(super) struct Unclaimed {
    pub(super) info: ConnectionInfo,
    pub(super) first_seen_ns: u64,
    pub(super) asked_ns: u64,
    pub(super) tgid: u32,
}

/// A connection whose records wait for a claim.
pub(super) struct Waiting {
    pub(super) unclaimed: Unclaimed,
    pub(super) held: Held,
    /// The end of it is among them.
    pub(super) closed: bool,
}

pub(super) struct Live {
    pub(super) info: ConnectionInfo,
    pub(super) tgid: u32,
    pub(super) facts: Facts,
    pub(super) stream: Connection,
    /// What was read after bytes whose own record is still to come.
    pub(super) early: Held,
    /// That record came.
    pub(super) early_is_due: bool,
    /// Reads the beginning of the handshake, until plaintext comes.
    hellos: Option<Box<Hellos>>,
    /// Plaintext came, or the end without any.
    pub(super) decrypted: bool,
    /// Asked why none came.
    attribution: Arc<dyn Attribution>,
    pub(super) held_bytes: usize,
}

impl Entry {
    /// Captured bytes that it holds.
    pub(super) fn held_bytes(&self) -> usize {
        match &self.state {
            State::Live(live) => live.held_bytes,
            State::Waiting(waiting) => waiting.held.bytes(),
            State::Own | State::Ignored(_) | State::GivenUp => 0,
        }
    }

    /// Something of it waits.
    pub(super) fn waits(&self) -> bool {
        match &self.state {
            State::Live(live) => !live.early.is_empty(),
            State::Waiting(_) => true,
            State::Own | State::Ignored(_) | State::GivenUp => false,
        }
    }

    /// An ignored connection is asked about again when another process uses it, and once in a
    /// while since its process may not have been known yet.
    pub(super) fn should_ask(&self, header: &RecordHeader) -> bool {
        match &self.state {
            State::Ignored(unclaimed) => {
                unclaimed.tgid != header.tgid
                    || header.time_ns.saturating_sub(unclaimed.asked_ns) >= ASK_AGAIN_NS
            }
            _ => false,
        }
    }

    pub(super) fn look_again(
        &mut self,
        header: &RecordHeader,
        attribution: &Arc<dyn Attribution>,
        (clock, limits): (WallClock, Limits),
        pipeline: &mut Pipeline,
        book: &mut Book,
    ) {
        self.generation = pipeline.generation();
        match &mut self.state {
            State::Own | State::GivenUp | State::Waiting(_) => {}
            State::Ignored(unclaimed) => {
                (unclaimed.asked_ns, unclaimed.tgid) = (header.time_ns, header.tgid);
                if let Some(claim) = unclaimed.claim(header.connection, attribution, pipeline) {
                    book.node.connections.ignored -= 1;
                    self.state = claim.live(clock, limits, pipeline, book);
                }
            }
            // The stream goes on; a plan that no longer wants it leaves it without captures.
            State::Live(live) => live.route_again(pipeline),
        }
    }
}

/// An unclaimed connection with who wants it.
pub(super) struct Claim {
    info: ConnectionInfo,
    tgid: u32,
    facts: Facts,
    attribution: Arc<dyn Attribution>,
}

impl Unclaimed {
    pub(super) fn claim(
        &self,
        id: u64,
        attribution: &Arc<dyn Attribution>,
        pipeline: &mut Pipeline,
    ) -> Option<Claim> {
        let workload = attribution.workload(self.tgid, self.info.cgroup_id)?;
        let info = &self.info;
        let mut facts = Facts {
            id,
            local: (address(info.local_address), info.local_port),
            remote: (address(info.remote_address), info.remote_port),
            role: Role::from_u8(info.role),
            encrypted: info.encrypted == 1,
            established_ns: info.established_ns,
            first_seen_ns: self.first_seen_ns,
            clock: WallClock::default(),
            workload,
            cgroup_id: info.cgroup_id,
            tls: TlsFacts::default(),
            as_server: None,
            as_client: None,
            origin: None,
        };
        facts.route(pipeline);
        let wanted = facts.as_server.is_some() || facts.as_client.is_some();
        let attribution = Arc::clone(attribution);
        wanted.then_some(Claim { info: self.info, tgid: self.tgid, facts, attribution })
    }
}

impl Claim {
    pub(super) fn live(
        mut self,
        clock: WallClock,
        limits: Limits,
        pipeline: &mut Pipeline,
        book: &mut Book,
    ) -> State {
        self.facts.clock = clock;
        let max_body_bytes = self.facts.max_body_bytes();
        // Both bodies of an exchange fit, and the budget of all connections bounds the sum.
        let max_buffered_bytes = limits.max_buffered_bytes.max(max_body_bytes.saturating_mul(2));
        let limits = Limits { max_body_bytes, max_buffered_bytes, ..limits };
        // Of plaintext the beginning may be missing, so it has to show who asks.
        let role = if self.facts.encrypted { Role::Unknown } else { self.facts.role };
        let stream = Connection::new(role, limits);
        let Self { info, tgid, facts, attribution } = self;
        if facts.encrypted
            && let TlsCoverage::Opaque(why) = attribution.tls(tgid)
            && why.is_of_the_program()
        {
            pipeline.tls(&facts, TlsNews::BeginsOpaque(why), book);
        }
        let hellos = facts.encrypted.then(Box::default);
        State::Live(Box::new(Live {
            info,
            tgid,
            facts,
            stream,
            early: Held::default(),
            early_is_due: false,
            hellos,
            decrypted: false,
            attribution,
            held_bytes: 0,
        }))
    }
}

impl Facts {
    fn route(&mut self, pipeline: &mut Pipeline) {
        let mut side = |role, port| {
            let possible = self.role == role || self.role == Role::Unknown;
            let side = Side { role, port, encrypted: self.encrypted };
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
    fn route_again(&mut self, pipeline: &mut Pipeline) {
        let workload = self.attribution.workload(self.tgid, self.info.cgroup_id);
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

    /// Takes the next record of the ring. One that is ahead of its turn waits for those before
    /// it.
    pub(super) fn feed(
        &mut self,
        header: &RecordHeader,
        body: &RecordBody<'_>,
        pipeline: &mut Pipeline,
        book: &mut Book,
    ) {
        let egress = Direction::from_u8(header.direction) == Direction::Egress;
        let closes = matches!(body, RecordBody::Close { .. });
        if header.flags & AHEAD_OF_EGRESS != 0 && !egress && !self.early_is_due {
            if self.early.push(header, body) {
                self.held_bytes = self.holds();
                return;
            }
            self.release_early(pipeline, book);
        } else if egress && !closes && !self.early.is_empty() {
            self.early_is_due = true;
        } else {
            self.release_early(pipeline, book);
        }
        self.dissect(header, body, pipeline, book);
    }

    /// Takes what waited for its turn.
    pub(super) fn release_early(&mut self, pipeline: &mut Pipeline, book: &mut Book) {
        self.early_is_due = false;
        let mut early = std::mem::take(&mut self.early);
        early.release(|header, body| self.dissect(header, body, pipeline, book));
    }

    fn dissect(
        &mut self,
        header: &RecordHeader,
        body: &RecordBody<'_>,
        pipeline: &mut Pipeline,
        book: &mut Book,
    ) {
        let RecordHeader { position, run, time_ns, .. } = *header;
        let place = Place {
            direction: Direction::from_u8(header.direction),
            position,
            run,
            begins_run: header.flags & BEGINS_RUN != 0,
            time_ns,
        };
        if self.facts.encrypted && header.flags & PLAINTEXT == 0 {
            match body {
                RecordBody::Close { ingress_end } => {
                    self.finish_encrypted(ingress_end.saturating_add(position), pipeline, book);
                }
                RecordBody::Data(bytes) => {
                    if let Some(hellos) = &mut self.hellos {
                        hellos.data(place.direction, position, bytes);
                    }
                }
                RecordBody::Open(_) | RecordBody::Hole => {}
            }
            self.held_bytes = self.holds();
            return;
        }
        if let Some(hellos) = self.hellos.take() {
            self.facts.tls = hellos.facts().clone();
        }
        if self.facts.encrypted && !std::mem::replace(&mut self.decrypted, true) {
            pipeline.tls(&self.facts, TlsNews::Read, book);
        }
        let Self { facts, stream, .. } = self;
        match body {
            RecordBody::Open(_) => {}
            RecordBody::Data(bytes) => {
                book.node.ring.payload_bytes += bytes.len() as u64;
                stream.data(place, bytes, &mut |event| pipeline.event(facts, event, book));
            }
            RecordBody::Hole => {
                let (length, reason) =
                    (u64::from(header.length), HoleReason::from_u8(header.reason));
                stream.hole(place, length, reason, &mut |event| {
                    pipeline.event(facts, event, book);
                });
            }
            RecordBody::Close { ingress_end } => {
                let mut sink = |event| pipeline.event(facts, event, book);
                stream.close(*ingress_end, position, run, time_ns, &mut sink);
            }
        }
        self.held_bytes = self.holds();
    }

    /// Captured bytes that wait for something.
    pub(super) fn holds(&self) -> usize {
        let hellos = self.hellos.as_ref().map_or(0, |hellos| hellos.held_bytes());
        self.stream.held_bytes() + self.early.bytes() + hellos
    }

    /// The end of a connection of which only plaintext could be read: without any it was opaque.
    fn finish_encrypted(&mut self, bytes: u64, pipeline: &mut Pipeline, book: &mut Book) {
        if std::mem::replace(&mut self.decrypted, true) {
            return;
        }
        let Facts { role, first_seen_ns, .. } = self.facts;
        let older = role == Role::Unknown;
        let why = self.attribution.tls(self.tgid).why_opaque(older, first_seen_ns);
        pipeline.tls(&self.facts, TlsNews::Opaque { why, bytes }, book);
        let reason = UndecodableReason::Tls;
        pipeline.event(&mut self.facts, Event::Opaque { reason }, book);
        if bytes > 0 {
            pipeline.event(&mut self.facts, Event::Undecodable { bytes, reason }, book);
        }
    }

    pub(super) fn finish(&mut self, time_ns: u64, pipeline: &mut Pipeline, book: &mut Book) {
        self.release_early(pipeline, book);
        if self.facts.encrypted {
            self.finish_encrypted(0, pipeline, book);
        }
        let Self { facts, stream, .. } = self;
        stream.finish(time_ns, &mut |event| pipeline.event(facts, event, book));
    }
}
