//! What tenants see.

use k8s_openapi::api::{
    apps::v1::{DaemonSet, Deployment},
    core::v1::{Event, Secret},
};
use kube::api::{DeleteParams, ListParams, PostParams};
use serde_json::json;
use weir_plan::status::NodeRecords;

use crate::{
    node::plan,
    world::{SYSTEM, World, until},
};

fn exporter() -> serde_json::Value {
    json!({"otlp": {"endpoint": "http://collector.example.net:4318"}})
}

fn capture(exporter: &str) -> serde_json::Value {
    json!({"selector": {"matchLabels": {"app": "a"}}, "exporters": [{"name": exporter}]})
}

#[tokio::test]
#[ignore = "needs an API server: make test-operator"]
async fn a_capture_becomes_ready_counts_and_ends() {
    let world = World::new().await;
    let operator = world.operator("life");
    world.apply("shop", "TrafficCapture", "c", capture("e")).await;
    world.has("shop", "TrafficCapture", "c", &["ResolvedRefs=False/RefNotFound"]).await;
    world.apply("shop", "Exporter", "e", exporter()).await;
    let ready = ["Accepted=True/Accepted", "Programmed=True/Programmed", "Ready=True/Ready"];
    let found = world.has("shop", "TrafficCapture", "c", &ready).await;
    assert_eq!(found["status"]["nodes"], json!({"ready": 1, "desired": 1}));
    assert_eq!(found["status"]["matchedPods"], 1);
    let exporter = world.has("shop", "Exporter", "e", &["Ready=True/Ready"]).await;
    assert_eq!(exporter["status"]["transport"], "HTTP");

    let sets = world.api::<DaemonSet>(SYSTEM);
    let set = sets.get("weir-node").await.unwrap();
    assert_eq!(set.spec.template.spec.unwrap().containers.len(), 2);
    sets.delete("weir-node", &DeleteParams::default()).await.unwrap();
    until("the DaemonSet is back", || async { sets.get_opt("weir-node").await.unwrap() }).await;

    // Counts go on over a restart of the forwarder.
    let records = NodeRecords { seen: 7, exported: 7, ..NodeRecords::default() };
    let seen = async |expect: i64| {
        until("the status has the counts", || async {
            let found = world.object("shop", "TrafficCapture", "c").await;
            (found["status"]["records"]["seen"] == expect).then_some(())
        })
        .await;
    };
    world.node.said.lock().unwrap().records = records;
    seen(7).await;
    world.node.said.lock().unwrap().started = 5;
    seen(14).await;

    let mut suspended = capture("e");
    suspended["suspend"] = json!(true);
    world.apply("shop", "TrafficCapture", "c", suspended).await;
    world.has("shop", "TrafficCapture", "c", &["Ready=True/Suspended"]).await;
    let mut short = capture("e");
    short["duration"] = json!("1s");
    world.apply("shop", "TrafficCapture", "c", short).await;
    let complete = ["Complete=True/DurationElapsed", "Ready=True/Complete"];
    world.has("shop", "TrafficCapture", "c", &complete).await;
    assert!(world.node.plan().await.unwrap().plan().captures[0].suspended);

    let captures = world.untyped("shop", "TrafficCapture");
    captures.delete("c", &DeleteParams::default()).await.unwrap();
    until("the plan is without it", || async {
        world.node.plan().await.unwrap().plan().captures.is_empty().then_some(())
    })
    .await;
    assert!(operator.end().await.success());
}

