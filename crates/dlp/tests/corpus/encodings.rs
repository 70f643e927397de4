//! How it is written.

use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::KEY;
use super::kinds::KINDS;
use super::places::{base64, bodies};
use super::sink::{holds, leaks, redacted};

fn pack(coding: &str, bytes: &[u8]) -> Vec<u8> {
    let fast = flate2::Compression::fast();
    match coding {
        "gzip" => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), fast);
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
        "deflate" => {
            let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), fast);
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
        "br" => {
            let mut encoder = brotli::CompressorWriter::new(Vec::new(), 4096, 4, 20);
            encoder.write_all(bytes).unwrap();
            encoder.into_inner()
        }
        "zstd" => zstd::stream::encode_all(bytes, 1).unwrap(),
        _ => bytes.to_vec(),
    }
}

fn message(content_type: &str, coding: &str, body: &[u8]) -> Value {
    json!({"http": {"req": {"method": "POST", "headers": {
        "Content-Type": [content_type], "Content-Encoding": [coding],
        "Content-Length": [body.len().to_string()]}, "bodyBase64": base64(body)}}})
}

#[track_caller]
fn clean(what: &str, before: &Value, secret: &str) {
    assert!(holds(before, secret), "{what} does not plant it");
    let after = redacted(before);
    assert_eq!(leaks(&after, secret), Vec::<String>::new(), "{what}: {after}");
    let said = after.pointer("/http/req/headers/Content-Length/0").unwrap().as_str().unwrap();
    let body = after.pointer("/http/req/bodyBase64").unwrap().as_str().unwrap();
    let sent = base64::engine::general_purpose::STANDARD.decode(body).unwrap().len();
    assert_eq!(said, sent.to_string(), "{what}");
    assert_eq!(redacted(&after), after, "{what} is redacted twice");
}

#[test]
fn packed_bodies_are_searched() {
    for (turn, kind) in KINDS.into_iter().enumerate() {
        for (place, (name, content_type, body)) in bodies(kind.secret).into_iter().enumerate() {
            // Codings and formats do not know of each other: all pairs of them, over the kinds.
            let other = ["deflate", "br", "zstd"][(turn + place) % 3];
            for coding in ["gzip", other] {
                let packed = pack(coding, body.as_bytes());
                let before = message(content_type, coding, &packed);
                // A form writes some secrets in its own way.
                if holds(&before, kind.secret) {
                    clean(&format!("{name}, {coding}, {}", kind.category), &before, kind.secret);
                }
            }
        }
        let twice = pack("br", &pack("gzip", format!("{KEY}={}", kind.secret).as_bytes()));
        clean("twice", &message("text/plain", "gzip, br", &twice), kind.secret);
    }
}

#[test]
fn values_are_searched_in_what_they_encode() {
    for kind in KINDS {
        let secret = kind.secret;
        let object = format!(r#"{{"{KEY}":"{secret}","a":"some more text"}}"#);
        let escaped = each(secret, |c| format!("\\u{:04x}", u32::from(c)));
        let percent = each(secret, |c| format!("%{:02x}", u32::from(c)));
        let references = each(secret, |c| format!("&#x{:x};", u32::from(c)));
        let folded = base64(format!("{object}{}", " ".repeat(90)));
        let folded: Vec<&[u8]> = folded.as_bytes().chunks(76).collect();
        let folded = String::from_utf8(folded.join(&b"\r\n"[..])).unwrap();
        let packed = base64(pack("gzip", object.as_bytes()));
        let json = "application/json";
        let cases = [
            ("base64 of JSON", json, format!(r#"{{"data":"{}"}}"#, base64(&object))),
            (
                "base64url of JSON",
                json,
                format!(r#"{{"data":"{}"}}"#, URL_SAFE_NO_PAD.encode(&object)),
            ),
            ("base64 of base64", json, format!(r#"{{"data":"{}"}}"#, base64(base64(&object)))),
            (
                "base64 in text",
                "text/plain",
                format!("see data:application/json;base64,{} there", base64(&object)),
            ),
            ("packed in base64", json, format!(r#"{{"data":"{packed}"}}"#)),
            ("escapes", json, format!(r#"{{"{KEY}":"{escaped}"}}"#)),
            ("percent", "application/x-www-form-urlencoded", format!("a=1&{KEY}={percent}")),
            ("references", "application/xml", format!("<a><{KEY}>{references}</{KEY}></a>")),
            (
                "folded part",
                "multipart/mixed; boundary=B",
                format!(
                    "--B\r\nContent-Type: application/json\r\nContent-Transfer-Encoding: base64\r\n\r\n{folded}\r\n--B--\r\n"
                ),
            ),
        ];
        for (name, content_type, body) in cases {
            clean(
                &format!("{name}, {}", kind.category),
                &message(content_type, "identity", body.as_bytes()),
                secret,
            );
        }
    }
}

#[test]
fn wide_text_is_searched() {
    for kind in KINDS {
        let object = format!(r#"{{"{KEY}":"{}"}}"#, kind.secret);
        let wide = |big: bool, mark: bool| -> Vec<u8> {
            let mark = if mark { "\u{feff}" } else { "" };
            let units = mark.encode_utf16().chain(object.encode_utf16());
            units.flat_map(|u| if big { u.to_be_bytes() } else { u.to_le_bytes() }).collect()
        };
        for (big, mark) in [(false, true), (true, true), (false, false), (true, false)] {
            let before = message("text/plain", "identity", &wide(big, mark));
            clean(&format!("UTF-16, {big} {mark}"), &before, kind.secret);
        }
    }
}

fn each(text: &str, with: impl FnMut(char) -> String) -> String {
    text.chars().map(with).collect::<Vec<_>>().concat()
}

fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![number << 3 | 2];
    let mut length = bytes.len();
    while length >= 0x80 {
        out.push(u8::try_from(length & 0x7f).unwrap() | 0x80);
        length >>= 7;
    }
    out.push(u8::try_from(length).unwrap());
    out.extend_from_slice(bytes);
    out
}

#[test]
fn strings_of_protobuf_are_searched_and_lengths_written_anew() {
    for kind in KINDS.iter().filter(|kind| !kind.by_name) {
        let text = format!("see {} there", kind.secret);
        let inner = [field(1, b"ok"), field(2, text.as_bytes()), vec![3 << 3, 42]].concat();
        let outer = [field(1, &inner), field(4, b"last")].concat();
        for (name, flag, coding, bytes) in
            [("plain", 0, "identity", outer.clone()), ("packed", 1, "gzip", pack("gzip", &outer))]
        {
            let length = u32::try_from(bytes.len()).unwrap().to_be_bytes();
            let frame = [&[flag][..], &length, &bytes].concat();
            let mut before = message("application/grpc+proto", "identity", &frame.repeat(2));
            before["http"]["req"]["headers"]["Grpc-Encoding"] = json!([coding]);
            clean(&format!("{name}, {}", kind.category), &before, kind.secret);
        }
        let before = message("application/x-protobuf", "identity", &outer);
        clean(kind.category, &before, kind.secret);
        let after = redacted(&before);
        let bytes = after["http"]["req"]["bodyBase64"].as_str().unwrap();
        let bytes = base64::engine::general_purpose::STANDARD.decode(bytes).unwrap();
        let text = text.replace(kind.secret, &kind.token());
        let inner = [field(1, b"ok"), field(2, text.as_bytes()), vec![3 << 3, 42]].concat();
        assert_eq!(bytes, [field(1, &inner), field(4, b"last")].concat(), "{}", kind.category);
    }
}
