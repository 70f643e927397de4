//! Of a cluster: the status of its objects, read by `kubectl`.
//!
//! A client of our own would have to know every way of logging in that kubectl knows.

use std::process::Command;

use anyhow::{Context as _, bail};
use serde::Deserialize;
use weir_api::v1alpha1::{QueueStatus, RecordCounts};

use super::{Delivery, Line, Status};

#[derive(Deserialize)]
struct List {
    items: Vec<Object>,
}

#[derive(Deserialize)]
struct Object {
    kind: String,
    metadata: Metadata,
    #[serde(default)]
    status: ObjectStatus,
}

#[derive(Deserialize)]
struct Metadata {
    namespace: String,
    name: String,
}

/// Of both kinds.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ObjectStatus {
    records: RecordCounts,
    queue: QueueStatus,
    last_error: Option<String>,
}

/// Asks the cluster that kubectl is set to.
pub(super) fn ask(namespace: Option<&str>, context: Option<&str>) -> anyhow::Result<Status> {
    let mut command = Command::new("kubectl");
    command.args(["get", "trafficcaptures.weir.dev,exporters.weir.dev", "--output", "json"]);
    match namespace {
        Some(namespace) => command.args(["--namespace", namespace]),
        None => command.arg("--all-namespaces"),
    };
    command.args(context.iter().flat_map(|context| ["--context", context]));
    let output = command
        .output()
        .context("run kubectl (without a cluster, name a forwarder's address: HOST:PORT)")?;
    if !output.status.success() {
        bail!("kubectl: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    read(&output.stdout).context("understand what kubectl says")
}

fn read(text: &[u8]) -> anyhow::Result<Status> {
    let list: List = serde_json::from_slice(text)?;
    let mut status = Status::default();
    // A negative number would come from no operator of ours.
    let count = |number: i64| u64::try_from(number).unwrap_or(0);
    for Object { kind, metadata, status: said } in list.items {
        let name = format!("{}/{}", metadata.namespace, metadata.name);
        if kind == "Exporter" {
            let given_up = count(said.queue.dropped);
            status.deliveries.push(Delivery {
                exporter: name,
                queued: count(said.queue.records),
                bytes: count(said.queue.bytes),
                given_up: (given_up > 0)
                    .then(|| ("shed".to_owned(), given_up))
                    .into_iter()
                    .collect(),
                error: said.last_error,
            });
            continue;
        }
        let counts = said.records;
        status.lines.push(Line {
            capture: name,
            exporter: String::new(),
            seen: count(counts.seen),
            // The operator adds up the runs: it was seen by one of them.
            recovered: 0,
            exported: count(counts.exported),
            filtered: count(counts.filtered),
            sampled: count(counts.sampled),
            shed: count(counts.shed),
            undecodable: count(counts.undecodable),
            queued: count(counts.queued),
        });
    }
    Ok(status)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_read_with_and_without_a_status() {
        let text = br#"{"kind": "List", "items": [
            {"kind": "TrafficCapture", "metadata": {"namespace": "n", "name": "c"}, "spec": {},
             "status": {"matchedPods": 2, "records": {"seen": 9, "exported": 5, "queued": 4}}},
            {"kind": "TrafficCapture", "metadata": {"namespace": "n", "name": "new"}},
            {"kind": "Exporter", "metadata": {"namespace": "n", "name": "e"},
             "status": {"queue": {"records": 4, "bytes": 80, "dropped": 1}, "lastError": "down"}}]}"#;
        let status = read(text).unwrap();
        assert!(status.lines.iter().all(Line::adds_up));
        let told: Vec<_> = status
            .lines
            .iter()
            .map(|line| (line.capture.as_str(), line.seen, line.queued))
            .collect();
        assert_eq!(told, [("n/c", 9, 4), ("n/new", 0, 0)]);
        let [delivery] = &status.deliveries[..] else { panic!("{status:?}") };
        assert_eq!((delivery.queued, delivery.bytes), (4, 80));
        assert_eq!(delivery.given_up, [("shed".to_owned(), 1)]);
        assert_eq!(delivery.error.as_deref(), Some("down"));
    }
}
