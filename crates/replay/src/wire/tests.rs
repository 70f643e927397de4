use proptest::prelude::*;
use serde_json::{Value, json};
use weir_rrpair::RrPair;

use super::{Unsendable, request, response};
use crate::message::{Kind, Reader};

const DEL_500: &str = include_str!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../fixtures/contract/golden/http-get-del-char-500.json"
));

fn record(value: Value) -> RrPair {
    serde_json::from_value(value).unwrap()
}

fn sent(value: Value) -> Vec<u8> {
    request(&record(value)).unwrap().to_bytes()
}

#[test]
fn the_contracts_example_is_sent_as_it_was() {
    let record: RrPair = serde_json::from_str(DEL_500).unwrap();
    let bytes = request(&record).unwrap().to_bytes();
    let expect = b"GET /api/rocket?id=falcon-test-1%7F HTTP/1.1\r\nHost: rocket-api\r\nUser-Agent: golden/1\r\n\r\n";
    assert_eq!(bytes, expect);
    let answer = response(&record, false).unwrap();
    let expect = b"HTTP/1.1 500 Internal Server Error\r\nContent-Type: application/json\r\nContent-Length: 28\r\n\r\n{\"error\":\"rocket not found\"}";
    assert_eq!(answer, expect);
}

#[test]
fn a_raw_del_in_the_target_is_sent_raw() {
    let bytes = sent(json!({"http": {"req": {
        "method": "GET", "uri": "/r?id=a\u{7f}", "version": "1.1", "headers": {"Host": ["h"]},
    }}}));
    assert_eq!(bytes, b"GET /r?id=a\x7f HTTP/1.1\r\nHost: h\r\n\r\n");
}

#[test]
fn a_raw_head_wins_over_its_parts() {
    // `GET /\xff HTTP/1.1`, `hOST: h`
    let bytes = sent(json!({"http": {"req": {
        "method": "GET", "uri": "/ÿ", "headers": {"Host": ["h"]},
        "headBase64": "R0VUIC//IEhUVFAvMS4xDQpoT1NUOiBoDQoNCg==",
    }}}));
    assert_eq!(bytes, b"GET /\xff HTTP/1.1\r\nhOST: h\r\n\r\n");
}

#[test]
fn a_body_is_framed_as_its_head_says() {
    let body = |headers: Value| {
        sent(json!({"http": {"req": {
            "method": "POST", "uri": "/", "version": "1.1", "host": "h",
            "headers": headers, "bodyBase64": "YWJj", "trailers": {"Sum": ["1"]},
        }}}))
    };
    let chunked = body(json!({"Host": ["h"], "Transfer-Encoding": ["chunked"]}));
    assert!(chunked.ends_with(b"\r\n\r\n3\r\nabc\r\n0\r\nSum: 1\r\n\r\n"));
    let edited = body(json!({"Content-Length": ["99"], "Host": ["h"]}));
    assert_eq!(edited, b"POST / HTTP/1.1\r\nContent-Length: 3\r\nHost: h\r\n\r\nabc");
    let missing = body(json!({}));
    assert_eq!(missing, b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc");
}

#[test]
fn what_cannot_be_sent_says_why() {
    let req = json!({"method": "POST", "uri": "/", "host": "h"});
    for (value, expect) in [
        (json!({"l7protocol": "postgres"}), Unsendable::NotHttp),
        (json!({"l7protocol": "grpc", "http": {"req": req}}), Unsendable::Grpc),
        (json!({"tags": {"truncated": "both"}, "http": {"req": req}}), Unsendable::BodyCut),
        (json!({"http": {"req": {"method": "CONNECT", "uri": "a:1"}}}), Unsendable::Tunnel),
        (json!({"http": {"req": {"method": "GET"}}}), Unsendable::NoRequestLine),
    ] {
        assert_eq!(request(&record(value)).unwrap_err(), expect);
    }
}

#[test]
fn an_edited_value_cannot_add_a_field() {
    let bytes = sent(json!({"http": {"req": {
        "method": "GET", "uri": "/", "headers": {"Host": ["h"], "A": ["b\r\nC: d"]},
    }}}));
    assert_eq!(bytes, b"GET / HTTP/1.1\r\nHost: h\r\nA: b  C: d\r\n\r\n");
}

#[test]
fn a_response_to_head_or_without_content_has_no_body() {
    let value = json!({"http": {"req": {"method": "HEAD"}, "res": {
        "statusCode": 200, "statusMessage": "200 OK", "headers": {"Content-Length": ["7"]},
    }}});
    let bytes = response(&record(value), true).unwrap();
    assert_eq!(bytes, b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n");
    let value = json!({"http": {"req": {}, "res": {"statusCode": 204, "statusMessage": "204 "}}});
    assert_eq!(response(&record(value), false).unwrap(), b"HTTP/1.1 204 \r\n\r\n");
    let half = json!({"http": {"req": {}, "res": {"statusCode": 0}}});
    assert_eq!(response(&record(half), false), None);
}

proptest! {
    #[test]
    fn what_is_written_can_be_read(
        target in "/[a-z?=&%\u{7f}é]{0,20}",
        body in prop::collection::vec(any::<u8>(), 0..60),
        chunked in any::<bool>(),
    ) {
        let mut value = json!({"http": {"req": {
            "method": "PUT", "uri": target, "host": "h", "headers": {"Host": ["h"]},
        }}});
        if chunked {
            value["http"]["req"]["headers"]["Transfer-Encoding"] = json!(["chunked"]);
        }
        let mut record = record(value);
        record.http.as_mut().unwrap().req.body.0.clone_from(&body);
        let bytes = request(&record).unwrap().to_bytes();
        let mut reader = Reader::new(Kind::Request, 1000);
        prop_assert_eq!(reader.feed(&bytes).unwrap(), bytes.len());
        let message = reader.take().unwrap();
        prop_assert_eq!(message.request_line().unwrap().target, target.as_bytes());
        prop_assert_eq!(message.body, body);
    }
}
