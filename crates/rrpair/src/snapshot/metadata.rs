//! `.metadata/snapshot.json` (contract §4.3).

use serde_json::{Map, Value, json};

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

impl Metadata {
    /// The file: two spaces of indentation, no final newline.
    pub fn to_json(&self) -> String {
        let id = self.id.to_string();
        let name = format!("{}-{}", self.tool, id.split('-').next().unwrap_or_default());
        let mut file = Map::new();
        let mut put = |key: &str, value: Value| file.insert(key.to_owned(), value);
        put("id", id.into());
        put("name", name.into());
        put("source", self.source.as_str().into());
        put("analysisStatus", "none".into());
        for (key, value) in &self.source_keys {
            put(key, value.clone());
        }
        let (start, end) = (microseconds(self.start), microseconds(self.end));
        put("timeRange", json!({"start": start, "end": end}));
        put("rrpairCount", self.records.into());
        put("createdAt", microseconds(self.created_at).into());
        put("createdBy", self.created_by.as_str().into());
        format!("{:#}", Value::Object(file))
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
