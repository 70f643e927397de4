//! From the ring to the receiver: what is captured, what arrives, and what the ledger says.

use std::collections::BTreeMap;

use weir_abi::{Direction, RecordKind, Role};
use weir_filter::{FilterSource, RuleDocument};
use weir_plan::{BudgetPlan, CaptureDirection, Plan, Protocol, SamplingPlan, Transport};
use weir_rrpair::{RrPair, model::Direction as Way};

use super::*;
use crate::{
    queue::ShedReason,
    testing::{
        Call, Kernel, PATIENCE, Receiver, Speaks, capture, exporter, forwarder, key, plan, request,
        response,
    },
};

mod bounds;
mod chaos;
mod load;
mod metrics;
mod policies;

fn records(receiver: &Receiver) -> Vec<RrPair> {
    receiver.taken().into_iter().map(|record| record.record().unwrap()).collect()
}

/// A forwarder with this plan for one receiver.
fn start(change: impl FnOnce(&mut Plan)) -> (Kernel, Receiver, Forwarder) {
    let (kernel, receiver) = (Kernel::new(), Receiver::start(Speaks::Http1));
    let forwarder = forwarder(&kernel, |_| {});
    let mut plan = plan(vec![exporter("a", receiver.port, Transport::Http)]);
    change(&mut plan);
    forwarder.apply(plan);
    (kernel, receiver, forwarder)
}

fn exchange(kernel: &mut Kernel, connection: u64, call: Call, path: &str) {
    kernel.exchange(connection, call, &request(path, b"question"), &response(b"answer"));
}

#[test]
fn bodies_arrive_byte_for_byte_with_all_facts_of_their_connection() {
    let (mut kernel, receiver, forwarder) = start(|_| {});
    let every_byte: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    kernel.open(5, Call::SERVER);
    kernel.exchange(5, Call::SERVER, &request("/a\x7fb?c=d", &every_byte), &response(b"\0\xff"));
    kernel.open(6, Call::CLIENT);
    kernel.exchange(6, Call::CLIENT, &request("/out", b""), &response(&every_byte));
    assert!(forwarder.settle(PATIENCE), "{:?}", forwarder.ledger());
    let records = records(&receiver);
    let [served, called] = &records[..] else { panic!("two records: {}", records.len()) };
    let http = served.http.as_ref().unwrap();
    assert_eq!(http.req.body.0, every_byte);
    assert_eq!(http.res.as_ref().unwrap().body.0, b"\0\xff");
    assert_eq!((&*served.location, served.direction), ("/a\x7fb", Way::In));
    assert_eq!(
        (&*served.service, &*served.cluster, &*served.namespace),
        ("shop", "minikube", "default")
    );
    assert_eq!(served.tags.value("proxyVersion"), Some("v0.1.0"));
    let netinfo = served.netinfo.as_ref().unwrap();
    assert_eq!((netinfo.id, netinfo.upstream.port, netinfo.downstream.port), (5, 8080, 50_000));
    assert_eq!(&*netinfo.upstream.ip_address, "10.0.0.1");
    assert_eq!(called.direction, Way::Out);
    assert_eq!(called.http.as_ref().unwrap().res.as_ref().unwrap().body.0, every_byte);
    assert_eq!(called.netinfo.as_ref().unwrap().upstream.port, 9090);
    assert_eq!(&*called.netinfo.as_ref().unwrap().upstream.ip_address, "10.0.0.2");
    forwarder.stop().check().unwrap();
}

