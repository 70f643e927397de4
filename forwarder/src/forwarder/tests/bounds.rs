//! Limits of memory, the admin address, and the ledger as a whole.

use std::{io::Read as _, io::Write as _};

use proptest::prelude::*;
use weir_plan::WhenFull;

use super::*;
use crate::testing::Reply;

#[test]
fn over_the_memory_budget_the_largest_connections_are_given_up() {
    let (mut kernel, receiver) = (Kernel::new(), Receiver::start(Speaks::Http1));
    let forwarder = forwarder(&kernel, |config| config.table.held_bytes = 200_000);
    forwarder.apply(plan(vec![exporter("a", receiver.port, Transport::Http)]));
    let large = request("/large", &vec![b'x'; 150_000]);
    let small = request("/small", &vec![b'x'; 60_000]);
    kernel.open(1, Call::SERVER);
    kernel.data(1, Direction::Ingress, &large[..140_000]);
    kernel.open(2, Call::SERVER);
    kernel.data(2, Direction::Ingress, &small);
    kernel.data(2, Direction::Egress, &response(b"fine"));
    kernel.data(1, Direction::Ingress, &large[140_000..]);
    kernel.data(1, Direction::Egress, &response(b"too late"));
    assert!(forwarder.settle(PATIENCE));
    let ledger = forwarder.stop();
    ledger.check().unwrap();
    assert_eq!(ledger.node.connections.over_memory, 1);
    let records = records(&receiver);
    let answered: Vec<_> = records.iter().filter(|r| &*r.status == "200").collect();
    assert_eq!(answered.len(), 1);
    assert_eq!(&*answered[0].location, "/small");
}

#[test]
fn a_full_table_drops_the_longest_idle() {
    let kernel_side = Kernel::new();
    let mut kernel = kernel_side;
    let receiver = Receiver::start(Speaks::Http1);
    let forwarder = forwarder(&kernel, |config| config.table.connections = 16);
    forwarder.apply(plan(vec![exporter("a", receiver.port, Transport::Http)]));
    (0..20).for_each(|connection| kernel.open(connection, Call::SERVER));
    exchange(&mut kernel, 0, Call::SERVER, "/idle-for-longest");
    exchange(&mut kernel, 19, Call::SERVER, "/newest");
    assert!(forwarder.settle(PATIENCE));
    assert_eq!(receiver.locations(), ["/newest"]);
    let node = forwarder.stop().node;
    assert_eq!((node.connections.opened, node.connections.evicted), (20, 4));
    assert_eq!(node.ring.without_open, 2);
}

#[test]
fn the_admin_address_serves_the_contracts_metrics_and_the_ledger() {
    let (mut kernel, receiver) = (Kernel::new(), Receiver::start(Speaks::Http1));
    let forwarder =
        forwarder(&kernel, |config| config.admin = Some("127.0.0.1:0".parse().unwrap()));
    forwarder.apply(plan(vec![exporter("a", receiver.port, Transport::Http)]));
    kernel.open(1, Call::SERVER);
    exchange(&mut kernel, 1, Call::SERVER, "/one");
    assert!(forwarder.settle(PATIENCE));
    let get = |path: &str| {
        let mut stream = std::net::TcpStream::connect(forwarder.admin_address().unwrap()).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    };
    let metrics = get("/metrics");
    for line in [
        "messages_queued 0",
        "messages_filtered_total 0",
        "err_queueFull_total 0",
        "conn_active 1",
        "forwarder_records_total{exporter=\"default/a\",outcome=\"exported\",reason=\"\"} 1",
        "forwarder_queue_bytes{exporter=\"default/a\"} 0",
        "forwarder_pairs_total{capture=\"default/all\",outcome=\"kept\"} 1",
    ] {
        assert!(metrics.lines().any(|seen| seen == line), "{line} in {metrics}");
    }
    assert!(get("/ledger").contains("\"exported\":1"));
    assert!(get("/elsewhere").starts_with("HTTP/1.1 404"));
    assert!(get("/healthz").starts_with("HTTP/1.1 200"));
    assert!(forwarder.drain(PATIENCE));
    assert!(get("/healthz").starts_with("HTTP/1.1 503"));
}

#[test]
fn the_ledger_is_one_line_for_people() {
    let (mut kernel, _receiver, forwarder) = start(|_| {});
    kernel.open(1, Call::SERVER);
    exchange(&mut kernel, 1, Call::SERVER, "/one");
    kernel.data(1, Direction::Ingress, &request("/two", b""));
    assert!(forwarder.drain(PATIENCE));
    let line = forwarder.stop().to_string();
    assert_eq!(line, "2 pairs, 2 exported, 1 half pairs; 0 connections");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// Whatever is captured, sampled, filtered and shed: while it runs and at the end every
    /// pair is in exactly one count, and what arrived is what was counted as exported.
    #[test]
    fn the_ledger_balances_whatever_happens(
        script in prop::collection::vec((0_u64..6, 0_u8..8), 1..60),
        queue_bytes in 1_000_u64..40_000,
        sampled in any::<bool>(),
    ) {
        let (mut kernel, receiver, forwarder) = start(|plan| {
            plan.exporters[0].queue_bytes = queue_bytes;
            plan.exporters[0].when_full = WhenFull::DropNewest;
            plan.exporters[0].filter = Some(FilterSource::Rule(RuleDocument::named("standard").unwrap()));
            plan.captures[0].sampling = sampled.then_some(SamplingPlan { keep: 1, out_of: 2 });
        });
        let mut open = [false; 6];
        for (connection, action) in script {
            let is_open = &mut open[usize::try_from(connection).unwrap()];
            if !std::mem::replace(is_open, true) {
                kernel.open(connection, Call::SERVER);
            }
            match action {
                0 => { kernel.close(connection); *is_open = false; }
                1 => kernel.data(connection, Direction::Ingress, b"\x16\x03\x01 no HTTP\r\n\r\n"),
                2 => kernel.data(connection, Direction::Egress, &response(b"unasked")),
                3 => exchange(&mut kernel, connection, Call::SERVER, "/healthz"),
                _ => exchange(&mut kernel, connection, Call::SERVER, "/buy"),
            }
            if action == 0 { forwarder.ledger().check().unwrap(); }
        }
        prop_assert!(forwarder.drain(PATIENCE));
        let ledger = forwarder.stop();
        prop_assert_eq!(ledger.check(), Ok(()));
        prop_assert_eq!(ledger.records().exported, receiver.taken().len() as u64);
        let counts = &ledger.captures[0].counts;
        let total = ledger.records();
        let known = total.exported + total.filtered + total.shed_total() + counts.sampled;
        prop_assert_eq!(counts.decoded.pairs, known);
    }
}

