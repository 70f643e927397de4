//! A fake of Datadog's search: no real one can be had for a test.

use serde_json::{Value, json};

use crate::{Asked, base64, fake, files, gather_with, records};

const KEYS: [(&str, &str); 2] = [("DATADOG_API_KEY", "canary-a"), ("DATADOG_APP_KEY", "canary-b")];

/// `total` events in pages of 1000, as Datadog gives them.
fn events(total: u64) -> impl Fn(&Asked) -> (u16, String) {
    move |asked: &Asked| {
        assert!(asked.line.starts_with("POST /api/v2/logs/events/search "), "{}", asked.line);
        assert_eq!(asked.body["sort"], "-timestamp");
        assert_eq!(asked.body["filter"]["query"], "@msgType:rrpair @service:\"orders\"");
        assert_eq!(asked.body["filter"]["from"], "1788256800000");
        assert_eq!(asked.body["filter"]["to"], "1788260400001");
        let head = asked.head.to_lowercase();
        assert!(head.contains("dd-api-key: canary-a") && head.contains("key: canary-b"), "{head}");
        let cursor = &asked.body["page"]["cursor"];
        let from: u64 = cursor.as_str().map_or(0, |cursor| cursor.parse().unwrap());
        let to = total.min(from + asked.body["page"]["limit"].as_u64().unwrap());
        let data: Vec<Value> = (from..to).map(event).collect();
        let mut answer = json!({ "data": data, "meta": { "status": "done", "page": {} } });
        if to < total {
            answer["meta"]["page"]["after"] = to.to_string().into();
        }
        (200, answer.to_string())
    }
}

fn event(number: u64) -> Value {
    json!({ "id": number.to_string(), "attributes": { "tags": ["cluster:dev"], "attributes": {
        "msgType": "rrpair", "uuid": base64(u128::from(number)), "service": "orders",
        "ts": "2026-09-01T10:00:00Z", "status": if number.is_multiple_of(2) { "200" } else { "500" },
        "http": { "req": { "host": "orders", "headers": { "Accept": "[\"a\",\"b\"]" } } },
    } } })
}

#[test]
fn every_page_comes_and_arrays_are_arrays_again() {
    let url = fake(events(2_500));
    let folder = tempfile::tempdir().unwrap();
    let gather = |out: &str, more: &[&str]| {
        let out = folder.path().join(out);
        let mut arguments = vec!["datadog", "--api-url", &url, "--service", "orders"];
        arguments.extend(["--start", "2026-09-01T10:00", "--end", "2026-09-01T11:00"]);
        arguments.extend(["--out-dir", out.to_str().unwrap()]);
        arguments.extend(more);
        gather_with(&KEYS, &arguments)
    };
    let all = gather("all", &[]);
    assert_eq!(all.code, Some(0), "{}", all.stderr);
    assert!(all.stderr.contains("wrote 2500 RRPairs to "), "{}", all.stderr);
    let records = records(&folder.path().join("all"));
    assert_eq!(records.len(), 2_500);
    assert_eq!(records[0]["http"]["req"]["headers"]["Accept"], json!(["a", "b"]));
    assert_eq!(records[0]["cluster"], "dev");
    let failing = gather("failing", &["--status", "5.."]);
    assert!(failing.stderr.contains("wrote 1250 RRPairs to "), "{}", failing.stderr);
    let limited = gather("limited", &["--limit", "1700"]);
    assert!(limited.stderr.contains("wrote 1700 RRPairs to "), "{}", limited.stderr);
}

#[test]
fn missing_keys_are_exit_2_and_refused_ones_exit_1() {
    let url = fake(|_| (403, r#"{"errors":["Forbidden"]}"#.to_owned()));
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().to_str().unwrap();
    let arguments = ["datadog", "--api-url", &url, "--out-dir", out];
    let none = gather_with(&[], &arguments);
    assert_eq!(none.code, Some(2), "{}", none.stderr);
    let refused = gather_with(&KEYS, &arguments);
    assert_eq!(refused.code, Some(1), "{}", refused.stderr);
    assert!(refused.stderr.contains("403") && refused.stderr.contains("Forbidden"));
    assert!(refused.stderr.contains("DATADOG_API_KEY") && !refused.stderr.contains("canary"));
    assert_eq!(files(folder.path()), Vec::<std::path::PathBuf>::new());
}
