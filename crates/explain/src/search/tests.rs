use proptest::prelude::*;
use serde_json::json;
use weir_rrpair::{RrPair, json as rrjson};

use super::*;

fn record(number: u64, uri: &str, headers: serde_json::Value, body: &str, status: &str) -> RrPair {
    let document = json!({
        "direction": "IN", "service": "s", "command": "POST", "location": "/api/do",
        "status": status, "ts": weir_rrpair::Timestamp(1_788_000_000_000_000_000 + number).to_string(),
        "http": { "req": { "method": "POST", "url": "/api/do", "uri": uri, "headers": headers,
            "bodyBase64": base64(body) } },
    });
    rrjson::from_slice(document.to_string().as_bytes()).unwrap()
}

fn base64(text: &str) -> String {
    // The model's own encoding, so that the test needs no other.
    serde_json::to_value(weir_rrpair::Body(text.as_bytes().to_vec()))
        .unwrap()
        .as_str()
        .unwrap()
        .to_owned()
}

fn outcome(record: &RrPair) -> Outcome {
    if record.status.starts_with('5') { Outcome::Failed } else { Outcome::Passed }
}

/// The reasons for what `fails`, among requests made by `make`.
fn reasons(
    count: u64,
    fails: impl Fn(u64) -> bool,
    make: impl Fn(u64, bool) -> (String, serde_json::Value, String),
) -> Vec<String> {
    let records: Vec<_> = (0..count)
        .map(|number| {
            let failing = fails(number);
            let (uri, headers, body) = make(number, failing);
            record(number, &uri, headers, &body, if failing { "500" } else { "200" })
        })
        .collect();
    let explained = explain(&records, outcome);
    explained
        .first()
        .map(|one| one.reasons.iter().map(ToString::to_string).collect())
        .unwrap_or_default()
}

