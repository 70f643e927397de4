//! Loki: a fake that keeps its paging to the letter, and a real one.

use std::{env, path::Path};

use percent_encoding::percent_decode_str;
use regex::Regex;
use serde_json::{Map, Value, json};
use weir_rrpair::{Redacted, Timestamp, json as document, otlp};

use crate::{Asked, Ended, GOLDEN, base64, curl, curl_with, fake, files, gather, records};

const NOON: u64 = 1_788_264_000_000_000_000; // 2026-09-01T12:00:00Z

/// A record and its nanosecond.
type Line = (u64, Value);

/// As random as those of captures.
fn uuid(number: u64) -> String {
    base64(u128::from(number).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835))
}

fn record(number: u64, time: u64) -> Line {
    let path = format!("/v1/orders/{}", number % 97);
    let status = if number.is_multiple_of(20) { "500" } else { "200" };
    let body = json!({ "msgType": "rrpair", "uuid": uuid(number), "direction": "IN",
        "service": "orders", "command": "GET", "location": path, "status": status,
        "http": { "req": { "host": "orders", "method": "GET", "url": path } },
        "signature": { "http:url": path } });
    (time, json!({ "body": body, "severity": "INFO" }))
}

/// `total` records over five minutes, of which `crowd` share a nanosecond.
fn lines(from: u64, total: u64, crowd: u64) -> Vec<Line> {
    let spread = |number: u64| from + number * 7_919 % 300 * 1_000_000_000;
    (0..total)
        .map(|number| record(number, if number < crowd { from + 7 } else { spread(number) }))
        .collect()
}

fn parameter(asked: &Asked, name: &str) -> Option<String> {
    let query = asked.line.split(' ').nth(1)?.split_once('?')?.1;
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let value = pairs.find(|(key, _)| *key == name)?.1;
    Some(percent_decode_str(value).decode_utf8().unwrap().into_owned())
}

