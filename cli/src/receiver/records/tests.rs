use opentelemetry_proto::tonic::{
    common::v1::{AnyValue, ArrayValue, KeyValue, KeyValueList, any_value},
    logs::v1::{LogRecord, ResourceLogs, ScopeLogs},
    resource::v1::Resource,
};
use proptest::prelude::*;
use serde_json::json;

use super::*;

fn otlp(value: any_value::Value) -> AnyValue {
    AnyValue { value: Some(value) }
}

fn text(text: &str) -> AnyValue {
    otlp(any_value::Value::StringValue(text.to_owned()))
}

fn entry(key: &str, value: AnyValue) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(value), ..KeyValue::default() }
}

fn map(entries: Vec<KeyValue>) -> AnyValue {
    otlp(any_value::Value::KvlistValue(KeyValueList { values: entries }))
}

fn record(body: Option<AnyValue>) -> LogRecord {
    LogRecord { body, ..LogRecord::default() }
}

fn request(cluster: Option<&str>, records: Vec<LogRecord>) -> ExportLogsServiceRequest {
    let attributes = cluster.map(|cluster| entry("cluster", text(cluster))).into_iter().collect();
    ExportLogsServiceRequest {
        resource_logs: vec![ResourceLogs {
            resource: Some(Resource { attributes, ..Resource::default() }),
            scope_logs: vec![ScopeLogs { log_records: records, ..ScopeLogs::default() }],
            ..ResourceLogs::default()
        }],
    }
}

fn body_of(record: LogRecord, cluster: Option<&str>) -> Value {
    let (mut found, rejected) = pairs(request(cluster, vec![record]));
    assert_eq!(rejected, Rejected::default());
    Value::Object(found.remove(0).body)
}

fn rrpair(mut entries: Vec<KeyValue>) -> LogRecord {
    entries.insert(0, entry("msgType", text("rrpair")));
    record(Some(map(entries)))
}

#[test]
fn every_kind_of_value_becomes_its_json() {
    let array = any_value::Value::ArrayValue(ArrayValue {
        values: vec![text("a"), otlp(any_value::Value::BoolValue(true)), AnyValue::default()],
    });
    let body = body_of(
        rrpair(vec![
            entry("status", text("200")),
            entry("duration", otlp(any_value::Value::DoubleValue(12.0))),
            entry("share", otlp(any_value::Value::DoubleValue(0.5))),
            entry("port", otlp(any_value::Value::IntValue(-7))),
            entry("bytes", otlp(any_value::Value::BytesValue(vec![0, 255]))),
            entry("array", otlp(array)),
            entry("empty", map(Vec::new())),
        ]),
        None,
    );
    let expected = json!({
        "msgType": "rrpair", "status": "200", "duration": 12, "share": 0.5, "port": -7,
        "bytes": "AP8=", "array": ["a", true, ""], "empty": {},
    });
    assert_eq!(body.to_string(), expected.to_string()); // as text: the order counts
}

#[test]
fn what_is_no_rrpair_is_counted_by_reason() {
    let records = vec![
        record(None),
        record(Some(text("{\"msgType\":\"rrpair\"}"))),
        record(Some(map(vec![entry("msgType", text("access"))]))),
        record(Some(map(Vec::new()))),
        record(Some(map(vec![entry("msgType", otlp(any_value::Value::BoolValue(true)))]))),
        rrpair(Vec::new()),
    ];
    let (found, rejected) = pairs(request(None, records));
    assert_eq!(found.len(), 1);
    assert_eq!(rejected, Rejected { not_a_map: 2, wrong_type: 3 });
    assert_eq!(rejected.total(), 5);
}

#[test]
fn the_cluster_is_filled_in_only_where_the_body_does_not_say() {
    for unknown in ["undefined", ""] {
        let body = body_of(rrpair(vec![entry("cluster", text(unknown))]), Some("dev-east"));
        assert_eq!(body["cluster"], "dev-east");
    }
    assert_eq!(body_of(rrpair(Vec::new()), Some("dev-east"))["cluster"], "dev-east");
    let own = body_of(rrpair(vec![entry("cluster", text("prod"))]), Some("dev-east"));
    assert_eq!(own["cluster"], "prod");
    assert_eq!(body_of(rrpair(Vec::new()), None).get("cluster"), None);
}

#[test]
fn the_namespace_comes_from_the_records_attribute() {
    let mut record = rrpair(vec![entry("namespace", text("undefined"))]);
    record.attributes = vec![entry("namespace", text("shop"))];
    assert_eq!(body_of(record, None)["namespace"], "shop");
}

#[test]
fn the_observed_time_stands_in_for_a_missing_one() {
    let times = |time_unix_nano, observed_time_unix_nano| {
        let record = LogRecord { time_unix_nano, observed_time_unix_nano, ..rrpair(Vec::new()) };
        pairs(request(None, vec![record])).0[0].time_ns
    };
    assert_eq!(times(5, 9), 5);
    assert_eq!(times(0, 9), 9);
}

#[test]
fn debug_output_holds_no_captured_byte() {
    let (found, _) = pairs(request(None, vec![rrpair(vec![entry("session", text("canary"))])]));
    assert!(!format!("{found:?}").contains("canary"));
}

proptest! {
    #[test]
    fn texts_survive_with_every_character(value in any::<String>()) {
        let body = body_of(rrpair(vec![entry("location", text(&value))]), None);
        prop_assert_eq!(body["location"].as_str(), Some(value.as_str()));
    }
}
