//! A message of any media type and coding: redaction does not panic, what comes out is bounded
//! and of the right length, JSON stays JSON, what is under a redacted name goes, and a second time
//! changes nothing.
#![no_main]

use std::{io::Write as _, sync::LazyLock};

use arbitrary::Arbitrary;
use flate2::{Compression, write::GzEncoder, write::ZlibEncoder};
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};
use weir_dlp::{Detector, Key, Pattern, PolicySource, Redactor};
use weir_rrpair::{Body, Fields, Http, HttpRequest, Raw, RrPair};

#[derive(Arbitrary, Debug)]
struct Message<'a> {
    media: u8,
    coding: Coding,
    /// Whether the parts are strings of a JSON document, or bytes around a member of one.
    document: bool,
    target: &'a str,
    parts: [&'a [u8]; 3],
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Coding {
    None,
    Gzip,
    Deflate,
    /// Said, but not so.
    Lie(u8),
}

const MEDIA: [&str; 10] = [
    "",
    "text/plain",
    "application/json",
    "application/x-www-form-urlencoded",
    "application/xml",
    "multipart/form-data; boundary=b",
    "application/grpc",
    "application/x-protobuf",
    "text/plain; charset=utf-16",
    "application/graphql",
];
const CODINGS: [&str; 5] = ["gzip", "deflate", "br", "zstd", "gzip, br"];
const SECRET: &str = "hunter2-opensesame";
/// The longest token is that of one character.
const LONGEST_TOKEN: usize = 64;
/// What a body of a few KiB may grow to when it is unpacked.
const UNPACKED: usize = 1 << 21;

static REDACTOR: LazyLock<Redactor> = LazyLock::new(|| {
    let policy = PolicySource {
        detectors: Detector::ALL.to_vec(),
        keys: vec![Key { scope: "all".to_owned(), name: "secret".to_owned() }],
        patterns: vec![Pattern { name: "own".to_owned(), regex: "EMP-[0-9]+".to_owned() }],
        ..PolicySource::default()
    };
    Redactor::compile(&[policy]).unwrap()
});

fn redact(record: RrPair) -> RrPair {
    REDACTOR.redact(Raw(record)).expect("redaction fails on it").record.into_record()
}

fn packed(coding: Coding, body: &[u8]) -> (&'static str, Vec<u8>) {
    match coding {
        Coding::None => ("", body.to_vec()),
        Coding::Gzip => {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(body).unwrap();
            ("gzip", encoder.finish().unwrap())
        }
        Coding::Deflate => {
            let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(body).unwrap();
            ("deflate", encoder.finish().unwrap())
        }
        Coding::Lie(number) => (CODINGS[usize::from(number) % CODINGS.len()], body.to_vec()),
    }
}

fuzz_target!(|message: Message<'_>| {
    let [first, second, third] = message.parts;
    let shown = |bytes: &[u8]| bytes.windows(SECRET.len()).any(|some| some == SECRET.as_bytes());
    if message.parts.iter().any(|part| shown(part)) || message.target.contains(SECRET) {
        return; // it may be seen where nobody redacts it
    }
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    // A part that is a document itself is a member as it is, and its text is one too.
    let member = |bytes| serde_json::from_slice(bytes).unwrap_or_else(|_| Value::from(text(bytes)));
    let plain = if message.document {
        let document = json!({"secret": [SECRET, {(text(first)): SECRET}], "a": text(second),
            (format!("_{}", text(second))): member(third), "b": [member(first), text(third)]});
        document.to_string().into_bytes()
    } else {
        let planted = format!("\n\"secret\":\"{SECRET}\"\n");
        [first, planted.as_bytes(), second, third].concat()
    };
    let media = MEDIA[usize::from(message.media) % MEDIA.len()];
    let (coding, body) = packed(message.coding, &plain);
    let before = body.len();
    let mut headers = Fields::default();
    headers.push("Content-Type", media);
    if !coding.is_empty() {
        headers.push("Content-Encoding", coding);
    }
    headers.push("Content-Length", before.to_string());
    headers.push("Secret", SECRET);
    let uri = format!("/{}?secret={SECRET}", message.target.replace(['?', '#'], ""));
    let req = HttpRequest { headers, uri, body: Body(body), ..HttpRequest::default() };
    let http = Some(Http { req, ..Http::default() });
    let once = redact(RrPair { http, ..RrPair::default() });
    let request = &once.http.as_ref().unwrap().req;
    let length = request.body.0.len();
    assert_eq!(request.headers.first("Content-Length"), Some(length.to_string().as_str()));
    assert!(length <= plain.len() * LONGEST_TOKEN + UNPACKED, "{before} bytes became {length}");
    assert!(!request.uri.contains(SECRET), "the target shows the secret");
    assert!(!request.headers.first("Secret").unwrap().contains(SECRET));
    if message.document && media == "application/json" && matches!(message.coding, Coding::None) {
        let document: Value = serde_json::from_slice(&request.body.0).expect("it is JSON no more");
        assert!(document["a"].is_string() && document["b"].is_array(), "it has another shape");
        assert!(!document["secret"].to_string().contains(SECRET), "the body shows the secret");
    }
    let twice = redact(once.clone());
    assert_eq!(twice.http, once.http, "a second time changed something");
});
