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
    /// The exporter is no longer in the plan.
    ExporterRemoved,
    /// The forwarder stopped before the receiver took it.
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
    /// The receiver says that the request is malformed (400, `INVALID_ARGUMENT`).
    Invalid,
    /// 401, 403, `UNAUTHENTICATED`, `PERMISSION_DENIED`.
    Unauthorized,
    /// 404, 405, `UNIMPLEMENTED`: no logs receiver there.
    NotFound,
    /// 413, or `RESOURCE_EXHAUSTED` without a time to try again: over the receiver's limit.
    TooLarge,
    /// 415 or another answer to the encoding.
    Unsupported,
    /// The receiver took the rest of the request (partial success).
    Partial,
    /// Any other permanent answer.
    Other,
}

impl RefusalReason {
    /// Name for metrics and log lines.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::Unauthorized => "unauthorized",
            Self::NotFound => "not_found",
            Self::TooLarge => "too_large",
            Self::Unsupported => "unsupported",
            Self::Partial => "partial",
            Self::Other => "other",
        }
    }
}

/// Records of one route, one exporter or one capture. At any time
/// `seen = filtered + shed + queued + in_flight + exported + refused`.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Counts {
    /// Pairs that reached the pipeline.
    pub seen: u64,
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

    /// True when every record that was seen is in exactly one other count.
    pub fn balances(&self) -> bool {
        let known = self.filtered + self.shed_total() + self.queued + self.in_flight;
        self.seen == known + self.exported + self.refused_total()
    }
}

impl AddAssign<&Self> for Counts {
    fn add_assign(&mut self, other: &Self) {
        // Exhaustive: a new count must be added here.
        let Self { seen, filtered, shed, queued, in_flight, exported, refused } = other;
        self.seen += seen;
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
