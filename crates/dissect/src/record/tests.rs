use std::net::{IpAddr, Ipv4Addr};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use proptest::prelude::*;
use serde_json::Value;
use weir_abi::{Direction as Side, HoleReason, Role};
use weir_rrpair::{Direction, Origin, RrPair, Timestamp};

use super::{Stamp, raw};
use crate::{Connection, Event, Limits, Place};

const SCHEMA: &str = include_str!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../fixtures/contract/rrpair.schema.json"
));
const DEL_500: &str = include_str!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../fixtures/contract/golden/http-get-del-char-500.json"
));

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn rocket() -> Origin {
    Origin {
        cluster: "dev-east".into(),
        namespace: "shop".into(),
        service: "rocket-api".into(),
        pod_name: "rocket-api-6c9f7d5b8-q2x4z".into(),
        app_label: "rocket-api".into(),
        direction: Direction::In,
        connection_id: 31,
        connection_start: time("2026-09-01T10:16:00.699Z"),
        established: Some(time("2026-09-01T10:16:00.69Z")),
        client: (IpAddr::V4(Ipv4Addr::new(10, 0, 1, 5)), 40190),
        server: (IpAddr::V4(Ipv4Addr::new(10, 0, 5, 5)), 8080),
        server_name: None,
        is_tls: false,
        alpn: None,
        tls_version: None,
        version: "v0.1.0".into(),
    }
}

/// The beginning of a direction and of a run.
fn place(direction: Side, run: u32, time_ns: u64) -> Place {
    Place { direction, position: 0, run, begins_run: true, time_ns }
}

/// The record of the first exchange of a connection, request at 1 ms, response at 10.5 ms.
fn record_of(request: &[u8], response: &[u8]) -> RrPair {
    let mut connection = Connection::new(Role::Server, Limits::default());
    let mut events = Vec::new();
    let mut sink = |event| events.push(event);
    connection.data(place(Side::Ingress, 0, 1_000_000), request, &mut sink);
    if !response.is_empty() {
        connection.data(place(Side::Egress, 1, 10_500_000), response, &mut sink);
    }
    let run = u32::from(!response.is_empty());
    connection.close(request.len() as u64, response.len() as u64, run, 11_000_000, &mut sink);
    map(events.into_iter().next().unwrap(), 220)
}

fn map(event: Event, sequence: u64) -> RrPair {
    let Event::Exchange(exchange) = event else { panic!("{event:?}") };
    let base = time("2026-09-01T10:16:00.700000001Z").0 - 1_000_000;
    let stamp = Stamp { sequence, nonce: [5; 16] };
    raw(*exchange, &rocket(), stamp, |ns| Timestamp(base + ns)).unwrap().0
}

fn json(record: &RrPair) -> Value {
    serde_json::to_value(record).unwrap()
}

fn assert_valid(record: &RrPair) {
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let document = json(record);
    let faults: Vec<_> = validator.iter_errors(&document).map(|e| e.to_string()).collect();
    assert!(faults.is_empty(), "{faults:?}");
}

#[test]
fn the_contracts_example_comes_out_of_its_wire_bytes() {
    let request = b"GET /api/rocket?id=falcon-test-1%7F HTTP/1.1\r\n\
        Host: rocket-api\r\nUser-Agent: golden/1\r\n\r\n";
    let response = b"HTTP/1.1 500 Internal Server Error\r\nContent-Type: application/json\r\n\r\n\
        {\"error\":\"rocket not found\"}";
    let record = record_of(request, response);
    assert_valid(&record);
    let mut made = json(&record);
    let mut golden: Value = serde_json::from_str(DEL_500).unwrap();
    // Left out on export (contract §2.4).
    golden["http"]["req"].as_object_mut().unwrap().remove("queryParams");
    for (side, bytes) in [("downstream", request.len()), ("upstream", response.len())] {
        assert_eq!(made["netinfo"][side]["bytesSent"], bytes.to_string());
        made["netinfo"][side]["bytesSent"] = golden["netinfo"][side]["bytesSent"].clone();
        // The golden file tells the two ends' times apart; the kernel knows one.
        golden["netinfo"][side]["established"] =
            golden["netinfo"]["downstream"]["established"].clone();
    }
    made["uuid"] = golden["uuid"].clone();
    assert_eq!(made, golden);
}