#[test]
fn times_are_wall_clock_and_exact_within_a_connection() {
    let (mut kernel, receiver, forwarder) = start(|_| {});
    kernel.time_ns = crate::clock::WallClock::monotonic_ns();
    let before = crate::clock::WallClock::now().as_nanoseconds();
    kernel.open(1, Call::SERVER);
    exchange(&mut kernel, 1, Call::SERVER, "/first");
    kernel.time_ns += 123_456_789;
    exchange(&mut kernel, 1, Call::SERVER, "/second");
    assert!(forwarder.settle(PATIENCE));
    let times: Vec<_> =
        records(&receiver).iter().map(|record| record.ts.as_nanoseconds()).collect();
    // Two records of the first exchange lie between the two requests, 1 µs each.
    assert_eq!(times[1] - times[0], 123_456_789 + 2_000);
    assert!(times[0].abs_diff(before) < 1_000_000_000, "{} {before}", times[0]);
}

#[test]
fn captures_choose_by_direction_port_protocol_and_suspension() {
    type Change = fn(&mut weir_plan::CapturePlan);
    let cases: [(&str, Change, &[&str]); 7] = [
        ("all", |_| {}, &["/in", "/out"]),
        ("inbound", |c| c.direction = CaptureDirection::Inbound, &["/in"]),
        ("outbound", |c| c.direction = CaptureDirection::Outbound, &["/out"]),
        ("own port", |c| c.ports = [8080].into(), &["/in"]),
        ("remote port", |c| c.ports = [9090].into(), &["/out"]),
        ("protocol", |c| c.protocols = [Protocol::Postgres].into(), &[]),
        ("suspended", |c| c.suspended = true, &[]),
    ];
    for (name, change, expected) in cases {
        let (mut kernel, receiver, forwarder) = start(|plan| change(&mut plan.captures[0]));
        for (connection, call, path) in [(1, Call::SERVER, "/in"), (2, Call::CLIENT, "/out")] {
            kernel.open(connection, call);
            exchange(&mut kernel, connection, call, path);
        }
        assert!(forwarder.settle(PATIENCE));
        assert_eq!(receiver.locations(), expected, "{name}");
        let ledger = forwarder.stop();
        ledger.check().unwrap();
        assert_eq!(ledger.node.connections.ignored, 2 - expected.len() as u64, "{name}");
    }
}

#[test]
fn an_unknown_role_is_found_out_by_the_protocol() {
    let (mut kernel, receiver, forwarder) =
        start(|plan| plan.captures[0].direction = CaptureDirection::Inbound);
    let old = |call| Call { role: Role::Unknown, ..call };
    kernel.open(1, old(Call::SERVER));
    exchange(&mut kernel, 1, Call::SERVER, "/in");
    kernel.open(2, old(Call::CLIENT));
    exchange(&mut kernel, 2, Call::CLIENT, "/out");
    assert!(forwarder.settle(PATIENCE));
    assert_eq!(receiver.locations(), ["/in"]);
    assert_eq!(forwarder.ledger().node.unwanted_pairs, 1);
    forwarder.stop().check().unwrap();
}

#[test]
fn an_unknown_process_is_ignored_until_another_one_uses_the_connection() {
    let (mut kernel, receiver, forwarder) = start(|_| {});
    kernel.open(1, Call { tgid: 1234, ..Call::SERVER });
    exchange(&mut kernel, 1, Call::SERVER, "/after-fork");
    assert!(forwarder.settle(PATIENCE));
    assert_eq!(receiver.locations(), ["/after-fork"]);
    assert_eq!(forwarder.ledger().node.connections.ignored, 0);
}

#[test]
fn a_filter_belongs_to_its_exporter_alone_and_counts() {
    let (mut kernel, receiver, forwarder) = start(|plan| {
        let mut second = plan.exporters[0].clone();
        second.key = key("b");
        second.filter = Some(FilterSource::Rule(RuleDocument::named("standard").unwrap()));
        plan.captures[0].exporters.push(key("b"));
        plan.exporters.push(second);
    });
    kernel.open(1, Call::SERVER);
    exchange(&mut kernel, 1, Call::SERVER, "/healthz");
    exchange(&mut kernel, 1, Call::SERVER, "/buy");
    assert!(forwarder.settle(PATIENCE));
    let mut locations = receiver.locations();
    locations.sort();
    assert_eq!(locations, ["/buy", "/buy", "/healthz"]);
    let ledger = forwarder.stop();
    ledger.check().unwrap();
    let filtered: Vec<_> = ledger.exporters.iter().map(|e| e.counts.filtered).collect();
    assert_eq!(filtered, [0, 1]);
}

