use serde_json::json;

use super::*;

type Change = fn(&mut Value);

fn exchange(number: usize) -> Exchange {
    let fields = |name: &str| Fields::from([(name.to_owned(), vec!["1".to_owned()])]);
    Exchange {
        method: "POST".to_owned(),
        uri: format!("/echo?n={number}"),
        request_headers: fields("x-a"),
        request_body: vec![0, 255, 127],
        status: 201,
        response_headers: fields("x-b"),
        response_body: vec![1, 2, 3],
    }
}

fn record(number: usize) -> Value {
    json!({
        "msgType": "rrpair", "direction": "IN", "command": "POST", "status": "201",
        "uuid": format!("uuid {number}"), "location": "/echo",
        "http": {
            "req": {
                "method": "POST", "uri": format!("/echo?n={number}"),
                "headers": {"X-A": ["1"]}, "bodyBase64": "AP9/",
            },
            "res": {"statusCode": 201, "headers": {"X-B": ["1"]}, "bodyBase64": "AQID"},
        },
    })
}

fn pairs(records: impl IntoIterator<Item = Value>) -> Vec<Pair> {
    records.into_iter().map(|record| Pair::from_record(record).unwrap()).collect()
}

fn judge(records: impl IntoIterator<Item = Value>) -> Differences {
    let sent: Vec<Exchange> = (0..3).map(exchange).collect();
    compare(&sent, &pairs(records), Bodies::Exact)
}

fn judge_with(change: impl FnOnce(&mut Value)) -> Differences {
    let mut records: Vec<Value> = (0..3).map(record).collect();
    change(&mut records[1]);
    judge(records)
}

#[test]
fn equal_traffic_has_no_differences_in_any_order() {
    assert!(judge([record(2), record(0), record(1)]).is_empty());
}

#[test]
fn a_missing_record_is_found() {
    let found = judge([record(0), record(2)]);
    assert_eq!(found.missing, ["/echo?n=1"]);
    assert!(!found.is_empty());
}

#[test]
fn a_repeated_record_is_found_even_under_another_uuid() {
    let mut twin = record(1);
    twin["uuid"] = json!("uuid other");
    assert_eq!(judge([record(0), record(1), twin, record(2)]).repeated, ["/echo?n=1"]);
}

#[test]
fn a_repeated_uuid_is_found() {
    assert!(!judge_with(|record| record["uuid"] = json!("uuid 0")).is_empty());
}

#[test]
fn a_record_of_something_never_sent_is_found() {
    assert_eq!(judge([record(0), record(1), record(2), record(9)]).unknown, ["/echo?n=9"]);
}

#[test]
fn a_half_pair_does_not_count_as_the_exchange() {
    let found = judge_with(|record| record["http"]["res"] = Value::Null);
    assert_eq!(found.half.len(), 1);
    assert_eq!(found.missing, ["/echo?n=1"]);
    let found = judge_with(|record| record["tags"] = json!({"incomplete": "response_cut"}));
    assert_eq!(found.half.len(), 1);
}

#[test]
fn every_altered_field_is_found() {
    let changes: [(&str, Change); 9] = [
        ("command", |r| r["command"] = json!("PUT")),
        ("method", |r| r["http"]["req"]["method"] = json!("PUT")),
        ("location", |r| r["location"] = json!("/ech")),
        ("request headers", |r| r["http"]["req"]["headers"]["X-A"] = json!(["1", "1"])),
        ("request body", |r| r["http"]["req"]["bodyBase64"] = json!("AP9+")),
        ("statusCode", |r| r["http"]["res"]["statusCode"] = json!(200)),
        ("status", |r| r["status"] = json!("200")),
        ("response headers", |r| r["http"]["res"]["headers"] = json!({})),
        ("response body", |r| r["http"]["res"]["bodyBase64"] = json!("AQI=")),
    ];
    for (field, change) in changes {
        assert_eq!(judge_with(change).altered, [("/echo?n=1".to_owned(), field)]);
    }
}

#[test]
fn responses_that_are_swapped_are_found() {
    let mut sent: Vec<Exchange> = (0..2).map(exchange).collect();
    sent[1].response_body = vec![9];
    let found = compare(&sent, &pairs([record(0), record(1)]), Bodies::Exact);
    assert_eq!(found.altered, [("/echo?n=1".to_owned(), "response body")]);
}

#[test]
fn a_cut_response_needs_a_mark_with_its_size() {
    let sent = [exchange(0)];
    let mut cut = record(0);
    cut["http"]["res"]["bodyBase64"] = Value::Null;
    let judge = |cut: &Value| compare(&sent, &pairs([cut.clone()]), Bodies::ResponseHole);
    assert_eq!(judge(&cut).altered, [("/echo?n=0".to_owned(), "response hole mark")]);
    cut["tags"] = json!({"truncated": "response"});
    cut["http"]["res"]["bodyBytes"] = json!(4);
    assert!(!judge(&cut).is_empty());
    cut["http"]["res"]["bodyBytes"] = json!(3.0);
    assert!(judge(&cut).is_empty());
}

#[test]
fn a_record_without_its_required_fields_is_refused() {
    for key in ["msgType", "direction", "command", "uuid"] {
        let mut broken = record(0);
        broken.as_object_mut().unwrap().remove(key);
        assert!(Pair::from_record(broken).is_err(), "{key}");
    }
}
