use serde_json::{Value, json};
use weir_rrpair::RrPair;

use super::{Against, ParseAgainst};

fn record(service: &str, protocol: &str, host: &str) -> RrPair {
    let value: Value = json!({
        "service": service, "l7protocol": protocol,
        "network_address": "up:9000", "http": {"req": {"host": host}},
    });
    serde_json::from_value(value).unwrap()
}

fn applied(against: &str, record: &RrPair) -> Option<String> {
    against.parse::<Against>().unwrap().apply(record).map(|target| target.to_string())
}

#[test]
fn each_part_is_replaced_alone() {
    let http = record("shop", "http", "shop:8080");
    let https = record("shop", "https", "shop.example");
    for (against, from_http, from_https) in [
        (":7000", "http://shop:7000", "https://shop.example:7000"),
        ("http://", "http://shop:8080", "http://shop.example:80"),
        ("https://", "https://shop:443", "https://shop.example:9000"),
        ("new.com:8080", "http://new.com:8080", "https://new.com:8080"),
        ("new.com", "http://new.com:80", "https://new.com:443"),
        ("http://[::1]:1/", "http://[::1]:1", "http://[::1]:1"),
        ("shop=localhost:9", "http://localhost:9", "https://localhost:9"),
    ] {
        assert_eq!(applied(against, &http).as_deref(), Some(from_http), "{against}");
        assert_eq!(applied(against, &https).as_deref(), Some(from_https), "{against}");
    }
}

#[test]
fn another_services_requests_stay_at_home() {
    assert_eq!(applied("cart=localhost:9", &record("shop", "http", "shop")), None);
}

#[test]
fn what_is_no_address_is_named() {
    for (text, expect) in [
        ("", ParseAgainst::Empty),
        ("=a", ParseAgainst::Empty),
        ("a:0", ParseAgainst::Port("0".into())),
        ("a:99999", ParseAgainst::Port("99999".into())),
        ("ftp://a", ParseAgainst::Scheme("ftp".into())),
        ("http://a/b", ParseAgainst::Path("/b".into())),
        ("a b", ParseAgainst::Host("a b".into())),
        ("http://user@a", ParseAgainst::Host("user@a".into())),
    ] {
        assert_eq!(text.parse::<Against>(), Err(expect), "{text}");
    }
}

#[test]
fn a_host_field_leaves_the_schemes_own_port_out() {
    let target = |text: &str| text.parse::<Against>().unwrap().apply(&record("s", "http", "h"));
    assert_eq!(target("https://a:443").unwrap().authority(), "a");
    assert_eq!(target("http://[::1]:8080").unwrap().authority(), "[::1]:8080");
}
