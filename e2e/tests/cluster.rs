//! Weir in a real cluster: what is captured arrives at a real OpenTelemetry Collector, and what
//! happens when parts of Weir die. `make e2e` brings the cluster up, installs Weir and runs this.

#![expect(clippy::tests_outside_test_module, reason = "an integration test is a test module")]

use std::{collections::BTreeSet, time::Duration};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use weir_e2e::{
    cluster::{
        NODE_PODS, Namespace, OPERATOR_PODS, Sent, WEIR, kill_container, kubectl, let_pass,
        node_metrics, node_status, only_pod,
    },
    otlp_json::Log,
    wait,
};

/// Of a namespace's own collector, and a capture of all its services.
fn capture_all(namespace: &Namespace) -> Result<()> {
    let collector = namespace.service("collector")?;
    namespace.apply(&format!(
        "apiVersion: weir.dev/v1alpha1
kind: Exporter
metadata: {{name: collector}}
spec: {{otlp: {{endpoint: 'http://{collector}:4318'}}}}
---
apiVersion: weir.dev/v1alpha1
kind: TrafficCapture
metadata: {{name: orders}}
spec:
  selector: {{matchExpressions: [{{key: app, operator: In, values: [orders-api, orders-web]}}]}}
  direction: Both
  exporters: [{{name: collector}}]
"
    ))
}

/// Waits until the node captures `pods` pods for the captures of this namespace.
fn wait_for_pods(namespace: &Namespace, pods: u64) -> Result<()> {
    wait::until("the node to follow the capture", || {
        let status = node_status().ok()?;
        let captures = status["captures"].as_array()?;
        let of_namespace = captures.iter().find(|c| c["key"]["namespace"] == *namespace.0)?;
        let follows = status["agent"]["hooksAttached"] == true && !status["planRevision"].is_null();
        (follows && of_namespace["matchedPods"] == pods).then_some(())
    })
}

/// Pairs of an order with this prefix, as numbers; of one direction and one service.
fn orders(logs: &[Log], prefix: &str, direction: &str) -> Vec<u64> {
    let path = format!("/orders/{prefix}-");
    let of = logs.iter().filter(|log| log.body["direction"] == direction);
    let locations = of.filter_map(|log| log.body["location"].as_str()?.strip_prefix(&path));
    let mut numbers: Vec<_> = locations.filter_map(|number| number.parse().ok()).collect();
    numbers.sort_unstable();
    numbers
}

fn all(count: u64) -> Vec<u64> {
    (0..count).collect()
}

fn went_well(sent: &Sent) -> Result<()> {
    ensure!(sent.requests > 0 && sent.failed == 0, "requests failed: {sent:?}");
    Ok(())
}

#[test]
#[ignore = "needs a cluster with Weir"]
fn every_pair_of_a_captured_namespace_arrives_with_its_names_and_none_of_another() -> Result<()> {
    let shop = Namespace::new("e2e-shop", &["shop.yaml", "collector.yaml"])?;
    let bank = Namespace::new("e2e-bank", &["shop.yaml"])?;
    shop.wait_for_deployments()?;
    bank.wait_for_deployments()?;
    capture_all(&shop)?;
    wait_for_pods(&shop, 2)?;

    bank.start_load(50, "secret")?;
    went_well(&shop.send(200, "a")?)?;
    let logs = shop.wait_for("all records", |logs| {
        orders(logs, "a", "IN").len() >= 200 && orders(logs, "a", "OUT").len() >= 200
    })?;
    went_well(&bank.stop_load()?)?;

    ensure!(orders(&logs, "a", "IN") == all(200), "served: {:?}", orders(&logs, "a", "IN"));
    ensure!(orders(&logs, "a", "OUT") == all(200), "called: {:?}", orders(&logs, "a", "OUT"));
    let pods = [("IN", "api", "orders-api"), ("OUT", "web", "orders-web")];
    for (direction, service, app) in pods {
        let pod = shop.pod(app)?;
        let of = |log: &&Log| {
            log.body["direction"] == direction
                && log.body["location"].as_str().is_some_and(|path| path.starts_with("/orders/"))
        };
        for log in logs.iter().filter(of) {
            let tags = &log.body["tags"];
            ensure!(tags["k8sAppPodName"] == *pod, "{direction}: {}", tags["k8sAppPodName"]);
            ensure!(tags["k8sAppLabel"] == app && tags["k8sAppPodNamespace"] == *shop.0, "{tags}");
            ensure!(log.body["service"] == service, "{}", log.body["service"]);
            ensure!(log.attributes["namespace"] == *shop.0, "{:?}", log.attributes);
        }
    }
    let namespaces: BTreeSet<_> =
        logs.iter().map(|log| log.body["namespace"].to_string()).collect();
    ensure!(namespaces.len() == 1, "{namespaces:?}");
    let collector = shop.collected()?;
    let foreign = collector.iter().any(|log| log.body.to_string().contains("secret-"));
    ensure!(!foreign, "another namespace's traffic arrived");
    Ok(())
}

