use proptest::prelude::*;
use weir_plan::status::{NodeCapture, NodeRun};

use super::*;

fn key() -> ObjectKey {
    ObjectKey { namespace: "shop".to_owned(), name: "c".to_owned() }
}

/// A node whose run started at second `run`, with this many exported and queued.
fn answer(node: &str, run: i64, exported: u64, queued: u64) -> NodeStatus {
    let records =
        NodeRecords { seen: exported + queued, exported, queued, ..NodeRecords::default() };
    NodeStatus {
        node: node.to_owned(),
        started: jiff::Timestamp::from_second(run).ok(),
        captures: vec![NodeCapture { key: key(), records, ..NodeCapture::default() }],
        ..NodeStatus::default()
    }
}

fn round(present: &[&str], answers: Vec<NodeStatus>) -> Round {
    let present = present.iter().map(|&node| node.to_owned()).collect();
    Round { expected: 2, present, answers, troubles: Vec::new() }
}

fn sums(ledger: &Ledger, round: &Round) -> RecordCounts {
    ledger.fleet(round).capture(&key()).map(|sums| sums.records).unwrap_or_default()
}

fn balanced(counts: RecordCounts) -> bool {
    let RecordCounts { seen, exported, filtered, sampled, shed, undecodable, queued, dropped: _ } =
        counts;
    seen == exported + filtered + sampled + shed + undecodable + queued
}

#[test]
fn a_forwarder_that_starts_anew_takes_nothing_away() {
    let mut ledger = Ledger::default();
    ledger.observe(&round(&["a"], vec![answer("a", 1, 10, 2)]));
    let after = round(&["a"], vec![answer("a", 5, 3, 0)]);
    ledger.observe(&after);
    let counts = sums(&ledger, &after);
    assert_eq!((counts.exported, counts.shed, counts.queued, counts.seen), (13, 2, 0, 15));
    ledger.observe(&after);
    assert_eq!(sums(&ledger, &after), counts, "the same answer twice");
}

#[test]
fn what_runs_counted_between_two_questions_is_on_the_nodes_disk() {
    let run = |started, exported, queued| {
        let NodeStatus { started, captures, .. } = answer("a", started, exported, queued);
        NodeRun { started, captures }
    };
    // What the first run noted: later than it was asked, and before that.
    for (noted, shed, total) in [(run(1, 30, 1), 1, 30), (run(1, 9, 1), 2, 10)] {
        let mut ledger = Ledger::default();
        ledger.observe(&round(&["a"], vec![answer("a", 1, 10, 2)]));
        let mut next = answer("a", 9, 3, 0);
        // Another one came and went meanwhile; of what was before the first all is known.
        next.earlier = vec![run(5, 7, 0), noted, run(0, 1000, 0)];
        let after = round(&["a"], vec![next]);
        ledger.observe(&after);
        ledger.observe(&after);
        let counts = sums(&ledger, &after);
        assert!(balanced(counts), "{counts:?}");
        assert_eq!((counts.exported, counts.shed), (total + 7 + 3, shed));
    }
}

#[test]
fn what_a_new_forwarder_finds_on_disk_is_neither_lost_nor_seen_twice() {
    // Asked last, the first run had 10 exported and 4 waiting.
    for (recovered, shed, seen) in [(4, 0, 14), (0, 4, 14), (1, 3, 14), (9, 0, 19)] {
        let mut ledger = Ledger::default();
        ledger.observe(&round(&["a"], vec![answer("a", 1, 10, 4)]));
        let mut next = answer("a", 5, 0, recovered);
        next.captures[0].records.recovered = recovered;
        next.captures[0].records.seen = 0;
        let after = round(&["a"], vec![next]);
        ledger.observe(&after);
        let counts = sums(&ledger, &after);
        assert!(balanced(counts), "{counts:?}");
        assert_eq!((counts.shed, counts.seen, counts.exported), (shed, seen, 10), "{recovered}");
    }
}

#[test]
fn what_was_on_disk_before_anybody_asked_is_counted_as_seen() {
    let mut first = answer("a", 1, 2, 3);
    first.captures[0].records.recovered = 5;
    first.captures[0].records.seen = 0;
    let now = round(&["a"], vec![first]);
    let mut ledger = Ledger::default();
    ledger.observe(&now);
    let counts = sums(&ledger, &now);
    assert!(balanced(counts), "{counts:?}");
    assert_eq!((counts.seen, counts.exported, counts.queued), (5, 2, 3));
}

