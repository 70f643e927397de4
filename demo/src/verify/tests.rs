use super::*;
use crate::exchange::Bytes;

fn exchange(id: &str, hop: u32, server: &str) -> Exchange {
    Exchange {
        id: id.to_owned(),
        hop,
        server: server.to_owned(),
        method: "POST".to_owned(),
        target: "/api/telemetry?x=%7F".to_owned(),
        request_body: Bytes(vec![0, 127, 255]),
        status: 200,
        response_body: Bytes(vec![1; 300]),
        probe: false,
    }
}

fn record(exchange: &Exchange, service: &str, direction: Direction) -> Record {
    Record {
        file: "a.json".into(),
        service: service.to_owned(),
        direction,
        id: exchange.id.clone(),
        hop: Some(exchange.hop),
        method: exchange.method.clone(),
        target: exchange.target.clone(),
        query: Vec::new(),
        request_body: exchange.request_body.clone(),
        status: exchange.status.to_string(),
        response_body: exchange.response_body.clone(),
        duration_ms: 0.0,
    }
}

/// Two requests, each with one call, and the records of all their sides.
fn truth() -> (Vec<Exchange>, Vec<Exchange>, Vec<Record>) {
    let driver = vec![exchange("req-1", 0, "gateway"), exchange("req-2", 0, "gateway")];
    let calls = vec![exchange("req-1", 1, "telemetry"), exchange("req-2", 1, "outerspace-server")];
    let mut records: Vec<Record> =
        driver.iter().map(|request| record(request, "gateway", Direction::In)).collect();
    for call in &calls {
        records.push(record(call, "gateway", Direction::Out));
        records.push(record(call, &call.server, Direction::In));
    }
    (driver, calls, records)
}

#[test]
fn a_complete_snapshot_matches_in_any_order() {
    let (driver, calls, mut records) = truth();
    records.reverse();
    let verdict = verify(&driver, &calls, &records);
    assert_eq!(verdict, Verdict { matched: 6, filtered: 0, problems: Vec::new() });
}

#[test]
fn each_missing_record_is_a_problem_of_its_own() {
    let (driver, calls, records) = truth();
    for absent in 0..records.len() {
        let mut rest = records.clone();
        let gone = rest.remove(absent);
        let verdict = verify(&driver, &calls, &rest);
        assert_eq!(verdict.matched, records.len() - 1);
        let [Problem::Missing { place, .. }] = verdict.problems.as_slice() else {
            unreachable!("{:?}", verdict.problems)
        };
        assert_eq!((&place.id, &place.service), (&gone.id, &gone.service));
        assert_eq!((place.hop, place.direction), (gone.hop.unwrap(), gone.direction));
    }
}

#[test]
fn an_empty_snapshot_misses_everything() {
    let (driver, calls, _) = truth();
    let verdict = verify(&driver, &calls, &[]);
    assert_eq!((verdict.matched, verdict.problems.len()), (0, 6));
}

#[test]
fn a_record_that_is_there_twice_is_a_problem() {
    let (driver, calls, mut records) = truth();
    records.push(records[3].clone());
    let verdict = verify(&driver, &calls, &records);
    assert!(matches!(verdict.problems.as_slice(), [Problem::Repeated { times: 2, .. }]));
}

#[test]
fn one_changed_byte_in_a_body_is_found_and_told() {
    let (driver, calls, mut records) = truth();
    records[0].response_body.0[299] = 0x7f;
    records[5].request_body.0.pop();
    let verdict = verify(&driver, &calls, &records);
    let told: Vec<String> = verdict.problems.iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "differs     req-1 hop 0 IN at gateway: response body is 300 bytes with 0x7f at 299, \
             was 300 bytes with 0x01 at 299",
            "differs     req-2 hop 1 IN at outerspace-server: request body is 2 bytes, \
             was 3 bytes with 0xff at 2",
        ]
    );
}

#[test]
fn another_status_target_or_method_is_a_problem() {
    let (driver, calls, records) = truth();
    let changes: [fn(&mut Record); 4] = [
        |record| record.status = "201".to_owned(),
        |record| record.status.clear(),
        |record| record.target = "/api/telemetry?x=\u{7f}".to_owned(),
        |record| record.method = "PUT".to_owned(),
    ];
    for change in changes {
        let mut found = records.clone();
        change(&mut found[2]);
        let verdict = verify(&driver, &calls, &found);
        assert!(matches!(verdict.problems.as_slice(), [Problem::Differs { .. }]));
    }
}

#[test]
fn what_nobody_sent_is_unexpected_also_at_another_service_or_direction() {
    let (driver, calls, records) = truth();
    let stray = exchange("warm-1", 0, "gateway");
    let wrong_side = record(&driver[0], "gateway", Direction::Out);
    let wrong_service = record(&driver[0], "space-driver", Direction::In);
    for extra in [record(&stray, "gateway", Direction::In), wrong_side, wrong_service] {
        let mut more = records.clone();
        more.push(extra);
        let verdict = verify(&driver, &calls, &more);
        assert_eq!(verdict.matched, 6);
        assert!(matches!(verdict.problems.as_slice(), [Problem::Unexpected { .. }]));
    }
}

#[test]
fn a_probe_has_to_stay_out() {
    let (mut driver, calls, mut records) = truth();
    let probe = Exchange { probe: true, ..exchange("req-3", 0, "gateway") };
    driver.push(probe.clone());
    let verdict = verify(&driver, &calls, &records);
    assert_eq!((verdict.filtered, verdict.problems.len()), (1, 0));
    records.push(record(&probe, "gateway", Direction::In));
    let verdict = verify(&driver, &calls, &records);
    assert!(matches!(verdict.problems.as_slice(), [Problem::Unexpected { .. }]));
}

#[test]
fn calls_of_the_warm_up_are_not_expected() {
    let (driver, mut calls, records) = truth();
    calls.push(exchange("warm-0", 1, "telemetry"));
    assert_eq!(verify(&driver, &calls, &records).problems, []);
}
