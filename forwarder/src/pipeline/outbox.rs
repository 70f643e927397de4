//! What the reader has for one exporter since it last handed over.

use std::sync::Arc;

use weir_filter::Filter;
use weir_plan::ObjectKey;
use weir_rrpair::{Redacted, RrPair, otlp::encode_log_record};

use crate::queue::{BatchLimits, Chunk, Queue, Route, ShedReason, Tally};

/// An exporter as the reader sees it.
#[derive(Clone, Debug)]
pub(crate) struct ActiveExporter {
    pub(crate) key: ObjectKey,
    pub(crate) filter: Option<Arc<Filter>>,
    /// Policies that its records pass, besides those of their captures.
    pub(crate) policies: Vec<ObjectKey>,
    pub(crate) queue: Arc<Queue>,
    /// Bounds of one chunk: a fraction of a request, and of the queue, which gives way by
    /// whole chunks.
    pub(crate) chunk: BatchLimits,
}

/// Filters and encodes; hands over in bulk, so that the queue's lock is taken once per drain
/// of the ring.
#[derive(Debug)]
pub(crate) struct Outbox {
    exporter: ActiveExporter,
    open: Chunk,
    full: Vec<Chunk>,
    tallies: Vec<Tally>,
    dirty: bool,
}

impl Outbox {
    pub(crate) fn new(exporter: ActiveExporter) -> Self {
        Self {
            exporter,
            open: Chunk::default(),
            full: Vec::new(),
            tallies: Vec::new(),
            dirty: false,
        }
    }

    /// Route of records that these captures want sent here.
    pub(crate) fn route(&mut self, captures: &[ObjectKey]) -> Route {
        let route = self.exporter.queue.route(captures);
        if self.tallies.len() <= route.index() {
            self.tallies.resize(route.index() + 1, Tally::default());
        }
        route
    }

    /// Counts the record as it was captured; false when the exporter's filter drops it.
    pub(crate) fn wants(&mut self, route: Route, pair: &RrPair) -> bool {
        self.dirty = true;
        let drops = self.exporter.filter.as_ref().is_some_and(|filter| filter.drops(pair));
        if let Some(tally) = self.tallies.get_mut(route.index()) {
            tally.seen += 1;
            tally.filtered += u64::from(drops);
        }
        !drops
    }

    /// Counts a record that was wanted and may not leave.
    pub(crate) fn shed(&mut self, route: Route, reason: ShedReason) {
        if let Some(tally) = self.tallies.get_mut(route.index()) {
            match reason {
                ShedReason::PolicyMissing => tally.policy_missing += 1,
                _ => tally.redaction_failed += 1,
            }
        }
    }

    /// Encodes the record. `encoded` is empty or holds the record's bytes from another
    /// exporter; it is filled when `shared`.
    pub(crate) fn offer(
        &mut self,
        route: Route,
        record: &Redacted,
        observed_ns: u64,
        encoded: &mut Vec<u8>,
        shared: bool,
    ) {
        let bytes = if shared {
            if encoded.is_empty() {
                encode_log_record(record, observed_ns, encoded);
            }
            self.open.push(route, |out| out.extend_from_slice(encoded)).len()
        } else {
            self.open.push(route, |out| encode_log_record(record, observed_ns, out)).len()
        };
        // A large record travels alone, so that no request is larger than it must be.
        if bytes >= self.exporter.chunk.bytes
            && let Some(large) = self.open.split_last()
        {
            self.close();
            self.open = large;
        }
        if self.open.bytes() >= self.exporter.chunk.bytes
            || self.open.len() >= self.exporter.chunk.records
        {
            self.close();
        }
    }

    /// Hands everything to the queue.
    pub(crate) fn flush(&mut self) {
        if std::mem::take(&mut self.dirty) {
            self.close();
            self.exporter.queue.push(&mut self.full, &mut self.tallies);
        }
    }

    fn close(&mut self) {
        if !self.open.is_empty() {
            self.full.push(std::mem::take(&mut self.open));
        }
    }
}