#[test]
fn a_ring_that_cannot_be_mapped_is_refused() {
    let attribution = Arc::new(crate::testing::Shop(Vec::new()));
    let file = rustix::fs::memfd_create("ring", rustix::fs::MemfdFlags::CLOEXEC).unwrap();
    let config = ForwarderConfig::new((file, 1000), attribution, "c", "v0");
    assert!(matches!(Forwarder::start(config), Err(StartError::Ring(RingError::Size { .. }))));
    assert!(!wait_until(Instant::now() + Duration::ZERO, || false));
}

/// What `weir status` reads, again and again while everything that can become of a record does.
#[test]
fn the_served_ledger_adds_up_at_every_moment() {
    let receiver = Receiver::start(Speaks::Http1);
    let mut kernel = Kernel::new();
    let forwarder = forwarder(&kernel, |config| {
        config.admin = Some(([127, 0, 0, 1], 0).into());
    });
    let mut one = exporter("a", receiver.port, Transport::Http);
    // Room for a few records, so that some are shed.
    one.queue_bytes = 40 << 10;
    one.filter = Some(FilterSource::Expressions(
        serde_json::from_value(serde_json::json!({"drop": ["location.startsWith('/dropped')"]}))
            .unwrap(),
    ));
    let mut plan = plan(vec![one]);
    plan.captures[0].sampling = Some(SamplingPlan { keep: 9, out_of: 10 });
    forwarder.apply(plan);
    let script = [Reply::Http(503, None), Reply::Partial(1, "odd"), Reply::Http(400, None)];
    receiver.script(script.into_iter().cycle().take(60));
    let address = forwarder.admin_address().unwrap();
    let (stop, looks) =
        (std::sync::atomic::AtomicBool::new(false), std::sync::atomic::AtomicU64::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Acquire) {
                adds_up(&served_ledger(address));
                looks.fetch_add(1, Ordering::AcqRel);
            }
        });
        let padding = "x".repeat(600);
        for number in 0..600_u64 {
            let kind = if number.is_multiple_of(5) { "dropped" } else { "kept" };
            kernel.open(number + 1, Call::SERVER);
            let path = format!("/{kind}/{number}/{padding}");
            exchange(&mut kernel, number + 1, Call::SERVER, &path);
            kernel.close(number + 1);
            if number.is_multiple_of(20) {
                let looked = looks.load(Ordering::Acquire);
                wait_until(Instant::now() + PATIENCE, || {
                    looks.load(Ordering::Acquire) > looked
                        && forwarder.ledger().node.decoded.pairs > number
                });
            }
        }
        assert!(forwarder.settle(PATIENCE), "{:?}", forwarder.ledger());
        stop.store(true, Ordering::Release);
    });
    let last = served_ledger(address);
    adds_up(&last);
    let counts = &last["exporters"][0]["counts"];
    for outcome in ["exported", "filtered"] {
        assert!(counts[outcome].as_u64().unwrap() > 0, "{outcome}: {counts}");
    }
    assert!(!counts["refused"].as_object().unwrap().is_empty(), "{counts}");
    assert!(last["captures"][0]["counts"]["sampled"].as_u64().unwrap() > 0);
    assert!(looks.into_inner() >= 30);
}

fn served_ledger(address: SocketAddr) -> serde_json::Value {
    use std::io::{Read as _, Write as _};
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    stream.write_all(b"GET /ledger HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
}

/// seen + recovered = exported + filtered + shed + refused + queued, by exporter and by capture.
#[track_caller]
fn adds_up(ledger: &serde_json::Value) {
    let number = |counts: &serde_json::Value, name: &str| counts[name].as_u64().unwrap();
    let sum = |counts: &serde_json::Value, name: &str| -> u64 {
        counts[name].as_object().unwrap().values().map(|count| count.as_u64().unwrap()).sum()
    };
    let check = |counts: &serde_json::Value| {
        let came = number(counts, "seen") + number(counts, "recovered");
        let waiting = number(counts, "queued") + number(counts, "in_flight");
        let gone = number(counts, "exported") + number(counts, "filtered");
        assert_eq!(came, gone + sum(counts, "shed") + sum(counts, "refused") + waiting, "{counts}");
    };
    for exporter in ledger["exporters"].as_array().unwrap() {
        check(&exporter["counts"]);
    }
    for capture in ledger["captures"].as_array().unwrap() {
        let counts = &capture["counts"];
        let taken = number(&counts["decoded"], "pairs");
        let kept = taken - number(counts, "sampled") - number(counts, "over_budget");
        for exporter in capture["exporters"].as_array().unwrap() {
            check(&exporter[1]);
            assert_eq!(number(&exporter[1], "seen"), kept, "{capture}");
        }
    }
}