#[test]
fn two_captures_of_one_pair_send_it_once_to_a_common_exporter() {
    let (mut kernel, receiver, forwarder) = start(|plan| {
        let mut two = capture("two", &["a"]);
        two.ports = [8080].into();
        plan.captures.push(two);
    });
    kernel.open(1, Call::SERVER);
    exchange(&mut kernel, 1, Call::SERVER, "/both");
    kernel.open(2, Call::CLIENT);
    exchange(&mut kernel, 2, Call::CLIENT, "/one");
    assert!(forwarder.settle(PATIENCE));
    assert_eq!(receiver.locations(), ["/both", "/one"]);
    let ledger = forwarder.stop();
    ledger.check().unwrap();
    let kept: Vec<_> = ledger.captures.iter().map(|c| c.counts.kept()).collect();
    assert_eq!((kept, ledger.records().exported), (vec![2, 1], 2));
}

#[test]
fn sampling_keeps_whole_sessions_and_counts_the_rest() {
    let (mut kernel, receiver, forwarder) =
        start(|plan| plan.captures[0].sampling = Some(SamplingPlan { keep: 1, out_of: 4 }));
    for session in 0..40 {
        kernel.open(session, Call::SERVER);
        for pair in 0..3 {
            let asked = format!(
                "GET /{session}/{pair} HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer user-{session}\r\n\r\n"
            );
            kernel.exchange(session, Call::SERVER, asked.as_bytes(), &response(b""));
        }
    }
    assert!(forwarder.settle(PATIENCE));
    let mut sessions = BTreeMap::new();
    for location in receiver.locations() {
        *sessions.entry(location.split('/').nth(1).unwrap().to_owned()).or_insert(0) += 1;
    }
    assert!((1..40).contains(&sessions.len()), "{sessions:?}");
    assert!(sessions.values().all(|pairs| *pairs == 3), "{sessions:?}");
    let ledger = forwarder.stop();
    ledger.check().unwrap();
    assert_eq!(ledger.captures[0].counts.sampled, 120 - ledger.records().exported);
}

#[test]
fn a_budget_of_records_completes_the_capture() {
    let (mut kernel, receiver, forwarder) = start(|plan| {
        plan.captures[0].budget = BudgetPlan { records: Some(2), ..BudgetPlan::default() };
    });
    kernel.open(1, Call::SERVER);
    (0..5).for_each(|i| exchange(&mut kernel, 1, Call::SERVER, &format!("/{i}")));
    assert!(forwarder.settle(PATIENCE));
    assert_eq!(receiver.locations(), ["/0", "/1"]);
    let ledger = forwarder.stop();
    ledger.check().unwrap();
    assert_eq!(ledger.captures[0].counts.over_budget, 3);
}

#[test]
fn a_new_plan_takes_effect_on_connections_that_are_open() {
    let (mut kernel, receiver, forwarder) = start(|_| {});
    kernel.open(1, Call::SERVER);
    exchange(&mut kernel, 1, Call::SERVER, "/before");
    assert!(forwarder.settle(PATIENCE));
    forwarder.apply(Plan::default());
    assert!(forwarder.settle(PATIENCE));
    exchange(&mut kernel, 1, Call::SERVER, "/without");
    assert!(forwarder.settle(PATIENCE));
    forwarder.apply(plan(vec![exporter("a", receiver.port, Transport::Http)]));
    assert!(forwarder.settle(PATIENCE));
    exchange(&mut kernel, 1, Call::SERVER, "/after");
    assert!(forwarder.settle(PATIENCE));
    assert_eq!(receiver.locations(), ["/before", "/after"]);
    forwarder.stop().check().unwrap();
}