#[test]
fn a_node_that_does_not_answer_keeps_its_counts() {
    let mut ledger = Ledger::default();
    ledger.observe(&round(&["a", "b"], vec![answer("a", 1, 10, 0), answer("b", 1, 5, 4)]));
    let silent = round(&["a", "b"], vec![answer("a", 1, 11, 0)]);
    ledger.observe(&silent);
    assert_eq!((sums(&ledger, &silent).exported, sums(&ledger, &silent).queued), (16, 4));
    let gone = round(&["a"], vec![answer("a", 1, 11, 0)]);
    (0..=GONE).for_each(|_| ledger.observe(&gone));
    let counts = sums(&ledger, &gone);
    assert_eq!((counts.exported, counts.queued, counts.shed), (16, 0, 4));
}

#[test]
fn a_new_operator_goes_on_from_the_status() {
    let status = RecordCounts { seen: 30, exported: 25, queued: 5, ..RecordCounts::default() };
    // The run that counted 20 of the 25 still lives, and has counted 2 more.
    let now = round(&["a"], vec![answer("a", 5, 22, 0)]);
    let mut ledger = Ledger::default();
    ledger.observe(&now);
    ledger.adopt(&key(), Some(&status));
    assert_eq!(sums(&ledger, &now).exported, 25);
    let later = round(&["a"], vec![answer("a", 5, 40, 0)]);
    ledger.observe(&later);
    ledger.adopt(&key(), Some(&RecordCounts { seen: 99, exported: 99, ..status }));
    assert_eq!(sums(&ledger, &later).exported, 43);
}

#[test]
fn a_capture_that_is_made_again_begins_at_zero() {
    let mut ledger = Ledger::default();
    ledger.observe(&round(&["a"], vec![answer("a", 1, 10, 0)]));
    ledger.observe(&round(&["a"], vec![answer("a", 2, 0, 0)]));
    ledger.retain(BTreeMap::new());
    let now = round(&["a"], vec![answer("a", 2, 1, 0)]);
    ledger.observe(&now);
    assert_eq!(sums(&ledger, &now).exported, 1);
}

#[test]
fn a_capture_that_takes_anothers_name_at_once_begins_at_zero() {
    let of = |uid: &str, run: i64, exported: u64| {
        let mut answer = answer("a", run, exported, 0);
        answer.captures[0].uid = uid.to_owned();
        round(&["a"], vec![answer])
    };
    let known = |uid: &str| BTreeMap::from([(key(), uid.to_owned())]);
    let mut ledger = Ledger::default();
    ledger.retain(known("first"));
    for (run, exported) in [(1, 10), (2, 5)] {
        ledger.observe(&of("first", run, exported));
    }
    assert_eq!(sums(&ledger, &of("first", 2, 5)).exported, 15);
    ledger.retain(known("second"));
    // The node does not know it yet.
    let late = of("first", 2, 6);
    ledger.observe(&late);
    ledger.adopt(&key(), None);
    assert_eq!(sums(&ledger, &late), RecordCounts::default());
    // Nor did a run that ended.
    let now = of("second", 3, 1);
    ledger.observe(&now);
    assert_eq!(sums(&ledger, &now).exported, 1);
}

proptest! {
    #[test]
    fn counts_balance_and_never_fall(
        steps in prop::collection::vec((0..3_usize, 0..4_i64, 0..9_u64, 0..9_u64, any::<bool>()), 1..40)
    ) {
        let nodes = ["a", "b", "c"];
        let mut ledger = Ledger::default();
        let mut runs = [(0_i64, 0_u64); 3];
        let mut last = 0;
        for (node, restart, more, queued, answers) in steps {
            let run = &mut runs[node];
            *run = if restart == 0 { (run.0 + 1, more) } else { (run.0, run.1 + more) };
            let said = answer(nodes[node], run.0, run.1, queued);
            let now = round(&nodes, if answers { vec![said] } else { Vec::new() });
            ledger.observe(&now);
            let counts = sums(&ledger, &now);
            prop_assert!(balanced(counts), "{counts:?}");
            prop_assert!(counts.exported >= last);
            last = counts.exported;
        }
    }
}
