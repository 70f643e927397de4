use super::{Condition, ParseCondition};

#[test]
fn comparisons_hold_as_written() {
    for (text, below, equal, above) in [
        ("requests.result-match-pct < 100", true, false, false),
        ("requests.result-match-pct<=100", true, true, false),
        ("requests.result-match-pct > 100", false, false, true),
        ("requests.result-match-pct >= 1e2", false, true, true),
        ("requests.result-match-pct==100", false, true, false),
        ("requests.result-match-pct != 100.0", true, false, true),
    ] {
        let condition: Condition = text.parse().unwrap();
        assert_eq!(condition.metric, "requests.result-match-pct");
        let seen = [99.9, 100.0, 100.1].map(|actual| condition.holds(actual));
        assert_eq!(seen, [below, equal, above], "{text}");
    }
}

#[test]
fn what_is_no_condition_is_named() {
    let fault = |text: &str| text.parse::<Condition>().unwrap_err();
    assert_eq!(fault("latency.p95"), ParseCondition::NoOperator);
    assert_eq!(fault("latency.p42 > 1"), ParseCondition::UnknownMetric("latency.p42".into()));
    assert_eq!(fault("latency.p95 > fast"), ParseCondition::NoNumber("fast".into()));
    assert_eq!(fault("latency.p95 > NaN"), ParseCondition::NoNumber("NaN".into()));
    assert!(fault("x > 1").to_string().contains("requests.result-match-pct"));
}
