use proptest::prelude::*;

use super::*;
use crate::compile;

const GOOD: &str = r#"
# A capture and where it goes.
apiVersion: weir.dev/v1alpha1
kind: TrafficCapture
metadata: {name: all, labels: {team: "7"}}
spec:
  selector: {}
  exporters: [{name: local}]
---
apiVersion: weir.dev/v1alpha1
kind: Exporter
metadata:
  name: local
  namespace: default
spec:
  otlp:
    endpoint: http://127.0.0.1:4318
    headers:
    - name: Authorization
      valueFrom: {secretKeyRef: {name: es, key: token}}
---
apiVersion: v1
kind: Secret
metadata: {name: es}
stringData: {token: Bearer canary-7}
"#;

fn load(text: &str) -> Result<Manifests, Refused> {
    read(&[File { name: "a.yaml", text }], "default")
}

/// The faults of one file, a line each.
fn refused(text: &str, expect: &[&str]) {
    let refused = load(text).unwrap_err().to_string();
    assert_eq!(refused.lines().collect::<Vec<_>>(), expect);
}

fn capture(spec: &str) -> String {
    format!(
        "apiVersion: weir.dev/v1alpha1\nkind: TrafficCapture\nmetadata: {{name: a}}\nspec:\n{spec}"
    )
}

#[test]
fn manifests_of_several_documents_become_a_plan() {
    let manifests = load(GOOD).unwrap();
    assert_eq!(manifests.notices, []);
    let compiled = compile(&manifests.objects);
    assert_eq!(manifests.faults(&compiled.outcomes), []);
    assert_eq!(compiled.plan.captures[0].key.to_string(), "default/all");
    assert_eq!(compiled.plan.captures[0].exporters, [compiled.plan.exporters[0].key.clone()]);
    assert_eq!(compiled.plan.exporters[0].headers[0].value.expose(), "Bearer canary-7");
}

#[test]
fn json_is_read_as_well_and_so_is_a_list_of_objects() {
    let json = r#"{"apiVersion": "v1", "kind": "List", "items": [
  {"apiVersion": "weir.dev/v1alpha1", "kind": "Exporter", "metadata": {"name": "a"},
   "spec": {"otlp": {"endpoint": "c:4317"}}},
  {"apiVersion": "weir.dev/v1alpha1", "kind": "Exporter", "metadata": {"name": "b"},
   "spec": {"otlp": {"endpont": "c:4317"}}}
]}"#;
    refused(
        json,
        &[
            r#"a.yaml:5:13: spec.otlp: field "endpoint" is required"#,
            "a.yaml:5:22: spec.otlp.endpont: unknown field; allowed here: compression, endpoint, \
             headers, timeout, tls, transport",
        ],
    );
}

#[test]
fn other_kinds_are_passed_over_with_a_notice() {
    let manifests =
        load("apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\nspec: {x: 1}").unwrap();
    let notices: Vec<_> = manifests.notices.iter().map(ToString::to_string).collect();
    assert_eq!(notices, ["a.yaml:1:1: skipped Deployment (apps/v1): not a kind that Weir reads"]);
}

#[test]
fn an_unknown_field_is_named_with_its_place_and_what_is_allowed() {
    refused(
        &capture("  selector: {}\n  exporters: [{name: a}]\n  port: 80\n"),
        &["a.yaml:7:3: spec.port: unknown field; allowed here: budget, direction, dlpPolicies, \
           duration, exporters, maxBodySize, ports, protocols, sampling, selector, suspend, tls"],
    );
    refused(
        "apiVersion: weir.dev/v1alpha1\nkind: Exporter\nmetadata: {name: a, label: {}}\nspec: {otlp: {endpoint: c}}",
        &["a.yaml:3:21: metadata.label: unknown field; allowed here: name, namespace, labels, \
           annotations and what the server adds"],
    );
}

#[test]
fn every_fault_of_every_file_is_reported() {
    let one = capture("  selector: {}\n  exporters: []\n  direction: In\n");
    let two = capture(
        "  selector: {matchLabels: {port: 8080}}\n  exporters: [{name: a}]\n  ports: [80, x]\n",
    );
    let files = [File { name: "one.yaml", text: &one }, File { name: "two.yaml", text: &two }];
    let text = read(&files, "default").unwrap_err().to_string();
    assert_eq!(
        text.lines().collect::<Vec<_>>(),
        [
            "one.yaml:6:3: spec.exporters: must have at least 1 entries",
            r#"one.yaml:7:3: spec.direction: "In" is not one of Inbound, Outbound, Both"#,
            "two.yaml:5:28: spec.selector.matchLabels.port: must be a string, not a number (quote \
             it to make it a string)",
            "two.yaml:7:15: spec.ports[1]: must be a whole number, not a string",
        ]
    );
}

#[test]
fn syntax_errors_and_duplicate_keys_have_a_place_and_show_no_value() {
    for (text, place) in [
        ("apiVersion: v1\nkind: Secret\ndata: {a: canary-7\n", "a.yaml:3:7: unclosed bracket '{'"),
        ("kind: Secret\nstringData:\n  a: canary-7\n  a: canary-8\n", "a.yaml:4:3: "),
        ("kind: Secret\n\tcanary-7: 1\n", "a.yaml:1:7: "),
    ] {
        let fault = load(text).unwrap_err().to_string();
        assert!(fault.starts_with(place), "{fault}");
        assert!(!fault.contains("canary"), "{fault}");
    }
}

