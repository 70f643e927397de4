use weir_plan::{Objects, compile};

use super::*;

fn plan(captures: usize) -> Plan {
    let object = |kind: &str, name: &str, spec: serde_json::Value| {
        serde_json::json!({"apiVersion": "weir.dev/v1alpha1", "kind": kind,
            "metadata": {"namespace": "shop", "name": name}, "spec": spec})
    };
    let capture = |index: usize| {
        let spec = serde_json::json!({
            "selector": {"matchLabels": {"app": format!("{}", index * 7919)}},
            "exporters": [{"name": "e"}]
        });
        serde_json::from_value(object("TrafficCapture", &format!("c{index:03}"), spec)).unwrap()
    };
    let spec = serde_json::json!({"otlp": {"endpoint": "http://x:1"}});
    let objects = Objects {
        captures: (0..captures).map(capture).collect(),
        exporters: vec![serde_json::from_value(object("Exporter", "e", spec)).unwrap()],
        ..Objects::default()
    };
    compile(&objects).plan
}

/// Later names are older.
fn ages(plan: &Plan) -> BTreeMap<ObjectKey, Timestamp> {
    let newest_first = plan.captures.iter().enumerate();
    newest_first
        .map(|(index, capture)| {
            let second = 1_000_000 - i64::try_from(index).unwrap();
            (capture.key.clone(), Timestamp::from_second(second).unwrap())
        })
        .collect()
}

#[test]
fn a_plan_with_room_is_left_as_it_is() {
    let whole = plan(20);
    let fitted = fit(whole.clone(), &ages(&whole), 1 << 20).unwrap();
    assert_eq!(fitted.document.plan(), &whole);
    assert_eq!(PlanDocument::decode(&fitted.bytes).unwrap(), fitted.document);
    assert!(fitted.refused.is_empty());
}

#[test]
fn as_few_of_the_newest_as_possible_give_way() {
    let whole = plan(60);
    let ages = ages(&whole);
    let size = |plan: &Plan| PlanDocument::new(plan.clone()).encode().len();
    let limit = usize::midpoint(size(&whole), size(&plan(0)));
    let fitted = fit(whole.clone(), &ages, limit).unwrap();
    assert!(fitted.bytes.len() <= limit);
    let newest: BTreeSet<ObjectKey> =
        whole.captures.iter().take(fitted.refused.len()).map(|c| c.key.clone()).collect();
    assert!(!newest.is_empty() && newest.len() < 60);
    assert_eq!(fitted.refused, newest);
    // One more would have had no room.
    let mut more = whole;
    more.captures.drain(..newest.len() - 1);
    assert!(size(&more) > limit);
}

#[test]
fn exporters_without_room_are_a_fault_of_their_own() {
    let whole = plan(1);
    let fault = fit(whole.clone(), &ages(&whole), 10).unwrap_err();
    assert!(fault.bytes > 10 && fault.limit == 10);
}

#[test]
fn a_capture_without_an_age_is_the_newest() {
    let whole = plan(3);
    let mut ages = ages(&whole);
    let last = whole.captures[2].key.clone();
    ages.remove(&last);
    let mut two = whole.clone();
    two.captures.truncate(2);
    let limit = PlanDocument::new(two).encode().len();
    assert!(fit(whole, &ages, limit).unwrap().refused.contains(&last));
}
