use std::collections::BTreeSet;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, ObjectMeta};
use weir_api::v1alpha1::{
    Budget, DlpPolicy, DlpPolicySpec, Exporter, ExporterSpec, TrafficCapture, TrafficCaptureSpec,
    TrafficCaptureStatus,
};
use weir_plan::{
    Compiled, NodeStatus, ObjectKey, Objects, Outcome, compile,
    status::{NodeCapture, NodeExporter, NodeRecords, TlsCounts},
};

use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn key(name: &str) -> ObjectKey {
    ObjectKey { namespace: "shop".to_owned(), name: name.to_owned() }
}

fn metadata(name: &str) -> ObjectMeta {
    let key = key(name);
    ObjectMeta { name: Some(key.name), namespace: Some(key.namespace), ..ObjectMeta::default() }
}

fn spec() -> TrafficCaptureSpec {
    serde_json::from_value(serde_json::json!({"selector": {}, "exporters": [{"name": "e"}]}))
        .unwrap()
}

fn exporter_spec(endpoint: &str) -> ExporterSpec {
    serde_json::from_value(serde_json::json!({"otlp": {"endpoint": endpoint}})).unwrap()
}

fn compiled(spec: TrafficCaptureSpec, endpoint: &str) -> Compiled {
    let mut capture = TrafficCapture::new("c", spec);
    capture.metadata = metadata("c");
    let mut exporter = Exporter::new("e", exporter_spec(endpoint));
    exporter.metadata = metadata("e");
    compile(&Objects {
        captures: vec![capture],
        exporters: vec![exporter],
        operator_namespace: Some("weir-system".to_owned()),
        ..Objects::default()
    })
}

fn outcome(compiled: &Compiled, name: &str) -> Outcome {
    compiled.outcomes.iter().find(|outcome| outcome.key.name == name).unwrap().clone()
}

/// A node with revision `r` that has matched one pod and seen `seen` pairs.
fn node(name: &str, seen: u64) -> NodeStatus {
    NodeStatus {
        node: name.to_owned(),
        plan_revision: Some("r".to_owned()),
        captures: vec![NodeCapture {
            key: key("c"),
            matched_pods: 1,
            records: NodeRecords { seen, exported: seen, ..NodeRecords::default() },
            ..NodeCapture::default()
        }],
        exporters: vec![NodeExporter { key: key("e"), ..NodeExporter::default() }],
        ..NodeStatus::default()
    }
}

fn fleet(nodes: Vec<NodeStatus>) -> Fleet {
    Fleet::new(nodes.len(), nodes)
}

fn status_of(
    spec: TrafficCaptureSpec,
    previous: Option<&TrafficCaptureStatus>,
    fleet: &Fleet,
    now: i64,
) -> TrafficCaptureStatus {
    let compiled = compiled(spec, "http://collector:4318");
    let view = CaptureView {
        key: &key("c"),
        generation: 3,
        previous,
        outcome: &outcome(&compiled, "c"),
        plan: compiled.plan.captures.first(),
        too_large: false,
        revisions: &BTreeSet::from(["r".to_owned()]),
    };
    capture(view, fleet, at(now))
}

/// `Type=Status/Reason` of each condition.
fn lines(conditions: &[Condition]) -> Vec<String> {
    conditions.iter().map(|c| format!("{}={}/{}", c.type_, c.status, c.reason)).collect()
}

fn has(conditions: &[Condition], line: &str) -> bool {
    lines(conditions).iter().any(|found| found == line)
}

/// What the conditions of a capture are, in one text.
fn conditions_of(spec: TrafficCaptureSpec, fleet: &Fleet) -> String {
    let status = status_of(spec, None, fleet, 10);
    assert_eq!(status.observed_generation, Some(3));
    assert!(status.conditions.iter().all(|c| c.observed_generation == Some(3)));
    assert_eq!(read_back(&status), status, "JSON changes it");
    lines(&status.conditions).join(" ")
}

/// Of a capture without faults.
const SOUND: &str = "Accepted=True/Accepted ResolvedRefs=True/Resolved";

#[test]
fn conditions_of_captures_without_faults() {
    let nodes = fleet(vec![node("a", 1), node("b", 2)]);
    let mut suspended = spec();
    suspended.suspend = Some(true);
    let mut ignored = spec();
    ignored.tls = Some(weir_api::v1alpha1::TlsMode::Ignore);
    for (spec, expect) in [
        (spec(), "TLSCoverage=Unknown/NoTLS Ready=True/Ready"),
        (suspended, "TLSCoverage=Unknown/NoTLS Ready=True/Suspended"),
        (ignored, "TLSCoverage=False/Ignored Ready=True/Ready"),
    ] {
        let expect = format!("{SOUND} Programmed=True/Programmed {expect}");
        assert_eq!(conditions_of(spec, &nodes), expect);
    }
}

