use proptest::prelude::*;

use super::{Request, host_without_port, http, of};
use crate::fields::Signature;
use crate::golden;
use crate::json;

fn value(signature: &Signature, key: &str) -> Option<Vec<u8>> {
    signature.value(key).map(<[u8]>::to_vec)
}

fn of_body(content_type: &str, body: &[u8]) -> Signature {
    http(&Request { content_type, body, ..Request::default() })
}

#[test]
fn golden_signatures_are_ours_key_by_key() {
    let mut checked = 0;
    for document in golden::documents() {
        let record = json::from_slice(document.as_bytes()).unwrap();
        if let (Some(payload), Some(signature)) = (&record.http, &record.signature) {
            let mut expect = signature.clone();
            expect.0.sort_by(|a, b| a.0.cmp(&b.0));
            assert_eq!(of(&payload.req).0, expect.0);
            checked += 1;
        }
    }
    assert_eq!(checked, 10);
}

#[test]
fn a_port_is_left_out_and_brackets_go() {
    for (host, expect) in [
        ("orders-api", "orders-api"),
        ("orders-api:8080", "orders-api"),
        ("10.0.2.9:8080", "10.0.2.9"),
        ("[::1]:8080", "::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("::1", "::1"),
        ("a:b", "a:b"),
        ("a:", "a"),
        ("", ""),
    ] {
        assert_eq!(host_without_port(host.as_bytes()), expect.as_bytes(), "{host}");
    }
}

#[test]
fn query_names_are_sorted_and_decoded() {
    for (query, expect) in [
        (b"".as_slice(), b"".as_slice()),
        (b"b=2&a=1", b"a=1&b=2"),
        (b"a=2&a=1&flag", b"a=2&a=1&flag="),
        (b"q=x%20y+z%26", b"q=x y z&"),
        (b"raw=%FF%00\xfe", b"raw=\xff\x00\xfe"),
    ] {
        let signature = http(&Request { query, ..Request::default() });
        assert_eq!(signature.value("http:queryparams"), Some(expect));
    }
}

#[test]
fn a_body_is_json_or_xml_or_a_hash() {
    let json = of_body("text/plain", b"{\"b\": 1.0, \"a\": 1e400}");
    assert_eq!(value(&json, "http:requestBodyJSON").unwrap(), b"{\"a\":1e400,\"b\":1.0}");
    for (content_type, body) in [
        ("application/soap+xml; charset=utf-8", b"\n<a/>".as_slice()),
        ("", b"<?xml version='1.0'?><a/>"),
    ] {
        assert_eq!(value(&of_body(content_type, body), "http:requestBodyXML").unwrap(), body);
    }
    let form = of_body("application/x-www-form-urlencoded", b"a=1");
    assert_eq!(value(&form, "http:requestBodyHash").unwrap().len(), 32);
    assert_eq!(of_body("application/json", b"").0.len(), 4);
}

#[test]
fn sha256_is_the_published_one() {
    // FIPS 180-2, appendix B.1.
    let hash = value(&of_body("", b"abc"), "http:requestBodyHash").unwrap();
    let hex = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    let digits = hash.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    assert!(digits.map(|digit| char::from_digit(digit.into(), 16)).eq(hex.chars().map(Some)));
}

proptest! {
    #[test]
    fn any_request_has_a_signature_with_one_body_key(
        host: Vec<u8>, query: Vec<u8>, content_type: String, body: Vec<u8>,
    ) {
        let signature = http(&Request { host: &host, query: &query, content_type: &content_type, body: &body, ..Request::default() });
        prop_assert_eq!(signature.0.len(), 4 + usize::from(!body.is_empty()));
        prop_assert!(signature.0.is_sorted_by(|a, b| a.0 < b.0));
    }
}
