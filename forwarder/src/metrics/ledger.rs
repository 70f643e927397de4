//! The ledger as metrics: the contract's names (§3.6), then ours by exporter, capture and reason.

use std::collections::BTreeMap;

use weir_plan::NodeStatus;

use super::family::{Families, Kind};
use crate::{
    ledger::{ExporterSnapshot, KernelLoss, LedgerSnapshot},
    queue::Counts,
};

/// The same metrics in the same order each time; what is not known has no row.
pub(super) fn families(ledger: &LedgerSnapshot, node: Option<&NodeStatus>) -> Families {
    let mut out = Families::default();
    contract(ledger, &mut out);
    exporters(ledger, &mut out);
    captures(ledger, &mut out);
    kernel(ledger, &mut out);
    agent(node, &mut out);
    decoded(ledger, &mut out);
    reader(ledger, &mut out);
    out
}

/// Names that existing dashboards plot.
fn contract(ledger: &LedgerSnapshot, out: &mut Families) {
    let records = ledger.records();
    let full = records.shed.get(&crate::queue::ShedReason::QueueFull).copied().unwrap_or(0);
    let queued = records.queued + records.in_flight;
    out.gauge("messages_queued", "Records that wait or are on their way", queued);
    let help = "Records that an exporter's filter left out";
    out.counter("messages_filtered", help, records.filtered);
    out.counter("err_queueFull", "Records shed since a queue was full", full);
    out.gauge("conn_active", "Connections open now", ledger.node.connections.active);
}

/// `forwarder_seen_records` + `forwarder_recovered_records` = `forwarder_records` of every outcome
/// + `forwarder_queued_records`, for each exporter.
fn exporters(ledger: &LedgerSnapshot, out: &mut Families) {
    let mut rows = Vec::new();
    for exporter in &ledger.exporters {
        let (name, counts) = (exporter.key.to_string(), &exporter.counts);
        outcomes(counts, |outcome, reason, records| {
            rows.push(([name.clone(), outcome.to_owned(), reason.to_owned()], records));
        });
    }
    let help = "Records by what became of them; those that wait are in forwarder_queued_records";
    let labels = &["exporter", "outcome", "reason"];
    out.rows(Kind::Counter, ("forwarder_records", help), labels, rows);
    let mut each = |kind, name, help, count: fn(&ExporterSnapshot) -> u64| {
        let rows = ledger.exporters.iter().map(|one| ([one.key.to_string()], count(one)));
        out.rows(kind, (name, help), &["exporter"], rows);
    };
    let help = "Pairs that reached the exporter's pipeline";
    each(Kind::Counter, "forwarder_seen_records", help, |one| one.counts.seen);
    let help = "Records of an earlier run, found waiting on disk";
    each(Kind::Counter, "forwarder_recovered_records", help, |one| one.counts.recovered);
    let help = "Records that wait or are on their way";
    each(Kind::Gauge, "forwarder_queued_records", help, |one| {
        one.counts.queued + one.counts.in_flight
    });
    let help = "Bytes of the queue that were found damaged";
    each(Kind::Counter, "forwarder_damaged_bytes", help, |one| one.damaged_bytes);
    let help = "Requests that failed and were sent again";
    each(Kind::Counter, "forwarder_retries", help, |one| one.health.retries);
    each(Kind::Gauge, "forwarder_queue", "Encoded records that wait", |one| one.queued_bytes);
    out.in_bytes();
    let volume = ledger.volume;
    let help = "Bytes that all queues on disk take";
    let used = volume.map(|volume| volume.used_bytes);
    out.optional(Kind::Gauge, "forwarder_volume_used_bytes", help, used);
    let help = "Bytes that they may take";
    let limit = volume.map(|volume| volume.limit_bytes);
    out.optional(Kind::Gauge, "forwarder_volume_limit_bytes", help, limit);
}

/// Those that do not wait, by outcome and reason.
fn outcomes(counts: &Counts, mut row: impl FnMut(&'static str, &'static str, u64)) {
    row("exported", "", counts.exported);
    row("filtered", "", counts.filtered);
    for (reason, records) in &counts.shed {
        row("shed", reason.as_str(), *records);
    }
    for (reason, records) in &counts.refused {
        row("refused", reason.as_str(), *records);
    }
}

fn captures(ledger: &LedgerSnapshot, out: &mut Families) {
    let mut rows = Vec::new();
    for capture in &ledger.captures {
        let (name, counts) = (capture.key.to_string(), &capture.counts);
        let mut row = |outcome: &str, pairs| {
            rows.push(([name.clone(), outcome.to_owned()], pairs));
        };
        row("kept", counts.kept());
        row("sampled", counts.sampled);
        row("over_budget", counts.over_budget);
    }
    let help = "Pairs of a capture by what it took of them";
    out.rows(Kind::Counter, ("forwarder_pairs", help), &["capture", "outcome"], rows);
}

