//! Inputs that are made to cost: time and stack have a bound that depends on their length alone.

use crate::chain::Chains;
use crate::edit::settle;
use crate::engine::{At, Run};
use crate::policy::{Detector, Key, PolicySource};
use crate::{Redactor, edit};

fn redactor() -> Redactor {
    let policy = PolicySource {
        detectors: Detector::ALL.to_vec(),
        keys: vec![Key { scope: "all".to_owned(), name: "secret".to_owned() }],
        ..PolicySource::default()
    };
    Redactor::compile(&[policy]).unwrap()
}

/// Bytes searched for a body.
fn cost(redactor: &Redactor, body: &[u8]) -> u64 {
    let mut run = Run::new(&redactor.engine);
    let edits = settle(run.bytes(At::new("http", "http.req.body", Chains::NONE), b"", body));
    drop(edit::apply(body, &edits));
    run.spent
}

/// Texts whose every part invites another look.
const SEEDS: [&str; 14] = [
    "%252525252541&amp;amp;amp;amp;amp;#65;\\\\\\\\\\\\\\\\u0041",
    "{\"a\":\"{\\\"a\\\":\\\"",
    "<a b='<a b=\"",
    "secret='",
    "secret: \"\\",
    "(a,secret) VALUES ('",
    ") values",
    "select ",
    "-----BEGIN PRIVATE KEY-----",
    "eyJeyJ.",
    "a://b@c://",
    "AAAAAAAAAAAAAAAA ",
    "4111 1111 ",
    "--b\r\nContent-Disposition: form-data; name=\"b\"\r\n\r\n",
];

#[test]
fn ten_times_the_input_is_not_much_more_than_ten_times_the_work() {
    let redactor = redactor();
    for seed in SEEDS {
        let of = |length: usize| cost(&redactor, seed.repeat(length / seed.len() + 1).as_bytes());
        let (small, large) = (of(4 << 10), of(40 << 10));
        assert!(large <= small * 11 + (64 << 10), "{seed}: {small} → {large}");
    }
}

#[test]
fn deep_nesting_needs_little_stack() {
    let mut body = String::from("\"secret\"");
    for _ in 0..8 {
        let deep = format!("{}{body}{}", "[{\"a\":".repeat(40), "}]".repeat(40));
        body = serde_json::Value::from(deep).to_string();
        body.truncate(1 << 20);
    }
    let body = format!("[{body}]");
    let redactor = redactor();
    std::thread::scope(|scope| {
        let small = std::thread::Builder::new().stack_size(1 << 20);
        let thread = small.spawn_scoped(scope, || cost(&redactor, body.as_bytes())).unwrap();
        assert!(thread.join().unwrap() > 0);
    });
}

#[test]
fn what_costs_too_much_is_redacted_as_a_whole() {
    let redactor = redactor();
    let body = SEEDS[0].repeat(4000);
    let redacted = redactor.redact_text(&body);
    assert!(redacted.len() < body.len(), "{}", redacted.len());
}
