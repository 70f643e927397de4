//! A forwarder under load, for bench/forwarder.py: everything but the kernel side is the real one.

use std::{
    env, fs,
    io::Write as _,
    path::PathBuf,
    time::{Duration, Instant},
};

use serde_json::json;
use weir_dlp::{Detector, Key, PolicySource};
use weir_plan::PolicyPlan;

use super::*;

/// Exchanges between two looks at the ledger; together far smaller than the ring.
const BURST: u64 = 50;
const CONNECTIONS: u64 = 16;
const LOOK: Duration = Duration::from_micros(200);
const REPORT_EVERY: Duration = Duration::from_secs(1);

fn variable<T: std::str::FromStr>(name: &str) -> Option<T> {
    env::var(format!("WEIR_LOAD_{name}")).ok()?.parse().ok()
}

/// All that is sensitive, and twelve names, as in bench/dlp/rules.txt.
fn policy() -> PolicyPlan {
    let names = "authorization cookie set-cookie password passwd secret token access_token \
                 refresh_token client_secret api_key x-api-key";
    let key = |name: &str| Key { scope: "all".to_owned(), name: name.to_owned() };
    let source = PolicySource {
        id: "default/all".to_owned(),
        keys: names.split_whitespace().map(key).collect(),
        detectors: Detector::SENSITIVE.to_vec(),
        ..PolicySource::default()
    };
    PolicyPlan { key: super::key("all"), source }
}

/// Bodies, each after its length in four bytes, little-endian, as exchanges.
fn exchanges(path: &PathBuf) -> Vec<(Vec<u8>, Vec<u8>)> {
    let bytes = fs::read(path).unwrap();
    let mut rest = bytes.as_slice();
    let mut exchanges = Vec::new();
    while let Some((length, after)) = rest.split_first_chunk::<4>() {
        let (body, after) = after.split_at(u32::from_le_bytes(*length).try_into().unwrap());
        let number = exchanges.len();
        let asked = format!(
            "GET /v1/orders/{number}?expand=lines HTTP/1.1\r\nHost: orders.shop.svc:8080\r\n\
             Accept: application/json\r\nUser-Agent: shop/1.4\r\n\
             Authorization: Bearer {number:040}\r\n\r\n"
        );
        let answered = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        exchanges.push((asked.into_bytes(), [answered.as_bytes(), body].concat()));
        rest = after;
    }
    exchanges
}

/// CPU time of every thread but this one, which plays the kernel.
fn cpu() -> Duration {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let (_, fields) = stat.rsplit_once(')').unwrap();
    let ticks: u64 =
        fields.split_whitespace().skip(11).take(2).map(|field| field.parse::<u64>().unwrap()).sum();
    let own = fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    let own = Duration::from_nanos(own.split(' ').next().unwrap().parse().unwrap());
    Duration::from_millis(ticks * 10).saturating_sub(own)
}

fn resident_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

/// One line of JSON for whoever started this.
fn report(forwarder: &Forwarder, started: Instant, event: &str) {
    let ledger = forwarder.ledger();
    let (records, exporter) = (ledger.records(), &ledger.exporters[0]);
    let line = json!({
        "event": event,
        "seconds": started.elapsed().as_secs_f64(),
        "cpu_ns": u64::try_from(cpu().as_nanos()).unwrap(),
        "resident_kib": resident_kib(),
        "seen": records.seen,
        "recovered": records.recovered,
        "exported": records.exported,
        "queued": records.queued + records.in_flight,
        "queued_bytes": exporter.queued_bytes,
        "shed": records.shed_total(),
        "refused": records.refused_total(),
        "balances": ledger.check().is_ok(),
    });
    let mut out = io::stdout().lock();
    writeln!(out, "\n{line}").unwrap();
    out.flush().unwrap();
}

#[test]
#[ignore = "a program for bench/forwarder.py"]
fn forwarder_under_load() {
    let started = Instant::now();
    let port: u16 = variable("PORT").unwrap();
    let total: u64 = variable("RECORDS").unwrap();
    let rate: u64 = variable("RATE").unwrap_or(0);
    let until_bytes: u64 = variable("UNTIL_BYTES").unwrap_or(u64::MAX);
    let exchanges = variable("BODIES").map(|path: PathBuf| exchanges(&path)).unwrap_or_default();
    let grpc = variable::<String>("TRANSPORT").is_none_or(|name| name == "grpc");
    let mut kernel = Kernel::new();
    let forwarder = forwarder(&kernel, |config| {
        config.queue_dir = variable("FOLDER");
        config.retry = RetryPolicy::default();
    });
    let mut one = exporter("load", port, if grpc { Transport::Grpc } else { Transport::Http });
    one.queue_bytes = variable("QUEUE_BYTES").unwrap_or(1 << 30);
    let redact = variable::<u8>("REDACT") == Some(1);
    if redact {
        one.policies = vec![key("all")];
    }
    let mut plan = plan(vec![one]);
    plan.policies.extend(redact.then(policy));
    forwarder.apply(plan);
    report(&forwarder, started, "started");
    (0..CONNECTIONS).for_each(|connection| kernel.open(connection, Call::SERVER));
    let (begun, mut reported, mut sent) = (Instant::now(), Instant::now(), 0);
    let mut look = |event: &str, now: bool| {
        if now || reported.elapsed() >= REPORT_EVERY {
            reported = Instant::now();
            report(&forwarder, started, event);
        }
    };
    while sent < total {
        for number in sent..(sent + BURST).min(total) {
            let (asked, answered) = &exchanges[usize::try_from(number).unwrap() % exchanges.len()];
            kernel.exchange(number % CONNECTIONS, Call::SERVER, asked, answered);
        }
        sent = (sent + BURST).min(total);
        while forwarder.ledger().records().seen < sent {
            std::thread::sleep(LOOK);
        }
        if let Some(nanoseconds) = (1_000_000_000 * sent).checked_div(rate) {
            let due = begun + Duration::from_nanos(nanoseconds);
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
        }
        look("load", false);
        if forwarder.ledger().exporters[0].queued_bytes >= until_bytes {
            break;
        }
    }
    look("sent", true);
    // Until everything is delivered, or whoever started this has seen enough.
    while !forwarder.settle(REPORT_EVERY) {
        look("waiting", true);
    }
    look("done", true);
}
