//! Prints what redaction costs on bodies in which there is little to redact. Run with
//! `--release`.
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a program for people to run")]

use std::{hint::black_box, time::Instant};

use weir_dlp::{Detector, Key, PolicySource, Redactor};
use weir_rrpair::{Body, Fields, Http, HttpRequest, Raw, RrPair};

/// Short batches, so that on a busy machine some run undisturbed.
const BATCHES: u32 = 200;

fn record(content_type: &str, body: &str) -> RrPair {
    let mut headers = Fields::default();
    for (name, value) in [
        ("Host", "orders-api.shop.svc.cluster.local:8080"),
        ("Accept", "application/json"),
        ("Authorization", "Bearer 0123456789abcdef0123456789abcdef"),
        ("Content-Type", content_type),
        ("User-Agent", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko)"),
    ] {
        headers.push(name, value);
    }
    let uri = "/v1/orders?expand=lines".to_owned();
    let body = Body(body.as_bytes().to_vec());
    let req = HttpRequest { headers, uri, body, ..HttpRequest::default() };
    RrPair { http: Some(Http { req, ..Http::default() }), ..RrPair::default() }
}

fn main() {
    let key = |name: &str| Key { scope: "all".to_owned(), name: name.to_owned() };
    let names = ["authorization", "cookie", "set-cookie", "password", "token", "client_secret"];
    let policy = PolicySource {
        detectors: Detector::SENSITIVE.to_vec(),
        keys: names.into_iter().map(key).collect(),
        ..PolicySource::default()
    };
    let redactor = Redactor::compile(&[policy]).unwrap();
    let line = r#"{"id":4711,"sku":"mug-01","qty":2,"price":19.99,"note":"please ring twice"},"#;
    let json = |bytes: usize| format!("[{}{{}}]", line.repeat(bytes / line.len()));
    let prose =
        "It was a bright cold day in April, and the clocks were striking thirteen at 9:45. ";
    for (name, content_type, body) in [
        ("JSON, 1 KiB", "application/json", json(1 << 10)),
        ("JSON, 64 KiB", "application/json", json(64 << 10)),
        ("text, 64 KiB", "text/plain", prose.repeat((64 << 10) / prose.len())),
    ] {
        let record = record(content_type, &body);
        let best = (0..BATCHES)
            .map(|_| {
                let raw = Raw(record.clone());
                let start = Instant::now();
                black_box(redactor.redact(black_box(raw))).unwrap();
                start.elapsed()
            })
            .min()
            .unwrap();
        let bytes = f64::from(u32::try_from(body.len()).unwrap());
        let rate = bytes / best.as_secs_f64() / 1e6;
        println!("{name}: {} ns, {rate:.0} MB/s (best of {BATCHES})", best.as_nanos());
    }
}
