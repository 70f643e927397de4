//! The whole ledger at one moment.

use std::{collections::BTreeMap, fmt};

use serde::{Serialize, Serializer};
use weir_abi::{Loss, LossCounter};
use weir_plan::ObjectKey;

use super::{CaptureCounts, NodeCounts};
use crate::{
    export::ExporterHealth,
    queue::{Counts, VolumeReading},
};

/// Everything that was counted, at one moment: the parts agree with each other.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LedgerSnapshot {
    pub node: NodeCounts,
    /// What the kernel side gave up, by reason; empty when nobody says. It lies beside the
    /// rest: what was lost there was never seen here, except for the gaps that it left.
    pub kernel: BTreeMap<&'static str, KernelLoss>,
    /// Every capture since the start, also those that are gone, by key.
    pub captures: Vec<CaptureSnapshot>,
    /// Every exporter since the start, also those that are gone, by key.
    pub exporters: Vec<ExporterSnapshot>,
    /// All queues on disk together, where they have a limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volume: Option<VolumeReading>,
}

/// One reason of the kernel side.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
pub struct KernelLoss {
    pub records: u64,
    pub bytes: u64,
    /// Exchanges that nothing else tells of.
    pub exchanges: u64,
}

impl KernelLoss {
    /// The counters by reason; reasons without a loss are left out.
    pub(crate) fn by_reason(
        counters: &[LossCounter; Loss::COUNT as usize],
    ) -> BTreeMap<&'static str, Self> {
        let losses = Loss::ALL.into_iter().zip(counters);
        losses
            .map(|(reason, counter)| {
                let LossCounter { records, bytes, exchanges } = *counter;
                (reason.as_str(), Self { records, bytes, exchanges })
            })
            .filter(|(_, loss)| *loss != Self::default())
            .collect()
    }
}

/// One capture's part.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CaptureSnapshot {
    #[serde(serialize_with = "as_text")]
    pub key: ObjectKey,
    pub counts: CaptureCounts,
    /// What became of its records at each of its exporters.
    pub exporters: Vec<(String, Counts)>,
}

/// One exporter's part. A record that several captures want is there once.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ExporterSnapshot {
    #[serde(serialize_with = "as_text")]
    pub key: ObjectKey,
    pub counts: Counts,
    pub queued_bytes: u64,
    pub queue_limit_bytes: u64,
    /// Bytes of the queue that were found to hold no record.
    pub damaged_bytes: u64,
    /// What is wrong with the queue's disk.
    pub queue_error: Option<String>,
    pub health: ExporterHealth,
}

/// A count that does not fit the others: a bug.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Imbalance {
    /// Records of this exporter are in no count, or in two.
    #[error("records of exporter {0} do not add up")]
    Exporter(ObjectKey),
    /// What this capture kept is not what an exporter of it saw.
    #[error("capture {capture} kept {kept} pairs, but its exporter {exporter} saw {seen}")]
    Capture { capture: ObjectKey, exporter: String, kept: u64, seen: u64 },
}

fn as_text<S: Serializer>(key: &ObjectKey, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(key)
}

impl LedgerSnapshot {
    /// Sum over all exporters.
    pub fn records(&self) -> Counts {
        let mut total = Counts::default();
        self.exporters.iter().for_each(|exporter| total += &exporter.counts);
        total
    }

    /// Checks that every record is in exactly one count. A capture's exporters must have been
    /// the same since it began for the second half of it to hold.
    ///
    /// # Errors
    ///
    /// The first [`Imbalance`].
    pub fn check(&self) -> Result<(), Imbalance> {
        for exporter in &self.exporters {
            if !exporter.counts.balances() {
                return Err(Imbalance::Exporter(exporter.key.clone()));
            }
        }
        for capture in &self.captures {
            let kept = capture.counts.kept();
            for (exporter, counts) in &capture.exporters {
                if counts.seen != kept {
                    return Err(Imbalance::Capture {
                        capture: capture.key.clone(),
                        exporter: exporter.clone(),
                        kept,
                        seen: counts.seen,
                    });
                }
            }
        }
        Ok(())
    }
}

/// One line for people: what matters, zeros left out.
impl fmt::Display for LedgerSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let records = self.records();
        let (node, sum) = (&self.node, |counts: fn(&CaptureCounts) -> u64| {
            self.captures.iter().map(|capture| counts(&capture.counts)).sum::<u64>()
        });
        write!(f, "{} pairs", node.decoded.pairs)?;
        let kernel = |count: fn(&KernelLoss) -> u64| self.kernel.values().map(count).sum();
        let undecodable: u64 = node.decoded.undecodable_bytes.values().sum();
        for (count, what) in [
            (records.recovered, "of an earlier run"),
            (records.exported, "exported"),
            (records.filtered, "filtered"),
            (sum(|counts| counts.sampled), "sampled out"),
            (sum(|counts| counts.over_budget), "over budget"),
            (records.queued + records.in_flight, "queued"),
            (records.shed_total(), "shed"),
            (records.refused_total(), "refused"),
            (node.unwanted_pairs, "not wanted"),
            (node.decoded.half_pairs_total(), "half pairs"),
            (node.decoded.lost_exchanges_total(), "lost exchanges"),
            (undecodable, "undecodable bytes"),
            (kernel(|loss| loss.records), "records lost in the kernel"),
            (kernel(|loss| loss.exchanges), "exchanges with them"),
        ] {
            if count > 0 {
                write!(f, ", {count} {what}")?;
            }
        }
        let tls = &node.decoded.tls;
        if tls.read_connections > 0 {
            write!(f, ", {} TLS connections read", tls.read_connections)?;
        }
        if !tls.opaque_connections.is_empty() {
            let reasons =
                tls.opaque_connections.iter().map(|(why, count)| format!("{why} {count}"));
            let (reasons, total) = (
                reasons.collect::<Vec<_>>().join(", "),
                tls.opaque_connections.values().sum::<u64>(),
            );
            write!(f, ", {total} TLS connections not readable ({reasons})")?;
        }
        write!(f, "; {} connections", node.connections.active)?;
        match node.connections.ignored {
            0 => Ok(()),
            ignored => write!(f, ", {ignored} ignored"),
        }
    }
}
