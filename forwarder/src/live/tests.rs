use weir_plan::Plan;

use super::*;
use crate::{
    ledger::{CaptureCounts, CaptureSnapshot},
    testing::{capture, key},
};

fn plan(captures: Vec<CapturePlan>) -> Plan {
    Plan { captures, ..Plan::default() }
}

fn limited(name: &str) -> CapturePlan {
    let mut capture = capture(name, &[]);
    capture.budget.records = Some(3);
    capture
}

fn ledger(complete: &[&str]) -> LedgerSnapshot {
    let captures = complete.iter().map(|name| CaptureSnapshot {
        key: key(name),
        counts: CaptureCounts { complete: true, ..CaptureCounts::default() },
        exporters: Vec::new(),
    });
    LedgerSnapshot { captures: captures.collect(), ..LedgerSnapshot::default() }
}

#[test]
fn a_suspended_and_a_complete_capture_select_nothing() {
    let mut asleep = capture("asleep", &[]);
    asleep.suspended = true;
    let plan = plan(vec![asleep, limited("over"), limited("on")]);
    let mut completion = Completion::default();
    assert!(completion.update(&plan, || ledger(&["over", "of another plan"])));
    assert!(!completion.update(&plan, || ledger(&["over"])), "nothing new");
    assert_eq!(completion.live(&plan).matching(&BTreeMap::new()), [key("on")]);
}

#[test]
fn a_capture_that_was_edited_begins_anew() {
    let before = plan(vec![limited("edited"), limited("same")]);
    let mut after = before.clone();
    after.captures[0].budget.records = Some(4);
    let mut completion = Completion::default();
    completion.update(&before, || ledger(&["edited", "same"]));
    completion.follow(&before, &after);
    assert_eq!(completion.live(&after).matching(&BTreeMap::new()), [key("edited")]);
}

#[test]
fn without_limits_the_ledger_is_not_asked() {
    let plan = plan(vec![capture("endless", &[])]);
    assert!(!Completion::default().update(&plan, || panic!("asked")));
}

#[test]
fn a_capture_selects_in_its_own_namespace_only() {
    let live = Completion::default().live(&plan(vec![capture("all", &[])]));
    assert_eq!(live.matching_in("default", &BTreeMap::new()), [key("all")]);
    assert_eq!(live.matching_in("other", &BTreeMap::new()), []);
}
