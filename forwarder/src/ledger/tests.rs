use weir_dissect::{HalfReason, HoleReason, UndecodableReason};
use weir_plan::ObjectKey;

use super::*;
use crate::{queue::Counts, testing::key};

fn exporter(key: ObjectKey, counts: Counts) -> ExporterSnapshot {
    let health = crate::export::ExporterHealth::default();
    ExporterSnapshot {
        key,
        counts,
        queued_bytes: 0,
        queue_limit_bytes: 0,
        damaged_bytes: 0,
        queue_error: None,
        health,
    }
}

fn ledger(kept: u64, seen: u64, exported: u64) -> LedgerSnapshot {
    let counts = Counts { seen, exported, ..Counts::default() };
    let decoded = DecodeCounts { pairs: kept + 2, ..DecodeCounts::default() };
    let capture = CaptureCounts { decoded, sampled: 1, over_budget: 1, ..CaptureCounts::default() };
    LedgerSnapshot {
        node: NodeCounts::default(),
        kernel: BTreeMap::new(),
        captures: vec![CaptureSnapshot {
            key: key("all"),
            counts: capture,
            exporters: vec![("default/a".to_owned(), counts.clone())],
        }],
        exporters: vec![exporter(key("a"), counts)],
        volume: None,
    }
}

#[test]
fn a_record_in_no_count_is_found() {
    assert_eq!(ledger(3, 3, 3).check(), Ok(()));
    assert_eq!(ledger(3, 3, 2).check(), Err(Imbalance::Exporter(key("a"))));
    let lost = Imbalance::Capture {
        capture: key("all"),
        exporter: "default/a".to_owned(),
        kept: 4,
        seen: 3,
    };
    assert_eq!(
        lost.to_string(),
        "capture default/all kept 4 pairs, but its exporter default/a saw 3"
    );
    assert_eq!(ledger(4, 3, 3).check(), Err(lost));
}

#[test]
fn events_are_counted_by_reason() {
    let mut counts = DecodeCounts::default();
    for event in [
        Event::Opaque { reason: UndecodableReason::Tls },
        Event::Undecodable { bytes: 100, reason: UndecodableReason::Tls },
        Event::Undecodable { bytes: 11, reason: UndecodableReason::Tls },
        Event::Lost { exchanges: 3, reason: HoleReason::RingFull },
        Event::Upgraded { protocol: weir_dissect::UpgradeProtocol::WebSocket },
    ] {
        counts.note(&event);
    }
    assert_eq!(counts.opaque_connections, [("tls", 1)].into());
    assert_eq!(counts.undecodable_bytes, [("tls", 111)].into());
    assert_eq!(counts.lost_exchanges, [("ring_full", 3)].into());
    assert_eq!((counts.upgraded_connections, counts.pairs), (1, 0));
}

#[test]
fn a_response_alone_is_no_pair() {
    let mut counts = DecodeCounts::default();
    counts.note(&Event::Exchange(Box::new(weir_dissect::Exchange {
        request: None,
        response: None,
        role: weir_dissect::Role::Server,
        ordinal: 0,
        half: Some(HalfReason::RequestLost(HoleReason::RingFull)),
        interim_responses: 0,
    })));
    assert_eq!((counts.pairs, counts.responses_only), (0, 1));
    assert_eq!(counts.half_pairs, [("request_lost:ring_full".to_owned(), 1)].into());
}

#[test]
fn the_kernels_losses_lie_beside_the_rest() {
    let mut counters = [LossCounter::default(); Loss::COUNT as usize];
    counters[Loss::RingFull as usize] = LossCounter { records: 2, bytes: 300, exchanges: 0 };
    let mut ledger = ledger(3, 3, 3);
    ledger.kernel = KernelLoss::by_reason(&counters);
    let loss = KernelLoss { records: 2, bytes: 300, exchanges: 0 };
    assert_eq!(ledger.kernel, [("ring_full", loss)].into());
    assert_eq!(ledger.check(), Ok(()));
    assert!(ledger.to_string().contains("2 records lost in the kernel"), "{ledger}");
}

#[test]
fn the_line_for_people_names_ignored_connections() {
    let mut ledger = ledger(3, 3, 3);
    assert!(!ledger.to_string().contains("ignored"), "{ledger}");
    ledger.node.connections.ignored = 7;
    assert!(ledger.to_string().ends_with(" connections, 7 ignored"), "{ledger}");
}

#[test]
fn the_ledger_is_json_with_keys_as_text() {
    let json = serde_json::to_value(ledger(3, 3, 3)).unwrap();
    assert_eq!(json["captures"][0]["key"], "default/all");
    assert_eq!(json["exporters"][0]["counts"]["exported"], 3);
    assert_eq!(json["node"]["ring"]["records"], 0);
}
