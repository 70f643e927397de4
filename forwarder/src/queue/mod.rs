//! The bounded queue of one exporter, with its part of the ledger: records and their counts
//! move under one lock, so the ledger balances whenever it is read.

mod chunk;
mod counts;

#[cfg(test)]
mod tests;

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;
use weir_plan::{ObjectKey, WhenFull};

pub use self::{
    chunk::Chunk,
    counts::{Counts, RefusalReason, ShedReason},
};

/// Which captures a record of an exporter belongs to: an index into the queue's routes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Route(usize);

impl Route {
    /// Its place among the queue's tallies.
    pub(crate) const fn index(self) -> usize {
        self.0
    }
}

/// Bounds of one request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct BatchLimits {
    /// Records of one request.
    pub records: usize,
    /// Encoded bytes of one request, unless a single record is larger.
    pub bytes: usize,
}

impl BatchLimits {
    /// Largest chunk that the reader makes: a few fill a request, and more than a few the
    /// queue.
    pub(crate) fn chunk(self, queue_bytes: usize) -> Self {
        Self {
            records: self.records.div_ceil(4),
            bytes: self.bytes.div_ceil(4).min(queue_bytes / 8),
        }
    }
}

impl Default for BatchLimits {
    /// Well under a receiver's 4 MiB (contract §2.2).
    fn default() -> Self {
        Self { records: 512, bytes: 1024 * 1024 }
    }
}

/// What the reader decided about records since it last handed over, per route.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Tally {
    pub seen: u64,
    pub filtered: u64,
    /// Shed for [`ShedReason::RedactionFailed`].
    pub redaction_failed: u64,
    /// Shed for [`ShedReason::PolicyMissing`].
    pub policy_missing: u64,
}

/// Queue and counters of one exporter.
#[derive(Debug)]
pub struct Queue {
    state: Mutex<State>,
    wake: Notify,
}

#[derive(Debug)]
struct State {
    chunks: VecDeque<Chunk>,
    queued_bytes: usize,
    queued_records: usize,
    /// Part of the limit too, since it may have to come back.
    in_flight_bytes: usize,
    limit_bytes: usize,
    when_full: WhenFull,
    limits: BatchLimits,
    /// No batch waits for more records.
    hurry: bool,
    /// Nothing is taken any more, for this reason.
    closed: Option<ShedReason>,
    routes: Vec<RouteState>,
}

#[derive(Debug)]
struct RouteState {
    captures: Arc<[ObjectKey]>,
    counts: Counts,
}

/// Records taken from the queue for one request. Dropped without an answer they go back to
/// the front of the queue.
#[derive(Debug)]
pub struct InFlight {
    queue: Arc<Queue>,
    chunks: Vec<Chunk>,
}

/// Reading of a queue.
#[derive(Clone, Debug, PartialEq)]
pub struct QueueReading {
    pub bytes: usize,
    pub limit_bytes: usize,
    /// Each distinct set of captures with its counts.
    pub routes: Vec<(Arc<[ObjectKey]>, Counts)>,
}

impl Queue {
    /// An empty queue of at most `limit_bytes` of encoded records.
    pub fn new(limit_bytes: usize, when_full: WhenFull, limits: BatchLimits) -> Self {
        let state = State {
            chunks: VecDeque::new(),
            queued_bytes: 0,
            queued_records: 0,
            in_flight_bytes: 0,
            limit_bytes,
            when_full,
            limits,
            hurry: false,
            closed: None,
            routes: Vec::new(),
        };
        Self { state: Mutex::new(state), wake: Notify::new() }
    }

    /// Changes the bounds; what is over them is shed. Opens a closed queue again.
    pub fn configure(&self, limit_bytes: usize, when_full: WhenFull) {
        let mut state = self.lock();
        (state.limit_bytes, state.when_full) = (limit_bytes, when_full);
        state.closed = None;
        state.make_room();
    }