#[test]
fn a_name_that_is_not_there_yet_is_waited_for_and_a_bad_value_is_not() {
    let mut missing = spec();
    "other".clone_into(&mut missing.exporters[0].name);
    let mut bad_size = spec();
    bad_size.max_body_size = Some(weir_api::Quantity("2Gi".to_owned()));
    let reference = "Accepted=True/Accepted ResolvedRefs=False/RefNotFound \
        Programmed=False/NotPlanned Ready=False/RefNotFound Reconciling=True/RefNotFound";
    let value = "Accepted=False/InvalidQuantity ResolvedRefs=True/Resolved \
        Programmed=False/NotPlanned Ready=False/InvalidQuantity Stalled=True/InvalidQuantity";
    for (spec, expect) in [(missing, reference), (bad_size, value)] {
        assert_eq!(conditions_of(spec, &fleet(vec![node("a", 1)])), expect);
    }
}

#[test]
fn a_capture_is_programmed_when_every_node_has_it() {
    let mut lagging = fleet(vec![node("a", 1), node("b", 2)]);
    lagging.nodes[1].plan_revision = Some("older".to_owned());
    let mut silent = fleet(vec![node("a", 1), node("b", 2)]);
    silent.expected = 3;
    for (fleet, why) in
        [(lagging, "WaitingForNodes"), (silent, "WaitingForNodes"), (Fleet::default(), "NoNodes")]
    {
        let expect = format!(
            "{SOUND} Programmed=False/{why} TLSCoverage=Unknown/NoTLS Ready=False/{why} \
             Reconciling=True/{why}"
        );
        assert_eq!(conditions_of(spec(), &fleet), expect);
    }
}

/// Through JSON, as it comes back from the API server.
fn read_back(status: &TrafficCaptureStatus) -> TrafficCaptureStatus {
    serde_json::from_str(&serde_json::to_string(status).unwrap()).unwrap()
}

#[test]
fn equal_inputs_at_a_later_time_give_an_equal_status() {
    let nodes = fleet(vec![node("a", 1)]);
    let first = status_of(spec(), None, &nodes, 10);
    assert_eq!(status_of(spec(), Some(&first), &nodes, 99), first);
}

#[test]
fn a_transition_time_moves_only_with_its_own_status() {
    let first = status_of(spec(), None, &Fleet::default(), 10);
    let second = status_of(spec(), Some(&first), &fleet(vec![node("a", 0)]), 20);
    let time = |status: &TrafficCaptureStatus, type_: &str| {
        let found = status.conditions.iter().find(|c| c.type_ == type_);
        found.map(|c| c.last_transition_time.0.as_second())
    };
    assert_eq!((time(&second, "Accepted"), time(&second, "Programmed")), (Some(10), Some(20)));
    assert_eq!((time(&second, "Ready"), time(&second, "Reconciling")), (Some(20), None));
}

#[test]
fn nodes_are_summed_and_the_last_counts_outlive_them() {
    let first = status_of(spec(), None, &fleet(vec![node("a", 3), node("b", 4)]), 10);
    assert_eq!(first.matched_pods, Some(2));
    assert_eq!(first.records.unwrap().seen, 7);
    assert_eq!(first.nodes.unwrap().ready, 2);
    let gone = status_of(spec(), Some(&first), &Fleet::default(), 20);
    assert_eq!((gone.records.unwrap().seen, gone.matched_pods), (7, Some(0)));
}

#[test]
fn a_duration_runs_from_the_first_time_that_the_capture_was_ready() {
    let mut limited = spec();
    limited.duration = Some(weir_api::Duration("1m".to_owned()));
    let nodes = fleet(vec![node("a", 1)]);
    let waiting = status_of(limited.clone(), None, &Fleet::default(), 100);
    assert_eq!(waiting.start_time, None);
    let started = status_of(limited.clone(), Some(&waiting), &nodes, 200);
    assert_eq!(started.start_time.as_ref().unwrap().0, at(200));
    assert!(has(&started.conditions, "Complete=False/Running"));
    let before = status_of(limited.clone(), Some(&started), &nodes, 259);
    assert!(has(&before.conditions, "Complete=False/Running"));
    let done = status_of(limited.clone(), Some(&before), &nodes, 260);
    assert!(has(&done.conditions, "Complete=True/DurationElapsed"));
    assert!(has(&done.conditions, "Ready=True/Complete"));
    // Nodes that go away afterwards change nothing of that.
    let later = status_of(limited.clone(), Some(&done), &Fleet::default(), 300);
    assert!(has(&later.conditions, "Ready=True/Complete"));
    limited.duration = Some(weir_api::Duration("1h".to_owned()));
    let longer = status_of(limited, Some(&done), &nodes, 270);
    assert!(has(&longer.conditions, "Complete=False/Running"));
}

#[test]
fn a_budget_of_records_ends_a_capture_when_it_is_used_up() {
    let mut limited = spec();
    limited.budget = Some(Budget { bytes_per_second: None, records: Some(5) });
    let few = status_of(limited.clone(), None, &fleet(vec![node("a", 4)]), 10);
    let used = status_of(limited.clone(), Some(&few), &fleet(vec![node("a", 5)]), 20);
    assert!(has(&used.conditions, "Complete=False/Running"));
    let done = status_of(limited, Some(&used), &fleet(vec![node("a", 5)]), 30);
    assert!(has(&done.conditions, "Complete=True/BudgetUsed"));
}

