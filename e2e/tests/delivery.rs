//! From the capture to a receiver: the OpenTelemetry Collector, receivers that are down,
//! transports that do not fit.
#![cfg(test)]

use std::{collections::BTreeMap, path::Path};

use serde_json::Value;
use weir_e2e::{
    capture::{Collect, Endpoint, Otelcol, Run, Setup, Transport},
    load::{Load, Mix},
    otlp_json::{Log, same},
    process::free_port,
    servers,
    truth::{Bodies, Pair, compare},
};

/// Records by uuid, without the ordinal that a snapshot adds (contract §4.4).
fn by_uuid(records: impl Iterator<Item = Value>) -> BTreeMap<String, Value> {
    let mut map = BTreeMap::new();
    for mut record in records {
        if let Some(signature) = record["signature"].as_object_mut() {
            signature.remove("instance");
        }
        let uuid = record["uuid"].as_str().unwrap().to_owned();
        assert!(map.insert(uuid, record).is_none(), "a uuid came twice");
    }
    map
}

fn check_same(pairs: &[Pair], logs: &[Log]) {
    let pairs = by_uuid(pairs.iter().map(|pair| pair.record.clone()));
    let logs = by_uuid(logs.iter().map(|log| log.body.clone()));
    assert_eq!(pairs.len(), logs.len());
    for (uuid, pair) in &pairs {
        let log = logs.get(uuid).unwrap_or_else(|| panic!("{uuid} is missing"));
        assert!(same(pair, log), "{uuid} differs:\n{pair}\n{log}");
    }
}

/// What the contract says of a log record around its body (§2.2).
fn check_envelope(log: &Log) {
    assert_eq!(log.resource["cluster"], log.body["cluster"]);
    assert_eq!(log.attributes["service"], log.body["service"]);
    assert_eq!(log.attributes["namespace"], log.body["namespace"]);
    for (key, value) in log.body["tags"].as_object().unwrap() {
        assert_eq!(log.attributes[&format!("tag.{key}")], *value);
    }
    let seconds = log.time_ns / 1_000_000_000;
    let fraction = format!(".{:09}Z", log.time_ns % 1_000_000_000);
    let ts = log.body["ts"].as_str().unwrap();
    assert!(ts.ends_with(&fraction), "{ts} is not {seconds} s {fraction}");
}

#[test]
#[ignore = "needs root and eBPF"]
fn the_collector_receives_the_same_records_over_both_transports() {
    for transport in [Transport::Grpc, Transport::Http] {
        let folder = tempfile::tempdir().unwrap();
        let server = servers::node(folder.path()).unwrap();
        let collect = Collect::start(folder.path()).unwrap();
        let otelcol = Otelcol::start(folder.path()).unwrap();
        let port = if transport == Transport::Grpc { otelcol.grpc } else { otelcol.http };
        let exporters =
            vec![collect.endpoint(Transport::Grpc), Endpoint { name: "otelcol", port, transport }];
        let setup = Setup::port(server.address.port(), exporters);
        let run = Run::start(folder.path(), &setup).unwrap();
        let load =
            Load { body_limit: 200_000, connections: 16, ..Load::new(server.address, Mix::All) };
        let sent = load.run().unwrap();
        run.finish().unwrap();
        let logs = otelcol.finish().unwrap();
        let pairs = collect.finish().unwrap();
        let differences = compare(&sent, &pairs, Bodies::Exact);
        assert!(differences.is_empty(), "{differences}");
        check_same(&pairs, &logs);
        logs.iter().for_each(check_envelope);
    }
}

fn run_to(folder: &Path, transport: Transport, receiver: impl FnOnce(&Path, [u16; 2]) -> Collect) {
    let server = servers::go(folder).unwrap();
    let ports = [free_port().unwrap(), free_port().unwrap()];
    let port = ports[usize::from(transport == Transport::Http)];
    let exporter = Endpoint { name: "collect", port, transport };
    let setup = Setup::port(server.address.port(), vec![exporter]);
    let mut run = Run::start(folder, &setup).unwrap();
    let mut sent = Load::new(server.address, Mix::All).run().unwrap();
    run.wait_for_ledger("two retries", |ledger| ledger.retries >= 2).unwrap();
    let collect = receiver(folder, ports);
    sent.extend(Load { seed: 2, ..Load::new(server.address, Mix::All) }.run().unwrap());
    collect.wait_for(sent.len()).unwrap();
    let ledger = run.finish().unwrap();
    assert!(ledger.retries >= 2, "{ledger:?}");
    assert!(ledger.balances(), "{ledger:?}");
    let differences = compare(&sent, &collect.finish().unwrap(), Bodies::Exact);
    assert!(differences.is_empty(), "{differences}");
}

#[test]
#[ignore = "needs root and eBPF"]
fn a_collector_that_comes_late_gets_everything_and_the_retries_are_counted() {
    for transport in [Transport::Grpc, Transport::Http] {
        let folder = tempfile::tempdir().unwrap();
        run_to(folder.path(), transport, |folder, [grpc, http]| {
            Collect::start_on(folder, grpc, http).unwrap()
        });
    }
}

#[test]
#[ignore = "needs root and eBPF"]
fn a_transport_that_does_not_fit_the_port_is_said_by_name() {
    for (transport, needle) in
        [(Transport::Grpc, "speaks OTLP/HTTP"), (Transport::Http, "speaks OTLP/gRPC")]
    {
        let folder = tempfile::tempdir().unwrap();
        let server = servers::go(folder.path()).unwrap();
        let otelcol = Otelcol::start(folder.path()).unwrap();
        let port = if transport == Transport::Grpc { otelcol.http } else { otelcol.grpc };
        let exporter = Endpoint { name: "crossed", port, transport };
        let setup = Setup::port(server.address.port(), vec![exporter]);
        let mut run = Run::start(folder.path(), &setup).unwrap();
        Load::new(server.address, Mix::All).run().unwrap();
        run.process.wait_for_text(needle).unwrap();
        let output = run.process.output();
        let line = output.lines().find(|line| line.contains(needle)).unwrap();
        assert!(line.contains("crossed") || line.contains(&port.to_string()), "{line}");
    }
}

#[test]
#[ignore = "needs root and eBPF"]
fn a_dead_exporter_does_not_hold_back_another() {
    let folder = tempfile::tempdir().unwrap();
    let server = servers::go(folder.path()).unwrap();
    let collect = Collect::start(folder.path()).unwrap();
    let dead = Endpoint { name: "dead", port: free_port().unwrap(), transport: Transport::Grpc };
    let exporters = vec![dead, collect.endpoint(Transport::Http)];
    let run = Run::start(folder.path(), &Setup::port(server.address.port(), exporters)).unwrap();
    let sent = Load::new(server.address, Mix::All).run().unwrap();
    // While it still runs: nothing waits for the other one's end.
    collect.wait_for(sent.len()).unwrap();
    drop(run);
    let differences = compare(&sent, &collect.finish().unwrap(), Bodies::Exact);
    assert!(differences.is_empty(), "{differences}");
}
