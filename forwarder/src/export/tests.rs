//! Delivery to real receivers, from the ring on.

use weir_plan::{Compression, HeaderPlan, Plan, Scheme, SecretText, TlsPlan, Transport, WhenFull};

use crate::{
    Forwarder,
    queue::{RefusalReason, ShedReason},
    testing::{
        Call, Certificates, Kernel, PATIENCE, Receiver, Reply, Speaks, exporter, forwarder,
        free_port, plan, request, response,
    },
};

const BOTH: [(Transport, Speaks); 2] =
    [(Transport::Grpc, Speaks::Grpc), (Transport::Http, Speaks::Http1)];

/// `count` exchanges on one new connection; their locations.
fn exchanges(kernel: &mut Kernel, connection: u64, count: usize) -> Vec<String> {
    kernel.open(connection, Call::SERVER);
    let locations: Vec<_> = (0..count).map(|i| format!("/{connection}/{i}")).collect();
    for location in &locations {
        let (asked, answered) = (request(location, b"question"), response(b"answer"));
        kernel.exchange(connection, Call::SERVER, &asked, &answered);
    }
    kernel.close(connection);
    locations
}

/// A forwarder with this plan, and its kernel side.
fn start(plan: Plan) -> (Kernel, Forwarder) {
    let kernel = Kernel::new();
    let forwarder = forwarder(&kernel, |_| {});
    forwarder.apply(plan);
    (kernel, forwarder)
}

fn wait_for(forwarder: &Forwarder, mut condition: impl FnMut(&Forwarder) -> bool) {
    let deadline = std::time::Instant::now() + PATIENCE;
    while !condition(forwarder) {
        assert!(std::time::Instant::now() < deadline, "{:?}", forwarder.ledger());
        std::thread::yield_now();
    }
}

fn last_error(forwarder: &Forwarder) -> String {
    forwarder.ledger().exporters[0].health.last_error.clone().unwrap_or_default()
}

#[test]
fn while_the_receiver_is_down_records_wait_and_none_is_lost() {
    for (transport, speaks) in BOTH {
        let port = free_port();
        let (mut kernel, forwarder) = start(plan(vec![exporter("a", port, transport)]));
        let locations = exchanges(&mut kernel, 1, 60);
        wait_for(&forwarder, |forwarder| forwarder.ledger().exporters[0].health.retries > 2);
        let ledger = forwarder.ledger();
        ledger.check().unwrap();
        assert_eq!(ledger.records().exported, 0);
        let receiver = Receiver::start_on(port, speaks, None);
        assert!(forwarder.settle(PATIENCE), "{:?}", forwarder.ledger());
        assert_eq!(receiver.locations(), locations);
        let ledger = forwarder.stop();
        ledger.check().unwrap();
        assert_eq!((ledger.records().seen, ledger.records().exported), (60, 60));
        assert_eq!(ledger.exporters[0].health.last_error, None);
    }
}

#[test]
fn a_busy_receiver_gets_the_request_again() {
    let scripts = [
        vec![Reply::Grpc(tonic::Code::Unavailable), Reply::GrpcLater(std::time::Duration::ZERO)],
        vec![Reply::Http(503, Some("0")), Reply::Http(429, None)],
    ];
    for ((transport, speaks), script) in BOTH.into_iter().zip(scripts) {
        let receiver = Receiver::start(speaks);
        receiver.script(script);
        let (mut kernel, forwarder) = start(plan(vec![exporter("a", receiver.port, transport)]));
        let locations = exchanges(&mut kernel, 1, 3);
        assert!(forwarder.settle(PATIENCE));
        assert_eq!(receiver.locations(), locations);
        assert!(receiver.requests() >= 3, "two refusals and a success");
        assert_eq!(forwarder.ledger().exporters[0].health.retries, 2);
    }
}

#[test]
fn a_permanent_refusal_sets_the_records_aside_and_the_next_ones_go_on() {
    let scripts = [Reply::Grpc(tonic::Code::InvalidArgument), Reply::Http(400, None)];
    for ((transport, speaks), reply) in BOTH.into_iter().zip(scripts) {
        let receiver = Receiver::start(speaks);
        receiver.script([reply]);
        let (mut kernel, forwarder) = start(plan(vec![exporter("a", receiver.port, transport)]));
        let refused = exchanges(&mut kernel, 1, 1);
        assert!(forwarder.settle(PATIENCE));
        let taken = exchanges(&mut kernel, 2, 2);
        assert!(forwarder.settle(PATIENCE));
        assert_eq!(receiver.locations(), taken);
        let ledger = forwarder.ledger();
        ledger.check().unwrap();
        let refusals = [(RefusalReason::Invalid, refused.len() as u64)].into();
        assert_eq!(ledger.records().refused, refusals);
    }
}

