use base64::{Engine as _, prelude::BASE64_STANDARD};
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use weir_rrpair::json::from_map;

use super::*;
use crate::message::{Kind, Reader};

fn message(raw: &[u8]) -> Message {
    let mut reader = Reader::new(Kind::Request, 1 << 20);
    reader.feed(raw).unwrap();
    reader.take().unwrap()
}

fn record(number: u8, signature: &[(&str, &str)]) -> RrPair {
    let parts: Map<_, _> = signature
        .iter()
        .map(|(key, value)| ((*key).to_owned(), BASE64_STANDARD.encode(value).into()))
        .collect();
    let document = json!({
        "direction": "OUT", "l7protocol": "http", "command": "GET", "status": "200",
        "ts": format!("2026-09-01T10:00:{number:02}Z"), "uuid": BASE64_STANDARD.encode([number; 16]),
        "signature": parts,
        "http": { "req": { "method": "GET", "url": "/a", "uri": "/a?x=1", "host": "Pay.Example:80" },
                  "res": { "statusCode": 200, "bodyBase64": BASE64_STANDARD.encode([number]) } },
    });
    let Value::Object(map) = document else { unreachable!() };
    from_map(map).unwrap()
}

const GET_A: [(&str, &str); 4] = [
    ("http:host", "pay.example"),
    ("http:method", "GET"),
    ("http:queryparams", "x=1"),
    ("http:url", "/a"),
];

fn ask(mocks: &Mocks, host: &str, raw: &[u8]) -> Option<u8> {
    mocks.answer(host, &message(raw)).map(|record| record.uuid.0[0])
}

#[test]
fn one_signature_is_answered_in_the_order_of_instance_round_robin() {
    let numbered =
        |number, instance| record(number, &[&GET_A[..], &[("instance", instance)]].concat());
    let mocks =
        Mocks::new([numbered(1, "10"), numbered(2, "9"), numbered(3, "0"), record(4, &GET_A)]);
    let given: Vec<_> = (0..6)
        .map(|_| ask(&mocks, "PAY.example:8080", b"GET /a?x=1 HTTP/1.1\r\n\r\n").unwrap())
        .collect();
    assert_eq!(given, [3, 2, 1, 4, 3, 2]);
}

#[test]
fn both_forms_of_a_query_and_a_missing_signature_are_the_same() {
    let by_name = [
        ("http:host", "pay.example"),
        ("http:method", "GET"),
        ("http:queryparams:x", "1"),
        ("http:queryparams:a b", "2"),
        ("http:url", "/a"),
    ];
    let mocks = Mocks::new([record(1, &by_name)]);
    assert_eq!(ask(&mocks, "pay.example", b"GET /a?x=1&a+b=2 HTTP/1.1\r\n\r\n"), Some(1));
    assert_eq!(ask(&mocks, "pay.example", b"GET /a?x=1 HTTP/1.1\r\n\r\n"), None);
    let mocks = Mocks::new([record(2, &[])]);
    assert_eq!(ask(&mocks, "pay.example", b"GET /a?x=1 HTTP/1.1\r\n\r\n"), Some(2));
    assert_eq!(ask(&mocks, "pay.example", b"GET http://x/a?x=1 HTTP/1.1\r\n\r\n"), Some(2));
    assert!(mocks.knows("Pay.Example:443") && !mocks.knows("example"));
}

#[test]
fn the_nearest_recorded_request_says_what_differs() {
    let mocks = Mocks::new([record(1, &GET_A)]);
    let differs = |host, raw: &[u8]| mocks.differs_in(host, &message(raw));
    assert_eq!(differs("pay.example", b"GET /a?x=2 HTTP/1.1\r\n\r\n"), ["queryparams"]);
    let with_body = b"POST /a?x=1 HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}";
    assert_eq!(differs("pay.example", with_body), ["method", "requestBodyJSON"]);
    assert!(differs("other", b"GET /a?x=1 HTTP/1.1\r\n\r\n").is_empty());
}

#[test]
fn what_is_no_answer_is_counted_by_reason() {
    let mut inbound = record(1, &GET_A);
    inbound.direction = Direction::In;
    let mut unanswered = record(2, &GET_A);
    unanswered.http.as_mut().unwrap().res = None;
    let mut cut = record(3, &GET_A);
    cut.tags.push("truncated", "response");
    let mut query = record(4, &[]);
    query.http = None;
    query.l7protocol = "postgres".into();
    let mocks = Mocks::new([inbound, unanswered, cut, query]);
    assert!(mocks.is_empty());
    let reasons: Vec<_> = mocks.left_out().keys().map(String::as_str).collect();
    assert_eq!(
        reasons,
        [
            "a request that the service answered (direction IN)",
            "no answer was recorded",
            "postgres: only HTTP is mocked so far",
            "the answer was not captured whole",
        ]
    );
}

#[test]
fn a_target_names_its_host_or_does_not() {
    assert_eq!(named_host(b"http://u:p@a.b:81/c?d"), Some((false, &b"a.b:81"[..])));
    assert_eq!(named_host(b"HTTPS://a?d"), Some((true, &b"a"[..])));
    assert_eq!(named_host(b"http:///x"), None);
    assert_eq!(named_host(b"/http://x/"), None);
    assert_eq!(origin_form(b"http://a"), b"/");
    assert_eq!(origin_form(b"http://a?x"), b"?x");
    assert_eq!(origin_form(b"/a\x7f"), b"/a\x7f");
}

proptest! {
    #[test]
    fn any_target_is_taken_apart_without_loss(target in any::<Vec<u8>>(), host in "[a-z:@/?]{0,9}") {
        let target = [format!("http://{host}").as_bytes(), &target].concat();
        prop_assert!(target.ends_with(origin_form(&target)) || origin_form(&target) == b"/");
        let named = named_host(&target);
        prop_assert!(named.is_none_or(|(_, host)| target.windows(host.len()).any(|part| part == host)));
    }
}
