//! The ledger that `weir run --report-format json` prints, read as anybody would.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::process::Running;

/// What became of everything that was captured.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ledger {
    /// Exchanges that were reported, half ones included.
    pub pairs: u64,
    /// Of `pairs`, those without one of their messages.
    pub half_pairs: u64,
    /// Exchanges of which too little was seen for a pair, in the kernel's count and in ours.
    pub lost_exchanges: u64,
    pub undecodable_bytes: u64,
    /// Connections that were not decoded any further.
    pub opaque_connections: u64,
    /// Encrypted ones of them, by reason.
    pub tls_opaque: BTreeMap<String, u64>,
    /// Encrypted connections that were read.
    pub tls_read: u64,
    /// Records that an exporter was given, over all exporters.
    pub seen: u64,
    pub exported: u64,
    /// Attempts to deliver that failed.
    pub retries: u64,
    /// Each exporter's records are in exactly one count.
    balanced: bool,
    text: String,
}

impl Ledger {
    /// The last ledger in the output.
    ///
    /// # Errors
    ///
    /// When there is none or a count is missing.
    pub fn read(process: &Running) -> Result<Self> {
        let stdout = process.stdout();
        let line = stdout.lines().rfind(|line| line.starts_with('{') && line.ends_with('}'));
        Self::parse(line.with_context(|| format!("no ledger\n{}", process.output()))?)
    }

    /// Whether every record is in exactly one count.
    #[must_use]
    pub const fn balances(&self) -> bool {
        self.balanced
    }

    fn parse(line: &str) -> Result<Self> {
        let document: Value = serde_json::from_str(line).context("parse the ledger")?;
        let decoded = &document["node"]["decoded"];
        let kernel = document["kernel"].as_object().context("no kernel counts")?;
        let kernel = kernel.values().map(|counter| count(&counter["exchanges"]));
        let mut ledger = Self {
            // A response without its request makes no record, but it is an exchange.
            pairs: count(&decoded["pairs"])? + count(&decoded["responses_only"])?,
            half_pairs: sum(&decoded["half_pairs"])?,
            lost_exchanges: sum(&decoded["lost_exchanges"])? + kernel.sum::<Result<u64>>()?,
            undecodable_bytes: sum(&decoded["undecodable_bytes"])?,
            opaque_connections: sum(&decoded["opaque_connections"])?,
            tls_opaque: by_reason(&decoded["tls"]["opaque_connections"])?,
            tls_read: count(&decoded["tls"]["read_connections"])?,
            balanced: true,
            text: line.to_owned(),
            ..Self::default()
        };
        for exporter in document["exporters"].as_array().context("no exporters")? {
            let counts = &exporter["counts"];
            let seen = count(&counts["seen"])?;
            let exported = count(&counts["exported"])?;
            let mut known = exported + sum(&counts["shed"])? + sum(&counts["refused"])?;
            for key in ["filtered", "queued", "in_flight"] {
                known += count(&counts[key])?;
            }
            ledger.seen += seen;
            ledger.exported += exported;
            // Those that an earlier run saw and left on disk.
            let recovered = counts["recovered"].as_u64().unwrap_or(0);
            ledger.balanced &= seen + recovered == known;
            ledger.retries += count(&exporter["health"]["retries"])?;
        }
        Ok(ledger)
    }
}

fn count(value: &Value) -> Result<u64> {
    value.as_u64().context("a count is missing in the ledger")
}

/// Sum over the reasons of a count.
fn sum(reasons: &Value) -> Result<u64> {
    Ok(by_reason(reasons)?.values().sum())
}

fn by_reason(reasons: &Value) -> Result<BTreeMap<String, u64>> {
    let reasons = reasons.as_object().context("a count by reason is missing")?;
    reasons.iter().map(|(reason, value)| Ok((reason.clone(), count(value)?))).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn document() -> Value {
        json!({
            "node": {"decoded": {
                "pairs": 8, "responses_only": 1, "half_pairs": {"no_response": 2}, "lost_exchanges": {"ring_full": 3},
                "undecodable_bytes": {"tls": 4, "malformed": 5},
                "opaque_connections": {"tls": 2, "http2": 1},
                "tls": {"read_connections": 6, "opaque_connections": {"go": 2}},
            }},
            "exporters": [{
                "counts": {
                    "seen": 9, "filtered": 1, "shed": {"queue_full": 1}, "queued": 1,
                    "in_flight": 1, "exported": 4, "refused": {"invalid": 1},
                },
                "health": {"retries": 7},
            }],
            "kernel": {"ring_full": {"exchanges": 0}, "close_unreported": {"exchanges": 5}},
        })
    }

    #[test]
    fn every_count_is_read() {
        let ledger = Ledger::parse(&document().to_string()).unwrap();
        assert!(ledger.balances());
        assert_eq!((ledger.pairs, ledger.half_pairs, ledger.lost_exchanges), (9, 2, 8));
        assert_eq!((ledger.seen, ledger.exported, ledger.retries), (9, 4, 7));
        assert_eq!(ledger.undecodable_bytes, 9);
        assert_eq!((ledger.opaque_connections, ledger.tls_read), (3, 6));
        assert_eq!(ledger.tls_opaque, [("go".to_owned(), 2)].into());
    }

    #[test]
    fn a_record_in_no_count_or_in_two_is_an_imbalance() {
        for exported in [3, 5] {
            let mut document = document();
            document["exporters"][0]["counts"]["exported"] = json!(exported);
            assert!(!Ledger::parse(&document.to_string()).unwrap().balances());
        }
    }

    #[test]
    fn a_missing_count_is_no_zero() {
        let mut document = document();
        document["node"]["decoded"].as_object_mut().unwrap().remove("lost_exchanges");
        assert!(Ledger::parse(&document.to_string()).is_err());
    }
}