/// Answers as Loki does: the newest `limit` lines of a time, ties cut anywhere, never more than
/// `most`; of queries only what narrows to uuids is understood.
fn answers(lines: Vec<Line>, most: usize) -> impl Fn(&Asked) -> (u16, String) {
    let pattern = Regex::new(r#"weir_a_uuid=~("(?:[^"\\]|\\.)*")"#).unwrap();
    move |asked: &Asked| {
        let query = parameter(asked, "query").unwrap_or_default();
        if asked.line.contains("/query?") {
            let sample = json!({ "metric": {}, "value": [0.5, lines.len().to_string()] });
            let data = json!({ "resultType": "vector", "result": [sample] });
            return (200, json!({ "status": "success", "data": data }).to_string());
        }
        let number = |name| parameter(asked, name).unwrap().parse::<u64>().unwrap();
        let (start, end) = (number("start"), number("end"));
        let limit = usize::try_from(number("limit")).unwrap();
        if limit > most {
            return (
                400,
                format!("max entries limit per query exceeded, limit > max ({limit} > {most})"),
            );
        }
        let narrowed = pattern.captures(&query).map(|found| {
            let text: String = serde_json::from_str(&found[1]).unwrap();
            Regex::new(&format!("^(?:{text})$")).unwrap()
        });
        let mut found: Vec<&Line> = lines
            .iter()
            .filter(|(time, line)| {
                let uuid = line["body"]["uuid"].as_str().unwrap_or_default();
                (start..end).contains(time)
                    && narrowed.as_ref().is_none_or(|pattern| pattern.is_match(uuid))
            })
            .collect();
        found.sort_by_key(|(time, _)| std::cmp::Reverse(*time));
        found.truncate(limit);
        let values: Vec<_> =
            found.iter().map(|(time, line)| json!([time.to_string(), line.to_string()])).collect();
        let stream = json!({ "stream": { "cluster": "dev" }, "values": values });
        let data = json!({ "resultType": "streams", "result": [stream], "stats": {} });
        (200, json!({ "status": "success", "data": data }).to_string())
    }
}

fn loki(url: &str, out: &Path, more: &[&str]) -> Ended {
    loki_from(NOON, url, out, more)
}

/// Five minutes from a moment on.
fn loki_from(from: u64, url: &str, out: &Path, more: &[&str]) -> Ended {
    let [start, end] = [from, from + 300_000_000_000].map(|ns| Timestamp(ns).to_string());
    let mut arguments = vec!["loki", "--loki-url", url, "--out-dir", out.to_str().unwrap()];
    arguments.extend(["--start", &start, "--end", &end]);
    arguments.extend(more);
    gather(&arguments)
}

#[test]
fn more_lines_of_one_nanosecond_than_a_page_holds_all_come() {
    let url = fake(answers(lines(NOON, 900, 400), 60));
    let out = tempfile::tempdir().unwrap();
    let ended = loki(&url, out.path(), &[]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(ended.stderr.contains("wrote 900 RRPairs to "), "{}", ended.stderr);
    assert_eq!(records(out.path()).len(), 900);
    assert!(records(out.path()).iter().all(|record| record["cluster"] == "dev"));
}

#[test]
fn a_query_that_gives_numbers_is_an_error_that_says_so() {
    let told = answers(lines(NOON, 10, 0), 5_000);
    let url = fake(move |asked| {
        if asked.line.contains("/query_range?") {
            let series = json!({ "metric": {}, "values": [[0.5, "10"]] });
            let data = json!({ "resultType": "matrix", "result": [series] });
            return (200, json!({ "status": "success", "data": data }).to_string());
        }
        told(asked)
    });
    let out = tempfile::tempdir().unwrap();
    let ended = loki(&url, out.path(), &[]);
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert!(ended.stderr.contains("gives numbers, not lines"), "{}", ended.stderr);
}

#[test]
fn lines_of_one_nanosecond_that_nothing_tells_apart_are_an_error() {
    let mut all = lines(NOON, 5, 0);
    all.extend((0..100).map(|_| {
        let (time, mut line) = record(1, NOON + 7);
        line["body"]["uuid"] = "".into();
        (time, line)
    }));
    let out = tempfile::tempdir().unwrap();
    let ended = loki(&fake(answers(all, 60)), out.path(), &[]);
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert!(ended.stderr.contains("have the same uuid or none"), "{}", ended.stderr);
}

#[test]
fn a_store_that_gives_fewer_lines_than_it_counts_is_an_error() {
    let told = answers(lines(NOON, 10, 0), 5_000);
    let url = fake(move |asked| {
        let (status, answer) = told(asked);
        (
            status,
            if asked.line.contains("/query?") {
                answer.replace("\"10\"", "\"11\"")
            } else {
                answer
            },
        )
    });
    let out = tempfile::tempdir().unwrap();
    let ended = loki(&url, out.path(), &[]);
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert!(ended.stderr.contains("it counts 11 lines and gave 10"), "{}", ended.stderr);
}

#[test]
fn a_gather_that_stopped_goes_on_where_it_was() {
    let out = tempfile::tempdir().unwrap();
    let broken = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(true));
    let (told, breaks) = (answers(lines(NOON, 900, 0), 100), std::sync::Arc::clone(&broken));
    let url = fake(move |asked| {
        let late = parameter(asked, "end")
            .is_some_and(|end| end.parse::<u64>().unwrap() < NOON + 150_000_000_000);
        if late && breaks.load(std::sync::atomic::Ordering::Relaxed) {
            return (400, "this store is broken".to_owned());
        }
        told(asked)
    });
    let stopped = loki(&url, out.path(), &[]);
    assert_eq!(stopped.code, Some(1), "{}", stopped.stderr);
    assert!(stopped.stderr.contains("this store is broken"), "{}", stopped.stderr);
    assert!(stopped.stderr.contains("--resume"), "{}", stopped.stderr);
    let before = records(out.path()).len();
    assert!((100..900).contains(&before), "{before}");
    broken.store(false, std::sync::atomic::Ordering::Relaxed);
    let other = loki(&url, out.path(), &["--resume", "--service", "other"]);
    assert_eq!(other.code, Some(2), "{}", other.stderr);
    let ended = loki(&url, out.path(), &["--resume"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(ended.stderr.contains("wrote 900 RRPairs to "), "{}", ended.stderr);
    assert_eq!(records(out.path()).len(), 900);
}

#[test]
fn a_refused_login_is_exit_1_and_never_shown() {
    let url = fake(|asked| {
        assert!(asked.head.to_lowercase().contains("authorization: basic dxnlcjpjyw5hcnk="));
        (401, "no credentials provided".to_owned())
    });
    let out = tempfile::tempdir().unwrap();
    let ended = loki(&url.replace("http://", "http://user:canary@"), out.path(), &[]);
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert!(
        ended.stderr.contains("401") && ended.stderr.contains("LOKI_PASSWORD"),
        "{}",
        ended.stderr
    );
    assert!(!ended.stderr.contains("canary"));
    assert_eq!(files(out.path()), Vec::<std::path::PathBuf>::new());
}

// ---- a real Loki --------------------------------------------------------------------------------

fn real() -> String {
    env::var("WEIR_TEST_LOKI").expect("its URL; run `make test-stores`")
}

/// Half an hour ago: Loki looks for old lines on disk alone, where new ones are not yet.
fn lately() -> u64 {
    let said = std::process::Command::new("date").args(["-d", "-30 min", "+%s"]).output().unwrap();
    let seconds: u64 = String::from_utf8(said.stdout).unwrap().trim().parse().unwrap();
    seconds * 1_000_000_000
}

/// Pushes lines as the Collector's loki exporter does.
fn push(url: &str, cluster: &str, lines: &[Line]) {
    for batch in lines.chunks(2_000) {
        // Three streams, so that pages are merged.
        let streams: Vec<_> = (0..3)
            .map(|part| {
                let labels: Map<String, Value> = [
                    ("exporter", "OTLP"),
                    ("cluster", cluster),
                    ("service", "orders"),
                    ("namespace", ["a", "b", "c"][part]),
                ]
                .map(|(key, value)| (key.to_owned(), value.into()))
                .into_iter()
                .collect();
                let values: Vec<_> = batch
                    .iter()
                    .skip(part)
                    .step_by(3)
                    .map(|(time, line)| json!([time.to_string(), line.to_string()]))
                    .collect();
                json!({ "stream": labels, "values": values })
            })
            .collect();
        let body = json!({ "streams": streams }).to_string();
        let said = curl_with(
            &["-H", "Content-Type: application/json", &format!("{url}/loki/api/v1/push")],
            body,
        );
        assert_eq!(String::from_utf8_lossy(&said), "");
    }
}

#[test]
#[ignore = "needs a real Loki"]
fn real_loki_gives_every_line_once_and_filters_have_one_meaning() {
    let url = real();
    // A cluster of its own, so that the test may run again.
    let cluster = format!("test-{}", std::process::id());
    let from = lately();
    push(&url, &cluster, &lines(from, 12_000, 7_000));
    let folder = tempfile::tempdir().unwrap();
    let gather = |name: &str, more: &[&str]| {
        let mut arguments = vec!["--cluster", cluster.as_str()];
        arguments.extend(more);
        loki_from(from, &url, &folder.path().join(name), &arguments)
    };
    let all = gather("all", &[]);
    assert_eq!(all.code, Some(0), "{}", all.stderr);
    assert!(all.stderr.contains("wrote 12000 RRPairs to "), "{}", all.stderr);
    assert_eq!(files(&folder.path().join("all")).len(), 12_001, "metadata and a file for each");

    let expected = lines(from, 12_000, 0);
    let count = |keep: &dyn Fn(&str, &str) -> bool| {
        let texts = expected.iter().map(|(_, line)| &line["body"]);
        texts
            .filter(|b| keep(b["location"].as_str().unwrap(), b["status"].as_str().unwrap()))
            .count()
    };
    let two = count(&|path, _| path.ends_with("/41") || path.ends_with("/42"));
    for pattern in ["^/v1/orders/4[12]$", "/v1/orders/4[12]", r"\/v\d\/orders\/(41|42)"] {
        let ended = gather(pattern, &["--endpoint", pattern]);
        assert_eq!(ended.code, Some(0), "{pattern}: {}", ended.stderr);
        assert!(
            ended.stderr.contains(&format!("wrote {two} RRPairs")),
            "{pattern}: {}",
            ended.stderr
        );
    }
    let failing = gather("5", &["--status", "5..", "--direction", "IN", "--service", "orders"]);
    let five = count(&|_, status| status == "500");
    assert!(failing.stderr.contains(&format!("wrote {five} RRPairs")), "{}", failing.stderr);
    let part = gather("b", &["--namespace", "b"]);
    // A third of each batch of 2,000.
    assert!(part.stderr.contains("wrote 4002 RRPairs"), "{}", part.stderr);
    let dry = gather("dry", &["--dry-run"]);
    assert!(dry.stderr.contains("12000 lines match"), "{}", dry.stderr);
    let unanchored = gather("none", &["--endpoint", "orders"]);
    assert_eq!(unanchored.code, Some(1), "{}", unanchored.stderr);
    let limited = gather("limit", &["--limit", "10"]);
    assert!(
        limited.stderr.contains("stopped at --limit 10 of 12,000 that match"),
        "{}",
        limited.stderr
    );
    let selector = gather("selector", &["--selector", "{exporter=\"other\"}"]);
    assert_eq!(selector.code, Some(1));
    assert!(selector.stderr.contains("Labels there are "), "{}", selector.stderr);
    let bad = gather("bad", &["--logql", "{"]);
    assert_eq!(bad.code, Some(1));
    assert!(bad.stderr.contains("400") && bad.stderr.contains("parse error"), "{}", bad.stderr);
    let numbers = gather("numbers", &["--logql", "sum(count_over_time({exporter=\"OTLP\"}[1m]))"]);
    assert_eq!(numbers.code, Some(1));
    assert!(numbers.stderr.contains("gives numbers, not lines"), "{}", numbers.stderr);
}

#[test]
#[ignore = "needs a real Loki"]
fn real_loki_gives_what_came_by_its_own_otlp_endpoint() {
    let url = real();
    let mut golden: Value = serde_json::from_slice(
        &std::fs::read(format!("{GOLDEN}/http-get-del-char-500.json")).unwrap(),
    )
    .unwrap();
    let from = lately();
    golden["ts"] = Timestamp(from).to_string().into();
    let record = document::from_slice(golden.to_string().as_bytes()).unwrap();
    let mut encoded = Vec::new();
    otlp::encode_log_record(&Redacted::attest(record), 1, &mut encoded);
    let mut request = Vec::new();
    let cluster = golden["cluster"].as_str().unwrap().to_owned();
    otlp::encode_request(
        &otlp::Resource::new(&cluster),
        std::iter::once(encoded.as_slice()),
        &mut request,
    );
    curl_with(
        &["-H", "Content-Type: application/x-protobuf", &format!("{url}/otlp/v1/logs")],
        request,
    );
    let out = tempfile::tempdir().unwrap();
    let path = out.path().to_str().unwrap();
    let [start, end] = [from, from + 1].map(|ns| Timestamp(ns).to_string());
    let ended = gather(&[
        "loki",
        "--loki-url",
        &url,
        "--out-dir",
        path,
        "--start",
        &start,
        "--end",
        &end,
        "--selector",
        "{service_name=\"weir-forwarder\"}",
        "--cluster",
        &cluster,
        "--direction",
        "IN",
    ]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let mut found = records(out.path());
    assert_eq!(found.len(), 1, "{}", ended.stderr);
    let mut found = found.remove(0);
    for record in [&mut golden, &mut found] {
        record["signature"].as_object_mut().unwrap().remove("instance");
    }
    assert_eq!(found, golden);
    assert_eq!(curl("GET", &format!("{url}/loki/api/v1/labels"), "")["status"], "success");
}
