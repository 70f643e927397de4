//! The contract's golden files, for tests.

use serde_json::{Map, Value};

macro_rules! contract {
    ($path:literal) => {
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/contract/", $path))
    };
}
macro_rules! snapshot {
    ($path:literal) => {
        include_str!(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../fixtures/contract/golden/snapshot-tree/",
            "snapshot-11111111-2222-4333-8444-555555555555/",
            $path
        ))
    };
}

pub(crate) const SCHEMA: &str = contract!("rrpair.schema.json");
pub(crate) const EXAMPLE: &str = contract!("example-record.json");
pub(crate) const GET_200: &str = contract!("golden/http-get-200.json");
pub(crate) const GET_200_OTLP: &str = contract!("golden/http-get-200.otlp.json");
pub(crate) const POST_503: &str = contract!("golden/http-post-503.json");
pub(crate) const DEL_500: &str = contract!("golden/http-get-del-char-500.json");
pub(crate) const GRPC: &str = contract!("golden/grpc-unary.json");
pub(crate) const POSTGRES: &str = contract!("golden/postgres-query.json");
pub(crate) const BEFORE_DLP: &str = contract!("golden/filter-dlp/before.jsonl");
pub(crate) const AFTER_DLP: &str = contract!("golden/filter-dlp/after.jsonl");

pub(crate) const SNAPSHOT_METADATA: &str =
    contract!("golden/snapshot-tree/.metadata/snapshot.json");

/// Every golden document with one record.
pub(crate) fn documents() -> Vec<&'static str> {
    let mut documents = vec![EXAMPLE, GET_200, POST_503, DEL_500, GRPC, POSTGRES];
    documents.extend(BEFORE_DLP.lines());
    documents.extend(AFTER_DLP.lines());
    documents
}

/// The record that each file of the snapshot was made of, the file's path under the snapshot,
/// its content, and its `instance` in base64.
pub(crate) fn snapshot_files() -> Vec<SnapshotFile> {
    macro_rules! file {
        ($record:expr, $path:literal, $instance:literal) => {
            SnapshotFile {
                record: $record,
                path: $path,
                content: snapshot!($path),
                instance: $instance,
            }
        };
    }
    vec![
        file!(GET_200, "orders-api/3c1f5d6e-8a41-4a0f-9f0e-1b6a2f3e4d01.json", "MA=="),
        file!(GET_200, "orders-api/00000000-0000-0000-0000-000000000000.json", "MQ=="),
        file!(POST_503, "pay.example.net/5a0c2f77-60f2-4d0c-8f39-6f1f2a9c7702.json", "MA=="),
        file!(DEL_500, "rocket-api/e94c83a2-27a0-4b57-8e61-0a5d6b7c8e05.json", "MA=="),
        file!(GRPC, "stock/0d2b9a54-3f1c-4e7e-9e0d-2c6c35b0aa03.json", "MA=="),
        file!(POSTGRES, "unknown-host/b7f6e1a0-1d5e-4a63-8d0a-c1a7e5f6dd04.json", "MA=="),
    ]
}

/// See [`snapshot_files`].
pub(crate) struct SnapshotFile {
    pub(crate) record: &'static str,
    pub(crate) path: &'static str,
    pub(crate) content: &'static str,
    pub(crate) instance: &'static str,
}

impl SnapshotFile {
    /// The record as it was gathered: the second instance differs by its uuid.
    pub(crate) fn gathered(&self) -> Map<String, Value> {
        let mut record = object(self.record);
        if self.path.contains("00000000-0000") {
            record.insert("uuid".to_owned(), Value::from("AAAAAAAAAAAAAAAAAAAAAA=="));
        }
        record
    }
}

/// A document as a map.
pub(crate) fn object(document: &str) -> Map<String, Value> {
    serde_json::from_str(document).unwrap()
}

/// The value with every whole number as an integer: `200` and `200.0` are equal.
pub(crate) fn with_integers(value: Value) -> Value {
    match value {
        Value::Number(number) => match number.as_f64() {
            Some(double) if double.fract() == 0.0 && double.abs() < 1e15 => {
                #[expect(clippy::cast_possible_truncation, reason = "whole and small")]
                let integer = double as i64;
                Value::from(integer)
            }
            _ => Value::Number(number),
        },
        Value::Array(values) => values.into_iter().map(with_integers).collect(),
        Value::Object(map) => {
            map.into_iter().map(|(key, value)| (key, with_integers(value))).collect()
        }
        other => other,
    }
}
