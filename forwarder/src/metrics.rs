//! The ledger as Prometheus metrics: the contract's names (§3.6), then ours by exporter,
//! capture and reason.

use std::fmt;

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric as _, text},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
    registry::{Registry, Unit},
};

use weir_plan::{NodeStatus, status::AgentStatus};

use crate::ledger::{ExporterSnapshot, KernelLoss, LedgerSnapshot};

/// Of what [`encode`] writes.
pub(crate) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Text exposition of the ledger, and of the node when there is one.
pub(crate) fn encode(
    ledger: &LedgerSnapshot,
    node: Option<&NodeStatus>,
) -> Result<String, fmt::Error> {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Reading(ledger.clone(), node.cloned())));
    let mut out = String::new();
    text::encode(&mut out, &registry)?;
    Ok(out)
}

#[derive(Debug)]
struct Reading(LedgerSnapshot, Option<NodeStatus>);

impl Collector for Reading {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let ledger = &self.0;
        contract(ledger, &mut encoder)?;
        exporters(ledger, &mut encoder)?;
        captures(ledger, &mut encoder)?;
        kernel(ledger, &mut encoder)?;
        if let Some(status) = &self.1 {
            agent(&status.agent, &mut encoder)?;
        }
        node(ledger, &mut encoder)
    }
}

/// Names that existing dashboards plot.
fn contract(ledger: &LedgerSnapshot, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let records = ledger.records();
    let full = records.shed.get(&crate::queue::ShedReason::QueueFull).copied().unwrap_or(0);
    let queued = records.queued + records.in_flight;
    gauge(encoder, "messages_queued", "Records that wait or are on their way", queued)?;
    let help = "Records that an exporter's filter left out";
    counter(encoder, "messages_filtered", help, records.filtered)?;
    counter(encoder, "err_queueFull", "Records shed since a queue was full", full)?;
    gauge(encoder, "conn_active", "Connections open now", ledger.node.connections.active)
}

fn exporters(ledger: &LedgerSnapshot, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let mut rows = Vec::new();
    for exporter in &ledger.exporters {
        let (name, counts) = (exporter.key.to_string(), &exporter.counts);
        let mut row = |outcome: &str, reason: &'static str, records| {
            rows.push(([name.clone(), outcome.to_owned(), reason.to_owned()], records));
        };
        row("exported", "", counts.exported);
        row("filtered", "", counts.filtered);
        for (reason, records) in &counts.shed {
            row("shed", reason.as_str(), *records);
        }
        for (reason, records) in &counts.refused {
            row("refused", reason.as_str(), *records);
        }
    }
    let help = "Records by what became of them; those that wait are in forwarder_queue";
    family(encoder, "forwarder_records", help, ["exporter", "outcome", "reason"], &rows)?;
    let mut queues = encoder.encode_descriptor(
        "forwarder_queue",
        "Encoded records that wait",
        Some(&Unit::Bytes),
        MetricType::Gauge,
    )?;
    for exporter in &ledger.exporters {
        let labels = [("exporter", exporter.key.to_string())];
        let bytes = i64::try_from(exporter.queued_bytes).unwrap_or(i64::MAX);
        ConstGauge::new(bytes).encode(queues.encode_family(&labels)?)?;
    }
    let mut each = |name, help, count: fn(&ExporterSnapshot) -> u64| {
        let rows = ledger.exporters.iter();
        let rows: Vec<_> = rows.map(|one| ([one.key.to_string()], count(one))).collect();
        family(encoder, name, help, ["exporter"], &rows)
    };
    let help = "Records of an earlier run, found waiting on disk";
    each("forwarder_recovered_records", help, |one| one.counts.recovered)?;
    let help = "Bytes of the queue that were found damaged";
    each("forwarder_damaged_bytes", help, |one| one.damaged_bytes)?;
    let help = "Requests that failed and were sent again";
    each("forwarder_retries", help, |one| one.health.retries)?;
    let Some(volume) = ledger.volume else { return Ok(()) };
    let help = "Bytes that all queues on disk take";
    gauge(encoder, "forwarder_volume_used_bytes", help, volume.used_bytes)?;
    let help = "Bytes that they may take";
    gauge(encoder, "forwarder_volume_limit_bytes", help, volume.limit_bytes)
}

fn captures(ledger: &LedgerSnapshot, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
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
    family(encoder, "forwarder_pairs", help, ["capture", "outcome"], &rows)
}

/// What the kernel side gave up.
fn kernel(ledger: &LedgerSnapshot, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let rows = |count: fn(&KernelLoss) -> u64| -> Vec<_> {
        let losses = ledger.kernel.iter();
        losses.map(|(reason, loss)| ([(*reason).to_owned()], count(loss))).collect()
    };
    let label = ["reason"];
    let help = "Records that the kernel side gave up";
    family(encoder, "capture_lost_records", help, label, &rows(|loss| loss.records))?;
    let help = "Payload bytes that the kernel side gave up";
    family(encoder, "capture_lost_bytes", help, label, &rows(|loss| loss.bytes))
}

