//! The task that empties one exporter's queue.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use serde::Serialize;
use weir_plan::{ExporterPlan, Transport};
use weir_rrpair::otlp::{Resource, encode_request};

use super::{
    BuildClient, Client, OwnEndpoints,
    failure::{Answer, Failure, RetryCause, chain},
    throttle::Throttle,
};
use crate::queue::{InFlight, Queue, RefusalReason};

#[cfg(test)]
mod tests;

/// Longest time to come back later that a receiver is granted.
const LONGEST_AFTER: Duration = Duration::from_hours(1);
/// Until a queue is read again that could not be.
const READ_AGAIN: Duration = Duration::from_secs(1);
/// How long a request waits to be filled.
const LINGER: Duration = Duration::from_millis(200);

/// Waiting times between attempts. There is no last attempt: the queue's limit decides what
/// is given up.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RetryPolicy {
    /// Before the second attempt, at most; doubled from then on. Each wait is a random part of
    /// that (full jitter), so that many forwarders do not come back at once.
    pub min: Duration,
    /// Upper limit of the doubling.
    pub max: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self { min: Duration::from_millis(500), max: Duration::from_secs(30) }
    }
}

/// How an exporter's delivery goes.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ExporterHealth {
    /// Nanoseconds since the epoch, when the receiver last took records.
    pub last_delivery_ns: Option<u64>,
    /// Why the last attempt failed; absent once delivery works again.
    pub last_error: Option<String>,
    /// Attempts that failed and were or will be repeated.
    pub retries: u64,
}

/// [`ExporterHealth`] as the task and its readers share it.
#[derive(Clone, Debug, Default)]
pub struct Health(Arc<Mutex<ExporterHealth>>);

/// Everything that a sender's task works with.
pub struct Sender {
    pub plan: ExporterPlan,
    pub queue: Arc<Queue>,
    pub health: Health,
    pub resource: Arc<Resource>,
    pub own: OwnEndpoints,
    pub retry: RetryPolicy,
}

