//! Prints the CPU time of redaction, and of a plain set of regular expressions with the same
//! rules, for bench/dlp.py. Run with `--release`:
//!
//!     throughput weir|regexset RULES BODIES PASSES MEDIA-TYPE
//!     throughput growth BYTES
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a program for people to run")]

use std::{env, fs, hint::black_box, time::Duration};

use regex::bytes::{RegexSet, RegexSetBuilder};
use weir_dlp::{Detector, Key, PolicySource, Redactor};
use weir_rrpair::{Body, Fields, Http, HttpRequest, Raw, RrPair};

/// The names among the rules.
const KEYS: [&str; 12] = [
    "authorization",
    "cookie",
    "set-cookie",
    "password",
    "passwd",
    "secret",
    "token",
    "access_token",
    "refresh_token",
    "client_secret",
    "api_key",
    "x-api-key",
];

/// Parts of texts that are made to cost, repeated to every length.
const HOSTILE: [&str; 16] = [
    "@",
    "a@b.",
    "eyJ",
    "eyJeyJ.",
    "4111 1111 ",
    "123-45-",
    "://a:",
    "a://b@c://",
    "-----BEGIN PRIVATE KEY",
    "password='",
    "secret: \"\\",
    "bearer ",
    "%252525252541&amp;amp;amp;amp;amp;#65;\\\\\\\\\\\\\\\\u0041",
    "{\"a\":\"{\\\"a\\\":\\\"",
    "<a b='<a b=\"",
    "QUFBQUFBQUFBQUFBQUFB",
];

/// Time of this thread on a processor.
fn cpu() -> Duration {
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(text.split(' ').next().unwrap().parse().unwrap())
}

fn redactor() -> Redactor {
    let key = |name: &str| Key { scope: "all".to_owned(), name: name.to_owned() };
    let policy = PolicySource {
        detectors: Detector::SENSITIVE.to_vec(),
        keys: KEYS.into_iter().map(key).collect(),
        ..PolicySource::default()
    };
    Redactor::compile(&[policy]).unwrap()
}

/// A request with that body and no other payload.
fn record(media: &str, body: &[u8]) -> RrPair {
    let mut headers = Fields::default();
    headers.push("Content-Type", media);
    let req = HttpRequest { headers, body: Body(body.to_vec()), ..HttpRequest::default() };
    RrPair { http: Some(Http { req, ..Http::default() }), ..RrPair::default() }
}

fn rules(path: &str) -> RegexSet {
    let text = fs::read_to_string(path).unwrap();
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let expressions = lines.map(|line| {
        let mut fields = line.splitn(3, '\t').skip(1);
        let fold = fields.next() == Some("i");
        format!("{}{}", if fold { "(?i)" } else { "" }, fields.next().unwrap())
    });
    // Bytes without Unicode, as vectorscan sees them, and room enough for its states.
    let mut builder = RegexSetBuilder::new(expressions);
    builder.unicode(false).size_limit(256 << 20).dfa_size_limit(64 << 20).build().unwrap()
}

/// Bodies, each after its length in four bytes, little-endian.
fn bodies(path: &str) -> Vec<Vec<u8>> {
    let bytes = fs::read(path).unwrap();
    let mut rest = bytes.as_slice();
    let mut bodies = Vec::new();
    while let Some((length, after)) = rest.split_first_chunk::<4>() {
        let (body, after) = after.split_at(u32::from_le_bytes(*length).try_into().unwrap());
        bodies.push(body.to_vec());
        rest = after;
    }
    bodies
}

/// Bytes, nanoseconds and values found, for every pass.
fn report(bodies: &[Vec<u8>], passes: usize, mut pass: impl FnMut() -> (Duration, u64)) {
    let total: usize = bodies.iter().map(Vec::len).sum();
    for _ in 0..passes {
        let (time, found) = pass();
        println!("{total} {} {found}", time.as_nanos());
    }
}

/// Redacts them; the time without the copies that are made before.
fn redact(redactor: &Redactor, records: &[RrPair]) -> (Duration, u64) {
    let copies: Vec<Raw> = records.iter().cloned().map(Raw).collect();
    let (started, mut found) = (cpu(), 0);
    for raw in copies {
        found += black_box(redactor.redact(raw)).unwrap().hits.values().sum::<u64>();
    }
    (cpu().saturating_sub(started), found)
}

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["weir", _, path, passes, media] => {
            let (redactor, bodies) = (redactor(), bodies(path));
            let records: Vec<RrPair> = bodies.iter().map(|body| record(media, body)).collect();
            report(&bodies, passes.parse().unwrap(), || redact(&redactor, &records));
        }
        ["regexset", path, file, passes, _] => {
            let (set, bodies) = (rules(path), bodies(file));
            report(&bodies, passes.parse().unwrap(), || {
                let (started, mut found) = (cpu(), 0);
                for body in &bodies {
                    found += set.matches(body).iter().count() as u64;
                }
                (cpu().saturating_sub(started), found)
            });
        }
        ["growth", bytes] => {
            let (redactor, bytes) = (redactor(), bytes.parse::<usize>().unwrap());
            for part in HOSTILE {
                let of = |length: usize| record("", &part.as_bytes().repeat(length / part.len()));
                let (short, long) = (of(bytes), of(bytes * 10));
                // As many bytes of each, and in turn: what disturbs one disturbs the other.
                let (mut once, mut ten) = (Duration::MAX, Duration::MAX);
                for _ in 0..5 {
                    once = once.min(redact(&redactor, &vec![short.clone(); 40]).0);
                    ten = ten.min(redact(&redactor, &vec![long.clone(); 4]).0);
                }
                println!("{} {} {part:?}", once.as_nanos() / 40, ten.as_nanos() / 4);
            }
        }
        _ => println!("usage: see the head of this example"),
    }
}
