use serde_json::{Value, json};
use weir_api::condition;

use crate::{Compiled, Objects, Plan, compile, compile_after};

fn objects(capture: Value, exporter: Value) -> Objects {
    let object = |kind: &str, namespace: &str, name: &str, spec: Value| {
        json!({"apiVersion": "weir.dev/v1alpha1", "kind": kind,
            "metadata": {"namespace": namespace, "name": name}, "spec": spec})
    };
    Objects {
        captures: vec![
            serde_json::from_value(object("TrafficCapture", "shop", "c", capture)).unwrap(),
        ],
        exporters: vec![serde_json::from_value(object("Exporter", "bank", "e", exporter)).unwrap()],
        operator_namespace: Some("weir-system".to_owned()),
        ..Objects::default()
    }
}

fn capture() -> Value {
    json!({"selector": {}, "ports": [80], "exporters": [{"name": "e", "namespace": "bank"}]})
}

fn exporter() -> Value {
    json!({"otlp": {"endpoint": "http://x:1"}, "allowedNamespaces": {"from": "All"}})
}

fn good() -> Plan {
    let plan = compile(&objects(capture(), exporter())).plan;
    assert_eq!((plan.captures.len(), plan.exporters.len()), (1, 1));
    plan
}

fn with(mut spec: Value, field: &str, value: Value) -> Value {
    spec[field] = value;
    spec
}

fn kept(compiled: &Compiled) -> Vec<String> {
    compiled.outcomes.iter().filter(|o| o.kept()).map(|o| o.key.to_string()).collect()
}

#[test]
fn a_slip_leaves_the_last_good_plan_in_force() {
    let slips = objects(
        with(capture(), "maxBodySize", json!("2Gi")),
        with(exporter(), "filterRule", json!("none-such")),
    );
    let after = compile_after(&slips, &good());
    assert_eq!(after.plan, good());
    assert_eq!(kept(&after), ["bank/e", "shop/c"]);
    for outcome in &after.outcomes {
        assert!(outcome.rejections.iter().any(|f| f.condition() == condition::ACCEPTED));
    }
    assert!(compile(&slips).plan.captures.is_empty(), "without a plan before");
}

#[test]
fn a_permission_that_is_taken_away_holds_at_once() {
    let slip = with(capture(), "maxBodySize", json!("2Gi"));
    let closed = with(exporter(), "allowedNamespaces", json!({"from": "Same"}));
    assert!(compile_after(&objects(slip.clone(), closed), &good()).plan.captures.is_empty());
    // Nor may a reference be hidden from the check by leaving it out.
    let without = with(slip, "exporters", json!([{"name": "own"}]));
    let closed = with(exporter(), "allowedNamespaces", json!({"from": "Same"}));
    assert!(compile_after(&objects(without, closed), &good()).plan.captures.is_empty());
}

#[test]
fn a_missing_credential_or_policy_is_no_slip() {
    let header = json!([{"name": "a", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]);
    let mut spec = with(exporter(), "filterRule", json!("none-such"));
    spec["otlp"]["headers"] = header;
    assert!(compile_after(&objects(capture(), spec), &good()).plan.exporters.is_empty());
    let slip = with(capture(), "maxBodySize", json!("2Gi"));
    let policy = with(slip, "dlpPolicies", json!([{"name": "missing"}]));
    assert!(compile_after(&objects(policy, exporter()), &good()).plan.captures.is_empty());
}

#[test]
fn a_floor_that_came_meanwhile_holds_for_what_stays_too() {
    let slips = || {
        objects(
            with(capture(), "maxBodySize", json!("2Gi")),
            with(exporter(), "filterRule", json!("none-such")),
        )
    };
    let floor = |patterns: Value| {
        serde_json::from_value(json!({"apiVersion": "weir.dev/v1alpha1", "kind": "DlpPolicy",
            "metadata": {"namespace": "weir-system", "name": "floor"},
            "spec": {"patterns": patterns, "enforce": {"namespaceSelector": {}}}}))
        .unwrap()
    };
    let mut sound = slips();
    sound.policies.push(floor(json!([{"name": "id", "regex": "EMP"}])));
    let plan = compile_after(&sound, &good()).plan;
    assert_eq!(plan.captures[0].policies[0].to_string(), "weir-system/floor");
    assert_eq!(plan.exporters[0].policies[0].to_string(), "weir-system/floor");
    let mut broken = slips();
    broken.policies.push(floor(json!([{"name": "id", "regex": "("}])));
    let after = compile_after(&broken, &good()).plan;
    assert!(after.captures.is_empty() && after.exporters.is_empty());
    // One that held before holds on, and when it is gone nothing stays.
    let before = compile_after(&sound, &good()).plan;
    assert!(compile_after(&slips(), &before).plan.captures.is_empty());
}

#[test]
fn a_capture_with_a_slip_can_be_suspended() {
    let slip = with(capture(), "maxBodySize", json!("2Gi"));
    let stop = with(slip, "suspend", json!(true));
    assert!(compile_after(&objects(stop, exporter()), &good()).plan.captures[0].suspended);
}
