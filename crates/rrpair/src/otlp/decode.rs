//! Export requests as order-keeping maps.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use prost::Message as _;
use serde_json::{Map, Number, Value};

use super::guard;
use crate::json;
use crate::model::RrPair;

/// Longest request that is decoded; receivers take 4 MiB by default.
pub const MAX_REQUEST_BYTES: usize = 16 * 1024 * 1024;

/// Most messages in a request. A record has some 300 in 4 KiB; each takes about 100 bytes.
pub const MAX_MESSAGES: usize = 1_500_000;

/// A decoded export request.
#[derive(Clone, Debug, Default)]
pub struct Decoded {
    /// Records whose body is a map, in order.
    pub records: Vec<DecodedRecord>,
    /// Records with any other body. No consumer takes those for pairs (contract §2.1).
    pub without_map: usize,
}

/// One log record whose body is a map.
#[derive(Clone, PartialEq)]
pub struct DecodedRecord {
    /// The RRPair document. Whole doubles are integers again.
    pub body: Map<String, Value>,
    /// `timeUnixNano`, else the observed time.
    pub time_ns: u64,
    /// Resource attributes, shared by the records of the resource.
    pub resource: Arc<Map<String, Value>>,
    /// Attributes of the record.
    pub attributes: Map<String, Value>,
}

impl DecodedRecord {
    /// The typed record.
    pub fn record(self) -> Result<RrPair, json::ReadRecord> {
        json::from_map(self.body)
    }
}

impl std::fmt::Debug for DecodedRecord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "DecodedRecord({} keys at {})", self.body.len(), self.time_ns)
    }
}

/// Why a request was not decoded.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum DecodeRequest {
    /// Longer than [`MAX_REQUEST_BYTES`].
    #[error("request of {bytes} bytes is over the limit of {MAX_REQUEST_BYTES}")]
    TooLarge { bytes: usize },
    /// More than [`MAX_MESSAGES`].
    #[error("request of more than {MAX_MESSAGES} values")]
    TooMany,
    /// Not the protobuf bytes of an export request, or nested deeper than prost's limit of
    /// 100 messages.
    #[error("not an OTLP logs request in protobuf")]
    NotProtobuf,
}

/// Reads an `ExportLogsServiceRequest`.
pub fn decode_request(bytes: &[u8]) -> Result<Decoded, DecodeRequest> {
    if bytes.len() > MAX_REQUEST_BYTES {
        return Err(DecodeRequest::TooLarge { bytes: bytes.len() });
    }
    guard::messages(bytes, MAX_MESSAGES).ok_or(DecodeRequest::TooMany)?;
    let request = ExportLogsServiceRequest::decode(bytes).ok().ok_or(DecodeRequest::NotProtobuf)?;
    Ok(from_request(request))
}

/// The maps of a request that a gRPC server has decoded already.
pub fn from_request(request: ExportLogsServiceRequest) -> Decoded {
    let mut decoded = Decoded::default();
    for logs in request.resource_logs {
        let resource = Arc::new(object(logs.resource.unwrap_or_default().attributes));
        for record in logs.scope_logs.into_iter().flat_map(|scope| scope.log_records) {
            match from_log_record(record, &resource) {
                Some(record) => decoded.records.push(record),
                None => decoded.without_map += 1,
            }
        }
    }
    decoded
}

fn from_log_record(record: LogRecord, resource: &Arc<Map<String, Value>>) -> Option<DecodedRecord> {
    let Some(any_value::Value::KvlistValue(body)) = record.body?.value else { return None };
    let time_ns = match record.time_unix_nano {
        0 => record.observed_time_unix_nano,
        time => time,
    };
    Some(DecodedRecord {
        body: object(body.values),
        time_ns,
        resource: Arc::clone(resource),
        attributes: object(record.attributes),
    })
}

/// Contract §2.1: a member without a value is no member.
fn object(entries: Vec<KeyValue>) -> Map<String, Value> {
    let mut map = Map::with_capacity(entries.len());
    for entry in entries {
        if let Some(value) = entry.value.and_then(json_value) {
            map.insert(entry.key, value);
        }
    }
    map
}

fn json_value(any: AnyValue) -> Option<Value> {
    Some(match any.value? {
        any_value::Value::StringValue(text) => Value::String(text),
        any_value::Value::BoolValue(truth) => Value::Bool(truth),
        any_value::Value::IntValue(number) => Value::Number(number.into()),
        any_value::Value::DoubleValue(number) => number_value(number),
        any_value::Value::ArrayValue(array) => Value::Array(
            array
                .values
                .into_iter()
                .map(|any| json_value(any).unwrap_or_else(|| Value::String(String::new())))
                .collect(),
        ),
        any_value::Value::KvlistValue(list) => Value::Object(object(list.values)),
        any_value::Value::BytesValue(bytes) => Value::String(STANDARD.encode(bytes)),
        // Of the profiling signal alone; to be read as absent.
        any_value::Value::StringValueStrindex(_) => return None,
    })
}

/// A whole double is an integer; what JSON cannot say is text, as in proto3 JSON.
fn number_value(number: f64) -> Value {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if number.fract() == 0.0 && number.abs() <= EXACT {
        #[expect(clippy::cast_possible_truncation, reason = "whole and in range: checked above")]
        return Value::Number((number as i64).into());
    }
    Number::from_f64(number).map_or_else(
        || {
            let text = if number.is_nan() {
                "NaN"
            } else if number > 0.0 {
                "Infinity"
            } else {
                "-Infinity"
            };
            Value::String(text.to_owned())
        },
        Value::Number,
    )
}