fn agent(agent: &AgentStatus, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let help = "1 while the capture agent's ring is at hand";
    gauge(encoder, "forwarder_agent_connected", help, agent.connected.into())?;
    let help = "1 while programs are attached to the kernel";
    gauge(encoder, "capture_hooks_attached", help, agent.hooks_attached.into())?;
    let help = "Ring bytes that nobody read, since a forwarder went away";
    counter(encoder, "capture_abandoned_bytes", help, agent.abandoned_bytes)
}

fn node(ledger: &LedgerSnapshot, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let decoded = &ledger.node.decoded;
    let by_reason = |counts: &std::collections::BTreeMap<&'static str, u64>| -> Vec<_> {
        counts.iter().map(|(reason, count)| ([(*reason).to_owned()], *count)).collect()
    };
    let halves: Vec<_> =
        decoded.half_pairs.iter().map(|(reason, count)| ([reason.clone()], *count)).collect();
    let label = ["reason"];
    family(encoder, "forwarder_half_pairs", "Pairs without one half", label, &halves)?;
    let help = "Exchanges of which too little was seen for a pair";
    family(encoder, "forwarder_lost_exchanges", help, label, &by_reason(&decoded.lost_exchanges))?;
    let help = "Connections that are not decoded any further";
    let opaque = by_reason(&decoded.opaque_connections);
    family(encoder, "forwarder_opaque_connections", help, label, &opaque)?;
    let help = "Bytes that belong to no pair";
    let bytes = by_reason(&decoded.undecodable_bytes);
    family(encoder, "forwarder_undecodable_bytes", help, label, &bytes)?;
    let help = "Encrypted connections that could not be read";
    let opaque = by_reason(&decoded.tls.opaque_connections);
    family(encoder, "forwarder_tls_opaque_connections", help, label, &opaque)?;
    let help = "Bytes of them on the wire";
    let bytes = by_reason(&decoded.tls.opaque_bytes);
    family(encoder, "forwarder_tls_opaque_bytes", help, label, &bytes)?;
    let redaction = &ledger.node.redaction;
    let values: Vec<_> =
        redaction.values.iter().map(|(name, count)| ([name.clone()], *count)).collect();
    let help = "Values redacted; own patterns are categories too";
    family(encoder, "forwarder_redacted_values", help, ["category"], &values)?;
    let (ring, connections) = (&ledger.node.ring, &ledger.node.connections);
    for (name, help, count) in [
        (
            "forwarder_tls_read_connections",
            "Encrypted connections read at a library",
            decoded.tls.read_connections,
        ),
        ("forwarder_ring_records", "Records read from the ring", ring.records),
        ("forwarder_ring_bytes", "Bytes read from the ring", ring.bytes),
        ("forwarder_ring_malformed", "Ring records that make no sense", ring.malformed),
        ("forwarder_ring_without_open", "Records of unknown connections", ring.without_open),
        ("forwarder_redacted_records", "Records with something redacted", redaction.modified),
        ("forwarder_redaction_failures", "Records redaction failed on", redaction.failed),
        ("forwarder_own_pairs", "Deliveries seen at the receiver's end", ledger.node.own_pairs),
        ("forwarder_connections_opened", "Connections seen", connections.opened),
        ("forwarder_connections_ignored", "Connections nobody wants", connections.ignored),
        ("forwarder_connections_over_memory", "Given up for memory", connections.over_memory),
        ("forwarder_connections_evicted", "Dropped from a full table", connections.evicted),
    ] {
        counter(encoder, name, help, count)?;
    }
    let help = "Captured bytes held for exchanges under way";
    gauge(encoder, "forwarder_held_bytes", help, connections.held_bytes)
}

fn gauge(e: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: u64) -> fmt::Result {
    let value = i64::try_from(value).unwrap_or(i64::MAX);
    ConstGauge::new(value).encode(e.encode_descriptor(name, help, None, MetricType::Gauge)?)
}

fn counter(e: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: u64) -> fmt::Result {
    ConstCounter::new(value).encode(e.encode_descriptor(name, help, None, MetricType::Counter)?)
}

/// A counter with one row for each set of label values.
fn family<const N: usize>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    labels: [&'static str; N],
    rows: &[([String; N], u64)],
) -> fmt::Result {
    let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
    for (values, count) in rows {
        let pairs: Vec<_> = labels.into_iter().zip(values.iter().cloned()).collect();
        ConstCounter::new(*count).encode(metric.encode_family(&pairs)?)?;
    }
    Ok(())
}
