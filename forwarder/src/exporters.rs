//! Every exporter that there is or was: its queue, its counters, its task.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, atomic::Ordering},
};

use tokio_util::sync::CancellationToken;
use weir_filter::Filter;
use weir_plan::{ExporterPlan, ObjectKey, WhenFull};
use weir_rrpair::otlp::Resource;

use crate::{
    export::{Health, OwnEndpoints, RetryPolicy, Sender},
    ledger::{CaptureSnapshot, ExporterSnapshot, KernelLoss, KernelLosses, LedgerSnapshot},
    pipeline::ActiveExporter,
    queue::{BatchLimits, Counts, Queue, QueueReading, ShedReason},
    reader::{Shared, lock},
    senders::Senders,
};

type Table = Arc<Mutex<BTreeMap<ObjectKey, Exporter>>>;

pub(crate) struct Exporters {
    table: Table,
    resource: Arc<Resource>,
    own: OwnEndpoints,
    retry: RetryPolicy,
    batch: BatchLimits,
    max_queue_bytes: usize,
}

struct Exporter {
    queue: Arc<Queue>,
    health: Health,
    /// Absent for an exporter that is not in the plan, or cannot be carried out.
    running: Option<Running>,
}

struct Running {
    plan: ExporterPlan,
    filter: Option<Arc<Filter>>,
    task: CancellationToken,
}

/// Reads the whole ledger.
#[derive(Clone)]
pub(crate) struct Ledger {
    table: Table,
    shared: Arc<Shared>,
    losses: Option<Arc<KernelLosses>>,
}

impl Exporters {
    pub(crate) fn new(
        resource: Arc<Resource>,
        own: OwnEndpoints,
        retry: RetryPolicy,
        batch: BatchLimits,
        max_queue_bytes: usize,
    ) -> Self {
        Self { table: Table::default(), resource, own, retry, batch, max_queue_bytes }
    }

    pub(crate) fn ledger(&self, shared: Arc<Shared>, losses: Option<Arc<KernelLosses>>) -> Ledger {
        Ledger { table: Arc::clone(&self.table), shared, losses }
    }

    /// Starts, changes and stops exporters as `plans` says; gives the reader's view of those
    /// in force.
    pub(crate) fn apply(&self, plans: Vec<ExporterPlan>, senders: &Senders) -> Vec<ActiveExporter> {
        let mut table = lock(&self.table);
        for (key, exporter) in table.iter_mut() {
            if !plans.iter().any(|plan| plan.key == *key)
                && let Some(running) = exporter.running.take()
            {
                running.task.cancel();
                exporter.queue.close(ShedReason::ExporterRemoved);
            }
        }
        plans.into_iter().filter_map(|plan| self.apply_one(plan, &mut table, senders)).collect()
    }

    fn apply_one(
        &self,
        plan: ExporterPlan,
        table: &mut BTreeMap<ObjectKey, Exporter>,
        senders: &Senders,
    ) -> Option<ActiveExporter> {
        let key = plan.key.clone();
        let exporter = table.entry(key.clone()).or_insert_with(|| Exporter {
            queue: Arc::new(Queue::new(0, WhenFull::DropOldest, self.batch)),
            health: Health::default(),
            running: None,
        });
        let old = exporter.running.take();
        let filter = match (&plan.filter, &old) {
            (rule, Some(old)) if *rule == old.plan.filter => old.filter.clone(),
            (None, _) => None,
            (Some(rule), _) => match Filter::new(rule) {
                Ok(filter) => Some(Arc::new(filter)),
                Err(error) => {
                    // The plan's rules compile; without its filter nothing may be sent.
                    tracing::error!(exporter = %key, %error, "filter rule does not compile");
                    if let Some(old) = old {
                        old.task.cancel();
                    }
                    exporter.queue.close(ShedReason::ExporterRemoved);
                    return None;
                }
            },
        };
        let limit = usize::try_from(plan.queue_bytes).unwrap_or(usize::MAX);
        let limit = limit.min(self.max_queue_bytes);
        exporter.queue.configure(limit, plan.when_full);
        let chunk = self.batch.chunk(limit);
        let task = match old {
            Some(old) if sends_alike(&old.plan, &plan) => old.task,
            other => {
                if let Some(old) = other {
                    old.task.cancel();
                }
                self.spawn(&plan, exporter, senders)
            }
        };
        let queue = Arc::clone(&exporter.queue);
        let policies = plan.policies.clone();
        exporter.running = Some(Running { plan, filter: filter.clone(), task });
        Some(ActiveExporter { key, filter, policies, queue, chunk })
    }

