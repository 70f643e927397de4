use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, KeyValue, KeyValueList, any_value,
};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use proptest::prelude::*;
use prost::Message as _;
use serde_json::{Value, json};

use super::*;
use crate::golden::{self, with_integers};
use crate::{Redacted, RrPair, arbitrary, json as documents};

fn encode(record: &RrPair) -> Vec<u8> {
    let mut bytes = Vec::new();
    let redacted = Redacted::attest(record.clone());
    encode_log_record(&redacted, 1_788_257_730_012_250_417, &mut bytes);
    bytes
}

fn request(resource: &Resource, records: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = b"before".to_vec();
    encode_request(resource, records.iter().map(Vec::as_slice), &mut bytes);
    bytes.split_off(6)
}

/// OTLP/JSON of a value; panics on what may never be sent (contract §2.1).
fn value_json(any: &AnyValue) -> Value {
    use any_value::Value as Any;
    match any.value.as_ref().unwrap() {
        Any::StringValue(text) => json!({"stringValue": text}),
        Any::BoolValue(truth) => json!({"boolValue": truth}),
        Any::DoubleValue(number) => json!({"doubleValue": number}),
        Any::ArrayValue(array) => {
            json!({"arrayValue": {"values": array.values.iter().map(value_json).collect::<Vec<_>>()}})
        }
        Any::KvlistValue(list) => json!({"kvlistValue": {"values": entries_json(&list.values)}}),
        other => panic!("{other:?}"),
    }
}

fn entries_json(entries: &[KeyValue]) -> Value {
    entries
        .iter()
        .map(|entry| json!({"key": entry.key, "value": value_json(entry.value.as_ref().unwrap())}))
        .collect()
}

fn request_json(bytes: &[u8]) -> Value {
    let request = ExportLogsServiceRequest::decode(bytes).unwrap();
    let [logs] = request.resource_logs.as_slice() else { panic!() };
    let [scope_logs] = logs.scope_logs.as_slice() else { panic!() };
    let scope = scope_logs.scope.as_ref().unwrap();
    let records: Value = scope_logs.log_records.iter().map(record_json).collect();
    json!({"resourceLogs": [{
        "resource": {"attributes": entries_json(&logs.resource.as_ref().unwrap().attributes)},
        "scopeLogs": [{"scope": {"name": scope.name, "version": scope.version}, "logRecords": records}],
    }]})
}

fn record_json(record: &LogRecord) -> Value {
    assert!(record.trace_id.is_empty() && record.span_id.is_empty() && record.flags == 0);
    json!({
        "timeUnixNano": record.time_unix_nano.to_string(),
        "observedTimeUnixNano": record.observed_time_unix_nano.to_string(),
        "severityNumber": record.severity_number,
        "severityText": record.severity_text,
        "body": value_json(record.body.as_ref().unwrap()),
        "attributes": entries_json(&record.attributes),
    })
}

#[test]
fn golden_request_is_encoded_as_the_contract_shows_it() {
    let record = documents::from_slice(golden::GET_200.as_bytes()).unwrap();
    let resource = Resource {
        cluster: "dev-east".to_owned(),
        attributes: vec![("service.name".into(), "rrpair-forwarder".to_owned())],
    };
    let bytes = request(&resource, &[encode(&record)]);
    let expect: Value = serde_json::from_str(golden::GET_200_OTLP).unwrap();
    assert_eq!(with_integers(request_json(&bytes)), with_integers(expect));
}

#[test]
fn every_golden_record_comes_back_from_otlp() {
    let records: Vec<_> = golden::documents()
        .iter()
        .map(|document| documents::from_slice(document.as_bytes()).unwrap())
        .collect();
    let encoded: Vec<_> = records.iter().map(encode).collect();
    let decoded = decode_request(&request(&Resource::new("dev-east"), &encoded)).unwrap();
    assert_eq!((decoded.records.len(), decoded.without_map), (records.len(), 0));
    for ((decoded, record), document) in
        decoded.records.into_iter().zip(records).zip(golden::documents())
    {
        assert_eq!(decoded.time_ns, record.ts.as_nanoseconds());
        assert_eq!(decoded.resource.get("cluster"), Some(&json!("dev-east")));
        assert_eq!(decoded.attributes.get("service"), Some(&json!(record.service)));
        let expect = with_integers(Value::Object(golden::object(document)));
        assert_eq!(with_integers(Value::Object(decoded.body.clone())), expect);
        assert_eq!(
            with_integers(Value::Object(documents::to_map(&decoded.record().unwrap()))),
            expect
        );
    }
}

