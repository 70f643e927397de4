//! Every exporter that there is or was: its queue, its counters, its task.

use std::{
    collections::BTreeMap,
    fs,
    path::PathBuf,
    sync::{Arc, Mutex, atomic::Ordering},
};

use tokio_util::sync::CancellationToken;
use weir_filter::Filter;
use weir_plan::{ExporterPlan, ObjectKey};
use weir_rrpair::otlp::Resource;

use crate::{
    export::{Health, OwnEndpoints, RetryPolicy, Sender},
    ledger::{CaptureSnapshot, ExporterSnapshot, KernelLoss, KernelLosses, LedgerSnapshot},
    pipeline::ActiveExporter,
    queue::{BatchLimits, Counts, Queue, QueueReading, ShedReason, Volume},
    reader::{Shared, lock},
    senders::Senders,
    shelf::{self, KEPT_MINUTES, Shelf},
};

type Table = Arc<Mutex<BTreeMap<ObjectKey, Exporter>>>;

pub(crate) struct Exporters {
    table: Table,
    resource: Arc<Resource>,
    own: OwnEndpoints,
    retry: RetryPolicy,
    batch: BatchLimits,
    memory_bytes: u64,
    /// Absent when the queues are in memory.
    shelf: Option<Shelf>,
    /// What the queues on disk may take together.
    volume: Option<Arc<Volume>>,
    minutes: Mutex<Option<CancellationToken>>,
}

struct Exporter {
    queue: Arc<Queue>,
    /// Of the queue, if it has one.
    folder: Option<PathBuf>,
    /// How long it has not been in the plan, while its queue is kept.
    unplanned: Option<u32>,
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
    volume: Option<Arc<Volume>>,
    shared: Arc<Shared>,
    losses: Option<Arc<KernelLosses>>,
}

impl Exporters {
    pub(crate) fn new(
        resource: Arc<Resource>,
        own: OwnEndpoints,
        retry: RetryPolicy,
        batch: BatchLimits,
        memory_bytes: u64,
        (shelf, volume_bytes): (Option<PathBuf>, Option<u64>),
    ) -> Self {
        Self {
            table: Table::default(),
            resource,
            own,
            retry,
            batch,
            memory_bytes,
            shelf: shelf.map(Shelf),
            volume: volume_bytes.map(Volume::new),
            minutes: Mutex::default(),
        }
    }

    pub(crate) fn ledger(&self, shared: Arc<Shared>, losses: Option<Arc<KernelLosses>>) -> Ledger {
        let volume = self.volume.clone();
        Ledger { table: Arc::clone(&self.table), volume, shared, losses }
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
                exporter.leave_plan();
            }
        }
        let active = plans.into_iter().filter_map(|plan| self.apply_one(plan, &mut table, senders));
        let active = active.collect();
        self.keep_others(&mut table, senders);
        active
    }

    /// Takes over the queues of an earlier run whose exporters are not in the plan.
    fn keep_others(&self, table: &mut BTreeMap<ObjectKey, Exporter>, senders: &Senders) {
        let Some(folders) = &self.shelf else { return };
        let mut minutes = lock(&self.minutes);
        if minutes.is_some() {
            return;
        }
        let keys = folders.keys().unwrap_or_else(|error| {
            tracing::error!(folder = %folders.0.display(), %error, "queues could not be listed");
            Vec::new()
        });
        for key in keys {
            if !table.contains_key(&key) {
                let exporter = self.make(&key, senders);
                exporter.queue.configure(u64::MAX, weir_plan::WhenFull::DropNewest);
                exporter.store(&key);
                table.entry(key).or_insert(exporter).leave_plan();
            }
        }
        let table = Arc::clone(&self.table);
        *minutes = Some(senders.spawn(async move {
            let mut minute = tokio::time::interval(std::time::Duration::from_mins(1));
            minute.tick().await; // the first one is at once
            loop {
                minute.tick().await;
                age(&table);
            }
        }));
    }

    fn make(&self, key: &ObjectKey, senders: &Senders) -> Exporter {
        let queue = Arc::new(Queue::new(self.memory_bytes, self.batch));
        if let Some(volume) = &self.volume {
            queue.keep_to(volume.account(key));
        }
        senders.spawn(Arc::clone(&queue).keep_durable());
        let folder = self.shelf.as_ref().map(|shelf| shelf.folder(key));
        Exporter { queue, folder, unplanned: None, health: Health::default(), running: None }
    }

    fn apply_one(
        &self,
        plan: ExporterPlan,
        table: &mut BTreeMap<ObjectKey, Exporter>,
        senders: &Senders,
    ) -> Option<ActiveExporter> {
        let key = plan.key.clone();
        let exporter = table.entry(key.clone()).or_insert_with(|| self.make(&key, senders));
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
                    return None;
                }
            },
        };
        exporter.queue.configure(plan.queue_bytes, plan.when_full);
        exporter.unplanned = None;
        exporter.store(&key);
        let chunk = self.batch.chunk(plan.queue_bytes);
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

    /// True when every exporter of the plan has delivered everything.
    pub(crate) fn are_idle(&self) -> bool {
        let table = lock(&self.table);
        let mut planned = table.values().filter(|exporter| exporter.running.is_some());
        planned.all(|exporter| exporter.queue.is_idle())
    }

    /// As if a minute were over.
    #[cfg(test)]
    pub(crate) fn minute_over(&self) {
        age(&self.table);
    }

    /// Takes nothing any more.
    pub(crate) fn stop(&self) {
        lock(&self.table).values().for_each(|exporter| exporter.queue.stop());
    }
}