#[test]
fn a_capture_without_room_is_refused() {
    let compiled = compiled(spec(), "http://collector:4318");
    let view = CaptureView {
        key: &key("c"),
        generation: 1,
        previous: None,
        outcome: &outcome(&compiled, "c"),
        plan: compiled.plan.captures.first(),
        too_large: true,
        revisions: &BTreeSet::new(),
    };
    let status = capture(view, &Fleet::default(), at(1));
    assert!(has(&status.conditions, "Accepted=False/PlanTooLarge"));
    assert!(has(&status.conditions, "Stalled=True/PlanTooLarge"));
}

#[test]
fn tls_coverage_says_how_far_and_why() {
    let table = [
        (2, vec![], "TLSCoverage=True/Full"),
        (2, vec![("UnknownLibrary", 1)], "TLSCoverage=False/Partial"),
        (0, vec![("UnknownLibrary", 1)], "TLSCoverage=False/Opaque"),
        (0, vec![("UnknownLibrary", 0)], "TLSCoverage=Unknown/NoTLS"),
    ];
    for (covered, opaque, expect) in table {
        let mut one = node("a", 0);
        let opaque = opaque.into_iter().map(|(why, count)| (why.to_owned(), count)).collect();
        one.captures[0].tls = TlsCounts { covered, opaque };
        let status = status_of(spec(), None, &fleet(vec![one]), 1);
        assert!(has(&status.conditions, expect), "{expect}: {:?}", lines(&status.conditions));
    }
}

#[test]
fn conditions_of_exporters() {
    let with = |reachable: Option<bool>, delivered: u64, error: Option<&str>| {
        let mut one = node("a", 0);
        one.exporters[0].reachable = reachable;
        one.exporters[0].delivered = delivered;
        one.exporters[0].last_error = error.map(str::to_owned);
        fleet(vec![one, node("b", 0)])
    };
    let good = "http://collector:4318";
    let table: [(&str, Fleet, &[&str]); 5] = [
        (
            good,
            with(None, 0, None),
            &["Reachable=Unknown/NotTried", "Delivering=Unknown/NotTried", "Ready=True/Ready"],
        ),
        (
            good,
            with(Some(true), 1, None),
            &["Reachable=True/Reachable", "Delivering=True/Delivering", "Ready=True/Ready"],
        ),
        (
            good,
            with(Some(false), 1, Some("refused")),
            &[
                "Reachable=False/Unreachable",
                "Delivering=False/DeliveryFailed",
                "Ready=False/Unreachable",
                "Reconciling=True/Unreachable",
            ],
        ),
        (
            good,
            with(Some(true), 1, Some("401")),
            &[
                "Reachable=True/Reachable",
                "Delivering=False/DeliveryFailed",
                "Ready=False/DeliveryFailed",
                "Reconciling=True/DeliveryFailed",
            ],
        ),
        (
            "ftp://collector",
            Fleet::default(),
            &[
                "Accepted=False/InvalidEndpoint",
                "Ready=False/InvalidEndpoint",
                "Stalled=True/InvalidEndpoint",
            ],
        ),
    ];
    for (endpoint, fleet, expect) in table {
        let compiled = compiled(spec(), endpoint);
        let of = |previous: Option<&_>, now| {
            let view = ExporterView {
                key: &key("e"),
                generation: 2,
                previous,
                outcome: &outcome(&compiled, "e"),
                plan: compiled.plan.exporters.first(),
            };
            exporter(view, &fleet, at(now))
        };
        let status = of(None, 1);
        for line in expect {
            assert!(has(&status.conditions, line), "{line}: {:?}", lines(&status.conditions));
        }
        assert_eq!(of(Some(&status), 50), status);
    }
}

#[test]
fn a_policy_that_does_not_compile_is_stalled() {
    let spec: DlpPolicySpec = serde_json::from_value(serde_json::json!({"paths": ["a"]})).unwrap();
    let mut object = DlpPolicy::new("p", spec);
    object.metadata = metadata("p");
    let compiled = compile(&Objects { policies: vec![object], ..Objects::default() });
    let view = PolicyView {
        generation: 1,
        previous: None,
        outcome: &compiled.outcomes[0],
        plan: None,
        bound_captures: 0,
    };
    let expect = [
        "Accepted=False/InvalidPolicy",
        "Compiled=False/NotPlanned",
        "Ready=False/InvalidPolicy",
        "Stalled=True/InvalidPolicy",
    ];
    assert_eq!(lines(&policy(view, at(1)).conditions), expect);
}

#[test]
fn a_long_message_is_cut() {
    let long = "ä".repeat(40_000);
    let mut conditions = conditions::Conditions::new(&[], 1, at(1));
    conditions.set("Accepted", conditions::Truth::False, "InvalidValue", &long);
    let summary = conditions::Summary::Ready("Ready", String::new());
    let message = conditions.finish(&summary)[0].message.clone();
    assert_eq!(message.chars().count(), 2048);
    assert!(message.ends_with('…'));
}
