//! Reads the OpenTelemetry Collector's file output (OTLP/JSON lines) back into records.

use std::{fs, path::Path};

use anyhow::{Context as _, Result, bail};
use serde_json::{Map, Number, Value};

/// One log record.
#[derive(Clone, Debug)]
pub struct Log {
    /// Nanoseconds since the epoch.
    pub time_ns: u64,
    pub resource: Map<String, Value>,
    pub attributes: Map<String, Value>,
    /// The RRPair.
    pub body: Value,
}

/// All log records of a file; a last line without its end is not read yet.
///
/// # Errors
///
/// When the file cannot be read or a line is not OTLP/JSON.
pub fn read(path: &Path) -> Result<Vec<Log>> {
    parse(&fs::read_to_string(path).context("read the collector's output")?)
}

/// All log records of such a text.
///
/// # Errors
///
/// When a line is not OTLP/JSON.
pub fn parse(text: &str) -> Result<Vec<Log>> {
    let mut logs = Vec::new();
    for line in text.split_inclusive('\n').filter(|line| line.ends_with('\n')) {
        let request: Value = serde_json::from_str(line).context("parse a line")?;
        decode(&request, &mut logs)?;
    }
    Ok(logs)
}

fn decode(request: &Value, out: &mut Vec<Log>) -> Result<()> {
    for resource_logs in list(&request["resourceLogs"]) {
        let resource = key_values(&resource_logs["resource"]["attributes"])?;
        for scope_logs in list(&resource_logs["scopeLogs"]) {
            for record in list(&scope_logs["logRecords"]) {
                let time = record["timeUnixNano"].as_str().context("no timeUnixNano")?;
                out.push(Log {
                    time_ns: time.parse().context("timeUnixNano is no number")?,
                    resource: resource.clone(),
                    attributes: key_values(&record["attributes"])?,
                    body: any_value(&record["body"])?,
                });
            }
        }
    }
    Ok(())
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn key_values(values: &Value) -> Result<Map<String, Value>> {
    let mut map = Map::new();
    for pair in list(values) {
        let key = pair["key"].as_str().context("a key is no text")?;
        if map.insert(key.to_owned(), any_value(&pair["value"])?).is_some() {
            bail!("the key {key} occurs twice");
        }
    }
    Ok(map)
}

fn any_value(value: &Value) -> Result<Value> {
    let Some((kind, inner)) = value.as_object().and_then(|map| map.iter().next()) else {
        bail!("an empty value (contract §2.1)");
    };
    Ok(match kind.as_str() {
        "stringValue" | "boolValue" => inner.clone(),
        "doubleValue" => inner
            .as_f64()
            .and_then(Number::from_f64)
            .map(Value::Number)
            .context("a double that is no number")?,
        "intValue" => bail!("an integer, where the contract wants a double (§2.1)"),
        "arrayValue" => {
            Value::Array(list(&inner["values"]).iter().map(any_value).collect::<Result<_>>()?)
        }
        "kvlistValue" => Value::Object(key_values(&inner["values"])?),
        other => bail!("a value of kind {other} (contract §2.1)"),
    })
}

/// Whether two records are the same: numbers by value, object members in any order.
#[must_use]
pub fn same(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => left.as_f64() == right.as_f64(),
        (Value::Array(left), Value::Array(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(l, r)| same(l, r))
        }
        (Value::Object(left), Value::Object(right)) => {
            left.len() == right.len()
                && left.iter().all(|(key, l)| right.get(key).is_some_and(|r| same(l, r)))
        }
        (left, right) => left == right,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn log_of(body: Value) -> Result<Vec<Log>> {
        let request = json!({"resourceLogs": [{
            "resource": {"attributes": [{"key": "cluster", "value": {"stringValue": "c"}}]},
            "scopeLogs": [{"logRecords": [{"timeUnixNano": "12", "body": body}]}],
        }]});
        let mut logs = Vec::new();
        decode(&request, &mut logs)?;
        Ok(logs)
    }

    #[test]
    fn nested_values_decode() {
        let body = json!({"kvlistValue": {"values": [
            {"key": "n", "value": {"doubleValue": 5}},
            {"key": "t", "value": {"boolValue": true}},
            {"key": "l", "value": {"arrayValue": {"values": [{"stringValue": "a"}]}}},
            {"key": "e", "value": {"kvlistValue": {}}},
        ]}});
        let logs = log_of(body).unwrap();
        assert_eq!(logs[0].time_ns, 12);
        assert_eq!(logs[0].resource["cluster"], "c");
        assert!(same(&logs[0].body, &json!({"n": 5, "t": true, "l": ["a"], "e": {}})));
    }

    #[test]
    fn what_the_contract_forbids_is_found() {
        for bad in [json!({}), json!({"intValue": "5"}), json!({"bytesValue": "AA=="})] {
            let body = json!({"kvlistValue": {"values": [{"key": "k", "value": bad}]}});
            assert!(log_of(body).is_err());
        }
        let twice = json!({"key": "k", "value": {"boolValue": true}});
        assert!(log_of(json!({"kvlistValue": {"values": [twice, twice]}})).is_err());
    }

    #[test]
    fn records_that_differ_are_not_the_same() {
        let record = json!({"a": [1, {"b": "c"}]});
        assert!(same(&record, &json!({"a": [1.0, {"b": "c"}]})));
        for other in [
            json!({"a": [1, {"b": "d"}]}),
            json!({"a": [1, {"b": "c"}, 2]}),
            json!({"a": [2, {"b": "c"}]}),
            json!({"a": [1, {"b": "c", "x": 0}]}),
            json!({"a": [1, {"b": "c"}], "x": null}),
        ] {
            assert!(!same(&record, &other) && !same(&other, &record), "{other}");
        }
    }
}
