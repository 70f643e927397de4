//! A body of any media type and coding: it passes without a panic, its length is right, JSON
//! stays JSON, a planted secret goes, and a second time changes nothing.
#![no_main]

use std::sync::LazyLock;

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use weir_dlp::{Detector, Key, Pattern, PolicySource, Redactor};
use weir_rrpair::{Body, Fields, Http, HttpRequest, Raw, RrPair};

#[derive(Arbitrary, Debug)]
struct Message<'a> {
    media: u8,
    coding: u8,
    uri: &'a str,
    /// Put before, between and after keys and values that are redacted.
    parts: [&'a [u8]; 3],
}

const MEDIA: [&str; 9] = [
    "",
    "text/plain",
    "application/json",
    "application/x-www-form-urlencoded",
    "application/xml",
    "multipart/form-data; boundary=b",
    "application/grpc",
    "application/x-protobuf",
    "text/plain; charset=utf-16",
];
const CODINGS: [&str; 6] = ["", "", "gzip", "deflate", "br", "zstd"];
const SECRET: &str = "hunter2-opensesame";

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
    REDACTOR.redact(Raw(record)).expect("a panic").record.into_record()
}

fuzz_target!(|message: Message<'_>| {
    let [first, second, third] = message.parts;
    let coding = CODINGS[usize::from(message.coding) % CODINGS.len()];
    let planted = format!("\n\"secret\":\"{SECRET}\"\n");
    let body = [first, planted.as_bytes(), second, third].concat();
    let mut headers = Fields::default();
    headers.push("Content-Type", MEDIA[usize::from(message.media) % MEDIA.len()]);
    headers.push("Content-Encoding", coding);
    headers.push("Content-Length", body.len().to_string());
    headers.push("Secret", SECRET);
    let uri = format!("/{}?secret={SECRET}", message.uri.replace(['?', '#'], ""));
    let req = HttpRequest { headers, uri, body: Body(body), ..HttpRequest::default() };
    let http = Some(Http { req, ..Http::default() });
    let once = redact(RrPair { http, ..RrPair::default() });
    let request = &once.http.as_ref().unwrap().req;
    let length = request.body.0.len().to_string();
    assert_eq!(request.headers.first("Content-Length"), Some(length.as_str()));
    assert!(!request.uri.contains(SECRET), "the target shows the secret");
    assert!(!request.headers.first("Secret").unwrap().contains(SECRET));
    let twice = redact(once.clone());
    assert_eq!(twice.http, once.http, "a second time changed something");
});
