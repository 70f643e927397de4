//! The way from a decoded request to whoever stores it, the same for both transports.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use opentelemetry_proto::tonic::collector::logs::v1::{
    ExportLogsPartialSuccess, ExportLogsServiceRequest, ExportLogsServiceResponse,
};
use tokio::sync::{mpsc, oneshot};

use super::{Batch, NotStored, Rejected, Stored, records};

/// What a receiver has seen.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Counts {
    /// OTLP requests that were decoded.
    pub requests: u64,
    /// Records that are no RRPairs.
    pub rejected: u64,
    /// RRPairs that came after the limit of the run.
    pub surplus: u64,
    /// Requests and connections that spoke another protocol than the port.
    pub misdirected: u64,
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    requests: AtomicU64,
    rejected: AtomicU64,
    surplus: AtomicU64,
    misdirected: AtomicU64,
}

impl Counters {
    pub(super) fn counts(&self) -> Counts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counts {
            requests: read(&self.requests),
            rejected: read(&self.rejected),
            surplus: read(&self.surplus),
            misdirected: read(&self.misdirected),
        }
    }

    /// Counts one; true for the first ones, which are worth a log line each.
    pub(super) fn misdirected(&self) -> bool {
        const LOGGED: u64 = 10;
        self.misdirected.fetch_add(1, Ordering::Relaxed) < LOGGED
    }
}

/// Hands requests over and waits until they are stored.
#[derive(Clone, Debug)]
pub(super) struct Intake {
    /// Weak, so that a request that hangs cannot keep the channel open at shutdown.
    batches: mpsc::WeakSender<Batch>,
    counters: Arc<Counters>,
}

impl Intake {
    pub(super) fn new(batches: mpsc::WeakSender<Batch>) -> Self {
        Self { batches, counters: Arc::default() }
    }

    pub(super) fn counters(&self) -> Arc<Counters> {
        Arc::clone(&self.counters)
    }

    /// Stores the RRPairs of `request`. What is none is refused in the answer, as OTLP's
    /// partial success.
    pub(super) async fn take(
        &self,
        request: ExportLogsServiceRequest,
    ) -> Result<ExportLogsServiceResponse, NotStored> {
        let (pairs, rejected) = records::pairs(request);
        let received = pairs.len();
        let stored = if pairs.is_empty() { Stored::default() } else { self.store(pairs).await? };

        // Counted only now: a request that is sent again is not counted twice.
        self.counters.requests.fetch_add(1, Ordering::Relaxed);
        let before = self.counters.rejected.fetch_add(rejected.total(), Ordering::Relaxed);
        self.counters.surplus.fetch_add(stored.surplus, Ordering::Relaxed);
        if rejected.total() > 0 && before == 0 {
            tracing::warn!(received, "refused {} log records: {rejected}", rejected.total());
        }
        Ok(ExportLogsServiceResponse { partial_success: partial_success(rejected, stored) })
    }

    async fn store(&self, pairs: Vec<super::Pair>) -> Result<Stored, NotStored> {
        let batches = self.batches.upgrade().ok_or(NotStored)?;
        let (reply, answer) = oneshot::channel();
        // A closed channel on either way means that the run is ending.
        batches.send(Batch { pairs, reply }).await.or(Err(NotStored))?;
        answer.await.unwrap_or(Err(NotStored))
    }
}

fn partial_success(rejected: Rejected, stored: Stored) -> Option<ExportLogsPartialSuccess> {
    let refused = rejected.total() + stored.surplus;
    if refused == 0 {
        return None;
    }
    let mut reasons = Vec::new();
    if rejected.total() > 0 {
        reasons.push(rejected.to_string());
    }
    if stored.surplus > 0 {
        reasons.push(format!("{} after the limit of this collector's run", stored.surplus));
    }
    Some(ExportLogsPartialSuccess {
        rejected_log_records: i64::try_from(refused).unwrap_or(i64::MAX),
        error_message: reasons.join("; "),
    })
}
