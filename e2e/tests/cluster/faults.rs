//! Parts of Weir and of the cluster die under load: no request of an application fails, capture
//! resumes, and what was lost is counted.

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use weir_e2e::{
    cluster::{
        ApiServer, NODE_PODS, Namespace, OPERATOR_PODS, WEIR, get, kill_container, node_status,
        only_pod,
    },
    otlp_json, wait,
};

use crate::shop::{all, capture_all, orders, wait_for_pods, went_well};

/// What a node's forwarder must say of itself at any time.
fn balances(status: &Value) -> Result<()> {
    for capture in status["captures"].as_array().context("no captures")? {
        let records = &capture["records"];
        let of = |name: &str| records[name].as_u64().unwrap_or(0);
        let parts = ["exported", "filtered", "sampled", "shed", "undecodable", "queued"];
        let sum: u64 = parts.into_iter().map(of).sum();
        // What an earlier run left on the disk was seen by that one.
        ensure!(of("seen") + of("recovered") == sum, "the counts do not add up: {records}");
    }
    Ok(())
}

/// Records of a namespace's capture, as `kubectl get` shows them.
fn seen(namespace: &Namespace) -> Result<u64> {
    let capture = get(&["trafficcapture", "orders", "-n", &namespace.0])?;
    capture["status"]["records"]["seen"].as_u64().context("no count of records")
}

/// Kills a container under load.
fn survives(name: &str, pod: &str, container: &str, program: &str) -> Result<Survived> {
    let shop = Namespace::new(name, &["shop.yaml", "collector.yaml"])?;
    shop.wait_for_shop()?;
    capture_all(&shop)?;
    wait_for_pods(&shop, 2)?;
    shop.start_load(100, "load")?;
    shop.wait_for("records of the load", |logs| orders(logs, "load", "IN").len() > 50)?;
    wait::until("the capture to count", || seen(&shop).ok().filter(|seen| *seen > 0))?;
    let before = seen(&shop)?;
    kill_container(pod, container, program)?;
    wait_for_pods(&shop, 2)?;
    // Under the same load.
    went_well(&shop.send(20, "after")?)?;
    let load = shop.stop_load()?;
    went_well(&load)?;
    let logs = shop.wait_for("records after the death", |logs| {
        orders(logs, "after", "IN").len() >= 20 && orders(logs, "after", "OUT").len() >= 20
    })?;
    for direction in ["IN", "OUT"] {
        ensure!(orders(&logs, "after", direction) == all(20), "twice or wrong: {direction}");
    }
    let status = node_status()?;
    balances(&status)?;
    let arrived = orders(&logs, "load", "IN").len() + orders(&logs, "load", "OUT").len() + 40;
    Ok(Survived { before, arrived: arrived as u64, shop })
}

/// After a death.
struct Survived {
    shop: Namespace,
    /// Records that the capture had counted then.
    before: u64,
    /// Records that the collector has now.
    arrived: u64,
}

impl Survived {
    /// Waits until the capture has counted so many.
    fn counts(&self, least: u64) -> Result<()> {
        wait::until("the capture to count on", || {
            seen(&self.shop).ok().filter(|now| *now >= least)
        })
        .with_context(|| format!("{} of {least}", seen(&self.shop).unwrap_or_default()))?;
        Ok(())
    }
}

#[test]
#[ignore = "needs a cluster with Weir"]
fn the_capture_agent_may_die() -> Result<()> {
    let pod = only_pod(WEIR, NODE_PODS)?;
    let survived = survives("e2e-no-agent", &pod, "capture-agent", "weir-capture-agent")?;
    survived.counts(survived.arrived)
}

#[test]
#[ignore = "needs a cluster with Weir"]
fn the_forwarder_may_die_and_what_nobody_read_is_counted() -> Result<()> {
    let pod = only_pod(WEIR, NODE_PODS)?;
    let survived = survives("e2e-no-forwarder", &pod, "forwarder", "weir-forwarder")?;
    // It takes along what it counted since the operator asked it last, never more.
    survived.counts(survived.before + 40)?;
    let status = node_status()?;
    let abandoned = status["agent"]["abandonedBytes"].as_u64().context("no count of bytes")?;
    ensure!(abandoned > 0, "under load something is unread at any time: {}", status["agent"]);
    Ok(())
}

#[test]
#[ignore = "needs a cluster with Weir"]
fn the_operator_may_die() -> Result<()> {
    let pod = only_pod(WEIR, OPERATOR_PODS)?;
    let survived = survives("e2e-no-operator", &pod, "operator", "weir-operator")?;
    survived.counts(survived.arrived)
}

#[test]
#[ignore = "needs a cluster of cluster.sh with Weir"]
fn the_api_server_may_die() -> Result<()> {
    let shop = Namespace::new("e2e-no-api", &["shop.yaml", "collector.yaml"])?;
    shop.wait_for_shop()?;
    capture_all(&shop)?;
    wait_for_pods(&shop, 2)?;
    shop.start_load(100, "load")?;
    shop.wait_for("records of the load", |logs| orders(logs, "load", "IN").len() > 50)?;
    let file = shop.collector_file()?;
    let arrived = || -> Option<u64> {
        let logs = otlp_json::read(&file).ok()?;
        orders(&logs, "load", "IN").last().copied()
    };
    let api = ApiServer::kill()?;
    // A second of load and more while nobody answers.
    let last = arrived().context("no record on the disk")?;
    wait::until("records without an API server", || arrived().filter(|now| *now > last + 150))?;
    api.start()?;
    let load = wait::until("the load's end", || shop.stop_load().ok())?;
    went_well(&load)?;
    // Nothing of Weir died, so nothing is missing.
    let whole = all(load.requests);
    shop.wait_for("every record of the load", |logs| {
        orders(logs, "load", "IN") == whole && orders(logs, "load", "OUT") == whole
    })?;
    // It follows again.
    shop.apply(
        "{apiVersion: weir.dev/v1alpha1, kind: TrafficCapture, metadata: {name: orders}, spec: {
            selector: {matchLabels: {app: orders-api}}, exporters: [{name: collector}]}}",
    )?;
    wait_for_pods(&shop, 1)?;
    balances(&node_status()?)
}