/// What the kernel side gave up.
fn kernel(ledger: &LedgerSnapshot, out: &mut Families) {
    let mut each = |name, help, count: fn(&KernelLoss) -> u64| {
        let losses = ledger.kernel.iter();
        let rows = losses.map(|(reason, loss)| ([(*reason).to_owned()], count(loss)));
        out.rows(Kind::Counter, (name, help), &["reason"], rows);
    };
    each("capture_lost_records", "Records that the kernel side gave up", |loss| loss.records);
    each("capture_lost_bytes", "Payload bytes that the kernel side gave up", |loss| loss.bytes);
}

/// Of a node's agent; `weir run` has none.
fn agent(node: Option<&NodeStatus>, out: &mut Families) {
    let agent = node.map(|node| &node.agent);
    let help = "1 while the capture agent's ring is at hand";
    let connected = agent.map(|agent| agent.connected.into());
    out.optional(Kind::Gauge, "forwarder_agent_connected", help, connected);
    let help = "1 while programs are attached to the kernel";
    let attached = agent.map(|agent| agent.hooks_attached.into());
    out.optional(Kind::Gauge, "capture_hooks_attached", help, attached);
    let help = "Ring bytes that nobody read, since a forwarder went away";
    let abandoned = agent.map(|agent| agent.abandoned_bytes);
    out.optional(Kind::Counter, "capture_abandoned_bytes", help, abandoned);
}

/// What became of captured bytes, and of values in them.
fn decoded(ledger: &LedgerSnapshot, out: &mut Families) {
    let decoded = &ledger.node.decoded;
    let halves = decoded.half_pairs.iter().map(|(reason, count)| ([reason.clone()], *count));
    let of = ("forwarder_half_pairs", "Pairs without one half");
    out.rows(Kind::Counter, of, &["reason"], halves);
    let mut by_reason = |name, help, counts: &BTreeMap<&'static str, u64>| {
        let rows = counts.iter().map(|(reason, count)| ([(*reason).to_owned()], *count));
        out.rows(Kind::Counter, (name, help), &["reason"], rows);
    };
    let help = "Exchanges of which too little was seen for a pair";
    by_reason("forwarder_lost_exchanges", help, &decoded.lost_exchanges);
    let help = "Connections that are not decoded any further";
    by_reason("forwarder_opaque_connections", help, &decoded.opaque_connections);
    let help = "Bytes that belong to no pair";
    by_reason("forwarder_undecodable_bytes", help, &decoded.undecodable_bytes);
    let help = "Encrypted connections that could not be read";
    by_reason("forwarder_tls_opaque_connections", help, &decoded.tls.opaque_connections);
    let help = "Bytes of them on the wire";
    by_reason("forwarder_tls_opaque_bytes", help, &decoded.tls.opaque_bytes);
    let help = "Encrypted connections read at a library";
    out.counter("forwarder_tls_read_connections", help, decoded.tls.read_connections);
    let values = &ledger.node.redaction.values;
    let values = values.iter().map(|(category, count)| ([category.clone()], *count));
    let of = ("forwarder_redacted_values", "Values redacted; own patterns are categories too");
    out.rows(Kind::Counter, of, &["category"], values);
}

fn reader(ledger: &LedgerSnapshot, out: &mut Families) {
    let node = &ledger.node;
    let (ring, connections, redaction) = (&node.ring, &node.connections, &node.redaction);
    for (name, help, count) in [
        ("forwarder_ring_records", "Records read from the ring", ring.records),
        ("forwarder_ring_bytes", "Bytes read from the ring", ring.bytes),
        ("forwarder_ring_malformed", "Ring records that make no sense", ring.malformed),
        ("forwarder_ring_without_open", "Records of unknown connections", ring.without_open),
        ("forwarder_redacted_records", "Records with something redacted", redaction.modified),
        ("forwarder_redaction_failures", "Records redaction failed on", redaction.failed),
        ("forwarder_own_pairs", "Deliveries seen at the receiver's end", node.own_pairs),
        ("forwarder_connections_opened", "Connections seen", connections.opened),
        ("forwarder_connections_ignored", "Connections nobody wants", connections.ignored),
        ("forwarder_connections_over_memory", "Given up for memory", connections.over_memory),
        ("forwarder_connections_evicted", "Dropped from a full table", connections.evicted),
    ] {
        out.counter(name, help, count);
    }
    let help = "Captured bytes held for exchanges under way";
    out.gauge("forwarder_held_bytes", help, connections.held_bytes);
}