#[test]
fn lengths_are_as_short_as_prost_writes_them() {
    for document in golden::documents() {
        let bytes = encode(&documents::from_slice(document.as_bytes()).unwrap());
        assert_eq!(LogRecord::decode(bytes.as_slice()).unwrap().encoded_len(), bytes.len());
    }
}

#[test]
fn duration_zero_is_sent() {
    let bytes = request(&Resource::new("c"), &[encode(&RrPair::default())]);
    let decoded = decode_request(&bytes).unwrap();
    assert_eq!(decoded.records[0].body.get("duration"), Some(&json!(0)));
}

#[test]
fn token_list_is_not_sent() {
    let mut record = RrPair::default();
    record.extra.insert("tokenList".to_owned(), json!({"JWT:canary": {}}));
    record.extra.insert("alpn".to_owned(), json!("h2"));
    let bytes = encode(&record);
    assert!(!bytes.windows(6).any(|window| window == b"canary"));
    assert!(bytes.windows(2).any(|window| window == b"h2"));
}

#[test]
fn null_members_are_left_out_and_null_elements_are_empty_strings() {
    let mut record = RrPair::default();
    record.extra.insert("x".to_owned(), json!({"gone": null, "list": [null, 1]}));
    let decoded = decode_request(&request(&Resource::new("c"), &[encode(&record)])).unwrap();
    assert_eq!(decoded.records[0].body.get("x"), Some(&json!({"list": ["", 1]})));
}

#[test]
fn lengths_around_every_varint_border_are_right() {
    for length in (100..140).chain(16_200..16_400).chain([2_097_100, 2_097_152, 2_097_200]) {
        let mut record = RrPair::default();
        record.extra.insert("x".to_owned(), json!({"y": "z".repeat(length)}));
        let encoded = encode(&record);
        let decoded = decode_request(&request(&Resource::new("c"), &[encoded])).unwrap();
        assert!(decoded.records.into_iter().next().unwrap().record() == Ok(record), "{length}");
    }
}

#[test]
fn overhead_is_an_upper_bound() {
    let resource = Resource::new("c".repeat(300));
    for count in [0, 1, 3] {
        let records = vec![encode(&RrPair::default()); count];
        let records_bytes: usize = records.iter().map(|record| record_bytes(record.len())).sum();
        let bytes = request(&resource, &records).len();
        assert!(bytes <= records_bytes + resource.overhead_bytes(), "{bytes}");
        assert!(bytes >= records_bytes);
    }
}

#[expect(clippy::unnecessary_wraps, reason = "every place takes an option")]
fn some(value: any_value::Value) -> Option<AnyValue> {
    Some(AnyValue { value: Some(value) })
}

fn entry(key: &str, value: Option<AnyValue>) -> KeyValue {
    KeyValue { key: key.to_owned(), value, ..KeyValue::default() }
}

fn decode_body(body: Option<AnyValue>) -> Decoded {
    let record = LogRecord { body, observed_time_unix_nano: 7, ..LogRecord::default() };
    let scope_logs = vec![ScopeLogs { log_records: vec![record], ..ScopeLogs::default() }];
    let resource_logs = vec![ResourceLogs { scope_logs, ..ResourceLogs::default() }];
    decode_request(&ExportLogsServiceRequest { resource_logs }.encode_to_vec()).unwrap()
}

#[test]
fn what_other_producers_send_is_tolerated() {
    use any_value::Value as Any;
    let values = vec![
        entry("int", some(Any::IntValue(-200))),
        entry("whole", some(Any::DoubleValue(39750.0))),
        entry("part", some(Any::DoubleValue(0.5))),
        entry("nan", some(Any::DoubleValue(f64::NAN))),
        entry("bytes", some(Any::BytesValue(vec![255, 0]))),
        entry("empty", Some(AnyValue { value: None })),
        entry("none", None),
        entry("list", some(Any::ArrayValue(ArrayValue { values: vec![AnyValue { value: None }] }))),
    ];
    let decoded = decode_body(some(Any::KvlistValue(KeyValueList { values })));
    let expect = json!({"int": -200, "whole": 39750, "part": 0.5, "nan": "NaN", "bytes": "/wA=", "list": [""]});
    assert_eq!(Value::Object(decoded.records[0].body.clone()), expect);
    assert_eq!(decoded.records[0].time_ns, 7);
}