#[test]
fn a_head_that_the_fields_give_back_is_not_kept_twice() {
    let heads = [
        ("GET / HTTP/1.1\r\nHost: h\r\nA: 1\r\nA: 2\r\n\r\n", true),
        ("GET / HTTP/1.1\r\nhost: h\r\n\r\n", false),
        ("GET / HTTP/1.1\r\nHost:h\r\n\r\n", false),
        ("GET / HTTP/1.1\r\nHost: h \r\n\r\n", false),
        ("GET / HTTP/1.1\nHost: h\n\n", false),
        ("GET  / HTTP/1.1\r\nHost: h\r\n\r\n", false),
        ("GET / HTTP/1.1\r\nA: 1\r\nB: 2\r\nA: 3\r\n\r\n", false),
        ("GET / HTTP/1.1\r\nA: 1\r\n 2\r\n\r\n", false),
        ("GET http://h/ HTTP/1.1\r\nHost: h\r\n\r\n", false),
        ("GET /\x7f HTTP/1.1\r\nHost: \x7f\r\n\r\n", true),
        ("GET / HTTP/1.7\r\n\r\n", false),
    ];
    for (head, exact) in heads {
        let record = json(&record_of(head.as_bytes(), b"HTTP/1.1 204 \r\n\r\n"));
        let kept = record["http"]["req"].get("headBase64").map(|kept| kept.as_str().unwrap());
        let expect = (!exact).then(|| BASE64_STANDARD.encode(head));
        assert_eq!(kept, expect.as_deref(), "{head:?}");
        assert_eq!(record["http"]["res"].get("headBase64"), None);
    }
}

#[test]
fn every_form_of_target_gives_host_path_and_query() {
    let cases = [
        ("GET /a?b=c HTTP/1.1\r\nHost: h:80", ["h:80", "/a", "/a?b=c", "h:8080"]),
        ("GET http://x:1/a?b HTTP/1.1\r\nHost: h", ["x:1", "/a", "/a?b", "x:8080"]),
        ("GET http://x HTTP/1.1\r\nHost: h", ["x", "/", "/", "x:8080"]),
        ("OPTIONS * HTTP/1.1\r\nHost: [::1]:9", ["[::1]:9", "*", "*", "[::1]:8080"]),
        ("CONNECT x:443 HTTP/1.1\r\nHost: h", ["x:443", "x:443", "x:443", "x:8080"]),
        ("GET / HTTP/1.0", ["", "/", "/", "10.0.5.5:8080"]),
    ];
    for (head, expect) in cases {
        let record = record_of(format!("{head}\r\n\r\n").as_bytes(), b"HTTP/1.1 204 \r\n\r\n");
        assert_valid(&record);
        let req = &record.http.as_ref().unwrap().req;
        let address = record.network_address.as_deref().unwrap();
        assert_eq!([req.host.as_str(), &req.url, &req.uri, address], expect, "{head:?}");
        assert_eq!((&record.location, &record.command), (&req.url, &req.method));
    }
}

#[test]
fn a_request_without_a_response_says_why() {
    let record = record_of(b"POST /x HTTP/1.1\r\nContent-Length: 9\r\n\r\nabc", b"");
    assert_valid(&record);
    assert_eq!((record.status.as_ref(), record.duration), ("", 0));
    assert_eq!(record.http.as_ref().unwrap().res, None);
    assert_eq!(record.tags.value("incomplete"), Some("request_cut"));
    assert_eq!(record.tags.value("truncated"), Some("request"));
    // Part of a body signs nothing.
    assert_eq!(record.signature.unwrap().0.len(), 4);
}

