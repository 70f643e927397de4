//! What became of the records of one route.

use std::{collections::BTreeMap, ops::AddAssign};

use serde::Serialize;

/// Why a record was given up before it was sent.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ShedReason {
    /// The exporter's queue was full.
    QueueFull,
    /// The record alone is larger than the queue.
    TooLarge,
    /// The disk was full before the queue was.
    DiskFull,
    /// It could not be written to the disk.
    DiskFailed,
    /// The disk gave back something else than what was written.
    Damaged,
    /// The exporter is no longer in the plan, and has not come back in time.
    ExporterRemoved,
    /// The forwarder stopped before the receiver took it, and its queue was in memory.
    Stopped,
    /// Redaction failed on it, so it must not leave.
    RedactionFailed,
    /// A policy that holds for it is missing or does not compile, so it must not leave.
    PolicyMissing,
}

impl ShedReason {
    /// Name for metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::QueueFull => "queue_full",
            Self::TooLarge => "too_large",
            Self::DiskFull => "disk_full",
            Self::DiskFailed => "disk_failed",
            Self::Damaged => "damaged",
            Self::ExporterRemoved => "exporter_removed",
            Self::Stopped => "stopped",
            Self::RedactionFailed => "redaction_failed",
            Self::PolicyMissing => "policy_missing",
        }
    }
}

/// Why a receiver will not take a record, however often it is sent.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusalReason {
    /// The receiver says that the request is malformed (400, 422, `INVALID_ARGUMENT`).
    Invalid,
    /// 413, or a gRPC message over the receiver's limit, though it is alone in its request.
    TooLarge,
    /// 415: an answer to the encoding.
    Unsupported,
    /// The receiver took the rest of the request (partial success).
    Partial,
}

impl RefusalReason {
    /// Name for metrics and log lines.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::TooLarge => "too_large",
            Self::Unsupported => "unsupported",
            Self::Partial => "partial",
        }
    }
}

/// Records of one route, one exporter or one capture. At any time
/// `seen + recovered = filtered + shed + queued + in_flight + exported + refused`.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Counts {
    /// Pairs that reached the pipeline.
    pub seen: u64,
    /// Seen by an earlier run, and found waiting in the queue when this one started.
    pub recovered: u64,
    /// Left out by the exporter's filter.
    pub filtered: u64,
    /// Given up before they were sent.
    pub shed: BTreeMap<ShedReason, u64>,
    /// Waiting.
    pub queued: u64,
    /// In a request that has no answer yet.
    pub in_flight: u64,
    /// Taken by the receiver.
    pub exported: u64,
    /// Refused by the receiver for good.
    pub refused: BTreeMap<RefusalReason, u64>,
}

impl Counts {
    /// Records given up, whatever the reason.
    pub fn shed_total(&self) -> u64 {
        self.shed.values().sum()
    }

    /// Records refused, whatever the reason.
    pub fn refused_total(&self) -> u64 {
        self.refused.values().sum()
    }

    /// Counts `records` more as shed.
    pub(super) fn shed(&mut self, reason: ShedReason, records: u64) {
        if records > 0 {
            *self.shed.entry(reason).or_default() += records;
        }
    }

    /// True when every record that was seen is in exactly one other count.
    pub fn balances(&self) -> bool {
        let known = self.filtered + self.shed_total() + self.queued + self.in_flight;
        self.seen + self.recovered == known + self.exported + self.refused_total()
    }
}

impl AddAssign<&Self> for Counts {
    fn add_assign(&mut self, other: &Self) {
        // Exhaustive: a new count must be added here.
        let Self { seen, recovered, filtered, shed, queued, in_flight, exported, refused } = other;
        self.seen += seen;
        self.recovered += recovered;
        self.filtered += filtered;
        self.queued += queued;
        self.in_flight += in_flight;
        self.exported += exported;
        for (reason, records) in shed {
            *self.shed.entry(*reason).or_default() += records;
        }
        for (reason, records) in refused {
            *self.refused.entry(*reason).or_default() += records;
        }
    }
}
