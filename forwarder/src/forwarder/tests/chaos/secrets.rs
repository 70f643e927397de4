//! What leaves the process, and what it says of itself, hold none of the secrets that it saw.

use std::io::Read as _;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use flate2::{Compression, read::MultiGzDecoder, write::GzEncoder};
use weir_dlp::{Detector, Key, PolicySource};
use weir_plan::PolicyPlan;

use super::*;

/// Not one of them is a part of another or of anything else.
const SECRETS: [&str; 6] = [
    "hunter2-password-of-a-form",
    "4111111111111111",
    "header-Qp7ZkW-credential",
    "cookie-Xv93LmTq-session",
    "query-Jt55RbNs-key",
    "answer-Kd81FhGw-secret",
];

fn policy() -> PolicyPlan {
    let names = ["password", "x-api-key", "session", "key", "secret"];
    let key = |name: &str| Key { scope: "all".to_owned(), name: name.to_owned() };
    let source = PolicySource {
        id: "default/all".to_owned(),
        keys: names.into_iter().map(key).collect(),
        detectors: vec![Detector::CreditCard],
        ..PolicySource::default()
    };
    PolicyPlan { key: super::key("all"), source }
}

fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    io::Write::write_all(&mut encoder, bytes).unwrap();
    encoder.finish().unwrap()
}

/// A request and a response with a secret in every place.
fn planted(number: usize) -> (Vec<u8>, Vec<u8>) {
    let [password, card, header, cookie, query, answer] = SECRETS;
    let form = format!("password={password}&card={card}&n={number}");
    let body = if number.is_multiple_of(2) { form.into_bytes() } else { packed(form.as_bytes()) };
    let coding = if number.is_multiple_of(2) { "" } else { "Content-Encoding: gzip\r\n" };
    let head = format!(
        "POST /buy?key={query}&n={number} HTTP/1.1\r\nHost: shop.local\r\nX-Api-Key: {header}\r\n\
         Cookie: session={cookie}\r\nContent-Type: application/x-www-form-urlencoded\r\n{coding}\
         Content-Length: {}\r\n\r\n",
        body.len()
    );
    let document = format!(r#"{{"n": {number}, "secret": "{answer}", "card": "{card}"}}"#);
    let answered = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{document}",
        document.len()
    );
    ([head.into_bytes(), body].concat(), answered.into_bytes())
}

#[test]
#[ignore = "the program that no_planted_secret_leaves_in_any_form starts"]
fn forwarder_with_secrets() {
    let port = env::var(PORT).unwrap().parse().unwrap();
    let folder = PathBuf::from(env::var(FOLDER).unwrap());
    tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(io::stderr).init();
    let mut kernel = Kernel::new();
    let forwarder = forwarder(&kernel, |config| config.queue_dir = Some(folder));
    let mut one = exporter("sniffed", port, Transport::Http);
    one.policies = vec![key("all")];
    one.compression = if env::var(RUN).unwrap() == "gzip" {
        weir_plan::Compression::Gzip
    } else {
        one.compression
    };
    let mut plan = plan(vec![one]);
    plan.policies = vec![policy()];
    forwarder.apply(plan);
    kernel.open(1, Call::SERVER);
    for number in 0..20 {
        let (asked, answered) = planted(number);
        kernel.exchange(1, Call::SERVER, &asked, &answered);
    }
    // What is no HTTP is counted, and not told.
    kernel.open(2, Call::SERVER);
    kernel.data(2, Direction::Ingress, SECRETS.concat().as_bytes());
    kernel.data(2, Direction::Ingress, b"\r\n\r\n");
    assert!(forwarder.settle(PATIENCE), "{:?}", forwarder.ledger());
    eprintln!("{:?} {}", forwarder.ledger(), forwarder.ledger());
    assert_eq!(forwarder.stop().records().exported, 20);
}

/// Every place where `bytes` hold the secret: as it is, in base64 at any of its three offsets,
/// and the same within whatever can be unpacked.
fn leaks(bytes: &[u8], secret: &str) -> usize {
    let contains = |hay: &[u8], needle: &[u8]| {
        hay.windows(needle.len()).filter(|part| part.eq_ignore_ascii_case(needle)).count()
    };
    let plain = contains(bytes, secret.as_bytes());
    let encoded = (0..3).map(|offset: usize| {
        let text = BASE64_STANDARD.encode([&vec![b'x'; offset], secret.as_bytes()].concat());
        // The characters that the secret's bytes alone decide.
        let (from, until) = ((offset * 8).div_ceil(6), (offset + secret.len()) * 8 / 6);
        let needle = &text.as_bytes()[from..until];
        bytes.windows(needle.len()).filter(|part| *part == needle).count()
    });
    plain + encoded.sum::<usize>()
}

/// `bytes`, and everything in them that gzip can unpack, also out of base64.
fn layers(bytes: Vec<u8>) -> Vec<Vec<u8>> {
    let mut layers = vec![bytes];
    let mut next = 0;
    while let Some(layer) = layers.get(next) {
        let mut found = Vec::new();
        let starts = layer.windows(3).enumerate().filter(|(_, start)| *start == [0x1f, 0x8b, 8]);
        for (at, _) in starts {
            let mut unpacked = Vec::new();
            // Up to where it is no gzip any more.
            MultiGzDecoder::new(&layer[at..]).read_to_end(&mut unpacked).ok();
            found.push(unpacked);
        }
        let is_text = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/=".contains(byte);
        for run in layer.split(|byte| !is_text(byte)).filter(|run| run.starts_with(b"H4sI")) {
            let whole = run.get(..run.len() / 4 * 4).unwrap_or_default();
            found.extend(BASE64_STANDARD.decode(whole).ok());
        }
        found.retain(|layer| !layer.is_empty());
        layers.extend(found);
        next += 1;
    }
    layers
}

#[test]
#[ignore = "needs the OpenTelemetry Collector"]
fn no_planted_secret_leaves_in_any_form() {
    for coding in ["none", "gzip"] {
        let root = tempfile::tempdir().unwrap();
        let collector = Collector::start(root.path(), "out.jsonl");
        let (proxy, queues) = (
            Proxy::start(collector.port(Transport::Http), Transport::Http),
            root.path().join("queues"),
        );
        let output = start_self("secrets::forwarder_with_secrets", &queues, proxy.port, coding)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{said}");
        assert!(said.contains("TRACE") && said.contains("starting OTLP log exporter"), "{said}");
        let written = collector.output.clone();
        assert_eq!(collector.finish().len(), 20);
        // The search itself finds what it should, also through all layers.
        let (asked, _) = planted(1);
        let head = asked.windows(4).position(|end| end == b"\r\n\r\n").unwrap() + 4;
        let body = BASE64_STANDARD.encode(&asked[head..]);
        let record = [&asked[..head], b"\"", body.as_bytes(), b"\""].concat();
        let control = layers(packed(&record));
        let found =
            |layers: &[Vec<u8>], secret| layers.iter().any(|layer| leaks(layer, secret) > 0);
        for secret in [SECRETS[0], SECRETS[1], SECRETS[2], SECRETS[4]] {
            assert!(found(&control, secret), "{secret}");
        }
        for (what, bytes) in [
            ("the network", proxy.heard()),
            ("what the collector got", fs::read(written).unwrap()),
            ("the log", output.stderr),
            ("stdout", output.stdout),
        ] {
            let layers = layers(bytes);
            assert!(layers[0].len() > 100, "{what}");
            for secret in SECRETS {
                assert!(!found(&layers, secret), "{secret} in {what} ({coding})");
            }
        }
    }
}
