//! `.metadata/snapshot.json` (contract §4.3).

use serde::Serialize;
use serde_json::{Map, Value};

use crate::fields::Uuid;
use crate::time::Timestamp;

/// What a snapshot says about itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Metadata {
    /// Of the snapshot; its directory is `snapshot-<id>`.
    pub id: Uuid,
    /// Start of `name`: `<tool>-<first eight digits of the id>`.
    pub tool: String,
    /// `elasticsearch`, `loki`, `s3`, …
    pub source: String,
    /// Keys of the source, e.g. `esIndex` and `esQuery`.
    pub source_keys: Map<String, Value>,
    pub start: Timestamp,
    pub end: Timestamp,
    /// Records written, repeated uuids counted.
    pub records: u64,
    pub created_at: Timestamp,
    /// Program that wrote it.
    pub created_by: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Wire<'a> {
    id: String,
    name: String,
    source: &'a str,
    analysis_status: &'static str,
    #[serde(flatten)]
    source_keys: &'a Map<String, Value>,
    time_range: Window,
    rrpair_count: u64,
    created_at: String,
    created_by: &'a str,
}

#[derive(Serialize)]
struct Window {
    start: String,
    end: String,
}

impl Metadata {
    /// The file: two spaces of indentation, no final newline.
    pub fn to_json(&self) -> String {
        let id = self.id.to_string();
        let wire = Wire {
            name: format!("{}-{}", self.tool, id.split('-').next().unwrap_or_default()),
            id,
            source: &self.source,
            analysis_status: "none",
            source_keys: &self.source_keys,
            time_range: Window { start: microseconds(self.start), end: microseconds(self.end) },
            rrpair_count: self.records,
            created_at: microseconds(self.created_at),
            created_by: &self.created_by,
        };
        serde_json::to_string_pretty(&wire).expect("plain data with string keys is JSON")
    }

    /// Directory of the records.
    pub fn directory(&self) -> String {
        format!("snapshot-{}", self.id)
    }
}

/// Time with six digits, as the gather scripts write it.
fn microseconds(time: Timestamp) -> String {
    let mut text = time.to_string();
    text.truncate(text.len() - "000Z".len());
    text.push('Z');
    text
}
