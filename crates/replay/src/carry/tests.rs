use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::wire;

fn request(head: &str, body: &str) -> Outgoing {
    let record = json!({
        "http": { "req": { "method": "GET", "url": "/", "headBase64": base64(head.as_bytes()),
            "bodyBase64": base64(body.as_bytes()) } },
    });
    let record = weir_rrpair::json::from_slice(record.to_string().as_bytes()).unwrap();
    wire::request(&record).unwrap()
}

fn base64(bytes: &[u8]) -> String {
    use ::base64::{Engine as _, prelude::BASE64_STANDARD};
    BASE64_STANDARD.encode(bytes)
}

fn head(text: &str) -> Head {
    Head::from_raw(text.as_bytes())
}

#[test]
fn a_login_token_a_cookie_and_an_id_are_carried_on() {
    let mut later = request(
        "POST /orders/10432/pay?t=tok-old-1 HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer tok-old-1\r\n\
         Cookie: sid=abc123; theme=dark\r\nContent-Length: 19\r\n\r\n",
        r#"{"order":10432,"n":1}"#,
    );
    let mut sent = Sent::default();
    sent.note(&later);
    let recorded_head = head("HTTP/1.1 200 OK\r\nSet-Cookie: sid=abc123; Path=/\r\n\r\n");
    let observed_head = head("HTTP/1.1 200 OK\r\nset-cookie: sid=xyz9876543; Path=/\r\n\r\n");
    let mut carried = Carried::default();
    carried.learn(
        &sent,
        Minting {
            head: &recorded_head,
            body: br#"{"access_token":"tok-old-1","id":10432,"unused":"value-1"}"#,
        },
        Minting {
            head: &observed_head,
            body: br#"{"access_token":"tok-new-22","id":999999,"unused":"value-2"}"#,
        },
    );
    assert_eq!(carried.apply(&mut later), 5);
    let text = String::from_utf8(later.to_bytes()).unwrap();
    assert_eq!(
        text,
        "POST /orders/999999/pay?t=tok-new-22 HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer tok-new-22\r\n\
         Cookie: sid=xyz9876543; theme=dark\r\nContent-Length: 22\r\n\r\n{\"order\":999999,\"n\":1}"
    );
}

#[test]
fn whole_values_alone_are_replaced() {
    let mut later = request("GET /a?x=tok-old-12&y=tok-old HTTP/1.1\r\n\r\n", "");
    let mut sent = Sent::default();
    sent.note(&later);
    let none = head("HTTP/1.1 200 OK\r\n\r\n");
    let mut carried = Carried::default();
    let mint = |body| Minting { head: &none, body };
    carried.learn(&sent, mint(br#"{"t":"tok-old"}"#), mint(br#"{"t":"new!!"}"#));
    assert_eq!(carried.apply(&mut later), 0, "a value that no token is made of");
    carried.learn(&sent, mint(br#"{"t":"tok-old"}"#), mint(br#"{"t":"fresh"}"#));
    assert_eq!(carried.apply(&mut later), 1);
    assert!(later.head.start().ends_with(b"x=tok-old-12&y=fresh HTTP/1.1"));
}

#[test]
fn what_stands_elsewhere_in_a_list_is_not_new() {
    let later = request("GET /rocket?id=saturn-v&other=soyuz-2 HTTP/1.1\r\n\r\n", "");
    let mut sent = Sent::default();
    sent.note(&later);
    let none = head("HTTP/1.1 200 OK\r\n\r\n");
    let mint = |body| Minting { head: &none, body };
    let (short, long) = (br#"["saturn-v","soyuz-2"]"#, br#"["prototype","saturn-v","soyuz-2"]"#);
    for (recorded, observed) in [(&short[..], &long[..]), (&long[..], &short[..])] {
        let mut carried = Carried::default();
        carried.learn(&sent, mint(recorded), mint(observed));
        assert_eq!(carried.apply(&mut later.clone()), 0);
    }
    // All others: the server calls them so now.
    let mut carried = Carried::default();
    carried.learn(&sent, mint(short), mint(br#"["id-90001","id-90002"]"#));
    assert_eq!(carried.apply(&mut later.clone()), 2);
}

proptest! {
    #[test]
    fn a_request_stays_as_it_is_when_nothing_was_minted(target in "[!-~\u{7f}]{1,30}", body in any::<String>()) {
        let head = format!("POST /{target} HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", body.len());
        let mut later = request(&head, &body);
        let before = later.to_bytes();
        let mut carried = Carried::default();
        carried.0.insert(b"some-other-token-of-no-request".to_vec(), b"x".to_vec());
        prop_assert_eq!(carried.apply(&mut later), 0);
        prop_assert_eq!(later.to_bytes(), before);
    }
}
