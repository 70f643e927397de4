//! All nodes together.

use std::collections::BTreeSet;

use jiff::Timestamp;
use weir_api::v1alpha1::{QueueStatus, RecordCounts};
use weir_plan::{
    NodeStatus, ObjectKey,
    status::{NodeCapture, NodeExporter, TlsCounts},
};

/// What the nodes say of themselves.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Fleet {
    /// Nodes that should run Weir.
    pub expected: usize,
    /// Of those that answered.
    pub nodes: Vec<NodeStatus>,
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

    /// `None` when no node knows of the capture.
    pub(super) fn capture(&self, key: &ObjectKey) -> Option<CaptureSums> {
        let mut of_nodes =
            self.nodes.iter().flat_map(|node| &node.captures).filter(|c| c.key == *key).peekable();
        of_nodes.peek()?;
        let mut sums = CaptureSums::default();
        of_nodes.for_each(|capture| sums.add(capture));
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
        let (sum, node) = (&mut self.records, &capture.records);
        for (sum, count) in [
            (&mut sum.seen, node.seen),
            (&mut sum.exported, node.exported),
            (&mut sum.filtered, node.filtered),
            (&mut sum.sampled, node.sampled),
            (&mut sum.shed, node.shed),
            (&mut sum.undecodable, node.undecodable),
            (&mut sum.queued, node.queued),
            (&mut sum.dropped, node.dropped),
        ] {
            add(sum, count);
        }
        self.tls.covered = self.tls.covered.saturating_add(capture.tls.covered);
        for (reason, count) in &capture.tls.opaque {
            let sum = self.tls.opaque.entry(reason.clone()).or_default();
            *sum = sum.saturating_add(*count);
        }
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
