//! From an OTLP request to RRPairs: the clean-up of contract §4.2, and the refusal of
//! whatever is not an RRPair.

use std::fmt;

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use serde_json::{Map, Value};
use weir_rrpair::{
    otlp::{self, DecodedRecord},
    snapshot,
};

/// One RRPair as it arrived, cleaned up.
#[derive(Clone, PartialEq)]
pub struct Pair {
    /// The whole document, keys in the order of arrival.
    pub body: Map<String, Value>,
    /// Time of the record in nanoseconds since the epoch: `timeUnixNano`, or the observed
    /// time when that is 0.
    pub time_ns: u64,
}

/// No captured byte may reach a log through `{:?}`.
impl fmt::Debug for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pair({} keys at {} ns)", self.body.len(), self.time_ns)
    }
}

/// Records of one request that are no RRPairs, by reason.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Rejected {
    /// The body is not a `kvlistValue`: text, a number, or missing.
    pub not_a_map: u64,
    /// `msgType` is not `rrpair`.
    pub wrong_type: u64,
}

impl Rejected {
    /// All of them.
    pub fn total(self) -> u64 {
        self.not_a_map + self.wrong_type
    }
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "not RRPairs: {} with a body that is no kvlist, {} without msgType \"rrpair\"",
            self.not_a_map, self.wrong_type
        )
    }
}

/// The RRPairs of `request` in the order of arrival, and what was refused.
pub fn pairs(request: ExportLogsServiceRequest) -> (Vec<Pair>, Rejected) {
    let decoded = otlp::from_request(request);
    let maps = decoded.records.len();
    let pairs: Vec<Pair> = decoded.records.into_iter().filter_map(pair).collect();
    let wrong_type = (maps - pairs.len()) as u64;
    (pairs, Rejected { not_a_map: decoded.without_map as u64, wrong_type })
}

fn pair(record: DecodedRecord) -> Option<Pair> {
    let DecodedRecord { mut body, time_ns, resource, attributes } = record;
    if body.get("msgType").and_then(Value::as_str) != Some("rrpair") {
        return None;
    }
    snapshot::fill(&mut body, &resource, &attributes);
    Some(Pair { body, time_ns })
}

#[cfg(test)]
#[path = "records/tests.rs"]
mod tests;
