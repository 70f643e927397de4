//! The CRDs as an API reviewer reads them, and their CEL rules as the API server runs them.

use kube::core::cel::Validator;
use serde_json::{Value, json};

use super::*;

fn schema_of(kind: &str) -> Value {
    let crd = all().into_iter().find(|crd| crd.spec.names.kind == kind).unwrap();
    let schema = crd.spec.versions[0].schema.clone().unwrap().open_api_v3_schema.unwrap();
    serde_json::to_value(schema).unwrap()
}

/// Messages of the CEL rules that `spec` breaks.
fn cel(kind: &str, spec: Value) -> Vec<String> {
    let object = json!({"apiVersion": crate::API_VERSION, "kind": kind, "metadata": {"name": "a"}, "spec": spec});
    match Validator::new().validate(&schema_of(kind), &object, None) {
        Ok(()) => Vec::new(),
        Err(errors) => errors.into_vec().into_iter().map(|error| error.message).collect(),
    }
}

fn check(kind: &str, spec: Value, expect: &[&str]) {
    assert_eq!(cel(kind, spec.clone()), expect, "{spec}");
}

fn exporter(change: Value) -> Value {
    let mut spec = json!({"otlp": {"endpoint": "http://collector:4318"}});
    for (name, value) in change.as_object().unwrap() {
        spec[name] = value.clone();
    }
    spec
}

fn capture(change: Value) -> Value {
    let mut spec = json!({"selector": {}, "exporters": [{"name": "a"}]});
    for (name, value) in change.as_object().unwrap() {
        spec[name] = value.clone();
    }
    spec
}

#[test]
fn an_exporter_has_one_destination_and_at_most_one_filter() {
    check("Exporter", exporter(json!({})), &[]);
    check("Exporter", json!({}), &["exactly one destination is required: otlp"]);
    check("Exporter", exporter(json!({"filterRule": "standard"})), &[]);
    check("Exporter", exporter(json!({"filter": {"drop": ["true"]}})), &[]);
    check(
        "Exporter",
        exporter(json!({"filterRule": "standard", "filter": {"drop": ["true"]}})),
        &["only one of filterRule and filter is allowed"],
    );
    check(
        "Exporter",
        exporter(json!({"filter": {}})),
        &["at least one of drop and keep is required"],
    );
}

#[test]
fn an_endpoint_has_the_shape_of_one() {
    let check = |endpoint: &str, fits: bool| {
        let found = cel("Exporter", json!({"otlp": {"endpoint": endpoint}}));
        assert_eq!(found.is_empty(), fits, "{endpoint}: {found:?}");
    };
    check("http://otel-collector.observability:4318", true);
    check("https://vendor.example/otlp", true);
    check("collector:4317", true);
    check("collector", true);
    check("http://[2001:db8::1]:4317", true);
    check("grpc://collector:4317", false);
    check("http://collector:port", false);
    check("http://user:secret@collector", false);
    check("http://a b", false);
    check("http://collector?x", false);
}

#[test]
fn a_header_has_a_value_or_its_place() {
    let headers = |header: Value| json!({"otlp": {"endpoint": "c", "headers": [header]}});
    let source = json!({"secretKeyRef": {"name": "a", "key": "b"}});
    let fault: &[&str] = &["exactly one of value and valueFrom is required"];
    check("Exporter", headers(json!({"name": "A", "value": "b"})), &[]);
    check("Exporter", headers(json!({"name": "A", "valueFrom": source})), &[]);
    check("Exporter", headers(json!({"name": "A"})), fault);
    check("Exporter", headers(json!({"name": "A", "value": "b", "valueFrom": source})), fault);
}

#[test]
fn allowed_namespaces_have_a_selector_exactly_when_they_go_by_it() {
    let fault: &[&str] = &["selector is required when from is Selector, and allowed only then"];
    for (allowed, expect) in [
        (json!({}), &[][..]),
        (json!({"from": "All"}), &[]),
        (json!({"from": "Selector", "selector": {}}), &[]),
        (json!({"from": "Selector"}), fault),
        (json!({"from": "Same", "selector": {}}), fault),
        (json!({"selector": {}}), fault),
    ] {
        check("Exporter", exporter(json!({"allowedNamespaces": allowed})), expect);
        check("DlpPolicy", json!({"keys": ["a"], "allowedNamespaces": allowed}), expect);
    }
}

