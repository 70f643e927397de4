//! The ledger: what became of everything that the kernel side handed over. Whatever is seen
//! is in exactly one count at any time (DESIGN, decision 8).

mod snapshot;
mod tls;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::Serialize;
use weir_abi::{Loss, LossCounter};
use weir_dissect::{Event, hole_name};

pub(crate) use self::tls::TlsNews;
pub use self::{
    snapshot::{CaptureSnapshot, ExporterSnapshot, Imbalance, KernelLoss, LedgerSnapshot},
    tls::{Containers, TlsCounts},
};

/// Gives the kernel side's losses, in the order of [`weir_abi::Loss::ALL`].
pub type KernelLosses = dyn Fn() -> [LossCounter; Loss::COUNT as usize] + Send + Sync;

/// What dissection made of captured bytes: of all of them, or of those of one capture.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub struct DecodeCounts {
    /// Pairs that make a record, those without a response included.
    pub pairs: u64,
    /// Responses without a request, which make no record; they are in `half_pairs` too.
    pub responses_only: u64,
    /// Exchanges without one of their halves, by reason.
    pub half_pairs: BTreeMap<String, u64>,
    /// Exchanges of which too little was seen for a pair, by the hole's reason.
    pub lost_exchanges: BTreeMap<&'static str, u64>,
    /// Connections that will not be decoded any further, by reason.
    pub opaque_connections: BTreeMap<&'static str, u64>,
    /// Bytes that belong to no pair, by reason.
    pub undecodable_bytes: BTreeMap<&'static str, u64>,
    /// Connections that left HTTP/1 by agreement.
    pub upgraded_connections: u64,
    /// Encrypted connections.
    pub tls: TlsCounts,
}

impl DecodeCounts {
    /// Counts one event of a dissected connection.
    pub(crate) fn note(&mut self, event: &Event) {
        match event {
            Event::Exchange(exchange) => {
                match exchange.request {
                    Some(_) => self.pairs += 1,
                    None => self.responses_only += 1,
                }
                if let Some(half) = exchange.half {
                    *self.half_pairs.entry(half.to_string()).or_default() += 1;
                }
            }
            Event::Opaque { reason } => {
                *self.opaque_connections.entry(reason.as_str()).or_default() += 1;
            }
            Event::Undecodable { bytes, reason } => {
                *self.undecodable_bytes.entry(reason.as_str()).or_default() += bytes;
            }
            Event::Lost { exchanges, reason } => {
                *self.lost_exchanges.entry(hole_name(*reason)).or_default() += exchanges;
            }
            Event::Upgraded { .. } => self.upgraded_connections += 1,
        }
    }

    /// Pairs without one of their halves.
    pub fn half_pairs_total(&self) -> u64 {
        self.half_pairs.values().sum()
    }

    /// Exchanges that made no pair.
    pub fn lost_exchanges_total(&self) -> u64 {
        self.lost_exchanges.values().sum()
    }
}

/// What one capture took of the pairs.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub struct CaptureCounts {
    /// Pairs and losses on the connections of this capture's workloads, of its direction and
    /// ports.
    pub decoded: DecodeCounts,
    /// Pairs left out by `sampling`.
    pub sampled: u64,
    /// Pairs given up since the capture was over its `budget`.
    pub over_budget: u64,
    /// Share of the sessions that the budget lets through now, in thousandths.
    pub budget_share_permille: u32,
    /// Its containers that have encrypted connections.
    pub tls_containers: Containers,
    /// True when the capture's `duration` is over, or its budget of records is used up.
    pub complete: bool,
}

impl CaptureCounts {
    /// Pairs that went on to the exporters.
    pub const fn kept(&self) -> u64 {
        self.decoded.pairs - self.sampled - self.over_budget
    }
}

/// Connections that are seen, by what becomes of them.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub struct ConnectionCounts {
    /// Open now, ignored ones included.
    pub active: u64,
    /// Opened so far.
    pub opened: u64,
    /// Without a workload, or without a capture that wants them.
    pub ignored: u64,
    /// To or from our own exporters' endpoints.
    pub own: u64,
    /// Dropped from the table since it was full; the longest idle go first.
    pub evicted: u64,
    /// Given up since all connections together held too much.
    pub over_memory: u64,
    /// Captured bytes held now, for all connections.
    pub held_bytes: u64,
}

/// What the reader met in the ring.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub struct RingCounts {
    /// Records read.
    pub records: u64,
    /// Ring bytes read, headers and padding included.
    pub bytes: u64,
    /// Payload bytes of data records.
    pub payload_bytes: u64,
    /// Times that the ring held an impossible length, so that what waited was skipped.
    pub corrupt: u64,
    /// Records that are too short, or of a kind that this version does not know.
    pub malformed: u64,
    /// Records of a connection whose open record never came.
    pub without_open: u64,
}

/// What redaction did.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub struct RedactionCounts {
    /// Records that passed policies, once for each set of policies.
    pub records: u64,
    /// Of those, the ones in which something was redacted.
    pub modified: u64,
    /// Records given up since redaction failed on them.
    pub failed: u64,
    /// Values redacted, by category.
    pub values: BTreeMap<String, u64>,
}

/// Counts that the reader thread keeps.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub struct NodeCounts {
    pub ring: RingCounts,
    pub connections: ConnectionCounts,
    /// Of all connections that a capture wants.
    pub decoded: DecodeCounts,
    /// Pairs that no capture wants after all: the direction came out only when the protocol
    /// was known.
    pub unwanted_pairs: u64,
    /// Deliveries of a forwarder, seen at the receiver's end.
    pub own_pairs: u64,
    pub redaction: RedactionCounts,
}
