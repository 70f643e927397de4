//! What is captured and where it goes, for a person.

use std::io::{self, Write};

use weir_plan::{CaptureDirection, CapturePlan, ExporterPlan, ObjectKey, Plan, Transport};

use super::machine::Machine;
use crate::{
    style::{Style, Tone},
    view::Size,
    visible::{Visible, shortened},
};

/// Processes that are named one by one.
const NAMED: usize = 20;

/// The plan, a line per object. Never shows a header's value or a key.
pub(super) fn write(plan: &Plan, out: &mut impl Write, style: Style) -> io::Result<()> {
    for capture in &plan.captures {
        write!(out, "{} {}: ", style.paint(Tone::Faint, "TrafficCapture"), capture.key)?;
        write_capture(capture, out)?;
    }
    for exporter in &plan.exporters {
        write!(out, "{} {}: ", style.paint(Tone::Faint, "Exporter"), exporter.key)?;
        write_exporter(exporter, out)?;
    }
    for policy in &plan.policies {
        let captures = plan.bound_captures(&policy.key);
        write!(out, "{} {}: ", style.paint(Tone::Faint, "DlpPolicy"), policy.key)?;
        writeln!(out, "hash {}, holds for {captures} captures", policy.source.hash())?;
    }
    out.flush()
}

fn write_capture(capture: &CapturePlan, out: &mut impl Write) -> io::Result<()> {
    let direction = match capture.direction {
        CaptureDirection::Inbound => "inbound",
        CaptureDirection::Outbound => "outbound",
        CaptureDirection::Both => "inbound and outbound",
    };
    write!(out, "{direction} traffic of processes with {}", capture.selector)?;
    if !capture.ports.is_empty() {
        let ports: Vec<_> = capture.ports.iter().map(ToString::to_string).collect();
        write!(out, ", ports {}", ports.join(" "))?;
    }
    if let Some(sampling) = capture.sampling {
        write!(out, ", {} of {} sessions", sampling.keep, sampling.out_of)?;
    }
    if let Some(duration) = capture.duration {
        write!(out, ", for {duration:?}")?;
    }
    write_policies(&capture.policies, out)?;
    let exporters: Vec<_> = capture.exporters.iter().map(ToString::to_string).collect();
    write!(out, " → {}", exporters.join(", "))?;
    writeln!(out, "{}", if capture.suspended { " (suspended)" } else { "" })
}

fn write_exporter(exporter: &ExporterPlan, out: &mut impl Write) -> io::Result<()> {
    let transport = match exporter.transport {
        Transport::Http => "OTLP/HTTP",
        Transport::Grpc => "OTLP/gRPC",
    };
    write!(out, "{transport} to {}", Visible(&exporter.endpoint.text))?;
    write!(out, " ({})", Visible(&exporter.transport_reason))?;
    if let Some(rule) = &exporter.filter {
        write!(out, ", filter {}", shortened(rule.name(), 80))?;
    }
    write_policies(&exporter.policies, out)?;
    let queue = usize::try_from(exporter.queue_bytes).unwrap_or(usize::MAX);
    writeln!(out, ", queue {}", Size(queue))
}

fn write_policies(policies: &[ObjectKey], out: &mut impl Write) -> io::Result<()> {
    if policies.is_empty() {
        return Ok(());
    }
    let names: Vec<_> = policies.iter().map(ToString::to_string).collect();
    write!(out, ", redacted by {}", names.join(", "))
}

/// Says that the capture has begun, and of which processes. Scripts wait for `capturing`.
pub(super) fn write_ready(machine: &Machine, out: &mut impl Write) -> io::Result<()> {
    let targets = machine.targets();
    if !machine.is_active() {
        writeln!(out, "capturing nothing: no TrafficCapture is active")?;
    } else if targets.is_empty() {
        writeln!(out, "capturing 0 processes: waiting for one that a TrafficCapture selects")?;
    } else {
        let names: Vec<_> = targets
            .iter()
            .take(NAMED)
            .map(|process| format!("{} ({})", shortened(&process.service, 40), process.pid))
            .collect();
        let more = if targets.len() > NAMED { ", …" } else { "" };
        let count = targets.len();
        let processes = if count == 1 { "process" } else { "processes" };
        writeln!(out, "capturing {count} {processes}: {}{more}", names.join(", "))?;
    }
    out.flush()
}
