//! What collectors write to files and buckets: lines of OTLP/JSON requests, or the records
//! themselves as older shippers wrote them (contract §2.3); plain or gzip.

use std::io::{self, BufRead, BufReader, Read};

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use serde_json::{Map, Value};
use weir_rrpair::{Timestamp, snapshot};

use crate::receiver::{Pair, pairs};

/// Longest line; a collector's requests are a few MiB.
const MAX_LINE_BYTES: u64 = 256 << 20;

/// Why an object cannot be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadObject {
    #[error("cannot be read")]
    Io(#[source] io::Error),
    #[error("line {0} is longer than {mib} MiB", mib = MAX_LINE_BYTES >> 20)]
    LongLine(u64),
    /// Only the place: the text may hold captured bytes.
    #[error("line {0} is no JSON")]
    NotJson(u64),
}

/// Documents of an object that are no RRPairs.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Leftover {
    pub(super) foreign: u64,
    /// The last line ends within a document: it is still being written, or was cut off.
    pub(super) cut: bool,
}

/// Gives the records of an object, line by line, to `take`; that one says whether to go on.
pub(super) fn read(
    object: impl Read,
    mut take: impl FnMut(Vec<Pair>) -> bool,
) -> Result<Leftover, ReadObject> {
    let mut object = BufReader::new(object);
    if object.fill_buf().map_err(ReadObject::Io)?.starts_with(&[0x1f, 0x8b]) {
        return lines(BufReader::new(flate2::bufread::MultiGzDecoder::new(object)), &mut take);
    }
    lines(object, &mut take)
}

fn lines(
    mut object: impl BufRead,
    take: &mut impl FnMut(Vec<Pair>) -> bool,
) -> Result<Leftover, ReadObject> {
    let mut leftover = Leftover::default();
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        let read = object.by_ref().take(MAX_LINE_BYTES).read_until(b'\n', &mut line);
        match read.map_err(ReadObject::Io)? {
            0 => break,
            bytes if bytes as u64 == MAX_LINE_BYTES => return Err(ReadObject::LongLine(number)),
            _ => {}
        }
        let whole = line.ends_with(b"\n");
        if line.trim_ascii().is_empty() {
            continue;
        }
        match serde_json::from_slice(&line) {
            Ok(document) => {
                let (found, foreign) = records(document);
                leftover.foreign += foreign;
                if !take(found) {
                    break;
                }
            }
            Err(error) if error.is_eof() && !whole => leftover.cut = true,
            Err(_) => return Err(ReadObject::NotJson(number)),
        }
    }
    Ok(leftover)
}

/// The records of one document, and how many others it holds.
fn records(document: Value) -> (Vec<Pair>, u64) {
    if document.get("resourceLogs").is_some() {
        return match serde_json::from_value::<ExportLogsServiceRequest>(document) {
            Ok(request) => {
                let (found, rejected) = pairs(request);
                (found, rejected.total())
            }
            Err(_) => (Vec::new(), 1),
        };
    }
    match document {
        Value::Object(body) if body.get("msgType").and_then(Value::as_str) == Some("rrpair") => {
            (vec![shipped(body)], 0)
        }
        _ => (Vec::new(), 1),
    }
}

/// A record as Fluent Bit shipped it: at the top level, with `@timestamp` and `__internal__`.
fn shipped(mut body: Map<String, Value>) -> Pair {
    let internal = body.get("__internal__");
    let at = |path: &str| internal.and_then(|internal| internal.pointer(path)?.as_object());
    let resource = at("/group_attributes/resource/attributes").cloned().unwrap_or_default();
    let attributes = at("/log_metadata/otlp/attributes").cloned().unwrap_or_default();
    snapshot::fill(&mut body, &resource, &attributes);
    snapshot::drop_store_keys(&mut body);
    let time = body.get("ts").and_then(Value::as_str).and_then(|ts| ts.parse::<Timestamp>().ok());
    Pair { time_ns: time.unwrap_or_default().0, body }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use serde_json::json;

    use super::*;

    fn otlp(service: &str) -> String {
        let text =
            |key: &str, value: &str| json!({ "key": key, "value": { "stringValue": value } });
        let body = [text("msgType", "rrpair"), text("service", service)];
        let log = |body: Value| json!({ "timeUnixNano": "5", "body": body });
        json!({ "resourceLogs": [{
            "resource": { "attributes": [text("cluster", "dev")] },
            "scopeLogs": [{ "logRecords": [
                log(json!({ "kvlistValue": { "values": body } })),
                log(json!({ "stringValue": "an access log" })),
            ] }],
        }] })
        .to_string()
    }

    fn all(object: &[u8]) -> Result<(Vec<Pair>, Leftover), ReadObject> {
        let mut found = Vec::new();
        let leftover = read(object, |pairs| {
            found.extend(pairs);
            true
        })?;
        Ok((found, leftover))
    }

    #[test]
    fn requests_and_shipped_records_are_read() {
        let shipped = json!({
            "msgType": "rrpair", "service": "b", "cluster": "undefined", "@timestamp": 1,
            "__internal__": {
                "group_attributes": { "resource": { "attributes": { "cluster": "prod" } } },
                "log_metadata": { "otlp": { "attributes": { "namespace": "shop" } } },
            },
        });
        let text = format!("{}\n\n{shipped}\n{{}}\n", otlp("a"));
        let (found, leftover) = all(text.as_bytes()).unwrap();
        assert_eq!(leftover, Leftover { foreign: 2, cut: false });
        let expected = [
            json!({ "msgType": "rrpair", "service": "a", "cluster": "dev" }),
            json!({ "msgType": "rrpair", "service": "b", "cluster": "prod", "namespace": "shop" }),
        ];
        let bodies: Vec<_> = found.into_iter().map(|pair| Value::Object(pair.body)).collect();
        assert_eq!(bodies, expected);

        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(text.as_bytes()).unwrap();
        assert_eq!(all(&gzip.finish().unwrap()).unwrap().0.len(), 2);
    }

    #[test]
    fn a_cut_off_end_is_told_from_damage() {
        let whole = otlp("a");
        for end in 1..whole.len() {
            let text = format!("{whole}\n{}", whole.get(..end).unwrap());
            let (found, leftover) = all(text.as_bytes()).unwrap();
            assert_eq!((found.len(), leftover.cut), (1, true), "{end}");
        }
        let damaged = format!("{whole}\n{{\"a\":\n{whole}\n");
        assert!(matches!(all(damaged.as_bytes()), Err(ReadObject::NotJson(2))));
        assert!(matches!(all(b"hello"), Err(ReadObject::NotJson(1))));
        assert!(matches!(all(b"\x1f\x8bnot gzip"), Err(ReadObject::Io(_))));
    }
}