impl Exporter {
    /// Keeps the queue in its folder, if there is one and it is not there already.
    fn store(&self, key: &ObjectKey) {
        let Some(folder) = &self.folder else { return };
        match self.queue.store_in(folder) {
            Ok(()) => shelf::note_planned(folder),
            Err(error) => {
                let error = crate::chain(&error);
                tracing::error!(exporter = %key, %error, "the queue is in memory for now");
            }
        }
    }

    fn leave_plan(&mut self) {
        match &self.folder {
            Some(folder) => self.unplanned = Some(shelf::unplanned_minutes(folder)),
            None => self.queue.close(ShedReason::ExporterRemoved),
        }
    }
}

/// Another minute is over: gives up the queues that nobody came back for.
fn age(table: &Table) {
    for (key, exporter) in lock(table).iter_mut() {
        let (Some(minutes), Some(folder)) = (&mut exporter.unplanned, &exporter.folder) else {
            continue;
        };
        *minutes += 1;
        if *minutes < KEPT_MINUTES && !exporter.queue.is_idle() {
            shelf::note_minutes(folder, *minutes);
            continue;
        }
        exporter.unplanned = None;
        if let Some(folder) = exporter.queue.leave_disk(ShedReason::ExporterRemoved)
            && let Err(error) = fs::remove_dir_all(&folder)
        {
            tracing::error!(exporter = %key, %error, "a queue's folder could not be removed");
        }
    }
}

/// True when the running task need not know of the change.
fn sends_alike(old: &ExporterPlan, new: &ExporterPlan) -> bool {
    let delivery = |plan: &ExporterPlan| ExporterPlan {
        filter: None,
        policies: Vec::new(),
        queue_bytes: 0,
        when_full: weir_plan::WhenFull::DropOldest,
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
                    queued_bytes: reading.bytes,
                    queue_limit_bytes: reading.limit_bytes,
                    damaged_bytes: reading.damaged_bytes,
                    queue_error: reading.trouble,
                    health: exporter.health.read(),
                }
            })
            .collect();
        let kernel =
            self.losses.as_ref().map(|losses| KernelLoss::by_reason(&losses())).unwrap_or_default();
        let volume = self.volume.as_ref().map(|volume| volume.reading());
        LedgerSnapshot { node, kernel, captures, exporters, volume }
    }
}

fn of_capture(reading: &QueueReading, capture: &ObjectKey) -> Option<Counts> {
    let mut routes = reading.routes.iter().filter(|(keys, _)| keys.contains(capture)).peekable();
    routes.peek()?;
    let mut counts = Counts::default();
    routes.for_each(|(_, route)| counts += route);
    Some(counts)
}