#[test]
#[ignore = "needs a cluster with Weir"]
fn a_capture_that_is_deleted_detaches_the_hooks() -> Result<()> {
    let shop = Namespace::new("e2e-detach", &["shop.yaml", "collector.yaml"])?;
    shop.wait_for_deployments()?;
    capture_all(&shop)?;
    wait_for_pods(&shop, 2)?;
    ensure!(node_metrics()?["capture_hooks_attached"] > 0.0);
    went_well(&shop.send(5, "before")?)?;
    shop.wait_for("the first records", |logs| orders(logs, "before", "IN").len() == 5)?;
    kubectl(&["delete", "trafficcapture", "orders", "-n", &shop.0])?;
    wait::until("the hooks to be detached", || {
        let metrics = node_metrics().ok()?;
        (*metrics.get("capture_hooks_attached")? < 0.5).then_some(())
    })?;
    went_well(&shop.send(20, "after")?)?;
    // A capture that begins again shows that nothing of the time between arrives late.
    capture_all(&shop)?;
    wait_for_pods(&shop, 2)?;
    went_well(&shop.send(5, "again")?)?;
    let logs = shop.wait_for("the last records", |logs| orders(logs, "again", "IN").len() == 5)?;
    ensure!(orders(&logs, "after", "IN").is_empty(), "captured without a capture");
    Ok(())
}

/// What a node's forwarder must say of itself at any time.
fn balances(status: &Value) -> Result<()> {
    for capture in status["captures"].as_array().context("no captures")? {
        let records = &capture["records"];
        let of = |name: &str| records[name].as_u64().unwrap_or(0);
        let parts = ["exported", "filtered", "sampled", "shed", "undecodable", "queued"];
        let sum: u64 = parts.into_iter().map(of).sum();
        ensure!(of("seen") == sum, "the counts do not add up: {records}");
    }
    Ok(())
}

#[test]
#[ignore = "needs a cluster with Weir"]
fn no_request_fails_while_parts_of_weir_die_and_capture_resumes() -> Result<()> {
    let shop = Namespace::new("e2e-faults", &["shop.yaml", "collector.yaml"])?;
    shop.wait_for_deployments()?;
    capture_all(&shop)?;
    wait_for_pods(&shop, 2)?;
    let node_pod = only_pod(WEIR, NODE_PODS)?;
    for (round, (pod, container, program)) in [
        (node_pod.clone(), "capture-agent", "weir-capture-agent"),
        (node_pod, "forwarder", "weir-forwarder"),
        (only_pod(WEIR, OPERATOR_PODS)?, "operator", "weir-operator"),
    ]
    .into_iter()
    .enumerate()
    {
        let load = format!("load{round}");
        shop.start_load(100, &load)?;
        shop.wait_for("records of the load", |logs| orders(logs, &load, "IN").len() > 50)?;
        kill_container(&pod, container, program)?;
        wait_for_pods(&shop, 2)?;
        let prefix = format!("resumed{round}");
        // Under the same load.
        went_well(&shop.send(20, &prefix)?)?;
        let_pass(Duration::from_millis(500));
        went_well(&shop.stop_load()?).with_context(|| format!("while {container} was killed"))?;
        let logs = shop.wait_for(&format!("records after the death of {container}"), |logs| {
            orders(logs, &prefix, "IN").len() >= 20 && orders(logs, &prefix, "OUT").len() >= 20
        })?;
        ensure!(orders(&logs, &prefix, "IN") == all(20), "twice or wrong after {container}");
        balances(&node_status()?)?;
    }
    Ok(())
}
