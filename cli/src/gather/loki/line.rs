//! From a line to a record.

use serde_json::{Map, Value};
use weir_rrpair::snapshot;

use crate::receiver::Pair;

/// The record of a line: its `body`, as the Collector's loki exporter has it, or the line as a
/// whole, as Loki's own OTLP endpoint has it. `None` when it holds no RRPair.
pub(super) fn pair(line: &str, labels: &Map<String, Value>, time_ns: u64) -> Option<Pair> {
    let Ok(Value::Object(mut line)) = serde_json::from_str(line) else { return None };
    let mut body = match line.shift_remove("body") {
        Some(Value::Object(body)) => body,
        Some(_) => return None,
        None => std::mem::take(&mut line),
    };
    // Missing is accepted (contract §1.1), another type is not.
    let kind = body.get("msgType").map(|kind| kind.as_str() == Some("rrpair"));
    if !kind.unwrap_or_else(|| body.contains_key("direction")) {
        return None;
    }
    snapshot::fill(&mut body, labels, labels);
    let inner = |key: &str| line.get(key).and_then(Value::as_object).cloned().unwrap_or_default();
    snapshot::fill(&mut body, &inner("resources"), &inner("attributes"));
    Some(Pair { body, time_ns })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(line: &Value, labels: &Value) -> Option<Value> {
        let found = pair(&line.to_string(), labels.as_object().unwrap(), 7);
        found.map(|pair| {
            assert_eq!(pair.time_ns, 7);
            Value::Object(pair.body)
        })
    }

    #[test]
    fn both_shapes_give_the_record_with_its_cluster_and_namespace() {
        let body = json!({ "msgType": "rrpair", "service": "a", "cluster": "undefined" });
        let expected =
            json!({ "msgType": "rrpair", "service": "a", "cluster": "dev", "namespace": "shop" });
        let labels = json!({ "cluster": "dev", "namespace": "shop", "exporter": "OTLP" });
        let wrapped = json!({ "body": body, "severity": "INFO" });
        assert_eq!(read(&wrapped, &labels), Some(expected.clone()));
        assert_eq!(read(&body, &labels), Some(expected.clone()));
        let told = json!({ "body": body, "resources": { "cluster": "dev" },
            "attributes": { "namespace": "shop" } });
        assert_eq!(read(&told, &json!({})), Some(expected));
    }

    #[test]
    fn what_is_no_rrpair_is_none() {
        let none = json!({});
        for line in [json!({ "body": "text" }), json!({ "body": { "msgType": "log" } }), json!([])]
        {
            assert_eq!(read(&line, &none), None);
        }
        assert!(pair("GET / 200", &Map::new(), 0).is_none());
        assert!(read(&json!({ "direction": "IN" }), &none).is_some());
    }
}