    fn spawn(
        &self,
        plan: &ExporterPlan,
        exporter: &Exporter,
        senders: &Senders,
    ) -> CancellationToken {
        let sender = Sender {
            plan: plan.clone(),
            queue: Arc::clone(&exporter.queue),
            health: exporter.health.clone(),
            resource: Arc::clone(&self.resource),
            own: self.own.clone(),
            retry: self.retry,
        };
        senders.spawn(sender.run())
    }

    pub(crate) fn hurry(&self, hurry: bool) {
        lock(&self.table).values().for_each(|exporter| exporter.queue.set_hurry(hurry));
    }

    pub(crate) fn are_idle(&self) -> bool {
        lock(&self.table).values().all(|exporter| exporter.queue.is_idle())
    }

    pub(crate) fn close(&self, reason: ShedReason) {
        lock(&self.table).values().for_each(|exporter| exporter.queue.close(reason));
    }
}

/// True when the running task need not know of the change.
fn sends_alike(old: &ExporterPlan, new: &ExporterPlan) -> bool {
    let delivery = |plan: &ExporterPlan| ExporterPlan {
        filter: None,
        policies: Vec::new(),
        queue_bytes: 0,
        when_full: WhenFull::DropOldest,
        ..plan.clone()
    };
    delivery(old) == delivery(new)
}

impl Ledger {
    /// True while the ring is read.
    pub(crate) fn is_reading(&self) -> bool {
        !self.shared.stopped.load(Ordering::Acquire)
    }

    pub(crate) fn read(&self) -> LedgerSnapshot {
        let table = lock(&self.table);
        // Held over all queues: the reader hands over under it, so no record is between them.
        let book = lock(&self.shared.book);
        let readings: Vec<_> =
            table.iter().map(|(key, exporter)| (key, exporter, exporter.queue.read())).collect();
        let mut captures: Vec<_> = book
            .captures
            .iter()
            .map(|(key, counts)| CaptureSnapshot {
                key: key.clone(),
                counts: counts.clone(),
                exporters: readings
                    .iter()
                    .filter_map(|(exporter, _, reading)| {
                        of_capture(reading, key).map(|counts| (exporter.to_string(), counts))
                    })
                    .collect(),
            })
            .collect();
        let node = book.node.clone();
        drop(book);
        captures.sort_by(|a, b| a.key.cmp(&b.key));
        let exporters = readings
            .into_iter()
            .map(|(key, exporter, reading)| {
                let mut counts = Counts::default();
                reading.routes.iter().for_each(|(_, route)| counts += route);
                ExporterSnapshot {
                    key: key.clone(),
                    counts,
                    queued_bytes: reading.bytes as u64,
                    queue_limit_bytes: reading.limit_bytes as u64,
                    health: exporter.health.read(),
                }
            })
            .collect();
        let kernel =
            self.losses.as_ref().map(|losses| KernelLoss::by_reason(&losses())).unwrap_or_default();
        LedgerSnapshot { node, kernel, captures, exporters }
    }
}

fn of_capture(reading: &QueueReading, capture: &ObjectKey) -> Option<Counts> {
    let mut routes = reading.routes.iter().filter(|(keys, _)| keys.contains(capture)).peekable();
    routes.peek()?;
    let mut counts = Counts::default();
    routes.for_each(|(_, route)| counts += route);
    Some(counts)
}
