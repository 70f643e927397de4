//! The forwarder as its embedder sees it: two threads behind one handle.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    os::fd::{AsFd as _, OwnedFd},
    path::PathBuf,
    sync::{Arc, Mutex, atomic::Ordering},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use weir_plan::Plan;
use weir_rrpair::{model::Text, otlp::Resource};

use crate::{
    admin::{self, Pages},
    attribution::Attribution,
    connections::TableLimits,
    export::{OwnEndpoints, RetryPolicy},
    exporters::{Exporters, Ledger},
    ledger::{KernelLosses, LedgerSnapshot},
    metrics::{MetricsPush, MetricsPushError, Push, Source},
    pipeline::{Active, Identity, Pipeline},
    queue::BatchLimits,
    reader::{NextRing, Reader, Shared, lock},
    ring::{Ring, RingError, Waiter, Waker},
    senders::Senders,
};

#[cfg(test)]
mod tests;

/// How often a wait looks whether it is over.
const LOOK: Duration = Duration::from_millis(2);

/// What a forwarder is started with. [`ForwarderConfig::new`] has the usual limits.
pub struct ForwarderConfig {
    /// The ring to begin with, if there is one yet.
    pub ring: Option<RingInput>,
    /// `cluster` of every record; never empty.
    pub cluster: String,
    /// `proxyVersion` of every record, e.g. `v0.1.0`.
    pub version: Text,
    /// Bounds of the connections' memory.
    pub table: TableLimits,
    /// Bounds of one export request.
    pub batch: BatchLimits,
    pub retry: RetryPolicy,
    /// Folder for the exporters' queues, which then survive a restart. Without one, and while
    /// it cannot be used, they are in memory.
    pub queue_dir: Option<PathBuf>,
    /// Upper limit of all queues there together, in bytes of their files.
    pub queue_volume_bytes: Option<u64>,
    /// Upper limit of an exporter's `queue.maxSize` in memory.
    pub memory_queue_bytes: u64,
    /// Reads the kernel side's losses, for the ledger.
    pub kernel_losses: Option<Arc<KernelLosses>>,
    /// Address of this very pod: whoever speaks with it exports, or looks at us.
    pub own_address: Option<IpAddr>,
    /// Where `/metrics`, `/ledger` and `/healthz` are served, if anywhere.
    pub admin: Option<SocketAddr>,
    /// Adds `/status` and `/readyz` there.
    pub pages: Option<Arc<dyn Pages>>,
    /// Where what `/metrics` says is pushed to by OTLP, if anywhere.
    pub metrics_push: Option<MetricsPush>,
}

/// A segment ring and who knows its processes.
pub struct RingInput {
    pub descriptor: OwnedFd,
    /// Size of the ring.
    pub bytes: u32,
    pub attribution: Arc<dyn Attribution>,
}

