//! Reads a snapshot folder as `weir collect` writes it: one JSON file per request/response pair.
//!
//! It shares no code with Weir, so that an error there cannot hide itself here.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::exchange::{Bytes, HOP_HEADER, ID_HEADER};

/// Which side of a call the captured service was on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    In,
    Out,
}

impl std::fmt::Display for Direction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::In => "IN",
            Self::Out => "OUT",
        })
    }
}

/// One captured pair, as far as the demo looks at it.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    pub file: PathBuf,
    pub service: String,
    pub direction: Direction,
    /// Value of the id header; empty when the pair has none.
    pub id: String,
    /// Value of the hop header.
    pub hop: Option<u32>,
    pub method: String,
    /// Request target as on the wire.
    pub target: String,
    /// Decoded query parameters in the order sent.
    pub query: Vec<(Vec<u8>, Vec<u8>)>,
    pub request_body: Bytes,
    /// `status` of the pair: text, empty when there was no response.
    pub status: String,
    pub response_body: Bytes,
    /// Whole milliseconds from request to response.
    pub duration_ms: f64,
}

/// Reads every pair below `folder`.
///
/// # Errors
///
/// When a folder or file cannot be read, or a file is not a pair of HTTP messages.
pub fn read(folder: &Path) -> anyhow::Result<Vec<Record>> {
    let mut records = Vec::new();
    for host in folders(folder)?.iter().filter(|path| named(path, "snapshot-")) {
        for files in folders(host)? {
            for entry in fs::read_dir(&files).with_context(|| display("list", &files))? {
                let path = entry.with_context(|| display("list", &files))?.path();
                let text = fs::read(&path).with_context(|| display("read", &path))?;
                let value =
                    serde_json::from_slice(&text).with_context(|| display("decode", &path))?;
                records.push(record(&path, &value).with_context(|| display("understand", &path))?);
            }
        }
    }
    Ok(records)
}

fn display(verb: &str, path: &Path) -> String {
    format!("{verb} {}", path.display())
}

fn named(path: &Path, prefix: &str) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(prefix))
}

fn folders(of: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(of).with_context(|| display("list", of))?;
    Ok(entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()).collect())
}

fn record(file: &Path, pair: &Value) -> anyhow::Result<Record> {
    let request = &pair["http"]["req"];
    anyhow::ensure!(request.is_object(), "no http.req");
    let direction = match pair["direction"].as_str() {
        Some("IN") => Direction::In,
        Some("OUT") => Direction::Out,
        _ => anyhow::bail!("direction is neither IN nor OUT"),
    };
    let text = |value: &Value, what: &str| {
        value.as_str().map(str::to_owned).with_context(|| format!("no text in {what}"))
    };
    let target = text(&request["uri"], "http.req.uri")?;
    Ok(Record {
        file: file.to_owned(),
        service: text(&pair["service"], "service")?,
        direction,
        id: header(request, ID_HEADER).unwrap_or_default(),
        hop: header(request, HOP_HEADER).and_then(|hop| hop.parse().ok()),
        method: text(&pair["command"], "command")?,
        query: query(&target),
        target,
        request_body: body(request)?,
        status: pair["status"].as_str().unwrap_or_default().to_owned(),
        response_body: body(&pair["http"]["res"])?,
        duration_ms: pair["duration"].as_f64().unwrap_or_default(),
    })
}

/// The only value of a header; `None` when it is missing or repeated.
fn header(message: &Value, name: &str) -> Option<String> {
    let headers = message["headers"].as_object()?;
    let (_, values) = headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name))?;
    match values.as_array()?.as_slice() {
        [value] => value.as_str().map(str::to_owned),
        _ => None,
    }
}

/// Decoded from the target: `queryParams` is optional in a record, and text.
fn query(target: &str) -> Vec<(Vec<u8>, Vec<u8>)> {
    let decoded = |text| percent_encoding::percent_decode_str(text).collect();
    let (_, query) = target.split_once('?').unwrap_or_default();
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (decoded(name), decoded(value)))
        .collect()
}

fn body(message: &Value) -> anyhow::Result<Bytes> {
    let Some(text) = message["bodyBase64"].as_str() else { return Ok(Bytes::default()) };
    STANDARD.decode(text).map(Bytes).context("decode bodyBase64")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pair() -> Value {
        json!({
            "msgType": "rrpair", "service": "gateway", "direction": "IN", "command": "GET",
            "status": "500", "duration": 3.0,
            "http": {
                "req": {
                    "uri": "/api/rocket?id=x%7F&bare&z=%ff",
                    "headers": {"X-Request-Id": ["req-1"], "X-Hop": ["0"], "Host": ["a"]},
                },
                "res": {"statusCode": 500.0, "bodyBase64": "AH/+"},
            },
        })
    }

    #[test]
    fn a_pair_is_read_from_where_the_collector_puts_it() {
        let folder = tempfile::tempdir().unwrap();
        let host = folder.path().join("snapshot-1/127.0.0.1_18080");
        fs::create_dir_all(&host).unwrap();
        fs::create_dir_all(folder.path().join(".metadata")).unwrap();
        fs::write(folder.path().join(".metadata/snapshot.json"), "{}").unwrap();
        fs::write(host.join("a.json"), pair().to_string()).unwrap();
        let records = read(folder.path()).unwrap();
        let [record] = records.as_slice() else { unreachable!("one file") };
        assert_eq!((record.id.as_str(), record.hop), ("req-1", Some(0)));
        assert_eq!(record.direction, Direction::In);
        let query: Vec<(&[u8], &[u8])> =
            record.query.iter().map(|(name, value)| (&name[..], &value[..])).collect();
        assert_eq!(query, [(&b"id"[..], &b"x\x7f"[..]), (b"bare", b""), (b"z", b"\xff")]);
        assert_eq!(record.response_body.0, [0, 0x7f, 0xfe]);
        assert!(record.request_body.0.is_empty());
    }

    #[test]
    fn a_file_that_is_not_a_pair_is_an_error() {
        let mut lacking = pair();
        lacking["direction"] = json!("in");
        assert!(record(Path::new("a"), &lacking).is_err());
        let mut lacking = pair();
        lacking["http"]["res"]["bodyBase64"] = json!("!");
        assert!(record(Path::new("a"), &lacking).is_err());
        assert!(record(Path::new("a"), &json!({})).is_err());
    }

    #[test]
    fn a_repeated_id_header_identifies_nothing() {
        let mut twice = pair();
        twice["http"]["req"]["headers"]["X-Request-Id"] = json!(["req-1", "req-2"]);
        assert_eq!(record(Path::new("a"), &twice).unwrap().id, "");
    }
}