#[test]
fn a_partial_success_counts_what_was_rejected() {
    for (transport, speaks) in BOTH {
        let receiver = Receiver::start(speaks);
        receiver.script([Reply::Partial(1, "one of them is odd")]);
        let (mut kernel, forwarder) = start(plan(vec![exporter("a", receiver.port, transport)]));
        exchanges(&mut kernel, 1, 1);
        assert!(forwarder.settle(PATIENCE));
        assert!(last_error(&forwarder).contains("one of them is odd"));
        let records = forwarder.ledger().records();
        assert_eq!(records.refused, [(RefusalReason::Partial, 1)].into());
        assert_eq!((records.exported, receiver.taken().len()), (0, 0));
    }
}

#[test]
fn a_grpc_client_says_by_name_that_the_endpoint_speaks_http() {
    for speaks in [Speaks::Http1, Speaks::Http1And2] {
        let receiver = Receiver::start(speaks);
        let one = exporter("a", receiver.port, Transport::Grpc);
        let (mut kernel, forwarder) = start(plan(vec![one.clone()]));
        let locations = exchanges(&mut kernel, 1, 3);
        wait_for(&forwarder, |forwarder| !last_error(forwarder).is_empty());
        let expected = "this endpoint speaks OTLP/HTTP; use port 4318 or transport: HTTP";
        assert_eq!(last_error(&forwarder), expected, "{speaks:?}");
        // The records waited for the correction.
        forwarder.apply(plan(vec![weir_plan::ExporterPlan { transport: Transport::Http, ..one }]));
        assert!(forwarder.settle(PATIENCE));
        assert_eq!(receiver.locations(), locations);
        assert_eq!(forwarder.stop().records().exported, 3);
    }
}

#[test]
fn an_http_client_says_by_name_that_the_endpoint_speaks_grpc() {
    let receiver = Receiver::start(Speaks::Grpc);
    let one = exporter("a", receiver.port, Transport::Http);
    let (mut kernel, forwarder) = start(plan(vec![one.clone()]));
    let locations = exchanges(&mut kernel, 1, 3);
    wait_for(&forwarder, |forwarder| !last_error(forwarder).is_empty());
    let expected = "this endpoint speaks OTLP/gRPC; use port 4317 or transport: GRPC";
    assert_eq!(last_error(&forwarder), expected);
    forwarder.apply(plan(vec![weir_plan::ExporterPlan { transport: Transport::Grpc, ..one }]));
    assert!(forwarder.settle(PATIENCE));
    assert_eq!(receiver.locations(), locations);
}

#[test]
fn requests_are_compressed_as_the_exporter_says_and_carry_its_headers() {
    for (transport, speaks) in BOTH {
        for (compression, coding) in
            [(Compression::Gzip, "gzip"), (Compression::Zstd, "zstd"), (Compression::None, "")]
        {
            let receiver = Receiver::start(speaks);
            let mut one = exporter("a", receiver.port, transport);
            one.compression = compression;
            let value = SecretText("Bearer abc".to_owned());
            one.headers = vec![HeaderPlan { name: "authorization".to_owned(), value }];
            one.endpoint.path = "/collect".to_owned();
            let (mut kernel, forwarder) = start(plan(vec![one]));
            let locations = exchanges(&mut kernel, 1, 5);
            assert!(forwarder.settle(PATIENCE), "{:?}", forwarder.ledger());
            assert_eq!(receiver.locations(), locations);
            let coding = (!coding.is_empty()).then(|| coding.to_owned());
            let (codings, tokens) = (receiver.codings(), receiver.tokens());
            assert!(codings.iter().all(|seen| *seen == coding), "{transport:?} {codings:?}");
            assert!(tokens.iter().all(|token| token.as_deref() == Some("Bearer abc")));
            if transport == Transport::Http {
                assert!(receiver.paths().iter().all(|path| path == "/collect/v1/logs"));
            }
        }
    }
}

#[test]
fn a_receiver_with_tls_is_trusted_by_the_given_authority_alone() {
    let certificates = Certificates::new();
    for (transport, speaks) in BOTH {
        let receiver = Receiver::start_on(0, speaks, Some(&certificates));
        let mut one = exporter("a", receiver.port, transport);
        one.endpoint.scheme = Scheme::Https;
        let trusting = |certificates: &Certificates| TlsPlan {
            ca_pem: Some(SecretText(certificates.authority.clone())),
            server_name: Some("localhost".to_owned()),
            ..TlsPlan::default()
        };
        one.tls = Some(trusting(&Certificates::new()));
        let (mut kernel, forwarder) = start(plan(vec![one.clone()]));
        let locations = exchanges(&mut kernel, 1, 3);
        wait_for(&forwarder, |forwarder| last_error(forwarder).contains("certificate"));
        assert_eq!(receiver.requests(), 0);
        one.tls = Some(trusting(&certificates));
        forwarder.apply(plan(vec![one]));
        assert!(forwarder.settle(PATIENCE), "{:?}", forwarder.ledger());
        assert_eq!(receiver.locations(), locations);
    }
}