#[test]
fn bodies_that_are_no_map_are_counted() {
    for body in [some(any_value::Value::StringValue("{}".to_owned())), None] {
        let decoded = decode_body(body);
        assert_eq!((decoded.records.len(), decoded.without_map), (0, 1));
    }
}

/// A request whose body nests so many arrays.
fn nested(arrays: usize) -> Vec<u8> {
    let wrap = |tag: u8, content: &[u8]| {
        let mut bytes = vec![tag];
        wire::put_varint(&mut bytes, content.len());
        bytes.extend_from_slice(content);
        bytes
    };
    let mut value = Vec::new();
    for _ in 0..arrays {
        value = wrap(0x2a, &wrap(0x0a, &value));
    }
    let body = wrap(0x32, &wrap(0x0a, &[wrap(0x0a, b"x"), wrap(0x12, &value)].concat()));
    let record = wrap(0x2a, &body);
    wrap(0x0a, &wrap(0x12, &wrap(0x12, &record)))
}

#[test]
fn a_request_that_is_too_deep_is_refused() {
    let decoded = decode_request(&nested(30)).unwrap();
    assert_eq!(decoded.records[0].body.get("x").unwrap().to_string().len(), 62);
    for arrays in [60, 5_000] {
        assert_eq!(decode_request(&nested(arrays)).unwrap_err(), DecodeRequest::NotProtobuf);
    }
}

#[test]
fn a_request_that_is_too_long_is_refused() {
    let long = vec![0; MAX_REQUEST_BYTES + 1];
    assert_eq!(decode_request(&long).unwrap_err(), DecodeRequest::TooLarge { bytes: long.len() });
}

#[test]
fn every_byte_value_survives_in_body_header_query_and_signature() {
    let all: Vec<u8> = (0..=255).collect();
    let mut record = documents::from_slice(golden::POST_503.as_bytes()).unwrap();
    let http = record.http.as_mut().unwrap();
    http.req.body = crate::Body(all.clone());
    for byte in 0..=255 {
        let (value, exact) = crate::text::lossless(&[byte]);
        assert_eq!(exact, byte < 0x80);
        http.req.headers.push("X-Byte", value.clone());
        http.req.query_params.push(format!("q{byte}"), value);
    }
    record.signature = Some(crate::Signature(vec![("http:url".into(), all)]));
    let decoded = decode_request(&request(&Resource::new("c"), &[encode(&record)])).unwrap();
    let file = documents::object_to_compact_ascii(&decoded.records[0].body);
    assert!(documents::from_slice(file.as_bytes()) == Ok(record));
}

#[test]
fn messages_are_counted_before_they_are_decoded() {
    assert_eq!(guard::messages(&nested(3), 100), Some(14));
    assert_eq!(guard::messages(&nested(3), 14), Some(14));
    assert_eq!(guard::messages(&nested(3), 13), None);
    assert_eq!(guard::messages(b"", 1), Some(1));
    // Attributes of two bytes each.
    let attributes = b"\x32\x00".repeat(MAX_MESSAGES);
    let mut bytes = Vec::new();
    encode_request(&Resource::new("c"), [attributes.as_slice()].into_iter(), &mut bytes);
    assert_eq!(decode_request(&bytes).unwrap_err(), DecodeRequest::TooMany);
}

proptest! {
    #[test]
    fn any_record_comes_back_from_otlp(record in arbitrary::record()) {
        let bytes = request(&Resource::new("c"), &[encode(&record)]);
        let decoded = decode_request(&bytes).unwrap().records.remove(0);
        prop_assert_eq!(decoded.time_ns, record.ts.as_nanoseconds());
        // Same members in the same order as in JSON.
        let expect = documents::object_to_compact_ascii(&documents::to_map(&record));
        prop_assert_eq!(documents::object_to_compact_ascii(&decoded.body), expect);
        prop_assert!(decoded.record() == Ok(record));
    }

    #[test]
    fn any_bytes_are_decoded_or_refused(bytes: Vec<u8>) {
        if let Ok(decoded) = decode_request(&bytes) {
            prop_assert!(decoded.records.len() + decoded.without_map <= bytes.len());
        }
    }

    #[test]
    fn damaged_requests_are_decoded_or_refused(
        record in arbitrary::record(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let mut bytes = request(&Resource::new("c"), &[encode(&record)]);
        for (index, byte) in damage {
            let index = index.index(bytes.len());
            bytes[index] = byte;
        }
        if let Ok(decoded) = decode_request(&bytes) {
            prop_assert!(decoded.records.len() + decoded.without_map <= bytes.len());
        }
    }
}
