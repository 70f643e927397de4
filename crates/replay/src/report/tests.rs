use super::*;
use crate::condition::Condition;

fn report() -> Report {
    let ms = Duration::from_millis;
    let samples = [
        ("GET", "/a", Outcome::Matched, ms(10)),
        ("GET", "/a", Outcome::Differed, ms(30)),
        ("POST", "/b", Outcome::Matched, ms(20)),
        ("GET", "/a", Outcome::Failed, ms(500)),
    ];
    Report::new(samples, Duration::from_secs(2))
}

#[test]
fn figures_are_those_of_the_contract() {
    let report = report();
    let of = |name: &str| report.metric(report.all(), name).unwrap();
    for (name, expected) in [
        ("requests.total", 4.0),
        ("requests.succeeded", 3.0),
        ("requests.failed", 1.0),
        ("requests.response-pct", 75.0),
        ("requests.result-match-pct", 50.0),
        ("requests.per-second", 2.0),
        ("requests.per-minute", 120.0),
        ("latency.avg", 20.0),
        ("latency.min", 10.0),
        ("latency.max", 30.0),
        ("latency.p50", 20.0),
        ("latency.p99", 30.0),
    ] {
        assert!((of(name) - expected).abs() < 1e-9, "{name}: {}", of(name));
    }
    assert!(METRICS.iter().all(|name| report.metric(report.all(), name).is_some()));
    assert_eq!(report.metric(report.all(), "latency.px"), None);
    let condition: Condition = "requests.result-match-pct < 100".parse().unwrap();
    assert!(condition.holds(of(&condition.metric)));
}

#[test]
fn the_document_ends_with_all() {
    let document = report().to_json();
    let rows = document["endpoints"].as_array().unwrap();
    let urls: Vec<_> = rows.iter().map(|row| row["url"].as_str().unwrap()).collect();
    assert_eq!(urls, ["/a", "/b", "-ALL-"]);
    assert_eq!(rows[2]["metrics"]["requests"]["result-match-pct"], 50.0);
    assert_eq!(rows[0]["metrics"]["latency"]["max"], 30.0);
}

#[test]
fn nothing_sent_is_zero_everywhere() {
    let report = Report::default();
    assert!(METRICS.iter().all(|name| report.metric(report.all(), name) == Some(0.0)));
}
