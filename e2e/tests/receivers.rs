//! `weir collect` beside the OpenTelemetry Collector, without any capture: both read the
//! contract's own OTLP example the same.
#![cfg(test)]

use std::{fs, net::SocketAddr, path::Path};

use serde_json::{Value, json};
use weir_e2e::{
    artifacts,
    capture::{Collect, Otelcol, Transport},
    http::{Connection, Request},
    otlp_json::same,
};

fn post(port: u16, body: &[u8]) -> u16 {
    let mut connection = Connection::open(SocketAddr::from(([127, 0, 0, 1], port))).unwrap();
    let request = Request::post("/v1/logs".to_owned(), body.to_vec());
    let headers = vec![("Content-Type".to_owned(), "application/json".to_owned())];
    connection.exchange(&Request { headers, ..request }).unwrap().status
}

fn fixture(name: &str) -> Vec<u8> {
    fs::read(artifacts::folder().join("../fixtures/contract").join(name)).unwrap()
}

#[test]
#[ignore = "needs the OpenTelemetry Collector"]
fn both_receivers_read_the_same_record() {
    let folder = tempfile::tempdir().unwrap();
    let collect = Collect::start(folder.path()).unwrap();
    let otelcol = Otelcol::start(folder.path()).unwrap();
    let body = fixture("golden/http-get-200.otlp.json");
    for port in [collect.endpoint(Transport::Http).port, otelcol.http] {
        assert_eq!(post(port, &body), 200);
    }
    let pairs = collect.finish().unwrap();
    let logs = otelcol.finish().unwrap();
    assert_eq!((pairs.len(), logs.len()), (1, 1));
    let golden: Value = serde_json::from_slice(&fixture("golden/http-get-200.json")).unwrap();
    assert!(same(&logs[0].body, &golden), "{}", logs[0].body);
    let mut record = pairs[0].record.clone();
    // The first of its signature (contract §4.4).
    assert_eq!(record["signature"]["instance"], json!("MA=="));
    record["signature"].as_object_mut().unwrap().remove("instance");
    assert!(same(&record, &golden), "{record}");
}

#[test]
#[ignore = "needs a built weir"]
fn a_snapshot_of_nothing_is_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let out_dir: &Path = &folder.path().join("snapshot");
    let collect = Collect::start(folder.path()).unwrap();
    assert!(collect.finish().unwrap().is_empty());
    assert!(!out_dir.exists());
}
