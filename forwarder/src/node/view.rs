//! What the node tells of itself on the admin address.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use jiff::Timestamp;
use weir_abi::{Loss, LossCounter};
use weir_link::{Hello, Kernel};
use weir_plan::{
    CapturePlan, NodeStatus, ObjectKey, PlanDocument,
    status::{NodeCapture, NodeExporter, NodeQueue, NodeRecords, NodeRun, TlsCounts},
};

use super::directory::Directory;
use crate::{
    LedgerSnapshot,
    admin::Pages,
    ledger::{CaptureSnapshot, ExporterSnapshot},
    queue::ShedReason,
};

/// What a queue gives up by itself.
const QUEUE_LOSSES: [ShedReason; 5] = [
    ShedReason::QueueFull,
    ShedReason::TooLarge,
    ShedReason::DiskFull,
    ShedReason::DiskFailed,
    ShedReason::Damaged,
];

/// Runs that are remembered, this one among them: more than an operator misses between two
/// questions, unless something is very wrong.
const RUNS: usize = 4;

type Losses = [LossCounter; Loss::COUNT as usize];

/// Shared between the node's task and the admin address.
#[derive(Debug)]
pub(super) struct View {
    directory: Arc<Directory>,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// What does not change.
    base: NodeStatus,
    pods_known: bool,
    plan: Option<Arc<PlanDocument>>,
    /// Revision of the last plan that the kernel side followed.
    in_force: Option<String>,
    /// Pods of each capture that the kernel side followed last.
    followed: BTreeMap<ObjectKey, u32>,
    agent: Option<Hello>,
    agent_error: Option<String>,
    kernel: Kernel,
    /// The agent's counters when it was heard last.
    heard: Option<Losses>,
    /// Lost since our start.
    losses: Losses,
    /// Records of each capture when they last grew, and when that was.
    grew: BTreeMap<ObjectKey, (u64, Option<Timestamp>)>,
    /// Of each capture's name, the last that was in a plan.
    begun: BTreeMap<ObjectKey, Begun>,
}

/// A capture among those of the same name.
#[derive(Debug)]
struct Begun {
    uid: String,
    /// What was counted before it began, but for what waited then.
    before: NodeRecords,
    /// The last news of its containers then.
    tls_since: u64,
}

impl View {
    pub(super) fn new(directory: Arc<Directory>, node: String, version: String) -> Self {
        let started = Some(Timestamp::now());
        let base = NodeStatus { node, version, started, ..NodeStatus::default() };
        Self { directory, inner: Mutex::new(Inner { base, ..Inner::default() }) }
    }

    /// What the runs before this one counted.
    pub(super) fn remember(&self, earlier: Vec<NodeRun>) {
        self.inner().base.earlier = earlier;
    }

