//! The bounded queue of one exporter, with its part of the ledger: records and their counts
//! move under one lock, so the ledger balances whenever it is read.
//!
//! The records lie in a [`weir_queue::Log`], on disk where there is a folder for it; of a
//! backlog, however large, only what is on its way is in memory.

mod chunk;
mod counts;
mod disk;
mod in_flight;
mod volume;

#[cfg(test)]
mod tests;

use std::{
    io,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;
use weir_plan::{ObjectKey, WhenFull};
use weir_queue::{self as log, Bounds, Label, Log, Memory, Refusal};

use self::chunk::Records;
pub use self::volume::VolumeReading;
pub(crate) use self::volume::{Account, Volume};
pub use self::{
    chunk::Chunk,
    counts::{Counts, RefusalReason, ShedReason},
    in_flight::InFlight,
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
    pub(crate) fn chunk(self, queue_bytes: u64) -> Self {
        let share = usize::try_from(queue_bytes / 8).unwrap_or(usize::MAX);
        Self { records: self.records.div_ceil(4), bytes: self.bytes.div_ceil(4).min(share) }
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
    /// Something waits, or can be taken again.
    wake: Notify,
    /// Something may have to be made durable.
    written: Notify,
}

#[derive(Debug)]
struct State {
    log: Log,
    /// Where the log lies, if it is on disk, and where it should.
    folder: Option<PathBuf>,
    wanted: Option<PathBuf>,
    /// With the volume that the folder lies on, where that has a limit.
    account: Option<Account>,
    /// As the plan has it.
    asked: Bounds,
    /// Most bytes of a log in memory.
    memory_bytes: u64,
    /// Something was taken that has no answer yet.
    in_flight: bool,
    limits: BatchLimits,
    /// No batch waits for more records.
    hurry: bool,
    /// Nothing is taken any more, for this reason.
    closed: Option<ShedReason>,
    routes: Vec<RouteState>,
    /// Place of each label's route.
    by_label: Vec<usize>,
    damaged_bytes: u64,
    /// What is wrong with the disk.
    trouble: Option<String>,
}

#[derive(Debug)]
struct RouteState {
    captures: Arc<[ObjectKey]>,
    label: Label,
    counts: Counts,
}

/// Reading of a queue.
#[derive(Clone, Debug, PartialEq)]
pub struct QueueReading {
    /// Bytes that wait or are on their way.
    pub bytes: u64,
    pub limit_bytes: u64,
    /// Bytes that were found to hold no record.
    pub damaged_bytes: u64,
    /// What is wrong with the disk.
    pub trouble: Option<String>,
    /// Each distinct set of captures with its counts.
    pub routes: Vec<(Arc<[ObjectKey]>, Counts)>,
}

/// An empty log that takes nothing yet.
fn memory_log() -> Log {
    let bounds = Bounds { bytes: 0, when_full: log::WhenFull::DropOldest };
    let opened = Log::open(Box::new(Memory::default()), bounds);
    opened.expect("reading an empty memory cannot fail").0
}

/// Text of the label of these captures' records; names hold no space.
fn label_text(captures: &[ObjectKey]) -> String {
    captures.iter().map(ObjectKey::to_string).collect::<Vec<_>>().join(" ")
}

/// The captures of a label, as far as they can be read.
fn labelled(text: &str) -> Arc<[ObjectKey]> {
    let key = |text: &str| {
        let (namespace, name) = text.split_once('/')?;
        Some(ObjectKey { namespace: namespace.to_owned(), name: name.to_owned() })
    };
    text.split(' ').filter_map(key).collect()
}

impl Queue {
    /// An empty queue in memory, where it takes at most `memory_bytes`.
    pub fn new(memory_bytes: u64, limits: BatchLimits) -> Self {
        let log = memory_log();
        let state = State {
            asked: log.bounds(),
            log,
            folder: None,
            wanted: None,
            account: None,
            memory_bytes,
            in_flight: false,
            limits,
            hurry: false,
            closed: None,
            routes: Vec::new(),
            by_label: Vec::new(),
            damaged_bytes: 0,
            trouble: None,
        };
        Self { state: Mutex::new(state), wake: Notify::new(), written: Notify::new() }
    }

    /// Keeps to this account where it is on disk.
    pub(crate) fn keep_to(&self, account: Account) {
        self.lock().account = Some(account);
    }

    /// Changes the bounds; what is over them is shed. Opens a closed queue again.
    pub fn configure(&self, bytes: u64, when_full: WhenFull) {
        let mut state = self.lock();
        let when_full = match when_full {
            WhenFull::DropOldest => log::WhenFull::DropOldest,
            WhenFull::DropNewest => log::WhenFull::DropNewest,
        };
        let most = state.account.as_ref().map_or(u64::MAX, Account::limit);
        state.asked = Bounds { bytes: bytes.min(most), when_full };
        state.closed = None;
        state.set_bounds();
    }

    /// The route of records that `captures` want sent here.
    pub fn route(&self, captures: &[ObjectKey]) -> Route {
        let mut state = self.lock();
        let label = state.log.label(&label_text(captures));
        state.meet_labels();
        Route(state.by_label.get(label.index()).copied().unwrap_or(usize::MAX))
    }

    /// Takes over `chunks` and what was decided meanwhile. `tallies` has one entry per route,
    /// in order; both are left empty.
    pub fn push(&self, chunks: &mut Vec<Chunk>, tallies: &mut [Tally]) {
        let mut state = self.lock();
        for (route, tally) in state.routes.iter_mut().zip(tallies) {
            let Tally { seen, filtered, redaction_failed, policy_missing } = std::mem::take(tally);
            route.counts.seen += seen;
            route.counts.filtered += filtered;
            route.counts.shed(ShedReason::RedactionFailed, redaction_failed);
            route.counts.shed(ShedReason::PolicyMissing, policy_missing);
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
        self.written.notify_one();
    }

    /// Sheds everything that waits, and everything that comes, for `reason`.
    pub fn close(&self, reason: ShedReason) {
        let mut state = self.lock();
        state.closed = Some(reason);
        state.give_up(reason);
        drop(state);
        self.wake.notify_one();
    }

    /// Takes nothing any more. What waits on disk stays there, durable; what waits in memory is
    /// shed.
    pub fn stop(&self) {
        let on_disk = {
            let mut state = self.lock();
            state.closed = Some(ShedReason::Stopped);
            state.folder.is_some()
        };
        if on_disk { self.sync() } else { self.close(ShedReason::Stopped) }
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

    /// Counts of all routes, consistent with each other.
    pub fn read(&self) -> QueueReading {
        let state = self.lock();
        let routes = state.routes.iter();
        QueueReading {
            bytes: state.log.waiting_bytes(),
            limit_bytes: state.log.bounds().bytes,
            damaged_bytes: state.damaged_bytes,
            trouble: state.trouble.clone(),
            routes: routes.map(|r| (Arc::clone(&r.captures), r.counts.clone())).collect(),
        }
    }

    /// Returns when something waits and nothing is on its way.
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

    /// Takes the oldest records for one request; `None` when nothing waits, or something is on
    /// its way already.
    ///
    /// # Errors
    ///
    /// Of the disk, and worth another attempt after a while.
    pub fn take(self: &Arc<Self>) -> io::Result<Option<InFlight>> {
        let mut state = self.lock();
        if state.in_flight {
            return Ok(None);
        }
        let taken = state.take();
        state.note_damage();
        let (frames, taken, senseless) = taken.inspect_err(|error| {
            state.note_trouble(Some(format!("could not read the queue: {error}")));
        })?;
        if taken.is_empty() {
            return Ok(None);
        }
        state.in_flight = true;
        drop(state);
        Ok(Some(InFlight { queue: Arc::clone(self), frames, taken, senseless, answered: false }))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere leaves counters that are still whole: every change is one step.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// True when there is nothing to take now.
    fn is_empty(&self) -> bool {
        self.in_flight || self.log.is_empty()
    }

    fn fills_batch(&self) -> bool {
        let queued: u64 = self.routes.iter().map(|route| route.counts.queued).sum();
        queued >= self.limits.records as u64 || self.log.waiting_bytes() >= self.limits.bytes as u64
    }

    fn is_ready(&self) -> bool {
        self.is_empty() || self.hurry || self.fills_batch()
    }

    /// Puts the bounds in force that hold where the log is.
    fn set_bounds(&mut self) {
        let most = if self.folder.is_some() { u64::MAX } else { self.memory_bytes };
        let bounds = Bounds { bytes: self.asked.bytes.min(most), ..self.asked };
        if bounds != self.log.bounds() {
            let dropped = self.log.set_bounds(bounds);
            self.shed(&dropped, ShedReason::QueueFull);
        }
    }

    /// Gives every label that the log has met a route.
    fn meet_labels(&mut self) {
        for (label, text) in self.log.labels().skip(self.by_label.len()) {
            let captures = labelled(text);
            let known = self.routes.iter().position(|route| route.captures == captures);
            self.by_label.push(known.unwrap_or(self.routes.len()));
            if known.is_none() {
                self.routes.push(RouteState { captures, label, counts: Counts::default() });
            }
        }
    }

    fn counts(&mut self, label: Label) -> Option<&mut Counts> {
        let place = *self.by_label.get(label.index())?;
        self.routes.get_mut(place).map(|route| &mut route.counts)
    }

    fn settle(&mut self, records: &log::Tally, count: impl Fn(&mut Counts, u64)) {
        self.meet_labels();
        for (label, records) in records.iter() {
            if let Some(counts) = self.counts(label) {
                count(counts, records);
            }
        }
    }

    /// Moves records that had waited.
    fn shed(&mut self, records: &log::Tally, reason: ShedReason) {
        self.settle(records, |counts, records| {
            counts.queued -= records;
            counts.shed(reason, records);
        });
    }

    /// Sheds everything that waits.
    fn give_up(&mut self, reason: ShedReason) {
        let dropped = self.log.clear();
        self.shed(&dropped, reason);
    }

    /// Takes `chunk`, whose records are in no count but `seen` yet.
    fn add(&mut self, chunk: Chunk) {
        if chunk.is_empty() {
            return;
        }
        let mut labels = Vec::new();
        let mut records = log::Tally::default();
        for Route(index) in chunk.routes() {
            if let Some(route) = self.routes.get(index) {
                records.add(route.label, 1);
            }
        }
        for (label, _) in records.iter() {
            labels.push(self.by_label.get(label.index()).copied().unwrap_or(usize::MAX));
        }
        if let Some(reason) = self.closed {
            return self.settle(&records, |counts, records| counts.shed(reason, records));
        }
        let head = chunk.head(|Route(index)| {
            let place = labels.iter().position(|known| *known == index);
            place.and_then(|place| u16::try_from(place).ok()).unwrap_or(u16::MAX)
        });
        let appended = self.log.append_parts(&records, &[&head, chunk.encoded()]);
        self.shed(&appended.dropped, ShedReason::QueueFull);
        self.shed(&appended.displaced, ShedReason::DiskFull);
        let reason = match appended.refused {
            None => return self.settle(&records, |counts, records| counts.queued += records),
            Some(Refusal::TooLarge) => ShedReason::TooLarge,
            Some(Refusal::Full) => ShedReason::QueueFull,
            Some(Refusal::NoSpace) => ShedReason::DiskFull,
            Some(Refusal::Failed(kind)) => {
                self.note_trouble(Some(format!("could not write to the queue: {kind}")));
                ShedReason::DiskFailed
            }
        };
        self.settle(&records, |counts, records| counts.shed(reason, records));
    }

    /// Frames for one request, everything that was taken, and what of that makes no sense.
    fn take(&mut self) -> io::Result<(Vec<Records>, log::Tally, log::Tally)> {
        let BatchLimits { records: most, bytes: most_bytes } = self.limits;
        let (mut records, mut bytes) = (0, 0);
        let mut frames = Vec::new();
        let (mut taken, mut senseless) = (log::Tally::default(), log::Tally::default());
        loop {
            let next = if taken.is_empty() {
                self.log.take()?
            } else {
                // What comes behind an error waits for the next request.
                let Ok(ahead) = self.log.peek() else { break };
                if ahead.is_some_and(|ahead| {
                    records + u64::from(ahead.records) > most as u64
                        || bytes + ahead.bytes > most_bytes as u64
                }) {
                    break;
                }
                let Ok(next) = self.log.take() else { break };
                next
            };
            let Some(frame) = next else { break };
            let counts = frame.counts.clone();
            records += counts.total();
            bytes += frame.body().len() as u64;
            taken.add_all(&counts);
            self.settle(&counts, |counts, records| {
                counts.queued -= records;
                counts.in_flight += records;
            });
            match Records::read(frame) {
                Some(frame) => frames.push(frame),
                None => senseless.add_all(&counts),
            }
        }
        Ok((frames, taken, senseless))
    }

    /// Counts what the log found damaged.
    fn note_damage(&mut self) {
        let damage = self.log.take_damage();
        self.damaged_bytes += damage.bytes;
        self.shed(&damage.records, ShedReason::Damaged);
    }

    /// What is wrong with the disk now; a new trouble is logged once.
    fn note_trouble(&mut self, trouble: Option<String>) {
        if let Some(text) = &trouble
            && self.trouble.is_none()
        {
            tracing::error!(folder = ?self.wanted, "{text}");
        }
        self.trouble = trouble;
    }
}
