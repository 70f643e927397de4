//! The thread that reads the ring.

use std::{
    fmt,
    os::fd::OwnedFd,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;

use crate::{
    attribution::Attribution,
    clock::WallClock,
    connections::{Connections, TableLimits},
    export::OwnEndpoints,
    pipeline::{Active, Book, Pipeline},
    ring::{DrainEnd, Drained, Ring, Waiter},
};

/// Ring bytes between two hand-overs to the queues.
const DRAIN_BYTES: usize = 1 << 20;
/// Longest wait while records come. The kernel side asks for the reader at its fill level;
/// what lies below it waits this long.
const FLOWING: Duration = Duration::from_millis(20);
/// Longest wait when nothing came for a while.
const IDLE: Duration = Duration::from_millis(100);
/// Empty waits until the longer one is used.
const IDLE_AFTER: u32 = 10;
/// Wait for a record that is reserved but not committed.
const BUSY: Duration = Duration::from_millis(1);
/// Waits for it when the reader shall finish.
const BUSY_PATIENCE: u32 = 200;
const TICK: Duration = Duration::from_secs(1);

/// What the reader shares with the rest of the forwarder.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    pub(crate) active: ArcSwap<Active>,
    /// Held by the reader for the length of a drain and its hand-over to the queues, so that
    /// who holds it sees counts that agree with each other.
    pub(crate) book: Mutex<Book>,
    /// Drains that found the ring empty, for those who wait for that.
    pub(crate) empty_drains: AtomicU64,
    /// Version of the plan that the reader goes by.
    pub(crate) plan_taken: AtomicU64,
    /// Read what is there, end all connections, stop.
    pub(crate) finish: AtomicBool,
    /// Nobody reads any more.
    pub(crate) stopped: AtomicBool,
    /// The ring to read from now on.
    pub(crate) next_ring: Mutex<Option<NextRing>>,
}

/// A ring that the reader has not taken over yet.
pub(crate) struct NextRing {
    pub(crate) ring: Ring,
    pub(crate) descriptor: OwnedFd,
    /// Knows the processes that its records are about.
    pub(crate) attribution: Arc<dyn Attribution>,
}

impl fmt::Debug for NextRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.ring.fmt(f)
    }
}

/// Says so when the reader ends, also by a panic.
struct Stopped(Arc<Shared>);

impl Drop for Stopped {
    fn drop(&mut self) {
        self.0.stopped.store(true, Ordering::Release);
    }
}

/// A ring, and the connections that it tells of: their numbers mean nothing in another one.
struct Source {
    ring: Ring,
    connections: Connections,
}

/// The reader's own state.
pub(crate) struct Reader {
    source: Option<Source>,
    waiter: Waiter,
    shared: Arc<Shared>,
    table: TableLimits,
    own: OwnEndpoints,
    pipeline: Pipeline,
}

impl Reader {
    /// Without a ring yet.
    pub(crate) const fn new(
        waiter: Waiter,
        shared: Arc<Shared>,
        table: TableLimits,
        own: OwnEndpoints,
        pipeline: Pipeline,
    ) -> Self {
        Self { source: None, waiter, shared, table, own, pipeline }
    }

    /// Reads until asked to finish.
    pub(crate) fn run(mut self) {
        let _stopped = Stopped(Arc::clone(&self.shared));
        let mut active = None;
        let mut ticked = Instant::now();
        let mut empty_waits = 0;
        let mut patience = BUSY_PATIENCE;
        loop {
            // Before the drain: what was there when it was asked is still read.
            let finish = self.shared.finish.load(Ordering::Acquire);
            self.take_ring();
            self.take_plan(&mut active);
            if ticked.elapsed() >= TICK {
                self.tick(ticked.elapsed());
                ticked = Instant::now();
            }
            let Drained { records, end, .. } = self.drain();
            self.settle();
            let timeout = match end {
                DrainEnd::Limit | DrainEnd::Corrupt => continue,
                // A record that nobody commits any more ends the reading, but not at once.
                DrainEnd::Busy if finish && patience == 0 => {
                    self.finish();
                    return;
                }
                DrainEnd::Busy => {
                    patience -= u32::from(finish);
                    BUSY
                }
                DrainEnd::Empty if finish => {
                    self.finish();
                    return;
                }
                DrainEnd::Empty => {
                    empty_waits = if records > 0 { 0 } else { empty_waits + 1 };
                    if empty_waits < IDLE_AFTER { FLOWING } else { IDLE }
                }
            };
            if let Err(error) = self.waiter.wait(timeout) {
                tracing::error!(%error, "cannot wait for the ring, reading it by time alone");
                std::thread::sleep(timeout);
            }
        }
    }