#[test]
fn a_slow_receiver_and_a_full_queue_shed_the_oldest_and_count_them() {
    let receiver = Receiver::start(Speaks::Http1);
    receiver.script([Reply::Hold]);
    let mut one = exporter("a", receiver.port, Transport::Http);
    one.queue_bytes = 20_000;
    let (mut kernel, forwarder) = start(plan(vec![one]));
    exchanges(&mut kernel, 1, 1);
    receiver.wait_for_requests(1);
    let locations: Vec<_> = (2..40).flat_map(|i| exchanges(&mut kernel, i, 2)).collect();
    wait_for(&forwarder, |forwarder| forwarder.ledger().records().seen == 77);
    let ledger = forwarder.ledger();
    ledger.check().unwrap();
    let shed = usize::try_from(ledger.records().shed[&ShedReason::QueueFull]).unwrap();
    assert!(ledger.exporters[0].queued_bytes <= 20_000);
    receiver.release();
    assert!(forwarder.settle(PATIENCE));
    let taken = receiver.locations();
    assert_eq!(taken[0], "/1/0");
    assert_eq!(taken[1..], locations[shed..], "the newest are left");
    let records = forwarder.stop().records();
    assert_eq!(records.exported + records.shed_total(), 77);
}

#[test]
fn a_full_queue_that_drops_the_newest_keeps_the_first() {
    let mut one = exporter("a", free_port(), Transport::Http);
    (one.queue_bytes, one.when_full) = (10_000, WhenFull::DropNewest);
    let (mut kernel, forwarder) = start(plan(vec![one.clone()]));
    let first = exchanges(&mut kernel, 1, 1);
    wait_for(&forwarder, |forwarder| forwarder.ledger().records().seen == 1);
    (2..40).for_each(|i| drop(exchanges(&mut kernel, i, 1)));
    wait_for(&forwarder, |forwarder| forwarder.ledger().records().seen == 39);
    assert!(forwarder.ledger().records().shed[&ShedReason::QueueFull] > 0);
    let receiver = Receiver::start_on(one.endpoint.port, Speaks::Http1, None);
    assert!(forwarder.settle(PATIENCE));
    assert_eq!(receiver.locations()[0], first[0]);
}

#[test]
fn one_exporters_dead_receiver_does_not_delay_another() {
    let receiver = Receiver::start(Speaks::Grpc);
    let dead = exporter("dead", free_port(), Transport::Http);
    let live = exporter("live", receiver.port, Transport::Grpc);
    let (mut kernel, forwarder) = start(plan(vec![dead, live]));
    let locations = exchanges(&mut kernel, 1, 50);
    wait_for(&forwarder, |forwarder| forwarder.ledger().records().exported == 50);
    assert_eq!(receiver.locations(), locations);
    let ledger = forwarder.stop();
    ledger.check().unwrap();
    let [dead, live] = &ledger.exporters[..] else { panic!("two exporters") };
    assert_eq!(live.counts.exported, 50);
    assert_eq!(dead.counts.shed, [(ShedReason::Stopped, 50)].into());
}

/// What the process logs from now on, as JSON lines.
#[derive(Clone, Default)]
struct Log(std::sync::Arc<std::sync::Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn the_log_has_the_contracts_line_and_never_a_captured_byte() {
    let log = Log::default();
    let writer = log.clone();
    // For the whole process, since the lines come from other threads; no other test does so.
    tracing_subscriber::fmt()
        .json()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || writer.clone())
        .init();
    let receiver = Receiver::start(Speaks::Http1);
    receiver.script([Reply::Http(503, None), Reply::Http(400, None), Reply::Partial(1, "odd")]);
    let mut one = exporter("log", receiver.port, Transport::Http);
    one.transport_reason = "endpoint port :4318 is the OTLP/HTTP default".to_owned();
    let text = one.endpoint.text.clone();
    let (mut kernel, forwarder) = start(plan(vec![one]));
    for connection in 1..3 {
        kernel.open(connection, Call::SERVER);
        let asked = request("/canary-in-path?canary=query", b"canary-in-body");
        kernel.exchange(connection, Call::SERVER, &asked, &response(b"canary-in-response"));
        kernel.data(connection, weir_abi::Direction::Ingress, b"canary, but no HTTP\r\n\r\n");
        assert!(forwarder.settle(PATIENCE));
    }
    let debug = format!("{:?}", forwarder.stop());
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(!log.contains("canary") && !debug.contains("canary"));
    let lines = log.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let ours: Vec<_> = lines.filter(|line| line["fields"]["exporter"] == "default/log").collect();
    let first = &ours[0];
    assert_eq!(
        (&first["level"], &first["fields"]["message"]),
        (&"INFO".into(), &"starting OTLP log exporter".into())
    );
    assert_eq!(first["fields"]["endpoint"], text.as_str());
    assert_eq!(first["fields"]["transport"], "http");
    let reason = "endpoint port :4318 is the OTLP/HTTP default";
    assert_eq!(first["fields"]["transportReason"], reason);
    let messages: Vec<_> =
        ours.iter().map(|line| line["fields"]["message"].as_str().unwrap()).collect();
    for expected in
        ["delivery fails, trying again", "receiver refused records", "receiver takes records again"]
    {
        assert!(messages.contains(&expected), "{expected}: {messages:?}");
    }
}
