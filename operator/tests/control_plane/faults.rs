//! Objects with faults: each is refused alone.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use serde_json::{Value, json};

use crate::world::{World, install_crds, until};

fn good() -> (Value, Value) {
    let exporter = json!({"otlp": {"endpoint": "http://collector.example.net:4318"}});
    (exporter, json!({"selector": {}, "exporters": [{"name": "e"}]}))
}

#[tokio::test]
#[ignore = "needs an API server: make test-operator"]
async fn a_bad_object_is_refused_alone() {
    let world = World::new().await;
    let _operator = world.operator("faults");
    let (exporter, capture) = good();
    world.apply("shop", "Exporter", "e", exporter).await;
    world.apply("shop", "TrafficCapture", "c", capture).await;
    world.has("shop", "TrafficCapture", "c", &["Ready=True/Ready"]).await;
    let endpoint = json!({"endpoint": "http://collector:4318"});
    // What only the operator can find.
    for (kind, name, spec, expect) in [
        (
            "TrafficCapture",
            "selector",
            json!({"selector": {"matchExpressions": [{"key": "a", "operator": "Like"}]},
                "exporters": [{"name": "e"}]}),
            ["Accepted=False/InvalidSelector", "Stalled=True/InvalidSelector"],
        ),
        (
            "TrafficCapture",
            "size",
            json!({"selector": {}, "maxBodySize": "2Gi", "exporters": [{"name": "e"}]}),
            ["Accepted=False/InvalidQuantity", "Stalled=True/InvalidQuantity"],
        ),
        (
            "Exporter",
            "cel",
            json!({"otlp": endpoint, "filter": {"drop": ["status =="]}}),
            ["Accepted=False/InvalidFilter", "Stalled=True/InvalidFilter"],
        ),
        (
            "Exporter",
            "rule",
            json!({"otlp": endpoint, "filterRule": "none-such"}),
            ["Accepted=False/FilterRuleNotFound", "Stalled=True/FilterRuleNotFound"],
        ),
    ] {
        world.apply("shop", kind, name, spec).await;
        let found = world.has("shop", kind, name, &expect).await;
        let message = found["status"]["conditions"][0]["message"].as_str().unwrap();
        assert!(message.contains("spec."), "{message}");
    }
    // What the API server itself refuses.
    for (kind, spec, expect) in [
        (
            "TrafficCapture",
            json!({"selector": {}, "exporters": [{"name": "e"}], "colour": "red"}),
            ".spec.colour: field not declared in schema",
        ),
        ("TrafficCapture", json!({"selector": {}, "exporters": []}), "should have at least 1"),
        (
            "TrafficCapture",
            json!({"selector": {}, "exporters": [{"name": "e"}],
                                  "sampling": {"keep": 2, "outOf": 1}}),
            "outOf must be at least",
        ),
        ("Exporter", json!({"otlp": {"endpoint": "not an address"}}), "must be http://host:port"),
        ("Exporter", json!({}), "exactly one destination is required"),
        (
            "Exporter",
            json!({"otlp": endpoint, "filterRule": "standard", "filter": {"drop": ["true"]}}),
            "only one of filterRule and filter",
        ),
    ] {
        let refused = world.try_apply("shop", kind, "bad", spec).await.unwrap_err().to_string();
        assert!(refused.contains(expect), "{refused}");
    }
    world.has("shop", "TrafficCapture", "c", &["Ready=True/Ready"]).await;
    assert_eq!(world.node.plan().await.unwrap().plan().captures.len(), 1);
}

#[tokio::test]
#[ignore = "needs an API server: make test-operator"]
async fn an_object_of_a_later_version_is_told_so_and_stops_nobody() {
    let world = World::new().await;
    let _operator = world.operator("later");
    // A CRD with a field that this operator does not know.
    let crds = Api::<CustomResourceDefinition>::all(world.client.clone());
    let mut crd = json!(weir_api::crd::all().into_iter().last().unwrap());
    let spec = &mut crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
    spec["properties"]["later"] = json!({"type": "string"});
    let params = PatchParams::apply("test").force();
    crds.patch("trafficcaptures.weir.dev", &params, &Patch::Apply(crd)).await.unwrap();

    let (exporter, capture) = good();
    let mut later = capture.clone();
    later["later"] = json!("x");
    until("the new field is served", || async {
        world.try_apply("shop", "TrafficCapture", "later", later.clone()).await.ok()
    })
    .await;
    world.apply("shop", "Exporter", "e", exporter).await;
    world.apply("shop", "TrafficCapture", "c", capture).await;
    world.has("shop", "TrafficCapture", "c", &["Ready=True/Ready"]).await;
    let refused = ["Accepted=False/InvalidObject", "Stalled=True/InvalidObject"];
    let found = world.has("shop", "TrafficCapture", "later", &refused).await;
    let message = found["status"]["conditions"][0]["message"].as_str().unwrap();
    assert!(message.contains("later"), "{message}");
    install_crds(&world.client).await;
}