    /// The route of records that `captures` want sent here.
    pub fn route(&self, captures: &[ObjectKey]) -> Route {
        let mut state = self.lock();
        let known = state.routes.iter().position(|route| *route.captures == *captures);
        Route(known.unwrap_or_else(|| {
            state.routes.push(RouteState { captures: captures.into(), counts: Counts::default() });
            state.routes.len() - 1
        }))
    }

    /// Takes over `chunks` and what was decided meanwhile. `tallies` has one entry per route,
    /// in order; both are left empty.
    pub fn push(&self, chunks: &mut Vec<Chunk>, tallies: &mut [Tally]) {
        let mut state = self.lock();
        for (route, tally) in state.routes.iter_mut().zip(tallies) {
            let Tally { seen, filtered, redaction_failed, policy_missing } = std::mem::take(tally);
            route.counts.seen += seen;
            route.counts.filtered += filtered;
            for (reason, records) in [
                (ShedReason::RedactionFailed, redaction_failed),
                (ShedReason::PolicyMissing, policy_missing),
            ] {
                if records > 0 {
                    *route.counts.shed.entry(reason).or_default() += records;
                }
            }
        }
        let before = (state.is_empty(), state.fills_batch());
        for chunk in chunks.drain(..) {
            state.add(chunk);
        }
        // One wake-up when there is something at all, one when it is worth a request.
        let wake = (state.is_empty(), state.fills_batch()) != before && !state.is_empty();
        drop(state);
        if wake {
            self.wake.notify_one();
        }
    }

    /// Sheds everything that waits, and everything that comes, for `reason`.
    pub fn close(&self, reason: ShedReason) {
        let mut state = self.lock();
        state.closed = Some(reason);
        while let Some(chunk) = state.pop() {
            state.settle(&chunk, |counts| *counts.shed.entry(reason).or_default() += 1);
        }
        drop(state);
        self.wake.notify_one();
    }

    /// Whether batches go out at once, however small.
    pub fn set_hurry(&self, hurry: bool) {
        self.lock().hurry = hurry;
        self.wake.notify_one();
    }

    /// True when nothing waits and nothing is on its way.
    pub fn is_idle(&self) -> bool {
        let state = self.lock();
        state.routes.iter().all(|route| route.counts.queued + route.counts.in_flight == 0)
    }

    /// Encoded bytes that wait.
    pub fn bytes(&self) -> usize {
        self.lock().queued_bytes
    }

    /// Counts of all routes, consistent with each other.
    pub fn read(&self) -> QueueReading {
        let state = self.lock();
        QueueReading {
            bytes: state.queued_bytes,
            limit_bytes: state.limit_bytes,
            routes: state
                .routes
                .iter()
                .map(|route| (Arc::clone(&route.captures), route.counts.clone()))
                .collect(),
        }
    }

    /// Returns when something waits.
    pub async fn wait_for_records(&self) {
        while self.lock().is_empty() {
            self.wake.notified().await;
        }
    }

    /// Returns when a request can be filled, or need not be.
    pub async fn wait_for_batch(&self) {
        while !self.lock().is_ready() {
            self.wake.notified().await;
        }
    }

