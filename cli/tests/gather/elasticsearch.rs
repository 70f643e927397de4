//! A real Elasticsearch.

use std::{env, path::Path};

use serde_json::json;

use crate::{Ended, base64, curl, es, files, records};

fn elasticsearch() -> String {
    env::var("WEIR_TEST_ELASTICSEARCH").expect("its URL; run `make test-stores`")
}

/// Fills an index with `records` from 10:00 on, of which `crowd` share a millisecond.
fn fill(index: &str, records: u64, crowd: u64) {
    curl("DELETE", index, "");
    let mut batch = String::new();
    for number in 0..records {
        let ms = if number < crowd { 600_000 } else { number * 7 % 1_200_000 };
        let (minute, second, ms) = (ms / 60_000, ms / 1_000 % 60, ms % 1_000);
        let ts = format!("2026-09-01T10:{minute:02}:{second:02}.{ms:03}000{:03}Z", number % 1_000);
        let uuid = base64(u128::from(number) + 1);
        let path = format!("/v1/orders/{}", number % 97);
        let status = if number % 20 == 0 { "500" } else { "200" };
        let document = json!({
            "@timestamp": ts,
            "Resource": { "cluster": "dev-east" },
            "Attributes": { "service": "orders", "namespace": "shop" },
            "Body": { "msgType": "rrpair", "ts": ts, "uuid": uuid, "direction": "IN",
                "service": "orders", "command": "GET", "location": path, "status": status,
                "http": { "req": { "host": "orders", "method": "GET", "url": path } },
                "signature": { "http:url": path } },
        });
        batch.push_str("{\"create\":{}}\n");
        batch.push_str(&document.to_string());
        batch.push('\n');
        if batch.len() > 4 << 20 || number + 1 == records {
            assert_eq!(curl("POST", &format!("{index}/_bulk"), &batch)["errors"], false);
            batch.clear();
        }
    }
    curl("POST", &format!("{index}/_refresh"), "");
    assert_eq!(curl("GET", &format!("{index}/_count"), "")["count"], records);
}

fn gather_index(name: &str, out: &Path, more: &[&str]) -> Ended {
    let mut all = vec!["--index", name, "--start", "2026-09-01T10:00", "--end", "2026-09-01T11:00"];
    all.extend(more);
    es(&elasticsearch(), out, &all)
}

#[test]
#[ignore = "needs a real Elasticsearch"]
fn elasticsearch_gives_every_record_once_and_filters_have_one_meaning() {
    fill(&format!("{}/weir-test-small", elasticsearch()), 207, 50);
    let folder = tempfile::tempdir().unwrap();
    let out = |name: &str| folder.path().join(name);
    let all = gather_index("weir-test-small", &out("all"), &[]);
    assert_eq!(all.code, Some(0), "{}", all.stderr);
    assert!(all.stderr.contains("wrote 207 RRPairs to "), "{}", all.stderr);
    assert_eq!(records(&out("all")).len(), 207);

    // Two of 97 paths, three or two records each; `.` must not be taken for a letter.
    for pattern in ["^/v1/orders/4[12]$", "/v1/orders/4[12]", r"\/v\d\/orders\/(41|42)"] {
        let ended = gather_index("weir-test-small", &out(pattern), &["--endpoint", pattern]);
        assert_eq!(ended.code, Some(0), "{pattern}: {}", ended.stderr);
        assert!(ended.stderr.contains("wrote 4 RRPairs"), "{pattern}: {}", ended.stderr);
    }
    let unanchored = gather_index("weir-test-small", &out("none"), &["--endpoint", "orders"]);
    assert_eq!(unanchored.code, Some(1), "{}", unanchored.stderr);
    let failing =
        gather_index("weir-test-small", &out("5"), &["--status", "5..", "--service", "orders"]);
    assert!(failing.stderr.contains("wrote 11 RRPairs"), "{}", failing.stderr);
    let own = r#"{"term":{"Body.location.keyword":"/v1/orders/7"}}"#;
    let own = gather_index("weir-test-small", &out("own"), &["--query", own, "--service", "x"]);
    assert!(own.stderr.contains("wrote 3 RRPairs"), "{}", own.stderr);
    let limited = gather_index("weir-test-small", &out("limit"), &["--limit", "10"]);
    assert!(
        limited.stderr.contains("stopped at --limit 10 of 207 that match"),
        "{}",
        limited.stderr
    );
    let missing = gather_index("weir-test-missing", &out("missing"), &[]);
    assert_eq!(missing.code, Some(1));
    assert!(missing.stderr.contains("no such index [weir-test-missing]"), "{}", missing.stderr);
}

#[test]
#[ignore = "needs a real Elasticsearch, and a minute"]
fn two_hundred_thousand_records_of_which_many_share_a_millisecond_all_come() {
    fill(&format!("{}/weir-test-large", elasticsearch()), 200_000, 20_000);
    let folder = tempfile::tempdir().unwrap();
    let ended = gather_index("weir-test-large", folder.path(), &["-q"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(ended.stderr.contains("wrote 200000 RRPairs to "), "{}", ended.stderr);
    assert_eq!(files(folder.path()).len(), 200_001, "metadata and a file for each record");
}
