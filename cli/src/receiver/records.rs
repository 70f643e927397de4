//! From an OTLP request to RRPairs: OTLP values to JSON (contract §2.1), the clean-up of
//! §4.2, and the refusal of whatever is not an RRPair.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use opentelemetry_proto::tonic::{
    collector::logs::v1::ExportLogsServiceRequest,
    common::v1::{AnyValue, KeyValue, any_value},
    logs::v1::LogRecord,
};
use serde_json::{Map, Number, Value};

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
    let mut pairs = Vec::new();
    let mut rejected = Rejected::default();
    for resource_logs in request.resource_logs {
        let resource = resource_logs.resource.unwrap_or_default();
        let cluster = attribute(&resource.attributes, "cluster");
        for record in resource_logs.scope_logs.into_iter().flat_map(|scope| scope.log_records) {
            match pair(record, cluster) {
                Ok(pair) => pairs.push(pair),
                Err(Refusal::NotAMap) => rejected.not_a_map += 1,
                Err(Refusal::WrongType) => rejected.wrong_type += 1,
            }
        }
    }
    (pairs, rejected)
}

enum Refusal {
    NotAMap,
    WrongType,
}

fn pair(record: LogRecord, cluster: Option<&str>) -> Result<Pair, Refusal> {
    let Some(Value::Object(mut body)) = record.body.map(json) else {
        return Err(Refusal::NotAMap);
    };
    if body.get("msgType").and_then(Value::as_str) != Some("rrpair") {
        return Err(Refusal::WrongType);
    }
    back_fill(&mut body, "cluster", cluster);
    back_fill(&mut body, "namespace", attribute(&record.attributes, "namespace"));
    let time_ns = match record.time_unix_nano {
        0 => record.observed_time_unix_nano,
        time_ns => time_ns,
    };
    Ok(Pair { body, time_ns })
}

/// Fills `key` from beside the body when the body does not say (contract §4.2).
fn back_fill(body: &mut Map<String, Value>, key: &str, value: Option<&str>) {
    let known = body
        .get(key)
        .and_then(Value::as_str)
        .is_some_and(|text| !text.is_empty() && text != "undefined");
    if let Some(value) = value.filter(|_| !known) {
        body.insert(key.to_owned(), value.into());
    }
}

fn attribute<'a>(attributes: &'a [KeyValue], key: &str) -> Option<&'a str> {
    let value = attributes.iter().find(|attribute| attribute.key == key)?.value.as_ref()?;
    match value.value.as_ref()? {
        any_value::Value::StringValue(text) => Some(text),
        _ => None,
    }
}

/// The JSON form of an OTLP value. Recursion is bounded by the decoder (100 levels for
/// protobuf, 128 for JSON).
fn json(value: AnyValue) -> Value {
    match value.value {
        Some(any_value::Value::StringValue(text)) => Value::String(text),
        Some(any_value::Value::BoolValue(flag)) => Value::Bool(flag),
        Some(any_value::Value::IntValue(number)) => number.into(),
        Some(any_value::Value::DoubleValue(number)) => double(number),
        Some(any_value::Value::ArrayValue(array)) => {
            Value::Array(array.values.into_iter().map(json).collect())
        }
        Some(any_value::Value::KvlistValue(list)) => Value::Object(
            list.values
                .into_iter()
                .map(|entry| (entry.key, entry.value.map_or(Value::Null, json)))
                .collect(),
        ),
        // No RRPair has one (contract §2.1), but a foreign producer's bytes are kept.
        Some(any_value::Value::BytesValue(bytes)) => Value::String(STANDARD.encode(bytes)),
        // The second is for the profiling signal only.
        None | Some(any_value::Value::StringValueStrindex(_)) => Value::Null,
    }
}

/// `200.0` is the integer 200 on its way through OTLP (contract §2.1).
fn double(number: f64) -> Value {
    const EXACT: f64 = 9_007_199_254_740_992.0; // 2^53: up to here every integer has its own double
    if number.fract() == 0.0 && number.abs() <= EXACT {
        #[expect(clippy::cast_possible_truncation, reason = "whole and within ±2^53")]
        let whole = number as i64;
        whole.into()
    } else {
        Number::from_f64(number).map_or(Value::Null, Value::Number)
    }
}

#[cfg(test)]
#[path = "records/tests.rs"]
mod tests;
