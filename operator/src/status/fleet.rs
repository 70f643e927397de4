//! All nodes together.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use weir_api::v1alpha1::{QueueStatus, RecordCounts};
use weir_plan::{
    NodeStatus, ObjectKey,
    status::{NodeCapture, NodeExporter, NodeRecords, TlsCounts},
};

/// What the nodes say of themselves.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Fleet {
    /// Nodes that should run Weir.
    pub expected: usize,
    /// Of those that answered.
    pub nodes: Vec<NodeStatus>,
    /// Why others did not, for a person; a few of them.
    pub troubles: Vec<String>,
    /// Counts of runs that the nodes do not tell of any more.
    past: BTreeMap<ObjectKey, RecordCounts>,
    /// Places of each capture: node, and capture within it.
    captures: BTreeMap<ObjectKey, Vec<(usize, usize)>>,
}

/// One capture over all nodes.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct CaptureSums {
    pub(super) matched_pods: i32,
    pub(super) records: RecordCounts,
    pub(super) last_record: Option<Timestamp>,
    pub(super) tls: TlsCounts,
}

impl Fleet {
    pub fn new(expected: usize, nodes: Vec<NodeStatus>) -> Self {
        let mut captures = BTreeMap::<ObjectKey, Vec<(usize, usize)>>::new();
        for (node, status) in nodes.iter().enumerate() {
            for (capture, of_node) in status.captures.iter().enumerate() {
                captures.entry(of_node.key.clone()).or_default().push((node, capture));
            }
        }
        Self { expected, nodes, captures, ..Self::default() }
    }

    /// Adds what earlier runs of forwarders counted.
    #[must_use]
    pub fn with_past(mut self, past: BTreeMap<ObjectKey, RecordCounts>) -> Self {
        self.past = past;
        self
    }

    #[must_use]
    pub fn with_troubles(mut self, troubles: Vec<String>) -> Self {
        self.troubles = troubles;
        self
    }

    /// Nodes that should have the plan; never fewer than answered.
    pub(super) fn desired(&self) -> usize {
        self.expected.max(self.nodes.len())
    }

    /// Nodes with one of these revisions in force.
    pub(super) fn with_revision(&self, revisions: &BTreeSet<String>) -> usize {
        let has =
            |node: &&NodeStatus| node.plan_revision.as_ref().is_some_and(|r| revisions.contains(r));
        self.nodes.iter().filter(has).count()
    }

    /// `None` when nothing is known of the capture.
    pub(super) fn capture(&self, key: &ObjectKey) -> Option<CaptureSums> {
        let (past, places) = (self.past.get(key), self.captures.get(key));
        if past.is_none() && places.is_none() {
            return None;
        }
        let mut sums =
            CaptureSums { records: past.copied().unwrap_or_default(), ..CaptureSums::default() };
        for (node, capture) in places.into_iter().flatten() {
            if let Some(found) = self.nodes.get(*node).and_then(|n| n.captures.get(*capture)) {
                sums.add(found);
            }
        }
        Some(sums)
    }

    /// Each node's name with what it says of an exporter.
    pub(super) fn exporter<'a>(
        &'a self,
        key: &'a ObjectKey,
    ) -> impl Iterator<Item = (&'a str, &'a NodeExporter)> {
        self.nodes.iter().flat_map(move |node| {
            let known = node.exporters.iter().filter(move |exporter| exporter.key == *key);
            known.map(|exporter| (node.node.as_str(), exporter))
        })
    }
}

impl CaptureSums {
    fn add(&mut self, capture: &NodeCapture) {
        let pods = i32::try_from(capture.matched_pods).unwrap_or(i32::MAX);
        self.matched_pods = self.matched_pods.saturating_add(pods);
        self.last_record = self.last_record.max(capture.last_record_time);
        add_records(&mut self.records, &capture.records);
        self.tls.covered = self.tls.covered.saturating_add(capture.tls.covered);
        for (reason, count) in &capture.tls.opaque {
            let sum = self.tls.opaque.entry(reason.clone()).or_default();
            *sum = sum.saturating_add(*count);
        }
    }
}

/// Adds a node's counts.
pub(super) fn add_records(sum: &mut RecordCounts, node: &NodeRecords) {
    // Exhaustive on purpose: a new count must not be forgotten here.
    // What an earlier run of the node left is in the counts of that one: see `Ledger`.
    let NodeRecords {
        seen,
        recovered: _,
        exported,
        filtered,
        sampled,
        shed,
        undecodable,
        queued,
        dropped,
    } = *node;
    for (sum, count) in [
        (&mut sum.seen, seen),
        (&mut sum.exported, exported),
        (&mut sum.filtered, filtered),
        (&mut sum.sampled, sampled),
        (&mut sum.shed, shed),
        (&mut sum.undecodable, undecodable),
        (&mut sum.queued, queued),
        (&mut sum.dropped, dropped),
    ] {
        add(sum, count);
    }
}

/// Adds a node's queue.
pub(super) fn add_queue(sum: &mut QueueStatus, node: &NodeExporter) {
    add(&mut sum.records, node.queue.records);
    add(&mut sum.bytes, node.queue.bytes);
    add(&mut sum.dropped, node.queue.dropped);
}

/// The API has signed numbers.
fn add(sum: &mut i64, count: u64) {
    *sum = sum.saturating_add(i64::try_from(count).unwrap_or(i64::MAX));
}
