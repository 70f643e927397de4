//! Two tenants, and objects that are wrong: each is told on that object alone.

use anyhow::{Context as _, Result, ensure};
use weir_e2e::{
    cluster::{Namespace, get},
    wait,
};

use crate::shop::{
    all, capture_all, conditions, orders, wait_for_conditions, wait_for_pods, went_well,
};

const READY: &str = "Ready=True/Ready";

#[test]
#[ignore = "needs a cluster with Weir"]
fn a_tenant_cannot_use_or_disturb_another_tenants_exporter() -> Result<()> {
    let gold = Namespace::new("e2e-gold", &["shop.yaml", "collector.yaml"])?;
    let tin = Namespace::new("e2e-tin", &["shop.yaml", "collector.yaml"])?;
    for tenant in [&gold, &tin] {
        tenant.wait_for_shop()?;
        capture_all(tenant)?;
        wait_for_pods(tenant, 2)?;
        wait_for_conditions(&tenant.0, ("trafficcapture", "orders"), &[READY])?;
        tenant.start_load(50, "load")?;
    }
    gold.wait_for("the first records", |logs| orders(logs, "load", "IN").len() > 20)?;
    tin.apply(
        "{apiVersion: weir.dev/v1alpha1, kind: TrafficCapture, metadata: {name: nosy}, spec: {
            selector: {}, exporters: [{name: collector, namespace: e2e-gold}]}}",
    )?;
    let refused = ["ResolvedRefs=False/RefNotPermitted", "Ready=False/RefNotPermitted"];
    wait_for_conditions(&tin.0, ("trafficcapture", "nosy"), &refused)?;
    let before = orders(&gold.collected()?, "load", "IN").len();
    gold.wait_for("more records", |logs| orders(logs, "load", "IN").len() > before + 50)?;
    for tenant in [&gold, &tin] {
        let load = tenant.stop_load()?;
        went_well(&load)?;
        let whole = all(load.requests);
        let logs = tenant.wait_for("every record of the load", |logs| {
            orders(logs, "load", "IN").len() >= whole.len()
                && orders(logs, "load", "OUT").len() >= whole.len()
        })?;
        ensure!(orders(&logs, "load", "IN") == whole && orders(&logs, "load", "OUT") == whole);
        let foreign = logs.iter().find(|log| log.body["namespace"] != *tenant.0);
        ensure!(foreign.is_none(), "{} got {:?}", tenant.0, foreign.map(|log| &log.body));
        let lines = conditions(&tenant.0, "trafficcapture", "orders")?;
        ensure!(lines.iter().any(|line| line == READY), "{}: {lines:?}", tenant.0);
    }
    // Of gold's exporter the other learns nothing, and gold's nothing of the other.
    let exporter = get(&["exporter", "collector", "-n", &gold.0])?.to_string();
    ensure!(!exporter.contains("e2e-tin"), "{exporter}");
    let nosy = get(&["trafficcapture", "nosy", "-n", &tin.0])?["status"].to_string();
    let address = gold.service("collector")?;
    ensure!(!nosy.contains(&address), "it tells where the other's collector is: {nosy}");
    Ok(())
}

#[test]
#[ignore = "needs a cluster with Weir"]
fn what_is_wrong_is_told_on_that_object_alone() -> Result<()> {
    let shop = Namespace::new("e2e-wrong", &["shop.yaml", "collector.yaml"])?;
    shop.wait_for_shop()?;
    capture_all(&shop)?;
    shop.apply(
        r#"{apiVersion: weir.dev/v1alpha1, kind: DlpPolicy, metadata: {name: bad-regex}, spec: {
  patterns: [{name: open, regex: "(["}]}}
---
{apiVersion: weir.dev/v1alpha1, kind: Exporter, metadata: {name: bad-cel}, spec: {
  otlp: {endpoint: "http://collector:4318"}, filter: {drop: ["status =="]}}}
---
{apiVersion: weir.dev/v1alpha1, kind: Exporter, metadata: {name: no-secret}, spec: {
  otlp: {endpoint: "http://collector:4318", headers: [{name: Authorization,
    valueFrom: {secretKeyRef: {name: nowhere, key: token}}}]}}}
---
{apiVersion: weir.dev/v1alpha1, kind: TrafficCapture, metadata: {name: to-no-secret}, spec: {
  selector: {}, exporters: [{name: no-secret}]}}
"#,
    )?;
    for (kind, name, expect) in [
        ("dlppolicy", "bad-regex", "Accepted=False/InvalidPolicy"),
        ("exporter", "bad-cel", "Accepted=False/InvalidFilter"),
        ("exporter", "no-secret", "ResolvedRefs=False/SecretNotFound"),
        ("trafficcapture", "to-no-secret", "ResolvedRefs=False/RefNotAccepted"),
    ] {
        wait_for_conditions(&shop.0, (kind, name), &[expect])?;
    }
    // A field that nobody knows does not get in.
    let typo = shop.apply(
        "{apiVersion: weir.dev/v1alpha1, kind: TrafficCapture, metadata: {name: typo}, spec: {
            selector: {}, exporters: [{name: collector}], directions: Both}}",
    );
    let error = typo.err().context("an unknown field was taken")?.to_string();
    ensure!(error.contains("spec.directions"), "{error}");
    // The capture beside them works.
    wait_for_conditions(&shop.0, ("trafficcapture", "orders"), &[READY])?;
    wait_for_pods(&shop, 2)?;
    went_well(&shop.send(10, "fine")?)?;
    let logs = shop.wait_for("records", |logs| orders(logs, "fine", "IN").len() >= 10)?;
    ensure!(orders(&logs, "fine", "IN") == all(10));
    wait::until("the numbers of `kubectl get`", || {
        let capture = get(&["trafficcapture", "orders", "-n", &shop.0]).ok()?;
        (capture["status"]["records"]["exported"].as_u64()? >= 20).then_some(())
    })
}