    /// Takes the oldest records for one request; `None` when nothing waits.
    pub fn take(self: &Arc<Self>) -> Option<InFlight> {
        let mut state = self.lock();
        let BatchLimits { records, bytes } = state.limits;
        let (mut chunks, mut taken) = (Vec::new(), (0, 0));
        while let Some(next) = state.chunks.front() {
            taken = (taken.0 + next.len(), taken.1 + next.bytes());
            if !chunks.is_empty() && (taken.0 > records || taken.1 > bytes) {
                break;
            }
            let Some(chunk) = state.pop() else { break };
            state.settle(&chunk, |counts| counts.in_flight += 1);
            state.in_flight_bytes += chunk.bytes();
            chunks.push(chunk);
        }
        drop(state);
        (!chunks.is_empty()).then(|| InFlight { queue: Arc::clone(self), chunks })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere leaves counters that are still whole: every change is one step.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    fn fills_batch(&self) -> bool {
        self.queued_bytes >= self.limits.bytes || self.queued_records >= self.limits.records
    }

    fn is_ready(&self) -> bool {
        self.is_empty() || self.hurry || self.fills_batch()
    }

    fn held_bytes(&self) -> usize {
        self.queued_bytes + self.in_flight_bytes
    }

    /// Takes `chunk`, whose records are in no count but `seen` yet.
    fn add(&mut self, chunk: Chunk) {
        if chunk.is_empty() {
            return;
        }
        let full = self.held_bytes() + chunk.bytes() > self.limit_bytes;
        let reason = match self.closed {
            Some(reason) => Some(reason),
            None if chunk.bytes() > self.limit_bytes => Some(ShedReason::TooLarge),
            None if full && self.when_full == WhenFull::DropNewest => Some(ShedReason::QueueFull),
            None => None,
        };
        if let Some(reason) = reason {
            return self.settle(&chunk, |counts| *counts.shed.entry(reason).or_default() += 1);
        }
        self.count_queued(&chunk);
        self.chunks.push_back(chunk);
        self.make_room();
    }

    fn count_queued(&mut self, chunk: &Chunk) {
        self.settle(chunk, |counts| counts.queued += 1);
        self.queued_bytes += chunk.bytes();
        self.queued_records += chunk.len();
    }

    fn make_room(&mut self) {
        while self.held_bytes() > self.limit_bytes {
            let Some(chunk) = self.pop() else { break };
            self.settle(&chunk, |counts| {
                *counts.shed.entry(ShedReason::QueueFull).or_default() += 1;
            });
        }
    }

    /// Takes the oldest chunk out; its records are in no count but `seen` then.
    fn pop(&mut self) -> Option<Chunk> {
        let chunk = self.chunks.pop_front()?;
        self.queued_bytes -= chunk.bytes();
        self.queued_records -= chunk.len();
        self.settle(&chunk, |counts| counts.queued -= 1);
        Some(chunk)
    }

    fn settle(&mut self, chunk: &Chunk, count: impl Fn(&mut Counts)) {
        for Route(index) in chunk.routes() {
            if let Some(route) = self.routes.get_mut(index) {
                count(&mut route.counts);
            }
        }
    }
}

impl InFlight {
    /// Records in the request.
    pub fn len(&self) -> usize {
        self.chunks.iter().map(Chunk::len).sum()
    }

    /// True without any record; then there is nothing to send.
    pub fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// The records' bytes, oldest first.
    pub fn records(&self) -> impl Iterator<Item = &[u8]> + Clone {
        self.chunks.iter().flat_map(Chunk::records)
    }

    /// The receiver took those without a reason, and will never take the others. Records
    /// without an entry go back to the queue.
    pub fn answered(mut self, outcomes: &[Option<RefusalReason>]) {
        let mut state = self.queue.lock();
        let mut outcomes = outcomes.iter();
        self.chunks.retain(|chunk| {
            if outcomes.len() < chunk.len() {
                return true;
            }
            for (Route(index), outcome) in chunk.routes().zip(outcomes.by_ref()) {
                let Some(route) = state.routes.get_mut(index) else { continue };
                route.counts.in_flight -= 1;
                match outcome {
                    Some(reason) => *route.counts.refused.entry(*reason).or_default() += 1,
                    None => route.counts.exported += 1,
                }
            }
            state.in_flight_bytes -= chunk.bytes();
            false
        });
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let mut state = self.queue.lock();
        for chunk in self.chunks.drain(..).rev() {
            state.settle(&chunk, |counts| counts.in_flight -= 1);
            state.in_flight_bytes -= chunk.bytes();
            if let Some(reason) = state.closed {
                state.settle(&chunk, |counts| *counts.shed.entry(reason).or_default() += 1);
                continue;
            }
            state.count_queued(&chunk);
            state.chunks.push_front(chunk);
        }
        // The limit may have shrunk meanwhile.
        state.make_room();
        drop(state);
        self.queue.wake.notify_one();
    }
}