    /// What a run after this one should remember.
    pub(super) fn runs(&self, ledger: &LedgerSnapshot) -> Vec<NodeRun> {
        let status = self.status(ledger);
        let counted = |capture: NodeCapture| NodeCapture {
            key: capture.key,
            uid: capture.uid,
            records: capture.records,
            ..NodeCapture::default()
        };
        let captures = status.captures.into_iter().map(counted).collect();
        let mut runs = vec![NodeRun { started: status.started, captures }];
        runs.extend(status.earlier);
        runs.truncate(RUNS);
        runs
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn pods_are_known(&self) {
        self.inner().pods_known = true;
    }

    /// A plan that is being put in force. Captures of it that were not there before count from
    /// zero; the ledger, which counts by name, is asked when there is one.
    pub(super) fn plan(&self, plan: &Arc<PlanDocument>, ledger: impl FnOnce() -> LedgerSnapshot) {
        let captures = || plan.plan().captures.iter();
        let mut inner = self.inner();
        let is_new = |inner: &Inner, capture: &CapturePlan| {
            inner.begun.get(&capture.key).is_none_or(|begun| begun.uid != capture.uid)
        };
        if captures().any(|capture| is_new(&inner, capture)) {
            drop(inner);
            let ledger = ledger();
            inner = self.inner();
            for capture in captures() {
                if is_new(&inner, capture) {
                    inner.begin(capture, &ledger);
                }
            }
        }
        inner.plan = Some(Arc::clone(plan));
    }

    /// True for the last plan.
    pub(super) fn has_plan(&self, revision: &str) -> bool {
        self.inner().plan.as_ref().is_some_and(|plan| plan.revision() == revision)
    }

    /// The kernel side follows this plan and the pods that the directory knows.
    pub(super) fn in_force(&self, revision: &str) {
        let followed = self.directory.matched();
        let mut inner = self.inner();
        inner.followed = followed;
        if inner.plan.is_some() && inner.in_force.as_deref() != Some(revision) {
            inner.in_force = Some(revision.to_owned());
        }
    }

    pub(super) fn agent_is_here(&self, hello: &Hello) {
        let mut inner = self.inner();
        inner.agent = Some(hello.clone());
        inner.agent_error = None;
    }

    pub(super) fn agent_is_gone(&self, why: &str) {
        let mut inner = self.inner();
        inner.agent = None;
        inner.agent_error = Some(why.to_owned());
        inner.kernel.attached = false;
    }

    pub(super) fn kernel(&self, kernel: Kernel) {
        let mut inner = self.inner();
        let now = kernel.loss_counters();
        // What an agent lost before our time is not ours.
        let before = inner.heard.replace(now).unwrap_or(now);
        add_growth(&mut inner.losses, &before, &now);
        inner.kernel = kernel;
    }

    /// What the kernel side lost since our start, whatever agents there were.
    pub(super) fn losses(&self) -> Losses {
        self.inner().losses
    }

    /// Notes which captures have new records. Called every second, so that the time of the
    /// last record is that exact.
    pub(super) fn note_growth(&self, ledger: &LedgerSnapshot) {
        let mut inner = self.inner();
        inner.note_growth(ledger);
    }
}

/// The same agent goes on counting where it was; a new one begins at zero.
fn add_growth(sums: &mut Losses, before: &Losses, now: &Losses) {
    let parts = |counter: &LossCounter| [counter.records, counter.bytes, counter.exchanges];
    let restarted = before.iter().zip(now).any(|(before, now)| {
        parts(before).into_iter().zip(parts(now)).any(|(before, now)| now < before)
    });
    for ((sum, before), now) in sums.iter_mut().zip(before).zip(now) {
        let before = if restarted { &LossCounter::default() } else { before };
        sum.records += now.records - before.records;
        sum.bytes += now.bytes - before.bytes;
        sum.exchanges += now.exchanges - before.exchanges;
    }
}

impl Inner {
    fn begin(&mut self, capture: &CapturePlan, ledger: &LedgerSnapshot) {
        let counted = ledger.captures.iter().find(|counted| counted.key == capture.key);
        let all = counted.map(records).unwrap_or_default();
        // What still waits becomes part of the new capture's counts, so that they add up.
        let seen = all.seen.saturating_sub(all.queued);
        let recovered = all.recovered.saturating_sub(all.queued.saturating_sub(all.seen));
        let before = NodeRecords { seen, recovered, queued: 0, ..all };
        let kept = counted.map_or(0, |counted| counted.counts.kept());
        self.grew.insert(capture.key.clone(), (kept, None));
        let tls_since = counted.map_or(0, |counted| counted.counts.tls_containers.now());
        let begun = Begun { uid: capture.uid.clone(), before, tls_since };
        self.begun.insert(capture.key.clone(), begun);
    }

    fn note_growth(&mut self, ledger: &LedgerSnapshot) {
        for capture in &ledger.captures {
            let kept = capture.counts.kept();
            let known = self.grew.get(&capture.key).map_or(0, |(records, _)| *records);
            if kept > known {
                self.grew.insert(capture.key.clone(), (kept, Some(Timestamp::now())));
            }
        }
    }
}

impl Pages for View {
    fn status(&self, ledger: &LedgerSnapshot) -> NodeStatus {
        let mut inner = self.inner();
        inner.note_growth(ledger);
        let Inner {
            base, plan, in_force, followed, agent, agent_error, kernel, grew, begun, ..
        } = &*inner;
        let mut status = base.clone();
        status.agent.connected = agent.is_some();
        status.agent.hooks_attached = kernel.attached;
        status.agent.abandoned_bytes = kernel.abandoned_bytes;
        status.agent.error = agent_error.clone().or_else(|| kernel.error.clone());
        if let Some(Hello { hook, kernel, .. }) = agent {
            status.agent.kernel.insert("hook".to_owned(), hook.clone());
            status.agent.kernel.insert("release".to_owned(), kernel.clone());
        }
        let Some(plan) = plan else { return status };
        status.plan_revision.clone_from(in_force);
        status.captures = plan
            .plan()
            .captures
            .iter()
            .map(|capture| {
                let key = &capture.key;
                let counted = ledger.captures.iter().find(|counted| counted.key == *key);
                let begun = begun.get(key);
                let before = begun.map(|begun| begun.before).unwrap_or_default();
                let tls_since = begun.map_or(0, |begun| begun.tls_since);
                NodeCapture {
                    key: key.clone(),
                    uid: capture.uid.clone(),
                    matched_pods: followed.get(key).copied().unwrap_or(0),
                    records: difference(&counted.map(records).unwrap_or_default(), &before),
                    tls: counted.map(|counted| tls(counted, tls_since)).unwrap_or_default(),
                    last_record_time: grew.get(key).and_then(|(_, time)| *time),
                }
            })
            .collect();
        status.exporters = plan
            .plan()
            .exporters
            .iter()
            .map(|exporter| {
                let key = &exporter.key;
                let counted = ledger.exporters.iter().find(|counted| counted.key == *key);
                NodeExporter {
                    transport: Some(exporter.transport),
                    ..counted.map_or_else(
                        || NodeExporter { key: key.clone(), ..NodeExporter::default() },
                        delivery,
                    )
                }
            })
            .collect();
        status
    }