#[test]
fn each_kind_of_difference_is_found() {
    let third = |number: u64| number.is_multiple_of(3);
    let uri = |number: u64| format!("/api/do?n={}", number * 7919 % 1000);
    let none = || json!({});
    let cases: [(Vec<String>, &str); 8] = [
        (
            reasons(90, third, |n, bad| {
                (format!("{}&q=a{}b", uri(n), if bad { "%27" } else { "" }), none(), String::new())
            }),
            "30 of 30 failures have ' in `q`, 0 of 60 passes do",
        ),
        (
            reasons(90, third, |n, bad| {
                let header = if bad { json!({}) } else { json!({ "X-Tenant": ["t"] }) };
                (uri(n), header, String::new())
            }),
            "30 of 30 failures lack the header `X-Tenant`, 0 of 60 passes do",
        ),
        (
            reasons(90, third, |n, bad| {
                let kind = if bad { "null" } else { "3" };
                (uri(n), none(), format!(r#"{{"order":{{"qty":{kind},"id":{n}}}}}"#))
            }),
            "30 of 30 failures have null as `order.qty` of the JSON body, 0 of 60 passes do",
        ),
        (
            reasons(90, third, |n, bad| {
                let qty = if bad { 100 + n } else { n % 50 };
                (uri(n), none(), format!(r#"{{"qty":{qty}}}"#))
            }),
            "30 of 30 failures have more than 49 as `qty` of the JSON body, 0 of 60 passes do",
        ),
        (
            reasons(90, third, |n, bad| {
                let currency = if bad { "JPY" } else { ["EUR", "USD"][(n % 2) as usize] };
                (format!("{}&currency={currency}", uri(n)), none(), String::new())
            }),
            "30 of 30 failures have `currency` = \"JPY\", 0 of 60 passes do",
        ),
        (
            reasons(90, third, |n, bad| {
                (format!("{}&q={}", uri(n), if bad { "%FF" } else { "x" }), none(), String::new())
            }),
            "30 of 30 failures have bytes in `q` that are no UTF-8, 0 of 60 passes do",
        ),
        (
            reasons(90, third, |n, bad| {
                (format!("{}{}", uri(n), if bad { "&n=1" } else { "" }), none(), String::new())
            }),
            "30 of 30 failures say `n` more than once, 0 of 60 passes do",
        ),
        (
            reasons(90, third, |n, bad| {
                (format!("{}&q={}", uri(n), if bad { "" } else { "x" }), none(), String::new())
            }),
            "30 of 30 failures leave `q` empty, 0 of 60 passes do",
        ),
    ];
    for (found, expected) in cases {
        assert_eq!(found, [expected]);
    }
}

#[test]
fn two_causes_are_two_reasons() {
    let found = reasons(
        90,
        |number| number.is_multiple_of(3),
        |n, bad| {
            let uri = format!("/api/do?n={n}{}", if bad && n % 2 == 0 { "%7F" } else { "" });
            let headers = if bad && n % 2 == 1 { json!({ "X-Old": ["1"] }) } else { json!({}) };
            (uri, headers, String::new())
        },
    );
    assert_eq!(
        found,
        [
            "15 of 30 failures end `n` with 0x7f (DEL), 0 of 60 passes do",
            "15 of 15 failures have the header `X-Old` = \"1\", 0 of 60 passes do",
        ]
    );
}

#[test]
fn chance_is_no_reason_or_is_marked() {
    // Failing has nothing to do with the request.
    let found = reasons(
        60,
        |number| number * 31 % 7 < 2,
        |n, _| {
            (format!("/api/do?n={}&k={}", n * 7919 % 1000, n * 17 % 5), json!({}), String::new())
        },
    );
    assert!(
        found.iter().all(|reason| reason.ends_with("(so few that it may be chance)")),
        "{found:?}"
    );
}

proptest! {
    /// The order of the records changes nothing, and every count is true.
    #[test]
    fn the_answer_depends_on_the_set_alone(
        requests in prop::collection::vec(("[a-c]{0,2}(%7F|'|%00)?", "[a-b]?", any::<bool>()), 1..40),
        rotation in 0usize..40,
    ) {
        let records: Vec<_> = requests.iter().enumerate().map(|(number, (value, header, failing))| {
            let headers = if header.is_empty() { json!({}) } else { json!({ "X-A": [header] }) };
            let uri = format!("/api/do?id={value}");
            record(number as u64, &uri, headers, "", if *failing { "500" } else { "200" })
        }).collect();
        let text = |records: &[RrPair]| {
            let explained = explain(records, outcome);
            explained.iter().map(|one| (
                one.route.clone(), one.failures, one.passes, one.unexplained,
                one.reasons.iter().map(ToString::to_string).collect::<Vec<_>>(),
            )).collect::<Vec<_>>()
        };
        let mut turned = records.clone();
        turned.rotate_left(rotation % records.len());
        turned.reverse();
        prop_assert_eq!(text(&records), text(&turned));

        for one in explain(&records, outcome) {
            let mut left: Vec<_> = records.iter().filter(|r| outcome(r) == Outcome::Failed).collect();
            prop_assert_eq!(left.len(), one.failures);
            let passes: Vec<_> = records.iter().filter(|r| outcome(r) == Outcome::Passed).collect();
            for reason in &one.reasons {
                let is_true = |record: &&RrPair| holds(&reason.fact, &facts(record));
                prop_assert_eq!(left.len(), reason.of_failures);
                prop_assert_eq!(left.iter().copied().filter(is_true).count(), reason.failures);
                prop_assert_eq!(passes.iter().copied().filter(is_true).count(), reason.passes);
                prop_assert!(is_true(&&records[reason.example]));
                left.retain(|record| !is_true(record));
            }
            prop_assert_eq!(left.len(), one.unexplained);
        }
    }

    /// Any bytes anywhere: no panic, and nothing that a terminal obeys.
    #[test]
    fn hostile_requests_give_plain_text(uri in any::<String>(), body in any::<String>()) {
        let records = [
            record(0, &uri, json!({ "X\u{1b}": ["\u{1b}[2J"] }), &body, "500"),
            record(1, "/api/do", json!({}), "", "200"),
        ];
        for one in explain(&records, outcome) {
            for reason in one.reasons {
                prop_assert!(reason.to_string().bytes().all(|byte| (0x20..0x7f).contains(&byte)
                    || !byte.is_ascii()));
            }
        }
    }
}
