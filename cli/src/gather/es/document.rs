//! From a stored document to a record.
//!
//! The contract's mapping nests `Body`, `Attributes` and `Resource`; other versions of the
//! exporter write flat dotted keys (`Body.http.req.url`), or the body alone.

use serde_json::{Map, Value};
use weir_rrpair::{Timestamp, snapshot};

use crate::receiver::Pair;

/// The record of a document, or `None` when it holds no RRPair.
pub(super) fn pair(mut source: Map<String, Value>) -> Option<Pair> {
    if source.keys().any(|key| key.starts_with("Body.")) {
        source = nested(source);
    }
    let attributes = object(source.shift_remove("Attributes"));
    let resource = object(source.shift_remove("Resource"));
    let mut body = match source.shift_remove("Body") {
        Some(Value::Object(body)) => body,
        Some(_) => return None,
        None => {
            source.shift_remove("@timestamp");
            source
        }
    };
    // Missing is accepted (contract §1.1), another type is not.
    let kind = body.get("msgType").map(|kind| kind.as_str() == Some("rrpair"));
    if !kind.unwrap_or_else(|| body.contains_key("direction")) {
        return None;
    }
    rejoin_names(&mut body);
    snapshot::fill(&mut body, &resource, &attributes);
    let time = body.get("ts").and_then(Value::as_str).and_then(|ts| ts.parse::<Timestamp>().ok());
    Some(Pair { time_ns: time.unwrap_or_default().0, body })
}

fn object(value: Option<Value>) -> Map<String, Value> {
    match value {
        Some(Value::Object(map)) => map,
        _ => Map::new(),
    }
}

/// Splits dotted keys into nested objects.
fn nested(flat: Map<String, Value>) -> Map<String, Value> {
    let mut root = Map::new();
    for (key, value) in flat {
        let mut parts: Vec<&str> = key.split('.').collect();
        let Some(last) = parts.pop() else { continue };
        let mut place = Some(&mut root);
        for part in parts {
            place = place.and_then(|map: &mut Map<String, Value>| {
                map.entry(part).or_insert_with(|| Value::Object(Map::new())).as_object_mut()
            });
        }
        if let Some(map) = place {
            map.insert(last.to_owned(), value);
        }
    }
    root
}

/// Maps of names to plain values, in which a name with a dot came back as an object
/// (contract §2.4).
const FLAT: [&str; 7] = [
    "/http/req/headers",
    "/http/res/headers",
    "/http/req/trailers",
    "/http/res/trailers",
    "/http/req/queryParams",
    "/tags",
    "/signature",
];

fn rejoin_names(body: &mut Map<String, Value>) {
    let mut document = Value::Object(std::mem::take(body));
    for path in FLAT {
        if let Some(Value::Object(map)) = document.pointer_mut(path)
            && map.values().any(Value::is_object)
        {
            *map = joined(std::mem::take(map));
        }
    }
    *body = object(Some(document));
}

fn joined(map: Map<String, Value>) -> Map<String, Value> {
    let mut out = Map::new();
    for (name, value) in map {
        match value {
            Value::Object(inner) => {
                for (rest, value) in joined(inner) {
                    out.insert(format!("{name}.{rest}"), value);
                }
            }
            value => {
                out.insert(name, value);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(source: Value) -> Option<Value> {
        let Value::Object(source) = source else { panic!("an object") };
        pair(source).map(|pair| Value::Object(pair.body))
    }

    fn flatten(prefix: &str, value: Value, out: &mut Map<String, Value>) {
        match value {
            Value::Object(map) if !map.is_empty() => {
                for (key, value) in map {
                    flatten(&format!("{prefix}.{key}"), value, out);
                }
            }
            value => {
                out.insert(prefix.to_owned(), value);
            }
        }
    }

    fn document() -> Value {
        json!({
            "msgType": "rrpair", "ts": "2026-09-01T10:00:00.000000001Z", "direction": "IN",
            "cluster": "undefined", "service": "a", "duration": 12.0,
            "tags": { "a.b/c": "x", "plain": "y" },
            "http": { "req": { "headers": { "X.Dotted.Name": ["1"], "Host": ["h"] }, "queryParams": { "filter.id": ["2"] } } },
            "signature": { "http:queryparams:filter.id": "Mg==", "http:url": "Lw==" },
        })
    }

    #[test]
    fn nested_dotted_and_bare_documents_give_the_same_record() {
        let mut expected = document();
        expected["cluster"] = json!("dev");
        expected["namespace"] = json!("shop");
        let around = json!({ "@timestamp": "2026-09-01T10:00:00Z", "Resource": { "cluster": "dev" }, "Attributes": { "namespace": "shop" } });

        let mut nested = around;
        nested["Body"] = document();
        assert_eq!(read(nested.clone()), Some(expected.clone()));

        // What dots do to `_source` in the contract's version.
        let mut split = nested.clone();
        split["Body"]["http"]["req"]["headers"] =
            json!({ "X": { "Dotted": { "Name": ["1"] } }, "Host": ["h"] });
        assert_eq!(read(split), Some(expected.clone()));

        let mut dotted = Map::new();
        for (key, value) in nested.as_object().unwrap().clone() {
            flatten(&key, value, &mut dotted);
        }
        assert_eq!(read(Value::Object(dotted)), Some(expected));

        let mut bare = document();
        bare["@timestamp"] = json!("2026-09-01T10:00:00Z");
        assert_eq!(read(bare), Some(document()));
    }

    #[test]
    fn what_is_no_rrpair_is_none() {
        assert_eq!(read(json!({ "Body": "text" })), None);
        assert_eq!(read(json!({ "Body": { "msgType": "log" } })), None);
        assert_eq!(read(json!({ "message": "hello" })), None);
        assert!(read(json!({ "Body": { "direction": "OUT" } })).is_some());
    }
}