#[test]
fn a_response_without_a_request_is_no_record() {
    let mut connection = Connection::new(Role::Server, Limits::default());
    let mut events = Vec::new();
    let timeout = b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n";
    connection.data(place(Side::Egress, 0, 1), timeout, &mut |event| events.push(event));
    let Some(Event::Exchange(exchange)) = events.pop() else { panic!("{events:?}") };
    let stamp = Stamp { sequence: 0, nonce: [0; 16] };
    assert!(raw(*exchange, &rocket(), stamp, Timestamp).is_none());
}

#[test]
fn bodies_that_are_not_whole_say_how_much_is_missing() {
    let mut connection =
        Connection::new(Role::Server, Limits { max_body_bytes: 2, ..Limits::default() });
    let mut events = Vec::new();
    let mut sink = |event| events.push(event);
    let request = b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc";
    let response = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n";
    connection.data(place(Side::Ingress, 0, 1), request, &mut sink);
    connection.data(place(Side::Egress, 1, 2), response, &mut sink);
    let position = response.len() as u64;
    let hole = Place { position, begins_run: false, ..place(Side::Egress, 1, 3) };
    connection.hole(hole, 9, HoleReason::NoUserBuffer, &mut sink);
    let record = map(events.remove(0), 1);
    assert_valid(&record);
    let http = json(&record)["http"].clone();
    assert_eq!(record.tags.value("truncated"), Some("both"));
    assert_eq!(
        (&http["req"]["bodyBytes"], &http["req"]["bodyBase64"]),
        (&3.into(), &"YWI=".into())
    );
    assert_eq!(
        (&http["res"]["bodyBytes"], &http["res"]["bodyMissingBytes"]),
        (&9.into(), &9.into())
    );
    assert_eq!(record.status, "200");
}

#[test]
fn what_messages_do_against_the_standard_is_told() {
    let record = record_of(
        b"GET / HTTP/1.1\nHost: h\n\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    );
    assert_valid(&record);
    let expect = "request:bare_lf,response:length_and_transfer_coding";
    assert_eq!(record.tags.value("defects"), Some(expect));
}

#[test]
fn trailers_and_repeated_fields_keep_all_values() {
    let record = record_of(
        b"GET / HTTP/1.1\r\nHost: h\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nVary: Accept\r\nvary: Origin\r\nTransfer-Encoding: chunked\r\n\r\n\
          0\r\nx-sum: 1\r\n\r\n",
    );
    let res = &json(&record)["http"]["res"];
    assert_eq!(res["headers"]["Vary"], serde_json::json!(["Accept", "Origin"]));
    assert_eq!(res["trailers"], serde_json::json!({"X-Sum": ["1"]}));
}

/// The head as its record gives it: the raw one if it is there, else written anew.
fn request_head(record: &RrPair) -> Vec<u8> {
    let req = &record.http.as_ref().unwrap().req;
    if let Some(raw) = req.extra.get("headBase64") {
        return BASE64_STANDARD.decode(raw.as_str().unwrap()).unwrap();
    }
    let mut lines = vec![format!("{} {} HTTP/{}", req.method, req.uri, req.version)];
    for (name, values) in req.headers.iter() {
        lines.extend(values.iter().map(|value| format!("{name}: {value}")));
    }
    (lines.join("\r\n") + "\r\n\r\n").into_bytes()
}

proptest! {
    /// No byte of a head is lost on the way into the record, and the record is valid.
    #[test]
    fn heads_come_back_byte_for_byte(
        target in prop::collection::vec(any::<u8>().prop_filter("no line end", |b| *b != b'\n'), 0..20),
        names in prop::collection::vec("[A-Za-z-]{1,9}", 0..5),
        value in prop::collection::vec(any::<u8>().prop_filter("no line end", |b| *b != b'\n'), 0..20),
    ) {
        let mut head = [b"PUT /".as_slice(), &target, b" HTTP/1.1\r\n"].concat();
        for name in names.iter().filter(|name| !name.eq_ignore_ascii_case("upgrade")) {
            head.extend([name.as_bytes(), b": ", &value, b"\r\n"].concat());
        }
        head.extend(b"\r\n");
        let record = record_of(&head, b"HTTP/1.1 204 No Content\r\n\r\n");
        assert_valid(&record);
        prop_assert_eq!(request_head(&record), head);
    }
}
