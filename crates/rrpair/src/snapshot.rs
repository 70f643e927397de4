//! Snapshot directories as every gather writes them (contract §4.2–4.4): names and
//! clean-up as pure functions over documents.

pub mod instance;
mod metadata;

#[cfg(test)]
mod tests;

use serde_json::{Map, Value};

use crate::fields::Uuid;

pub use metadata::Metadata;

/// Directory of records without a host: all that are not HTTP.
pub const UNKNOWN_HOST: &str = "unknown-host";

/// File systems take names of 255 bytes.
const MAX_NAME_BYTES: usize = 200;

/// Fills `cluster` from the resource's attribute and `namespace` from the record's, where the
/// document has none, an empty one, or the literal `undefined` (contract §4.2).
pub fn fill(
    document: &mut Map<String, Value>,
    resource: &Map<String, Value>,
    attributes: &Map<String, Value>,
) {
    for (key, source) in [("cluster", resource), ("namespace", attributes)] {
        let present = document.get(key).and_then(Value::as_str).unwrap_or_default();
        if matches!(present, "" | "undefined")
            && let Some(Value::String(value)) = source.get(key)
        {
            document.insert(key.to_owned(), Value::String(value.clone()));
        }
    }
}

/// Removes what object stores' shippers add: `__internal__` and `@timestamp`.
pub fn drop_store_keys(document: &mut Map<String, Value>) {
    document.shift_remove("__internal__");
    document.shift_remove("@timestamp");
}

/// Directory of a record: `http.req.host` with every character outside `[A-Za-z0-9._-]`
/// replaced by `_`, or [`UNKNOWN_HOST`]. Beyond the contract, `.` and `..` cannot lead out of
/// the snapshot (they become `_` and `__`), and a name ends after 200 characters.
pub fn host_directory(document: &Map<String, Value>) -> String {
    let host = document
        .get("http")
        .and_then(|http| http.get("req"))
        .and_then(|request| request.get("host"))
        .and_then(Value::as_str)
        .unwrap_or_default();
    match host {
        "" => UNKNOWN_HOST.to_owned(),
        "." | ".." => "_".repeat(host.len()),
        host => host.chars().take(MAX_NAME_BYTES).map(safe).collect(),
    }
}

const fn safe(character: char) -> char {
    match character {
        'A'..='Z' | 'a'..='z' | '0'..='9' | '.' | '_' | '-' => character,
        _ => '_',
    }
}

/// File of a record: `<uuid>.json`, hyphenated; `random` gives one where the document's
/// `uuid` is not the base64 of 16 bytes.
pub fn file_name(document: &Map<String, Value>, random: impl FnOnce() -> Uuid) -> String {
    format!("{}.json", uuid(document).unwrap_or_else(random))
}

/// The document's `uuid`, when it is the base64 of 16 bytes.
pub fn uuid(document: &Map<String, Value>) -> Option<Uuid> {
    let bytes = crate::fields::decode(document.get("uuid")?.as_str()?)?;
    bytes.try_into().ok().map(Uuid)
}