    fn ready(&self) -> Result<(), String> {
        let inner = self.inner();
        if !inner.pods_known {
            return Err("the pods of this node are not known yet".to_owned());
        }
        if inner.agent.is_none() {
            let why = inner.agent_error.as_deref().unwrap_or("not connected yet");
            return Err(format!("no capture agent: {why}"));
        }
        inner.plan.as_ref().map(|_| ()).ok_or_else(|| "no plan yet".to_owned())
    }
}

/// Counted once for each exporter of the capture, so that they add up with several, too.
fn records(capture: &CaptureSnapshot) -> NodeRecords {
    let counts = &capture.counts;
    let undecodable = counts.decoded.lost_exchanges_total() + counts.decoded.responses_only;
    let mut records = NodeRecords {
        sampled: counts.sampled,
        shed: counts.over_budget,
        undecodable,
        seen: counts.sampled + counts.over_budget + undecodable,
        ..NodeRecords::default()
    };
    for (_, at) in &capture.exporters {
        records.seen += at.seen;
        records.recovered += at.recovered;
        records.exported += at.exported;
        records.filtered += at.filtered;
        records.shed += at.shed_total() + at.refused_total();
        records.queued += at.queued + at.in_flight;
    }
    records.dropped = records.shed + records.undecodable;
    records
}

/// What came after `before`, a part of `all`.
fn difference(all: &NodeRecords, before: &NodeRecords) -> NodeRecords {
    NodeRecords {
        seen: all.seen.saturating_sub(before.seen),
        recovered: all.recovered.saturating_sub(before.recovered),
        exported: all.exported.saturating_sub(before.exported),
        filtered: all.filtered.saturating_sub(before.filtered),
        sampled: all.sampled.saturating_sub(before.sampled),
        shed: all.shed.saturating_sub(before.shed),
        undecodable: all.undecodable.saturating_sub(before.undecodable),
        queued: all.queued.saturating_sub(before.queued),
        dropped: all.dropped.saturating_sub(before.dropped),
    }
}

/// Containers with encrypted connections, by whether they are read.
fn tls(capture: &CaptureSnapshot, since: u64) -> TlsCounts {
    let containers = &capture.counts.tls_containers;
    let opaque = containers.opaque(since).into_iter();
    let opaque = opaque.map(|(why, count)| (why.reason().to_owned(), count)).collect();
    TlsCounts { covered: containers.covered(since), opaque }
}

fn delivery(exporter: &ExporterSnapshot) -> NodeExporter {
    let (counts, health) = (&exporter.counts, &exporter.health);
    let time = |ns: u64| Timestamp::from_nanosecond(i128::from(ns)).ok();
    let tried = health.last_delivery_ns.is_some() || health.last_error.is_some();
    NodeExporter {
        key: exporter.key.clone(),
        transport: None,
        reachable: tried.then_some(health.last_error.is_none()),
        delivered: counts.exported,
        queue: NodeQueue {
            records: counts.queued + counts.in_flight,
            bytes: exporter.queued_bytes,
            dropped: QUEUE_LOSSES.iter().filter_map(|reason| counts.shed.get(reason)).sum(),
        },
        last_delivery: health.last_delivery_ns.and_then(time),
        last_error: health.last_error.clone().or_else(|| exporter.queue_error.clone()),
    }
}

#[cfg(test)]
mod tests;
