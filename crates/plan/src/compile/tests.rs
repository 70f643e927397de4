//! Objects that a server's schema and CEL rules refuse are refused here as well, should one
//! get past an older schema.

use serde_json::{Value, json};
use weir_api::v1alpha1::{DlpPolicy, Exporter, TrafficCapture};

use super::*;

fn object<T: serde::de::DeserializeOwned>(kind: &str, name: &str, spec: Value) -> T {
    serde_json::from_value(json!({
        "apiVersion": weir_api::API_VERSION,
        "kind": kind,
        "metadata": {"name": name, "namespace": "shop"},
        "spec": spec,
    }))
    .unwrap()
}

fn good_exporter() -> Exporter {
    object("Exporter", "good", json!({"otlp": {"endpoint": "c:4317"}}))
}

fn refused(objects: &Objects, kind: ObjectKind, name: &str, expect: &str) {
    let compiled = compile(objects);
    let outcome = compiled
        .outcomes
        .iter()
        .find(|outcome| outcome.kind == kind && outcome.key.name == name)
        .unwrap();
    let texts: Vec<_> = outcome.rejections.iter().map(ToString::to_string).collect();
    assert_eq!(texts, [expect]);
    assert!(!outcome.planned);
    let good = compiled.plan.exporters.iter().any(|exporter| exporter.key.name == "good");
    assert!(good, "the object beside it is disturbed");
}

fn refused_capture(change: Value, expect: &str) {
    let mut spec = json!({"selector": {}, "exporters": [{"name": "good"}]});
    for (name, value) in change.as_object().unwrap() {
        spec[name] = value.clone();
    }
    let captures: Vec<TrafficCapture> = vec![object("TrafficCapture", "bad", spec)];
    let objects = Objects { captures, exporters: vec![good_exporter()], ..Objects::default() };
    refused(&objects, ObjectKind::TrafficCapture, "bad", expect);
}

fn refused_exporter(spec: Value, expect: &str) {
    let exporters = vec![good_exporter(), object("Exporter", "bad", spec)];
    let objects = Objects { exporters, ..Objects::default() };
    refused(&objects, ObjectKind::Exporter, "bad", expect);
}

#[test]
fn captures_that_a_cel_rule_or_the_schema_refuses_are_refused() {
    refused_capture(
        json!({"sampling": {"keep": 6, "outOf": 5}}),
        "spec.sampling: must have outOf >= keep >= 1",
    );
    refused_capture(
        json!({"sampling": {"keep": 0, "outOf": 5}}),
        "spec.sampling: must have outOf >= keep >= 1",
    );
    refused_capture(
        json!({"budget": {}}),
        "spec.budget: at least one of bytesPerSecond and records is required",
    );
    refused_capture(json!({"budget": {"records": 0}}), "spec.budget.records: must be at least 1");
    refused_capture(json!({"ports": [80, 0]}), "spec.ports[1]: must be from 1 to 65535");
    refused_capture(json!({"ports": [65536]}), "spec.ports[0]: must be from 1 to 65535");
    refused_capture(json!({"exporters": []}), "spec.exporters: at least one exporter is required");
    refused_capture(
        json!({"duration": "1d"}),
        r#"spec.duration: "1d" has a unit other than h, m, s or ms; write it like 30m, 1h30m or 500ms"#,
    );
    refused_capture(
        json!({"maxBodySize": "1MB"}),
        r#"spec.maxBodySize: "1MB" is not a number with an optional suffix Ki, Mi, Gi, Ti, Pi, Ei, k, M, G, T, P or E"#,
    );
}