impl Health {
    /// How delivery goes now.
    pub fn read(&self) -> ExporterHealth {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn change(&self, change: impl FnOnce(&mut ExporterHealth)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Sender {
    /// Delivers until the future is dropped; what is unanswered then goes back to the queue.
    pub async fn run(self) {
        let transport = match self.plan.transport {
            Transport::Grpc => "grpc",
            Transport::Http => "http",
        };
        // Contract §3.2: text and field names are fixed.
        tracing::info!(
            exporter = %self.plan.key,
            endpoint = %self.plan.endpoint.text,
            transport,
            transportReason = %self.plan.transport_reason,
            "starting OTLP log exporter"
        );
        match Client::new(&self.plan, &self.own) {
            Ok(client) => Delivery { client, log: Throttle::new(), sender: self }.run().await,
            Err(error) => self.park(&error).await,
        }
    }

    async fn park(&self, error: &BuildClient) {
        let text = chain(error);
        tracing::error!(exporter = %self.plan.key, error = %text, "exporter cannot start");
        self.health.change(|health| health.last_error = Some(text));
        // The records wait for a plan that works.
        std::future::pending::<()>().await;
    }
}

/// Why a line is logged; one per reason and minute.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
enum LogReason {
    Retry(RetryCause),
    Refused(RefusalReason),
    Warning,
}

struct Delivery {
    client: Client,
    log: Throttle<LogReason>,
    sender: Sender,
}

impl Delivery {
    async fn run(mut self) {
        loop {
            self.sender.queue.wait_for_records().await;
            // Its error only says that the time is up, and then a smaller request goes out.
            tokio::time::timeout(LINGER, self.sender.queue.wait_for_batch()).await.ok();
            match self.sender.queue.take() {
                Ok(Some(batch)) => self.deliver(batch).await,
                Ok(None) => {}
                Err(_) => tokio::time::sleep(READ_AGAIN).await,
            }
        }
    }

    /// Sends `batch` until each record of it has an answer.
    async fn deliver(&mut self, batch: InFlight) {
        let mut outcomes = vec![None; batch.len()];
        let all = (!batch.is_empty()).then(|| 0..batch.len());
        let mut parts: Vec<_> = all.into_iter().collect();
        while let Some(part) = parts.pop() {
            let length = part.len();
            let records = batch.records().skip(part.start).take(length);
            let mut request = Vec::new();
            encode_request(&self.sender.resource, records, &mut request);
            let marked = outcomes.get_mut(part.clone()).unwrap_or_default();
            match self.attempt(Bytes::from(request)).await {
                Ok(answer) => self.note_success(&answer, marked),
                Err((RefusalReason::TooLarge, _)) if length > 1 => {
                    let middle = part.start + length / 2;
                    parts.extend([middle..part.end, part.start..middle]);
                }
                Err((reason, text)) => {
                    marked.fill(Some(reason));
                    self.note_refusal(reason, length, &text);
                }
            }
        }
        batch.answered(&outcomes);
    }

    /// Repeats one request until it has a final answer.
    async fn attempt(&mut self, request: Bytes) -> Result<Answer, (RefusalReason, String)> {
        let RetryPolicy { min, max } = self.sender.retry;
        let mut longest = min;
        loop {
            match self.client.send(request.clone()).await {
                Ok(answer) => return Ok(answer),
                Err(Failure::Refused { reason, text }) => return Err((reason, text)),
                Err(Failure::Retry { cause, text, after }) => {
                    self.note_retry(cause, &text);
                    let after = after.unwrap_or_default().min(LONGEST_AFTER);
                    tokio::time::sleep(after + longest.mul_f64(fastrand::f64())).await;
                    longest = max.min(longest * 2);
                }
            }
        }
    }

    fn note_success(&mut self, answer: &Answer, outcomes: &mut [Option<RefusalReason>]) {
        // The receiver does not say which ones it rejected; the first stand for them.
        let rejected = usize::try_from(answer.rejected).unwrap_or(usize::MAX).min(outcomes.len());
        outcomes.iter_mut().take(rejected).for_each(|o| *o = Some(RefusalReason::Partial));
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let mut recovered = false;
        self.sender.health.change(|health| {
            health.last_delivery_ns = u64::try_from(now.as_nanos()).ok();
            recovered = health.last_error.take().is_some();
        });
        let exporter = &self.sender.plan.key;
        if recovered {
            self.log.reset();
            tracing::info!(%exporter, "receiver takes records again");
        }
        if rejected > 0 {
            self.note_refusal(RefusalReason::Partial, rejected, &answer.message);
        } else if !answer.message.is_empty()
            && let Some(left_out) = self.log.allow(LogReason::Warning)
        {
            let message = &answer.message;
            tracing::warn!(%exporter, %message, left_out, "receiver took the records with a warning");
        }
    }

    fn note_refusal(&mut self, reason: RefusalReason, records: usize, text: &str) {
        self.sender.health.change(|health| {
            health.last_error = Some(format!("refused ({}): {text}", reason.as_str()));
        });
        let Some(left_out) = self.log.allow(LogReason::Refused(reason)) else { return };
        let (exporter, reason) = (&self.sender.plan.key, reason.as_str());
        tracing::error!(%exporter, reason, records, error = text, left_out, "receiver refused records");
    }

    fn note_retry(&mut self, cause: RetryCause, text: &str) {
        self.sender.health.change(|health| {
            health.retries += 1;
            health.last_error = Some(text.to_owned());
        });
        let Some(left_out) = self.log.allow(LogReason::Retry(cause)) else { return };
        let endpoint = &self.sender.plan.endpoint.text;
        let (exporter, reason) = (&self.sender.plan.key, cause.as_str());
        tracing::warn!(%exporter, %endpoint, reason, error = text, left_out, "delivery fails, trying again");
    }
}
