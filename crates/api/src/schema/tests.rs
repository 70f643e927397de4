use serde_json::json;

use super::*;

/// The faults of a capture whose spec is a good one with `change` merged into it.
fn capture(change: Value) -> Vec<String> {
    let mut spec = json!({"selector": {}, "exporters": [{"name": "a"}]});
    for (name, value) in change.as_object().unwrap() {
        spec[name] = value.clone();
    }
    faults("TrafficCapture", json!({"spec": spec}))
}

fn faults(kind: &str, object: Value) -> Vec<String> {
    violations(kind, &object)
        .unwrap()
        .into_iter()
        .map(|violation| format!("{}: {}", violation.path, violation.fault))
        .collect()
}

#[test]
fn a_full_object_passes() {
    let none: [String; 0] = [];
    assert_eq!(
        capture(json!({
            "selector": {"matchLabels": {"app": "a"}, "matchExpressions": [{"key": "b", "operator": "Exists"}]},
            "direction": "Both",
            "ports": [1, 65535],
            "protocols": ["HTTP", "GRPC", "Postgres"],
            "maxBodySize": 1_048_576,
            "sampling": {"keep": 1, "outOf": 5},
            "duration": "30m",
            "budget": {"bytesPerSecond": "10Mi", "records": 100_000},
            "suspend": false,
            "exporters": [{"name": "a"}, {"name": "b", "namespace": "c"}],
        })),
        none
    );
}

#[test]
fn unknown_and_missing_fields_are_named_with_what_is_allowed() {
    assert_eq!(
        faults(
            "TrafficCapture",
            json!({"apiVersion": "x", "metadata": {}, "spec": {"exporters": [{"nam": "a"}]}})
        ),
        [
            r#"spec: field "selector" is required"#,
            r#"spec.exporters[0]: field "name" is required"#,
            "spec.exporters[0].nam: unknown field; allowed here: name, namespace",
        ]
    );
    assert_eq!(
        faults("Exporter", json!({"spc": {}})),
        [
            r#": field "spec" is required"#,
            "spc: unknown field; allowed here: apiVersion, kind, metadata, spec, status",
        ]
    );
    assert_eq!(violations("Deployment", &json!({})), None);
}

#[test]
fn types_enums_and_patterns_are_checked() {
    assert_eq!(
        capture(json!({
            "selector": {"matchLabels": {"port": 8080}},
            "direction": "Inwards",
            "duration": "1d",
            "maxBodySize": "1MB",
            "suspend": "yes",
            "budget": {"bytesPerSecond": 1.5},
        })),
        [
            "spec.selector.matchLabels.port: must be a string, not a number (quote it to make it a string)",
            r#"spec.direction: "Inwards" is not one of Inbound, Outbound, Both"#,
            "spec.duration: must be a duration such as 30m, 1h30m or 500ms",
            "spec.maxBodySize: must be a size such as 10Mi, 500k or 1048576",
            "spec.suspend: must be true or false, not a string",
            "spec.budget.bytesPerSecond: must be a size such as 10Mi, 500k or 1048576",
        ]
    );
}

#[test]
fn limits_are_checked() {
    assert_eq!(
        capture(json!({
            "ports": [0, 65536, 80, 9_999_999_999_u64, u64::MAX],
            "exporters": [],
            "sampling": {"keep": 0, "outOf": 1.5},
        })),
        [
            "spec.exporters: must have at least 1 entries",
            "spec.ports[0]: must be at least 1",
            "spec.ports[1]: must be at most 65535",
            "spec.ports[3]: must be at most 65535",
            "spec.ports[4]: must be at most 65535",
            "spec.sampling.keep: must be at least 1",
            "spec.sampling.outOf: must be a whole number, not a number (quote it to make it a string)",
        ]
    );
}

#[test]
fn entries_of_sets_and_keyed_lists_are_unique() {
    assert_eq!(
        capture(json!({
            "ports": [80, 81, 80],
            // Taken as a whole: a name is one of some namespace.
            "exporters": [{"name": "a"}, {"name": "a", "namespace": "b"}],
        })),
        ["spec.ports[2]: is the same entry as spec.ports[0]"]
    );
    let headers = json!([{"name": "a", "value": "1"}, {"name": "a", "value": "2"}]);
    assert_eq!(
        faults("Exporter", json!({"spec": {"otlp": {"endpoint": "c:1", "headers": headers}}})),
        ["spec.otlp.headers[1]: is the same entry as spec.otlp.headers[0]"]
    );
}
