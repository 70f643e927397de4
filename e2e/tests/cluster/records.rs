//! What is captured arrives at a real OpenTelemetry Collector, and nothing else does.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, ensure};
use weir_e2e::{
    cluster::{Namespace, WEIR, get, kubectl, node_metrics, node_status},
    otlp_json::Log,
    wait,
};

use crate::shop::{all, capture_all, orders, wait_for_conditions, wait_for_pods, went_well};

#[test]
#[ignore = "needs a cluster with Weir"]
fn every_pair_of_a_captured_namespace_arrives_with_its_names_and_none_of_another() -> Result<()> {
    let shop = Namespace::new("e2e-shop", &["shop.yaml", "collector.yaml"])?;
    let bank = Namespace::new("e2e-bank", &["shop.yaml"])?;
    shop.wait_for_shop()?;
    bank.wait_for_shop()?;
    capture_all(&shop)?;
    wait_for_pods(&shop, 2)?;

    bank.start_load(50, "secret")?;
    went_well(&shop.send(200, "a")?)?;
    let mut last = [Vec::new(), Vec::new()];
    let logs = shop
        .wait_for("all records", |logs| {
            last = ["IN", "OUT"].map(|direction| orders(logs, "a", direction));
            last.iter().all(|numbers| numbers.len() >= 200)
        })
        .with_context(|| format!("there are {last:?}, and the node has {:?}", node_status()))?;
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
    let everything: Vec<_> = shop.collected()?.iter().map(|log| log.body.to_string()).collect();
    let foreign = everything.iter().any(|body| body.contains("secret-"));
    ensure!(!foreign, "another namespace's traffic arrived");
    // The chart's floor, which no object of this namespace names.
    wait_for_conditions(WEIR, ("dlppolicy", "floor"), &["Ready=True/Ready"])?;
    ensure!(!everything.iter().any(|body| body.contains("credential-of-")), "not redacted");
    let mut ordered = everything.iter().filter(|body| body.contains("\"/orders/"));
    ensure!(ordered.all(|body| body.contains("REDACTED-")), "redacted into nothing");
    Ok(())
}

#[test]
#[ignore = "needs a cluster with Weir"]
fn a_capture_that_is_deleted_detaches_the_hooks() -> Result<()> {
    let shop = Namespace::new("e2e-detach", &["shop.yaml", "collector.yaml"])?;
    shop.wait_for_shop()?;
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
    // On a connection that went on meanwhile the first of these follow a gap and are given up.
    went_well(&shop.send(10, "resumed")?)?;
    shop.wait_for("records after the gap", |logs| orders(logs, "resumed", "IN").contains(&9))?;
    went_well(&shop.send(5, "again")?)?;
    let logs = shop.wait_for("the last records", |logs| orders(logs, "again", "IN").len() >= 5)?;
    ensure!(orders(&logs, "again", "IN") == all(5), "{:?}", orders(&logs, "again", "IN"));
    ensure!(orders(&logs, "after", "IN").is_empty(), "captured without a capture");
    Ok(())
}

#[test]
#[ignore = "needs a cluster with Weir"]
fn a_capture_that_is_made_again_begins_to_count_at_zero() -> Result<()> {
    let shop = Namespace::new("e2e-again", &["shop.yaml", "collector.yaml"])?;
    shop.wait_for_shop()?;
    capture_all(&shop)?;
    wait_for_pods(&shop, 2)?;
    went_well(&shop.send(100, "first")?)?;
    let seen = || -> Option<u64> {
        let capture = get(&["trafficcapture", "orders", "-n", &shop.0]).ok()?;
        capture["status"]["records"]["seen"].as_u64()
    };
    wait::until("the first capture to count all", || seen().filter(|seen| *seen >= 200))?;
    kubectl(&["delete", "trafficcapture", "orders", "-n", &shop.0])?;
    capture_all(&shop)?;
    wait_for_conditions(&shop.0, ("trafficcapture", "orders"), &["Ready=True/Ready"])?;
    went_well(&shop.send(5, "second")?)?;
    wait::until("the second capture to count", || seen().filter(|seen| *seen >= 10))?;
    let counted = seen().unwrap_or_default();
    ensure!(counted < 200, "{counted} records of another capture are counted");
    Ok(())
}
