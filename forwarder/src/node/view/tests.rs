use weir_link::TlsOpaque;

use super::*;
use crate::{
    ledger::{CaptureCounts, TlsNews},
    queue::Counts,
    testing::{key, plan},
};

fn view() -> View {
    View::new(Arc::new(Directory::new(None)), "node-0".to_owned(), "v0.1.0".to_owned())
}

fn kernel(records: u64) -> Kernel {
    let mut counters = Losses::default();
    counters[0].records = records;
    Kernel { attached: true, ..Kernel::default() }.with_losses(&counters)
}

fn hello() -> Hello {
    Hello {
        version: 1,
        abi: 1,
        ring_bytes: 4096,
        hook: "sock-length".to_owned(),
        kernel: "6.18".to_owned(),
    }
}

#[test]
fn losses_count_from_our_start_whatever_agents_there_were() {
    let view = view();
    view.kernel(kernel(5));
    assert_eq!(view.losses()[0].records, 0, "of an earlier forwarder");
    view.kernel(kernel(7));
    // Another agent.
    view.kernel(kernel(1));
    view.kernel(kernel(4));
    assert_eq!(view.losses()[0].records, 2 + 4);
}

#[test]
fn a_capture_is_told_with_sums_that_balance() {
    let view = view();
    view.plan(&Arc::new(PlanDocument::new(plan(Vec::new()))), LedgerSnapshot::default);
    let mut counts = CaptureCounts { sampled: 3, over_budget: 2, ..CaptureCounts::default() };
    counts.decoded.pairs = 15;
    counts.tls_containers.note("shop", 1, TlsNews::Read);
    counts.tls_containers.note("shop", 2, TlsNews::BeginsOpaque(TlsOpaque::Java));
    counts.decoded.responses_only = 1;
    counts.decoded.lost_exchanges.insert("ring_full", 4);
    let mut at = Counts { seen: 10, filtered: 1, exported: 4, ..Counts::default() };
    (at.queued, at.in_flight) = (1, 2);
    at.shed.insert(ShedReason::QueueFull, 2);
    assert!(at.balances());
    let exporters = vec![("default/a".to_owned(), at)];
    let capture = CaptureSnapshot { key: key("all"), counts, exporters };
    let ledger = LedgerSnapshot { captures: vec![capture], ..LedgerSnapshot::default() };
    let status = view.status(&ledger);
    let [told] = &status.captures[..] else { panic!("{status:?}") };
    let NodeRecords {
        seen,
        recovered,
        exported,
        filtered,
        sampled,
        shed,
        undecodable,
        queued,
        dropped,
    } = told.records;
    assert_eq!(seen + recovered, exported + filtered + sampled + shed + undecodable + queued);
    assert_eq!((exported, filtered, sampled, shed, undecodable, queued), (4, 1, 3, 4, 5, 3));
    assert_eq!(dropped, 9);
    assert_eq!((told.tls.covered, told.tls.opaque.get("Java")), (1, Some(&1)));
    let first = told.last_record_time;
    assert!(first.is_some());
    assert_eq!(view.status(&ledger).captures[0].last_record_time, first, "nothing new came");
}

#[test]
fn a_capture_that_is_made_again_counts_from_zero() {
    let view = view();
    let document = |uid: &str| {
        let mut plan = plan(Vec::new());
        plan.captures[0].uid = uid.to_owned();
        Arc::new(PlanDocument::new(plan))
    };
    let ledger = |seen, exported| {
        let mut counts = CaptureCounts::default();
        counts.decoded.pairs = seen;
        let at = Counts { seen, exported, queued: seen - exported, ..Counts::default() };
        counts.tls_containers.note("shop", 1, TlsNews::Read);
        if seen > 10 {
            counts.tls_containers.note("shop", 2, TlsNews::BeginsOpaque(TlsOpaque::Java));
        }
        let exporters = vec![("default/a".to_owned(), at)];
        let capture = CaptureSnapshot { key: key("all"), counts, exporters };
        LedgerSnapshot { captures: vec![capture], ..LedgerSnapshot::default() }
    };
    view.plan(&document("first"), LedgerSnapshot::default);
    view.plan(&document("first"), || panic!("nothing begins"));
    assert_eq!(view.status(&ledger(10, 7)).captures[0].records.seen, 10);
    view.plan(&document("second"), || ledger(10, 7));
    let told = view.status(&ledger(10, 7)).captures.remove(0);
    assert_eq!((&*told.uid, told.last_record_time), ("second", None));
    // What waited goes on as the new capture's.
    let expect = NodeRecords { seen: 3, queued: 3, ..NodeRecords::default() };
    assert_eq!((told.records, told.tls), (expect, TlsCounts::default()));
    let told = view.status(&ledger(12, 12)).captures.remove(0);
    let expect = NodeRecords { seen: 5, exported: 5, ..NodeRecords::default() };
    assert_eq!(told.records, expect);
    assert_eq!((told.tls.covered, told.tls.opaque.get("Java")), (0, Some(&1)));
    assert!(told.last_record_time.is_some());
}

#[test]
fn a_run_is_remembered_by_the_next_ones() {
    let mut earlier = Vec::new();
    for run in 1..=6_usize {
        let view = view();
        view.remember(earlier);
        view.plan(&Arc::new(PlanDocument::new(plan(Vec::new()))), LedgerSnapshot::default);
        let at = Counts { seen: run as u64, exported: run as u64, ..Counts::default() };
        let exporters = vec![("default/a".to_owned(), at)];
        let capture =
            CaptureSnapshot { key: key("all"), counts: CaptureCounts::default(), exporters };
        let ledger = LedgerSnapshot { captures: vec![capture], ..LedgerSnapshot::default() };
        earlier = view.runs(&ledger);
        assert_eq!(earlier[0].started, view.status(&ledger).started);
        let seen: Vec<_> = earlier.iter().map(|run| run.captures[0].records.seen).collect();
        let newest_first: Vec<_> = (1..=run as u64).rev().take(RUNS).collect();
        assert_eq!(seen, newest_first);
    }
}

#[test]
fn a_plan_is_told_as_in_force_only_when_the_kernel_side_follows() {
    let view = view();
    let document = Arc::new(PlanDocument::new(plan(Vec::new())));
    view.plan(&document, LedgerSnapshot::default);
    assert!(view.has_plan(document.revision()) && !view.has_plan("another"));
    let ledger = LedgerSnapshot::default();
    assert_eq!(view.status(&ledger).plan_revision, None);
    view.in_force(document.revision());
    assert_eq!(view.status(&ledger).plan_revision.as_deref(), Some(document.revision()));
}

#[test]
fn the_agent_is_told_as_it_comes_and_goes() {
    let view = view();
    let ledger = LedgerSnapshot::default();
    assert!(view.ready().unwrap_err().contains("pods"));
    view.pods_are_known();
    assert!(view.ready().unwrap_err().contains("agent"));
    view.agent_is_here(&hello());
    view.kernel(kernel(0));
    assert!(view.ready().unwrap_err().contains("plan"));
    view.plan(&Arc::new(PlanDocument::new(plan(Vec::new()))), LedgerSnapshot::default);
    view.ready().unwrap();
    let agent = view.status(&ledger).agent;
    assert!(agent.connected && agent.hooks_attached && agent.error.is_none());
    assert_eq!(agent.kernel["hook"], "sock-length");
    view.agent_is_gone("it ended");
    let agent = view.status(&ledger).agent;
    assert!(!agent.connected && !agent.hooks_attached);
    assert_eq!(agent.error.as_deref(), Some("it ended"));
    assert_eq!(view.ready().unwrap_err(), "no capture agent: it ended");
}