    /// Goes by a new plan, but not before what the ring holds already was treated by the old
    /// one, under which it was captured.
    fn take_plan(&mut self, active: &mut Option<Arc<Active>>) {
        let current = self.shared.active.load_full();
        if active.as_ref().is_some_and(|known| Arc::ptr_eq(known, &current)) {
            return;
        }
        self.drain_what_waits();
        let mut book = lock(&self.shared.book);
        self.pipeline.apply(&current, &mut book, WallClock::monotonic_ns());
        drop(book);
        self.shared.plan_taken.store(current.version, Ordering::Release);
        *active = Some(current);
    }

    /// Goes over to another ring when there is one, after all that the one before holds.
    fn take_ring(&mut self) {
        let Some(next) = lock(&self.shared.next_ring).take() else { return };
        self.drain_what_waits();
        self.finish();
        if let Err(error) = self.waiter.watch(next.descriptor) {
            tracing::error!(%error, "cannot wait for the ring, reading it by time alone");
        }
        let connections = Connections::new(self.table, next.attribution, self.own.clone());
        self.source = Some(Source { ring: next.ring, connections });
    }

    /// Reads what the ring holds now, though not what is reserved and never committed.
    fn drain_what_waits(&mut self) {
        let waiting = |reader: &Self| reader.source.as_ref().map_or(0, |s| s.ring.waiting_bytes());
        let mut waiting_bytes = waiting(self);
        let mut patience = BUSY_PATIENCE;
        while waiting_bytes > 0 && patience > 0 {
            let drained = self.drain();
            waiting_bytes = waiting_bytes.saturating_sub(drained.bytes);
            if drained.end == DrainEnd::Busy {
                patience -= 1;
                std::thread::sleep(BUSY);
            }
        }
        self.settle();
    }

    fn tick(&mut self, elapsed: Duration) {
        if let Some(source) = &mut self.source {
            source.connections.tick();
        }
        let mut book = lock(&self.shared.book);
        self.pipeline.tick(&mut book, WallClock::monotonic_ns(), elapsed);
    }

    fn drain(&mut self) -> Drained {
        let Self { source, shared, pipeline, .. } = self;
        let waiting = source.as_mut().filter(|source| source.ring.waiting_bytes() > 0);
        let Some(Source { ring, connections }) = waiting else {
            shared.empty_drains.fetch_add(1, Ordering::Release);
            return Drained { records: 0, bytes: 0, end: DrainEnd::Empty };
        };
        let mut book = lock(&shared.book);
        pipeline.observe(WallClock::now().as_nanoseconds());
        let drained = ring.drain(DRAIN_BYTES, &mut |record| {
            connections.record(record, pipeline, &mut book);
        });
        book.node.ring.bytes += drained.bytes as u64;
        book.node.ring.corrupt += u64::from(drained.end == DrainEnd::Corrupt);
        connections.note(&mut book);
        pipeline.flush();
        drop(book);
        drained
    }

    /// Lets go on what waited.
    fn settle(&mut self) {
        let Self { source, shared, pipeline, .. } = self;
        let waiting = source.as_mut().filter(|source| source.connections.are_waiting());
        if let Some(Source { connections, .. }) = waiting {
            let mut book = lock(&shared.book);
            connections.settle(WallClock::monotonic_ns(), pipeline, &mut book);
            connections.note(&mut book);
            pipeline.flush();
        }
    }

    /// Ends the connections of the ring at hand.
    fn finish(&mut self) {
        let Self { source, shared, pipeline, .. } = self;
        if let Some(Source { connections, .. }) = source {
            let mut book = lock(&shared.book);
            connections.finish(pipeline, &mut book);
            connections.note(&mut book);
            pipeline.flush();
        }
    }
}

/// A panic elsewhere leaves counts that are still of use.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
