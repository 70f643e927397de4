use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU32, Ordering},
};

use serde_json::{Value, json};
use weir_capture_agent::Selector as _;
use weir_forwarder::Completion;
use weir_plan::Plan;

use super::*;

/// A plan with one capture per `(name, label value)` on `weir.dev/exe`.
fn plan(captures: &[(&str, &str)]) -> Plan {
    let capture = |(name, exe): &(&str, &str)| -> Value {
        json!({
            "key": { "namespace": "shop", "name": name },
            "selector": { "requirements": [{ "In": { "key": "weir.dev/exe", "values": [exe] } }] },
            "direction": "Both", "ports": [], "protocols": [], "tls": "Ignore",
            "max_body_bytes": 1, "sampling": null, "duration": null, "budget": {},
            "suspended": *name == "asleep", "exporters": [], "policies": [],
        })
    };
    let captures: Vec<_> = captures.iter().map(capture).collect();
    serde_json::from_value(json!({ "captures": captures, "exporters": [], "policies": [] }))
        .unwrap()
}

fn active(captures: &[(&str, &str)]) -> Arc<Active> {
    Arc::new(Active(Completion::default().live(&plan(captures))))
}

fn process(pid: u32, exe: &str) -> Arc<Process> {
    let labels = BTreeMap::from([("weir.dev/exe".to_owned(), exe.to_owned())]);
    Arc::new(Process { pid, service: exe.to_owned(), labels, ..Process::default() })
}

fn key(name: &str) -> ObjectKey {
    ObjectKey { namespace: "shop".to_owned(), name: name.to_owned() }
}

#[test]
fn a_process_is_named_as_a_pod_would_be() {
    let workloads = Workloads::new(Box::new(|pid| Some(process(pid, "rocket"))));
    workloads.set(active(&[("a", "rocket"), ("b", "other"), ("c", "rocket")]));
    let workload = workloads.workload(42, 0).unwrap();
    let expected = Workload {
        service: "rocket".to_owned(),
        namespace: "shop".to_owned(),
        pod_name: "rocket-42".to_owned(),
        app_label: "rocket".to_owned(),
        captures: vec![key("a"), key("c")],
    };
    assert_eq!(*workload, expected);
}

#[test]
fn what_nobody_selects_or_knows_has_no_workload() {
    let workloads = Workloads::new(Box::new(|pid| (pid != 1).then(|| process(pid, "rocket"))));
    workloads.set(active(&[("a", "other")]));
    assert_eq!(workloads.workload(42, 0), None);
    assert_eq!(workloads.workload(1, 0), None);
}

#[test]
fn a_suspended_capture_selects_nothing() {
    let active = active(&[("asleep", "rocket")]);
    assert!(active.0.is_empty());
    assert!(!active.selects(&process(1, "rocket")));
}

#[test]
fn one_process_keeps_one_workload_until_the_plan_changes() {
    let kept = process(7, "rocket");
    let workloads = Workloads::new(Box::new(move |_| Some(Arc::clone(&kept))));
    workloads.set(active(&[("a", "rocket")]));
    let first = workloads.workload(7, 0).unwrap();
    assert!(Arc::ptr_eq(&first, &workloads.workload(7, 0).unwrap()));
    workloads.set(active(&[("b", "rocket")]));
    assert_eq!(workloads.workload(7, 0).unwrap().captures, [key("b")]);
}

#[test]
fn a_reused_process_id_is_another_process() {
    let generation = Arc::new(AtomicU32::new(0));
    let seen = Arc::clone(&generation);
    let workloads = Workloads::new(Box::new(move |pid| {
        let exe = if seen.load(Ordering::Relaxed) == 0 { "rocket" } else { "station" };
        Some(process(pid, exe))
    }));
    workloads.set(active(&[("a", "rocket"), ("b", "station")]));
    assert_eq!(workloads.workload(7, 0).unwrap().captures, [key("a")]);
    generation.store(1, Ordering::Relaxed);
    assert_eq!(workloads.workload(7, 0).unwrap().captures, [key("b")]);
}
