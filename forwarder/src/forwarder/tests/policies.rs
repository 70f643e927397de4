//! What leaves is what the policies allow.

use weir_dlp::{Detector, Key, PolicySource};
use weir_plan::PolicyPlan;

use super::*;

const SECRET: &[u8] = b"hunter2-hunter2";
const CARD: &[u8] = b"4111111111111111";

fn policy(name: &str, key: &str) -> PolicyPlan {
    let key = Key { scope: "all".to_owned(), name: key.to_owned() };
    let source = PolicySource {
        id: format!("default/{name}"),
        keys: vec![key],
        detectors: vec![Detector::CreditCard],
        ..PolicySource::default()
    };
    PolicyPlan { key: super::key(name), source }
}

fn leaked(receiver: &Receiver, secret: &[u8]) -> usize {
    let records = records(receiver);
    let bodies = records.iter().map(|record| record.http.as_ref().unwrap().req.body.0.as_slice());
    bodies.filter(|body| body.windows(secret.len()).any(|part| part == secret)).count()
}

fn send(kernel: &mut Kernel, connection: u64, count: usize) {
    kernel.open(connection, Call::SERVER);
    for _ in 0..count {
        let body = [b"password=", SECRET, b"&card=", CARD].concat();
        kernel.exchange(connection, Call::SERVER, &request("/login", &body), &response(b"ok"));
    }
}

#[test]
fn each_exporter_has_its_own_view_of_a_record() {
    let (mut kernel, one, two) =
        (Kernel::new(), Receiver::start(Speaks::Http1), Receiver::start(Speaks::Http1));
    let forwarder = forwarder(&kernel, |_| {});
    let mut plan = plan(vec![
        exporter("open", one.port, Transport::Http),
        exporter("strict", two.port, Transport::Http),
    ]);
    plan.policies = vec![policy("login", "password"), policy("other", "nothing")];
    plan.exporters[1].policies = vec![key("login")];
    forwarder.apply(plan.clone());
    send(&mut kernel, 1, 3);
    assert!(forwarder.settle(PATIENCE));
    assert_eq!((leaked(&one, SECRET), leaked(&one, CARD)), (3, 3));
    assert_eq!((leaked(&two, SECRET), leaked(&two, CARD)), (0, 0));
    let record = &records(&two)[0];
    assert_eq!(record.extra["dlpModified"], true);
    assert_eq!(record.extra["dlpRule"], "default/login");
    assert!(!records(&one)[0].extra.contains_key("dlpRule"));

    // A policy of the capture holds at all its exporters.
    plan.captures[0].policies = vec![key("other")];
    forwarder.apply(plan);
    send(&mut kernel, 2, 2);
    assert!(forwarder.settle(PATIENCE));
    assert_eq!((leaked(&one, SECRET), leaked(&one, CARD)), (5, 3));
    assert_eq!((leaked(&two, SECRET), leaked(&two, CARD)), (0, 0));
    assert_eq!(records(&two)[4].extra["dlpRule"], "default/login,default/other");
    let ledger = forwarder.stop();
    ledger.check().unwrap();
    let redaction = &ledger.node.redaction;
    assert_eq!((redaction.records, redaction.modified, redaction.failed), (7, 7, 0));
    assert_eq!(redaction.values["CREDIT_CARD"], 7);
    assert_eq!(redaction.values["UNRECOGNIZED"], 5);
}

#[test]
fn nothing_leaves_without_a_policy_that_should_hold() {
    let (mut kernel, receiver, forwarder) = start(|plan| {
        plan.policies = vec![policy("login", "password")];
        plan.exporters[0].policies = vec![key("login"), key("gone")];
    });
    send(&mut kernel, 3, 4);
    assert!(forwarder.settle(PATIENCE));
    assert!(records(&receiver).is_empty());
    let ledger = forwarder.stop();
    ledger.check().unwrap();
    let counts = &ledger.exporters[0].counts;
    assert_eq!(counts.shed, [(ShedReason::PolicyMissing, 4)].into());
    assert_eq!((counts.seen, counts.exported), (4, 0));
}

#[test]
fn a_changed_policy_holds_from_the_next_record_on() {
    let (mut kernel, receiver, forwarder) = start(|_| {});
    send(&mut kernel, 4, 1);
    assert!(forwarder.settle(PATIENCE));
    let mut strict = plan(vec![exporter("a", receiver.port, Transport::Http)]);
    strict.policies = vec![policy("login", "password")];
    strict.exporters[0].policies = vec![key("login")];
    forwarder.apply(strict.clone());
    send(&mut kernel, 5, 1);
    strict.policies = vec![policy("login", "nothing")];
    assert!(forwarder.settle(PATIENCE));
    forwarder.apply(strict);
    send(&mut kernel, 6, 1);
    assert!(forwarder.settle(PATIENCE));
    assert_eq!((leaked(&receiver, SECRET), leaked(&receiver, CARD)), (2, 1));
}

#[test]
fn a_secret_is_found_however_it_was_cut_into_chunks_and_reads() {
    let (mut kernel, receiver, forwarder) = start(|plan| {
        plan.policies = vec![policy("login", "password")];
        plan.exporters[0].policies = vec![key("login")];
    });
    kernel.open(1, Call::SERVER);
    let body = [b"a=1&password=", SECRET, b"&card=", CARD].concat();
    let head = b"POST /login HTTP/1.1\r\nHost: shop.local\r\nTransfer-Encoding: chunked\r\n\r\n";
    let mut sent = 0;
    for cut in 1..body.len() {
        let (first, second) = body.split_at(cut);
        let chunk =
            |part: &[u8]| [format!("{:x}\r\n", part.len()).as_bytes(), part, b"\r\n"].concat();
        let request = [head.as_slice(), &chunk(first), &chunk(second), b"0\r\n\r\n"].concat();
        // Read in pieces too, which end elsewhere.
        for piece in request.chunks(1 + cut % 37) {
            kernel.data(1, Direction::Ingress, piece);
        }
        kernel.data(1, Direction::Egress, &response(b"ok"));
        sent += 1;
        assert!(wait_until(Instant::now() + PATIENCE, || {
            forwarder.ledger().records().seen >= sent
        }));
    }
    assert!(forwarder.settle(PATIENCE), "{:?}", forwarder.ledger());
    assert_eq!(records(&receiver).len() as u64, sent);
    assert_eq!((leaked(&receiver, SECRET), leaked(&receiver, CARD)), (0, 0));
    let first = records(&receiver)[0].http.as_ref().unwrap().req.body.0.clone();
    for record in records(&receiver) {
        assert_eq!(record.http.unwrap().req.body.0, first);
    }
    assert!(first.starts_with(b"a=1&password=REDACTED-UNRECOGNIZED-"), "{}", first.len());
}
