use super::*;
use crate::message::{Kind, Reader};

fn read(kind: Kind, raw: &[u8], limit: usize) -> Message {
    let mut reader = Reader::new(kind, limit);
    reader.feed(raw).unwrap();
    reader.take().unwrap()
}

#[test]
fn a_request_becomes_that_of_a_record() {
    let raw = b"POST http://api.example/a\x7f?x=1 HTTP/1.1\r\nx-a: 1\r\nX-A: 2\r\nContent-Length: 3\r\n\r\nabc";
    let request = request(&read(Kind::Request, raw, 2), "api.example").unwrap();
    assert_eq!((request.uri.as_str(), request.url.as_str()), ("/a\u{7f}?x=1", "/a\u{7f}"));
    assert_eq!((request.host.as_str(), request.version.as_ref()), ("api.example", "1.1"));
    assert_eq!(
        request.headers.iter().next().unwrap(),
        ("X-A", &["1".to_owned(), "2".to_owned()][..])
    );
    assert_eq!(request.extra.get("bodyBytes"), Some(&3.into()));
    assert!(!request.extra.contains_key("headBase64"));
}

#[test]
fn bytes_that_are_no_text_keep_the_raw_head() {
    let raw = b"GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n";
    let request = request(&read(Kind::Request, raw, 9), "").unwrap();
    let kept = BASE64_STANDARD.decode(request.extra["headBase64"].as_str().unwrap()).unwrap();
    assert_eq!(kept, raw);
    let raw = b"HTTP/1.1 200 OK\r\nX: \xff\r\nContent-Length: 0\r\n\r\n";
    let response = response(&read(Kind::Response { to_head: false }, raw, 9));
    assert_eq!((response.status_code, response.status_message.as_ref()), (200, "200 OK"));
    assert!(response.extra.contains_key("headBase64"));
}