#[test]
fn an_unchanged_exporter_keeps_its_queue_and_a_removed_one_sheds_it() {
    let port = crate::testing::free_port();
    let kept = exporter("kept", port, Transport::Http);
    let removed = exporter("removed", port, Transport::Http);
    let mut kernel = Kernel::new();
    let forwarder = forwarder(&kernel, |_| {});
    forwarder.apply(plan(vec![kept.clone(), removed]));
    kernel.open(1, Call::SERVER);
    (0..4).for_each(|i| exchange(&mut kernel, 1, Call::SERVER, &format!("/{i}")));
    wait_until(Instant::now() + PATIENCE, || forwarder.ledger().records().seen == 8);
    forwarder.apply(plan(vec![kept]));
    let receiver = Receiver::start_on(port, Speaks::Http1, None);
    assert!(forwarder.settle(PATIENCE), "{:?}", forwarder.ledger());
    assert_eq!(receiver.locations(), ["/0", "/1", "/2", "/3"]);
    let ledger = forwarder.stop();
    ledger.exporters.iter().for_each(|exporter| assert!(exporter.counts.balances()));
    assert_eq!(ledger.exporters[1].counts.shed, [(ShedReason::ExporterRemoved, 4)].into());
}

#[test]
fn on_disk_the_queue_of_a_removed_exporter_is_kept_for_a_day_and_over_restarts() {
    let folder = tempfile::tempdir().unwrap();
    let port = crate::testing::free_port();
    let (one, other) =
        (exporter("one", port, Transport::Http), exporter("two", port, Transport::Http));
    let start = |kernel: &Kernel| {
        forwarder(kernel, |config| config.queue_dir = Some(folder.path().join("queues")))
    };
    let queues = || std::fs::read_dir(folder.path().join("queues")).unwrap().count();
    let mut kernel = Kernel::new();
    let forwarder = start(&kernel);
    forwarder.apply(plan(vec![one.clone(), other.clone()]));
    kernel.open(1, Call::SERVER);
    (0..4).for_each(|i| exchange(&mut kernel, 1, Call::SERVER, &format!("/{i}")));
    wait_until(Instant::now() + PATIENCE, || forwarder.ledger().records().seen == 8);
    forwarder.apply(plan(vec![one.clone()]));
    assert_eq!(forwarder.ledger().exporters[1].counts.queued, 4);
    // Most of a day: still there, and remembered.
    (0..crate::shelf::KEPT_MINUTES - 2).for_each(|_| forwarder.exporters.minute_over());
    let ledger = forwarder.stop();
    assert_eq!((ledger.records().queued, ledger.records().shed_total()), (8, 0));

    let kernel = Kernel::new();
    let forwarder = start(&kernel);
    forwarder.apply(plan(vec![one.clone()]));
    let ledger = forwarder.ledger();
    ledger.exporters.iter().for_each(|exporter| assert!(exporter.counts.balances()));
    assert_eq!((ledger.records().seen, ledger.records().recovered), (0, 8));
    forwarder.exporters.minute_over();
    // It is back: its day begins anew.
    forwarder.apply(plan(vec![one.clone(), other]));
    forwarder.apply(plan(vec![one]));
    forwarder.exporters.minute_over();
    assert_eq!((forwarder.ledger().exporters[1].counts.queued, queues()), (4, 2));
    (2..crate::shelf::KEPT_MINUTES).for_each(|_| forwarder.exporters.minute_over());
    assert_eq!(queues(), 2);
    forwarder.exporters.minute_over();
    let gone = &forwarder.ledger().exporters[1].counts;
    assert_eq!((gone.queued, queues()), (0, 1));
    assert_eq!(gone.shed, [(ShedReason::ExporterRemoved, 4)].into());
    let receiver = Receiver::start_on(port, Speaks::Http1, None);
    assert!(forwarder.settle(PATIENCE), "{:?}", forwarder.ledger());
    assert_eq!(receiver.locations(), ["/0", "/1", "/2", "/3"]);
    assert_eq!(forwarder.stop().records().exported, 4);
}