#[test]
fn exporters_that_a_cel_rule_or_the_schema_refuses_are_refused() {
    refused_exporter(json!({}), "spec: exactly one destination is required: otlp");
    refused_exporter(
        json!({"otlp": {"endpoint": "c"}, "filterRule": "standard", "filter": {"drop": ["true"]}}),
        "spec: only one of filterRule and filter is allowed",
    );
    refused_exporter(
        json!({"otlp": {"endpoint": "ftp://c"}}),
        r#"spec.otlp.endpoint: scheme "ftp" is not one of http, https"#,
    );
    let both = json!({"name": "A", "value": "b", "valueFrom": {"secretKeyRef": {"name": "a", "key": "b"}}});
    for header in [json!({"name": "A"}), both] {
        refused_exporter(
            json!({"otlp": {"endpoint": "c", "headers": [header]}}),
            "spec.otlp.headers[0]: exactly one of value and valueFrom is required",
        );
    }
    refused_exporter(
        json!({"otlp": {"endpoint": "c", "headers": [{"name": "a b", "value": "c"}]}}),
        "spec.otlp.headers[0].name: is no header name",
    );
    for allowed in [json!({"from": "Selector"}), json!({"from": "All", "selector": {}})] {
        refused_exporter(
            json!({"otlp": {"endpoint": "c"}, "allowedNamespaces": allowed}),
            "spec.allowedNamespaces: selector is required when from is Selector, and allowed only then",
        );
    }
}

#[test]
fn a_floor_on_one_machine_may_be_in_any_namespace() {
    let floor: DlpPolicy =
        object("DlpPolicy", "floor", json!({"keys": ["a"], "enforce": {"namespaceSelector": {}}}));
    let objects =
        Objects { policies: vec![floor], exporters: vec![good_exporter()], ..Objects::default() };
    let plan = compile(&objects).plan;
    let key = ObjectKey { namespace: "shop".to_owned(), name: "floor".to_owned() };
    assert_eq!(plan.exporters[0].policies.as_slice(), std::slice::from_ref(&key));
    assert_eq!(plan.policies[0].key, key);
}

#[test]
fn a_policy_that_the_schema_or_a_cel_rule_refuses_is_refused() {
    for (spec, expect) in [
        (
            json!({}),
            "spec: nothing to redact: give detectors, patterns, keys or paths, or profile DenyByDefault",
        ),
        (
            json!({"keys": ["a"], "action": "KeyedToken"}),
            "spec.keyRef: is required when action is KeyedToken, and allowed only then",
        ),
        (json!({"keys": [""]}), "spec.keys[0]: a name is empty"),
    ] {
        let bad: DlpPolicy = object("DlpPolicy", "bad", spec);
        let objects =
            Objects { policies: vec![bad], exporters: vec![good_exporter()], ..Objects::default() };
        refused(&objects, ObjectKind::DlpPolicy, "bad", expect);
    }
}

#[test]
fn a_key_for_tokens_has_to_be_long_enough() {
    let spec = json!({"keys": ["a"], "action": "KeyedToken", "keyRef": {"name": "s", "key": "k"}});
    let policy: DlpPolicy = object("DlpPolicy", "keyed", spec);
    let secret = ObjectKey { namespace: "shop".to_owned(), name: "s".to_owned() };
    let with = |value: &[u8]| {
        let data = SecretData([("k".to_owned(), value.to_vec())].into());
        let secrets = [(secret.clone(), data)].into();
        compile(&Objects { policies: vec![policy.clone()], secrets, ..Objects::default() })
    };
    let short = with(b"canary");
    let expect = r#"spec.keyRef: key "k" of Secret shop/s is shorter than 16 bytes"#;
    assert_eq!(short.outcomes[0].rejections[0].to_string(), expect);
    let fine = with(b"canary-canary-canary");
    assert_eq!(fine.plan.policies.len(), 1);
    assert!(
        !format!("{fine:?}").contains("canary") && !format!("{fine:?}").contains("99, 97, 110")
    );
}

#[test]
fn no_rejection_repeats_a_secret() {
    let header = json!({"name": "A", "value": "canary\u{7f}"});
    let bad: Exporter =
        object("Exporter", "bad", json!({"otlp": {"endpoint": "c", "headers": [header]}}));
    let compiled = compile(&Objects { exporters: vec![bad], ..Objects::default() });
    assert_eq!(compiled.outcomes[0].rejections.len(), 1);
    assert!(!format!("{compiled:?} {}", compiled.outcomes[0].rejections[0]).contains("canary"));
}