/// Why a forwarder did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("could not use the segment ring")]
    Ring(#[from] RingError),
    #[error("could not get random bytes")]
    Random(#[source] io::Error),
    #[error("could not start a thread")]
    Thread(#[source] io::Error),
    #[error("could not listen on the admin address {address}")]
    Admin {
        address: SocketAddr,
        #[source]
        source: io::Error,
    },
    #[error("could not push metrics")]
    Push(#[from] MetricsPushError),
}

/// A running forwarder. Dropping it stops it as [`Forwarder::stop`] does.
pub struct Forwarder {
    shared: Arc<Shared>,
    waker: Waker,
    reader: Option<JoinHandle<()>>,
    exporters: Exporters,
    senders: Senders,
    ledger: Ledger,
    /// Of the last plan.
    version: Mutex<u64>,
    admin: Option<SocketAddr>,
    push: Option<Push>,
}

impl ForwarderConfig {
    /// With the default limits and without an admin address.
    pub fn new(
        (descriptor, bytes): (OwnedFd, u32),
        attribution: Arc<dyn Attribution>,
        cluster: impl Into<String>,
        version: impl Into<Text>,
    ) -> Self {
        let ring = Some(RingInput { descriptor, bytes, attribution });
        Self { ring, ..Self::without_ring(cluster, version) }
    }

    /// The same, for a ring that [`Forwarder::replace_ring`] gives later.
    pub fn without_ring(cluster: impl Into<String>, version: impl Into<Text>) -> Self {
        Self {
            ring: None,
            cluster: cluster.into(),
            version: version.into(),
            table: TableLimits::default(),
            batch: BatchLimits::default(),
            retry: RetryPolicy::default(),
            queue_dir: None,
            queue_volume_bytes: None,
            memory_queue_bytes: 256 << 20,
            kernel_losses: None,
            own_address: None,
            admin: None,
            pages: None,
            metrics_push: None,
        }
    }
}

impl Forwarder {
    /// Maps the ring, if there is one, and starts reading it. Nothing is captured before the first
    /// [`Forwarder::apply`].
    ///
    /// # Errors
    ///
    /// [`StartError`].
    pub fn start(config: ForwarderConfig) -> Result<Self, StartError> {
        let waiter = Waiter::new()?;
        let (shared, waker) = (Arc::new(Shared::default()), waiter.waker());
        if let Some(input) = config.ring {
            *lock(&shared.next_ring) = Some(input.map()?);
        }
        let own = OwnEndpoints::of(config.own_address);
        let mut nonce = [0; 16];
        rustix::rand::getrandom(&mut nonce, rustix::rand::GetRandomFlags::empty())
            .map_err(|errno| StartError::Random(errno.into()))?;
        let identity = Identity { cluster: config.cluster.clone(), version: config.version, nonce };
        let pipeline = Pipeline::new(identity);
        let reader = Reader::new(waiter, Arc::clone(&shared), config.table, own.clone(), pipeline);
        let senders = Senders::start().map_err(StartError::Thread)?;
        let exporters = Exporters::new(
            Arc::new(Resource::new(config.cluster)),
            own.clone(),
            config.retry,
            config.batch,
            config.memory_queue_bytes,
            (config.queue_dir, config.queue_volume_bytes),
        );
        let ledger = exporters.ledger(Arc::clone(&shared), config.kernel_losses);
        let source = Source { ledger: ledger.clone(), pages: config.pages };
        let push = config.metrics_push.map(|push| Push::start(&push, &source, &own, &senders));
        let push = push.transpose()?;
        let admin = match config.admin {
            Some(address) => Some(
                admin::serve(address, source, &senders)
                    .map_err(|source| StartError::Admin { address, source })?,
            ),
            None => None,
        };
        let reader = std::thread::Builder::new()
            .name("weir-reader".to_owned())
            .spawn(move || reader.run())
            .map_err(StartError::Thread)?;
        Ok(Self {
            shared,
            waker,
            reader: Some(reader),
            exporters,
            senders,
            ledger,
            version: Mutex::new(0),
            admin,
            push,
        })
    }

    /// Puts a plan in force. Exporters that did not change go on undisturbed; one whose
    /// destination changed takes its queue there; the queue of one that is gone is kept on disk
    /// for 24 hours, or shed when it is in memory.
    ///
    /// When this returns the reader goes by the plan: whatever enters the ring from now on is
    /// treated by it.
    pub fn apply(&self, plan: Plan) {
        let Plan { captures, exporters, policies } = plan;
        let mut version = lock(&self.version);
        *version += 1;
        let exporters = self.exporters.apply(exporters, &self.senders);
        let active = Active { version: *version, captures, exporters, policies };
        self.shared.active.store(Arc::new(active));
        self.waker.wake();
        while !self.is_finished() && self.shared.plan_taken.load(Ordering::Acquire) < *version {
            std::thread::sleep(LOOK);
        }
    }

    /// Reads another ring from now on. What the one before still holds is read first, and its
    /// connections end there: exchanges under way become half pairs.
    ///
    /// # Errors
    ///
    /// [`RingError`]; the ring before is read on then.
    pub fn replace_ring(&self, input: RingInput) -> Result<(), RingError> {
        *lock(&self.shared.next_ring) = Some(input.map()?);
        self.waker.wake();
        Ok(())
    }

    /// Lets every connection be asked about again: the attribution answers otherwise now.
    pub fn ask_again(&self) {
        let mut version = lock(&self.version);
        *version += 1;
        let active = self.shared.active.load();
        self.shared.active.store(Arc::new(Active { version: *version, ..(**active).clone() }));
        self.waker.wake();
    }

    /// Everything that was counted, at this moment.
    pub fn ledger(&self) -> LedgerSnapshot {
        self.ledger.read()
    }

    /// True while the ring is read. False before the end of [`Forwarder::drain`] means that
    /// the reader failed; the process should end then.
    pub fn is_reading(&self) -> bool {
        self.ledger.is_reading()
    }

    /// Where `/metrics`, `/ledger` and `/healthz` are served.
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin
    }

    /// Waits until the ring is empty and every exporter has delivered; true when that was so
    /// within `timeout`. Capture goes on meanwhile and after it.
    pub fn settle(&self, timeout: Duration) -> bool {
        let deadline = Instant::now() + timeout;
        let seen = self.shared.empty_drains.load(Ordering::Acquire);
        self.waker.wake();
        // Two, since the first one may have begun before this call.
        let emptied =
            || self.is_finished() || self.shared.empty_drains.load(Ordering::Acquire) >= seen + 2;
        self.exporters.hurry(true);
        let settled = wait_until(deadline, || {
            self.waker.wake();
            emptied()
        }) && wait_until(deadline, || self.exporters.are_idle());
        self.exporters.hurry(false);
        settled
    }

    /// The end of the input: reads what the ring holds, turns exchanges under way into half
    /// pairs, and delivers; true when nothing was left within `timeout`. Nothing is captured
    /// afterwards.
    pub fn drain(&self, timeout: Duration) -> bool {
        let deadline = Instant::now() + timeout;
        self.shared.finish.store(true, Ordering::Release);
        self.waker.wake();
        self.exporters.hurry(true);
        wait_until(deadline, || self.is_finished())
            && wait_until(deadline, || self.exporters.are_idle())
    }

    /// Stops at once and gives the last ledger; what was not delivered is in it as queued when
    /// it lies on disk, else as shed.
    pub fn stop(mut self) -> LedgerSnapshot {
        self.shut_down();
        self.ledger.read()
    }

    fn is_finished(&self) -> bool {
        self.reader.as_ref().is_none_or(JoinHandle::is_finished)
    }

    fn shut_down(&mut self) {
        self.shared.finish.store(true, Ordering::Release);
        self.waker.wake();
        if let Some(reader) = self.reader.take()
            && reader.join().is_err()
        {
            tracing::error!("the reader thread had panicked");
        }
        // With what was counted to the end.
        if let Some(push) = self.push.take() {
            push.end();
        }
        self.senders.stop();
        self.exporters.stop();
    }
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        self.shut_down();
    }
}

impl RingInput {
    fn map(self) -> Result<NextRing, RingError> {
        let ring = Ring::map(self.descriptor.as_fd(), self.bytes)?;
        Ok(NextRing { ring, descriptor: self.descriptor, attribution: self.attribution })
    }
}

fn wait_until(deadline: Instant, mut over: impl FnMut() -> bool) -> bool {
    loop {
        if over() {
            return true;
        }
        if Instant::now() >= deadline {
            return false;
        }
        std::thread::sleep(LOOK);
    }
}