#[tokio::test]
#[ignore = "needs an API server: make test-operator"]
async fn a_tenant_reaches_no_other_tenants_exporter_without_leave() {
    let world = World::new().await;
    let _operator = world.operator("tenants");
    world.apply("bank", "Exporter", "e", exporter()).await;
    world.apply("bank", "TrafficCapture", "c", capture("e")).await;
    let bank = world.has("bank", "TrafficCapture", "c", &["Ready=True/Ready"]).await;

    let theirs = json!({"selector": {}, "exporters": [{"name": "e", "namespace": "bank"}]});
    world.apply("shop", "TrafficCapture", "c", theirs).await;
    let refused = ["ResolvedRefs=False/RefNotPermitted", "Ready=False/RefNotPermitted"];
    world.has("shop", "TrafficCapture", "c", &refused).await;
    let captures = |plan: &weir_plan::Plan| {
        plan.captures.iter().map(|capture| capture.key.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(captures(world.node.plan().await.unwrap().plan()), ["bank/c"]);
    // What cannot exist is told of in the same words.
    let none = json!({"selector": {}, "exporters": [{"name": "none", "namespace": "bank"}]});
    world.apply("shop", "TrafficCapture", "none", none).await;
    world.has("shop", "TrafficCapture", "none", &refused).await;

    let events = world.api::<Event>("shop");
    until("a person is told by an Event", || async {
        let events = events.list(&ListParams::default()).await.unwrap();
        let told = |event: &Event| event.reason.as_deref() == Some("RefNotPermitted");
        events.items.iter().any(told).then_some(())
    })
    .await;

    let mut open = exporter();
    open["allowedNamespaces"] =
        json!({"from": "Selector", "selector": {"matchLabels": {"tier": "gold"}}});
    world.apply("bank", "Exporter", "e", open).await;
    crate::world::apply_namespace(&world.client, "shop", json!({"tier": "gold"})).await;
    world.has("shop", "TrafficCapture", "c", &["Ready=True/Ready"]).await;
    crate::world::apply_namespace(&world.client, "shop", json!({})).await;
    world.has("shop", "TrafficCapture", "c", &refused).await;
    assert_eq!(captures(world.node.plan().await.unwrap().plan()), ["bank/c"]);
    // The other was never touched.
    let after = world.object("bank", "TrafficCapture", "c").await;
    assert_eq!(after["status"], bank["status"]);
}

#[tokio::test]
#[ignore = "needs an API server: make test-operator"]
async fn an_operator_that_is_uninstalled_writes_no_plan_any_more() {
    let world = World::new().await;
    let deployments = world.api::<Deployment>(SYSTEM);
    let labels = json!({"app": "operator"});
    let deployment = json!({"metadata": {"name": "op"}, "spec": {
        "replicas": 0, "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels},
            "spec": {"containers": [{"name": "c", "image": "none"}]}}}});
    let deployment: Deployment = serde_json::from_value(deployment).unwrap();
    deployments.delete("op", &DeleteParams::default()).await.ok();
    deployments.create(&PostParams::default(), &deployment).await.unwrap();
    let operator = world.operator_with("uninstalled", &["--deployment", "op"]);
    let floor = json!({"keys": ["authorization"], "enforce": {"namespaceSelector": {}}});
    world.apply(SYSTEM, "DlpPolicy", "floor", floor).await;
    world.apply("shop", "Exporter", "e", exporter()).await;
    world.apply("shop", "TrafficCapture", "c", capture("e")).await;
    let bound = async || {
        let document = world.node.plan().await?;
        let policies = document.plan().captures.first()?.policies.clone();
        (!policies.is_empty()).then_some(())
    };
    until("the capture is under the floor", bound).await;

    let failures = async || operator.metric("weir_operator_reconcile_failures_total").await;
    let before = failures().await.unwrap();
    deployments.delete("op", &DeleteParams::default()).await.unwrap();
    let policies = world.untyped(SYSTEM, "DlpPolicy");
    policies.delete("floor", &DeleteParams::default()).await.unwrap();
    until("the operator refuses", || async { (failures().await? > before).then_some(()) }).await;
    assert!(bound().await.is_some(), "the nodes were told of no floor");
}

#[tokio::test]
#[ignore = "needs an API server: make test-operator"]
async fn a_secret_that_comes_changes_and_goes_is_followed() {
    let world = World::new().await;
    let _operator = world.operator("secrets");
    let mut with_secret = exporter();
    with_secret["otlp"]["headers"] = json!([{"name": "Authorization",
        "valueFrom": {"secretKeyRef": {"name": "es", "key": "token"}}}]);
    world.apply("shop", "Exporter", "e", with_secret).await;
    world.apply("shop", "TrafficCapture", "c", capture("e")).await;
    world.has("shop", "Exporter", "e", &["ResolvedRefs=False/SecretNotFound"]).await;
    world.has("shop", "TrafficCapture", "c", &["ResolvedRefs=False/RefNotAccepted"]).await;

    let secrets = world.api::<Secret>("shop");
    let secret = |token: &str| -> Secret {
        serde_json::from_value(json!({"metadata": {"name": "es"}, "stringData": {"token": token}}))
            .unwrap()
    };
    let token = async |expect: &str| {
        until("the plan has the token", || async {
            let document = plan(&world.client, SYSTEM).await?;
            let headers = document.plan().exporters.first()?.headers.first()?.value.clone();
            (headers.expose() == expect).then_some(())
        })
        .await;
    };
    secrets.create(&PostParams::default(), &secret("Bearer one")).await.unwrap();
    world.has("shop", "TrafficCapture", "c", &["Ready=True/Ready"]).await;
    token("Bearer one").await;
    secrets.replace("es", &PostParams::default(), &secret("Bearer two")).await.unwrap();
    token("Bearer two").await;
    secrets.delete("es", &DeleteParams::default()).await.unwrap();
    world.has("shop", "Exporter", "e", &["ResolvedRefs=False/SecretNotFound"]).await;
    assert!(world.node.plan().await.unwrap().plan().exporters.is_empty());
}

#[tokio::test]
#[ignore = "needs an API server: make test-operator"]
async fn what_is_applied_is_what_is_read_back_and_nothing_is_written_when_idle() {
    let world = World::new().await;
    let operator = world.operator("idle");
    let full_exporter = json!({
        "otlp": {"endpoint": "https://collector:4317", "transport": "Auto", "compression": "Gzip",
                 "timeout": "10s", "headers": [{"name": "X-A", "value": "b"}]},
        "filter": {"drop": ["status == \"200\""]},
        "queue": {"maxSize": "1Gi", "whenFull": "DropOldest"},
        "allowedNamespaces": {"from": "All"},
    });
    let full_capture = json!({
        "selector": {"matchLabels": {"app": "a"}}, "direction": "Both", "ports": [8080],
        "protocols": ["HTTP"], "tls": "Ignore", "maxBodySize": "1Mi",
        "sampling": {"keep": 1, "outOf": 5}, "duration": "10h",
        "budget": {"bytesPerSecond": "10Mi", "records": 100_000}, "suspend": false,
        "exporters": [{"name": "e"}],
    });
    let policy = json!({"keys": ["authorization"], "detectors": ["Email"], "action": "Token"});
    let objects = [
        ("Exporter", "e", full_exporter),
        ("TrafficCapture", "c", full_capture),
        ("DlpPolicy", "p", policy),
    ];
    for (kind, name, spec) in &objects {
        world.apply("shop", kind, name, spec.clone()).await;
    }
    world.has("shop", "TrafficCapture", "c", &["Ready=True/Ready"]).await;
    world.has("shop", "DlpPolicy", "p", &[]).await;

    // Passes begin at the latest every ten seconds; two more than now.
    let passes = async || operator.metric("weir_operator_reconciles_total").await.unwrap();
    let more = async |count: f64| {
        let before = passes().await;
        until("passes were made", || async { (passes().await >= before + count).then_some(()) })
            .await;
    };
    more(1.0).await;
    world.proxy.forget();
    more(2.0).await;
    assert_eq!(world.proxy.writes(), Vec::<String>::new());

    for (kind, name, spec) in &objects {
        let before = world.object("shop", kind, name).await;
        assert_eq!(before["spec"], *spec, "{kind}");
        assert_eq!(before["metadata"]["finalizers"], json!(null));
        world.apply("shop", kind, name, spec.clone()).await;
        let after = world.object("shop", kind, name).await;
        let version = |object: &serde_json::Value| object["metadata"]["resourceVersion"].clone();
        assert_eq!(version(&before), version(&after), "{kind}: applying it again changes it");
        let conditions = before["status"]["conditions"].as_array().unwrap();
        assert!(conditions.iter().all(|condition| condition["observedGeneration"] == 1));
    }
}
