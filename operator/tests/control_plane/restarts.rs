//! Operators that end, or are ended.

use k8s_openapi::api::{apps::v1::DaemonSet, coordination::v1::Lease};
use kube::api::DeleteParams;
use serde_json::{Value, json};
use weir_plan::PlanDocument;

use crate::world::{SYSTEM, World, until};

/// Three tenants, good and bad.
async fn scenario(world: &World) {
    let endpoint = json!({"otlp": {"endpoint": "http://collector.example.net:4318"}});
    world.apply("bank", "Exporter", "e", endpoint.clone()).await;
    world.apply("shop", "Exporter", "e", endpoint).await;
    for (namespace, name, exporters) in [
        ("bank", "one", json!([{"name": "e"}])),
        ("shop", "one", json!([{"name": "e"}])),
        ("shop", "two", json!([{"name": "e", "namespace": "bank"}])),
        ("platform", "three", json!([{"name": "none"}])),
    ] {
        let spec = json!({"selector": {}, "exporters": exporters});
        world.apply(namespace, "TrafficCapture", name, spec).await;
    }
}

async fn settled(world: &World) {
    world.has("bank", "TrafficCapture", "one", &["Ready=True/Ready"]).await;
    world.has("shop", "TrafficCapture", "one", &["Ready=True/Ready"]).await;
    for namespace in ["bank", "shop"] {
        until("the node told of the exporter", || async {
            let found = world.has(namespace, "Exporter", "e", &["Ready=True/Ready"]).await;
            found["status"]["queue"].is_object().then_some(())
        })
        .await;
    }
    let refused = ["ResolvedRefs=False/RefNotPermitted"];
    world.has("shop", "TrafficCapture", "two", &refused).await;
    world.has("platform", "TrafficCapture", "three", &["ResolvedRefs=False/RefNotFound"]).await;
}

/// Everything that the operator wrote, without times and versions.
async fn state(world: &World) -> Value {
    let mut all = Vec::new();
    for (namespace, kind, name) in [
        ("bank", "TrafficCapture", "one"),
        ("shop", "TrafficCapture", "one"),
        ("shop", "TrafficCapture", "two"),
        ("platform", "TrafficCapture", "three"),
        ("bank", "Exporter", "e"),
        ("shop", "Exporter", "e"),
    ] {
        let mut status = world.object(namespace, kind, name).await["status"].clone();
        status.as_object_mut().unwrap().remove("startTime");
        for condition in status["conditions"].as_array_mut().unwrap() {
            condition["lastTransitionTime"].take();
        }
        all.push(json!({"object": format!("{kind} {namespace}/{name}"), "status": status}));
    }
    let set = world.api::<DaemonSet>(SYSTEM).get("weir-node").await.unwrap();
    json!({"objects": all, "daemonSet": set.spec, "plan": plan(world).await})
}

/// The revision that the plan in force would have without the captures' uids: objects that are
/// made anew have others.
async fn plan(world: &World) -> String {
    let mut plan = world.node.plan().await.unwrap().into_plan();
    plan.captures.iter_mut().for_each(|capture| capture.uid.clear());
    PlanDocument::new(plan).revision().to_owned()
}

#[tokio::test]
#[ignore = "needs an API server: make test-operator"]
async fn killed_after_any_write_it_ends_in_the_same_state() {
    let world = World::new().await;
    let operator = world.operator("whole");
    scenario(&world).await;
    settled(&world).await;
    let (expect, writes) = (state(&world).await, world.proxy.writes());
    operator.kill();
    println!("{} writes: {writes:#?}", writes.len());
    assert!(writes.len() >= 10, "the scenario has become too small to tell anything");
    for count in 1..=writes.len() {
        let world = World::new().await;
        world.proxy.limit(Some(count));
        scenario(&world).await;
        let operator = world.operator(&format!("killed-{count}"));
        // Fewer writes than in the first run when more objects were there from the start.
        let patience = std::time::Duration::from_secs(8);
        let reached = tokio::time::timeout(patience, world.proxy.reached.notified()).await;
        operator.kill();
        world.proxy.limit(None);
        // The lease of the dead one is not waited for: its identity is the new one's too.
        let operator = world.operator(&format!("killed-{count}"));
        settled(&world).await;
        let same = async || (state(&world).await == expect).then_some(());
        until(&format!("all is as ever, killed after write {count}"), same).await;
        drop(operator);
        if reached.is_err() {
            break;
        }
    }
}

#[tokio::test]
#[ignore = "needs an API server: make test-operator"]
async fn one_of_two_leads_and_the_other_takes_over_when_it_ends() {
    let world = World::new().await;
    let holder = async || {
        let lease = world.api::<Lease>(SYSTEM).get_opt("weir-operator").await.unwrap()?;
        lease.spec?.holder_identity
    };
    let first = world.operator("first");
    until("the first leads", || async { holder().await.filter(|h| h == "first") }).await;
    let second = world.operator("second");
    scenario(&world).await;
    settled(&world).await;
    assert_eq!(second.metric("weir_operator_leader").await, Some(0.0));
    assert_eq!(second.metric("weir_operator_status_writes_total").await, Some(0.0));
    let before = state(&world).await;
    assert!(first.end().await.success());
    until("the second leads", || async { holder().await.filter(|h| h == "second") }).await;
    world.proxy.forget();
    let later = json!({"selector": {}, "exporters": [{"name": "e"}]});
    world.apply("bank", "TrafficCapture", "later", later).await;
    world.has("bank", "TrafficCapture", "later", &["Ready=True/Ready"]).await;
    world
        .untyped("bank", "TrafficCapture")
        .delete("later", &DeleteParams::default())
        .await
        .unwrap();
    until("the plan is as before", || async {
        (before["plan"] == plan(&world).await).then_some(())
    })
    .await;
    settled(&world).await;
    assert_eq!(state(&world).await, before);
    // Nobody else's status was written again.
    let others = |write: &&String| write.contains("/status") && !write.contains("later");
    assert_eq!(world.proxy.writes().iter().find(others), None);
}