#[test]
fn wrong_versions_and_kinds_are_named_with_what_is_known() {
    refused(
        "apiVersion: weir.dev/v1\nkind: Exporter\nmetadata: {name: a}",
        &[r#"a.yaml:1:1: apiVersion: "weir.dev/v1" is not known; known: weir.dev/v1alpha1"#],
    );
    refused(
        "apiVersion: weir.dev/v1alpha1\nkind: Capture\nmetadata: {name: a}",
        &[
            r#"a.yaml:2:1: kind: "Capture" is no kind of weir.dev/v1alpha1; known: TrafficCapture, Exporter, DlpPolicy"#,
        ],
    );
    refused(
        "- a\n- b\n",
        &["a.yaml:1:1: apiVersion and kind are required, as strings; is this a manifest?"],
    );
}

#[test]
fn an_object_is_defined_once() {
    let one = capture("  selector: {}\n  exporters: [{name: a}]\n");
    let files = [File { name: "one.yaml", text: &one }, File { name: "two.yaml", text: &one }];
    assert_eq!(
        read(&files, "default").unwrap_err().to_string(),
        "two.yaml:1:1: TrafficCapture default/a is already defined at one.yaml:1:1"
    );
}

#[test]
fn names_are_those_that_a_server_takes() {
    for name in ["A", "a_b", "-a", "a..b", "''", "7", "[]"] {
        let text = format!(
            "apiVersion: weir.dev/v1alpha1\nkind: Exporter\nmetadata: {{name: {name}}}\nspec: {{otlp: {{endpoint: c}}}}"
        );
        refused(
            &text,
            &["a.yaml:3:12: metadata.name: must be a string of at most 253 of a-z 0-9 - and ., \
               alphanumeric at both ends"],
        );
    }
}

#[test]
fn a_fault_that_compiling_finds_has_its_place_too() {
    let text =
        capture("  selector: {}\n  maxBodySize: 2Gi\n  exporters:\n  - name: b\n  - name: c\n");
    let manifests = load(&text).unwrap();
    let compiled = compile(&manifests.objects);
    let faults: Vec<_> =
        manifests.faults(&compiled.outcomes).iter().map(ToString::to_string).collect();
    assert_eq!(
        faults,
        [
            r#"a.yaml:6:3: TrafficCapture default/a: spec.maxBodySize: "2Gi" is not from 0 to 1Gi"#,
            "a.yaml:8:5: TrafficCapture default/a: spec.exporters[0]: Exporter default/b does not exist",
            "a.yaml:9:5: TrafficCapture default/a: spec.exporters[1]: Exporter default/c does not exist",
        ]
    );
}

#[test]
fn a_secret_is_read_strictly_and_never_shown() {
    let good = load("apiVersion: v1\nkind: Secret\nmetadata: {name: a}\ndata: {t: Y2FuYXJ5}\nstringData: {u: canary}").unwrap();
    let data = good.objects.secrets.values().next().unwrap();
    assert!(data.0.values().all(|value| value == b"canary"));
    assert!(!format!("{good:?}").contains("canary"));
    assert!(!format!("{good:?}").contains(&format!("{:?}", b"canary")));
    refused(
        "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\ndata: {t: 'canary!'}\nstringData: {u: 1}\nstrings: {}",
        &[
            "a.yaml:6:1: strings: unknown field; allowed here: apiVersion, kind, metadata, type, data, stringData, immutable",
            "a.yaml:4:8: data.t: must be a base64 string",
            "a.yaml:5:14: stringData.u: must be a string",
        ],
    );
}

#[test]
fn a_namespace_gives_its_labels_to_allowed_namespaces() {
    let text = r"
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {team: a}}
---
apiVersion: weir.dev/v1alpha1
kind: TrafficCapture
metadata: {name: all, namespace: shop}
spec: {selector: {}, exporters: [{name: archive, namespace: platform}]}
---
apiVersion: weir.dev/v1alpha1
kind: Exporter
metadata: {name: archive, namespace: platform}
spec:
  otlp: {endpoint: c}
  allowedNamespaces: {from: Selector, selector: {matchLabels: {team: a}}}
";
    assert_eq!(compile(&load(text).unwrap().objects).plan.captures.len(), 1);
    let other = text.replace("{team: a}}}", "{team: b}}}");
    assert_eq!(compile(&load(&other).unwrap().objects).plan.captures.len(), 0);
}

#[test]
fn empty_files_and_documents_are_nothing() {
    for text in ["", "---\n", "# only a comment\n", "---\n---\n"] {
        let manifests = load(text).unwrap();
        assert!(manifests.objects.captures.is_empty() && manifests.notices.is_empty(), "{text:?}");
    }
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused_with_a_place(
        text in "\\PC{0,40}|([a-z\\[\\]{}:,&*!|>'\"# \n-]|apiVersion: weir.dev/v1alpha1\n|kind: Exporter\n){0,40}"
    ) {
        if let Err(Refused(faults)) = load(&text) {
            prop_assert!(!faults.is_empty());
            prop_assert!(faults.iter().all(|fault| fault.place.file == "a.yaml"));
        }
    }

    #[test]
    fn a_manifest_cut_anywhere_is_read_or_refused(cut in 0..GOOD.len()) {
        let cut = (0..=cut).rev().find(|at| GOOD.is_char_boundary(*at)).unwrap_or(0);
        let read = load(GOOD.get(..cut).unwrap());
        prop_assert!(read.is_ok() || !read.unwrap_err().0.is_empty());
    }
}