#[test]
fn at_the_end_a_request_under_way_becomes_a_half_pair() {
    let (mut kernel, receiver, forwarder) = start(|_| {});
    kernel.open(1, Call::SERVER);
    kernel.data(1, Direction::Ingress, &request("/unanswered", b""));
    assert!(forwarder.drain(PATIENCE), "{:?}", forwarder.ledger());
    let records = records(&receiver);
    assert_eq!((records.len(), &*records[0].status), (1, ""));
    let ledger = forwarder.stop();
    ledger.check().unwrap();
    assert_eq!(ledger.node.decoded.half_pairs_total(), 1);
    assert_eq!(ledger.node.connections.active, 0);
}

#[test]
fn what_makes_no_sense_in_the_ring_is_counted() {
    let (mut kernel, receiver, forwarder) = start(|_| {});
    kernel.push(b"short");
    let mut unknown = kernel.header(1, RecordKind::Data, 0, 0, 0, 1);
    unknown[36] = 99;
    kernel.push(&unknown);
    let longer_than_it_is = kernel.header(1, RecordKind::Data, 0, 500, 0, 1);
    kernel.push(&longer_than_it_is);
    let orphan = kernel.header(1, RecordKind::Data, 0, 0, 0, 1);
    kernel.push(&orphan);
    assert!(forwarder.settle(PATIENCE));
    let ring = forwarder.ledger().node.ring;
    assert_eq!((ring.records, ring.malformed, ring.without_open), (4, 3, 1));
    assert_eq!(receiver.requests(), 0);
}

#[test]
fn our_own_exporters_connections_are_never_captured() {
    let (mut kernel, receiver, forwarder) = start(|_| {});
    kernel.open(1, Call::SERVER);
    exchange(&mut kernel, 1, Call::SERVER, "/shop");
    assert!(forwarder.settle(PATIENCE));
    let mut own = kernel.header(2, RecordKind::Open, 0, 0, 0, Call::TGID);
    own.extend([0; 10]);
    own.extend([0xff, 0xff, 127, 0, 0, 1]);
    own.extend([0; 10]);
    own.extend([0xff, 0xff, 127, 0, 0, 1]);
    own.extend([0; 20]);
    own.extend(40_000_u16.to_ne_bytes());
    own.extend(receiver.port.to_ne_bytes());
    own.extend([Role::Client as u8, 0, 0, 0, 0, 0, 0, 0]);
    kernel.push(&own);
    assert!(forwarder.settle(PATIENCE));
    let connections = forwarder.ledger().node.connections;
    assert_eq!((connections.opened, connections.own, connections.ignored), (2, 1, 0));
}

#[test]
fn another_forwarders_deliveries_to_a_captured_receiver_are_counted_and_left_out() {
    let (mut kernel, receiver, forwarder) = start(|_| {});
    kernel.open(1, Call::SERVER);
    let to = |target: &str, mark: &str| {
        format!("POST {target} HTTP/1.1\r\nhost: c\r\n{mark}content-length: 1\r\n\r\nx")
            .into_bytes()
    };
    for (target, mark) in [
        ("/v1/logs", "X-Weir-Export: 1\r\n"),
        // An application's own telemetry, and an application that only has the field.
        ("/v1/logs", ""),
        ("/orders", "X-Weir-Export: 1\r\n"),
    ] {
        kernel.exchange(1, Call::SERVER, &to(target, mark), &response(b""));
    }
    assert!(forwarder.settle(PATIENCE));
    assert_eq!(receiver.locations(), ["/v1/logs", "/orders"]);
    let ledger = forwarder.stop();
    ledger.check().unwrap();
    assert_eq!((ledger.node.own_pairs, ledger.node.decoded.pairs), (1, 2));
}
