//! From an event of Datadog to a record.

use serde_json::{Map, Value};
use weir_rrpair::{Timestamp, snapshot};

use crate::receiver::Pair;

/// Maps whose values are arrays, which Datadog made text of.
const MAPS: [&str; 5] = [
    "/http/req/headers",
    "/http/res/headers",
    "/http/req/trailers",
    "/http/res/trailers",
    "/http/req/queryParams",
];

/// The record of an event, or `None` when it holds no RRPair.
pub(super) fn pair(mut event: Value) -> Option<Pair> {
    let around = event.get_mut("attributes")?.as_object_mut()?;
    let Some(Value::Object(mut body)) = around.shift_remove("attributes") else { return None };
    if body.get("msgType").and_then(Value::as_str) != Some("rrpair") {
        return None;
    }
    // Tags such as `cluster:dev` are what Datadog keeps of the resource.
    let tags: Map<String, Value> = around
        .get("tags")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|tag| tag.as_str()?.split_once(':'))
        .map(|(key, value)| (key.to_owned(), value.into()))
        .collect();
    snapshot::fill(&mut body, &tags, &tags);
    let mut document = Value::Object(body);
    for path in MAPS {
        if let Some(Value::Object(map)) = document.pointer_mut(path) {
            map.values_mut().for_each(restore);
        }
    }
    if let Some(Value::Object(tokens)) = document.get_mut("tokenList") {
        tokens.values_mut().filter_map(|token| token.get_mut("tokens")).for_each(restore);
    }
    document.get_mut("detectedTech").into_iter().for_each(restore);
    let time = document.get("ts").and_then(Value::as_str).and_then(|ts| ts.parse().ok());
    let Value::Object(body) = document else { return None };
    Some(Pair { time_ns: time.unwrap_or(Timestamp(0)).0, body })
}

/// An array again, from its JSON or, where that is damaged, from what stands between `["` and
/// `"]` (contract §4.2).
fn restore(value: &mut Value) {
    let Value::String(text) = value else { return };
    if let Ok(array @ Value::Array(_)) = serde_json::from_str(text) {
        *value = array;
    } else if let Some(inner) = text.strip_prefix("[\"").and_then(|text| text.strip_suffix("\"]")) {
        *value = vec![inner].into();
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn arrays_that_became_text_are_arrays_again() {
        let event = json!({ "id": "x", "attributes": { "service": "a",
            "tags": ["cluster:dev", "namespace:shop", "odd"], "attributes": {
            "msgType": "rrpair", "ts": "1970-01-01T00:00:00.000000007Z", "cluster": "undefined",
            "tokenList": { "k": { "tokens": "[{\"uuid\":\"1\"}]" } },
            "http": { "req": { "headers": { "A": "[\"1\",\"2\"]", "B": "[\"a\"b\"]", "C": ["3"],
                "D": "plain" } } },
        } } });
        let pair = pair(event).unwrap();
        assert_eq!(pair.time_ns, 7);
        let expected = json!({
            "msgType": "rrpair", "ts": "1970-01-01T00:00:00.000000007Z", "cluster": "dev",
            "tokenList": { "k": { "tokens": [{ "uuid": "1" }] } },
            "http": { "req": { "headers": { "A": ["1", "2"], "B": ["a\"b"], "C": ["3"],
                "D": "plain" } } },
            "namespace": "shop",
        });
        assert_eq!(Value::Object(pair.body), expected);
    }

    #[test]
    fn what_is_no_rrpair_is_none() {
        for event in [json!({}), json!({ "attributes": { "message": "hello" } })] {
            assert!(pair(event).is_none());
        }
        assert!(pair(json!({ "attributes": { "attributes": { "msgType": "x" } } })).is_none());
    }
}