#[test]
fn a_sample_is_a_share() {
    check("TrafficCapture", capture(json!({"sampling": {"keep": 1, "outOf": 5}})), &[]);
    check("TrafficCapture", capture(json!({"sampling": {"keep": 5, "outOf": 5}})), &[]);
    check(
        "TrafficCapture",
        capture(json!({"sampling": {"keep": 6, "outOf": 5}})),
        &["outOf must be at least keep"],
    );
}

#[test]
fn a_budget_limits_something() {
    check("TrafficCapture", capture(json!({"budget": {"records": 1}})), &[]);
    check(
        "TrafficCapture",
        capture(json!({"budget": {}})),
        &["at least one of bytesPerSecond and records is required"],
    );
}

#[test]
fn a_policy_redacts_something_and_has_a_key_exactly_when_it_needs_one() {
    let nothing: &[&str] =
        &["nothing to redact: give detectors, patterns, keys or paths, or profile DenyByDefault"];
    let key: &[&str] = &["keyRef is required when action is KeyedToken, and allowed only then"];
    let key_ref = json!({"name": "a", "key": "b"});
    check("DlpPolicy", json!({"detectors": ["CreditCard"]}), &[]);
    check("DlpPolicy", json!({"profile": "DenyByDefault"}), &[]);
    check("DlpPolicy", json!({}), nothing);
    check("DlpPolicy", json!({"profile": "Redact"}), nothing);
    check("DlpPolicy", json!({"keys": ["a"], "action": "KeyedToken", "keyRef": key_ref}), &[]);
    check("DlpPolicy", json!({"keys": ["a"], "action": "KeyedToken"}), key);
    check("DlpPolicy", json!({"keys": ["a"], "keyRef": key_ref}), key);
}

/// Every schema of every CRD with its place.
fn every_schema(visit: &mut impl FnMut(&str, &JSONSchemaProps)) {
    fn walk(path: &str, schema: &JSONSchemaProps, visit: &mut impl FnMut(&str, &JSONSchemaProps)) {
        visit(path, schema);
        for (name, property) in schema.properties.iter().flatten() {
            walk(&format!("{path}.{name}"), property, visit);
        }
        if let Some(JSONSchemaPropsOrArray::Schema(items)) = &schema.items {
            walk(&format!("{path}[]"), items, visit);
        }
    }
    for crd in all() {
        for version in &crd.spec.versions {
            let schema = version.schema.as_ref().unwrap().open_api_v3_schema.as_ref().unwrap();
            walk(&crd.spec.names.kind, schema, visit);
        }
    }
}

#[test]
fn no_schema_has_what_makes_a_difference_after_reading_back() {
    let mut seen = 0;
    every_schema(&mut |path, schema| {
        seen += 1;
        assert!(schema.default.is_none(), "{path} has a default");
        assert!(schema.nullable.is_none(), "{path} is nullable");
        assert!(schema.x_kubernetes_preserve_unknown_fields.is_none(), "{path} is not pruned");
    });
    assert!(seen > 100);
}

#[test]
fn every_list_of_ours_says_how_it_merges_and_every_field_is_explained() {
    every_schema(&mut |path, schema| {
        // Label selectors are atomic as a whole, so their lists say nothing.
        let foreign = path.contains("elector.match") || path.contains(".conditions[]");
        if schema.type_.as_deref() == Some("array") && !foreign {
            assert!(schema.x_kubernetes_list_type.is_some(), "{path} has no list type");
        }
        if !path.ends_with(']') && !foreign {
            assert!(schema.description.is_some(), "{path} is not explained");
        }
        if path.to_ascii_lowercase().ends_with("selector") {
            assert_eq!(schema.x_kubernetes_map_type.as_deref(), Some("atomic"), "{path}");
        }
    });
}

#[test]
fn numbers_have_the_formats_that_the_server_knows() {
    every_schema(&mut |path, schema| {
        let known = [None, Some("int32"), Some("int64"), Some("date-time")];
        assert!(known.contains(&schema.format.as_deref()), "{path}: {:?}", schema.format);
    });
}

#[test]
fn every_rule_has_a_message() {
    every_schema(&mut |path, schema| {
        for rule in schema.x_kubernetes_validations.iter().flatten() {
            assert!(rule.message.is_some(), "{path}: {}", rule.rule);
        }
    });
}
