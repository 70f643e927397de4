use weir_api::v1alpha1::{Exporter, TrafficCapture};
use weir_plan::{Objects, compile};

use super::*;

fn key(name: &str) -> ObjectKey {
    ObjectKey { namespace: "shop".to_owned(), name: name.to_owned() }
}

/// Captures by name and port, all with the one exporter.
fn document(captures: &[(&str, u16)], endpoint: &str) -> PlanDocument {
    let object = |kind: &str, name: &str, spec: serde_json::Value| {
        serde_json::json!({"apiVersion": "weir.dev/v1alpha1", "kind": kind,
            "metadata": {"namespace": "shop", "name": name}, "spec": spec})
    };
    let capture = |(name, port): &(&str, u16)| {
        let spec =
            serde_json::json!({"selector": {}, "ports": [port], "exporters": [{"name": "e"}]});
        serde_json::from_value::<TrafficCapture>(object("TrafficCapture", name, spec)).unwrap()
    };
    let spec = serde_json::json!({"otlp": {"endpoint": endpoint}});
    let exporter: Exporter = serde_json::from_value(object("Exporter", "e", spec)).unwrap();
    let objects = Objects {
        captures: captures.iter().map(capture).collect(),
        exporters: vec![exporter],
        ..Objects::default()
    };
    PlanDocument::new(compile(&objects).plan)
}

#[test]
fn a_neighbours_edit_leaves_the_revisions_of_a_capture() {
    let mut history = History::default();
    let plans = [
        document(&[("a", 1), ("b", 1)], "http://x:1"),
        document(&[("a", 1), ("b", 2)], "http://x:1"),
        document(&[("a", 1)], "http://x:1"),
    ];
    for plan in &plans {
        history.push(plan);
    }
    let all = plans.iter().map(|plan| plan.revision().to_owned()).collect();
    assert_eq!(history.revisions(&key("a")), Some(&all));
    assert_eq!(history.revisions(&key("b")), None);
}

#[test]
fn an_edit_of_the_capture_or_of_its_exporter_leaves_the_newest_alone() {
    for newer in [document(&[("a", 2)], "http://x:1"), document(&[("a", 1)], "http://y:1")] {
        let mut history = History::default();
        history.push(&document(&[("a", 1)], "http://x:1"));
        history.push(&newer);
        let newest = [newer.revision().to_owned()].into();
        assert_eq!(history.revisions(&key("a")), Some(&newest));
    }
}

#[test]
fn what_is_remembered_has_a_limit() {
    let mut history = History::default();
    for port in 1..200 {
        history.push(&document(&[("a", 1), ("b", port)], "http://x:1"));
    }
    assert_eq!(history.revisions(&key("a")).map(BTreeSet::len), Some(KEPT));
    assert_eq!(history.revisions(&key("b")).map(BTreeSet::len), Some(1));
}
