//! The report, for people and for programs (contract §5.3).

use std::io::{self, Write};

use serde_json::{Map, Value, json};
use weir_replay::report::{ALL, Figures};

use super::{
    load::Traffic,
    outcome::{Outcome, Verdict},
};
use crate::{
    style::{Style, Tone},
    table::{Align, Cell, Table},
    visible::shortened,
};

/// Rows and mismatches that are shown.
const SHOWN: usize = 20;

pub(super) fn pretty(
    traffic: &Traffic,
    outcome: &Outcome,
    out: &mut impl Write,
    style: Style,
) -> io::Result<()> {
    writeln!(out, "LATENCY / THROUGHPUT (ms)")?;
    table(outcome).write(style, out)?;
    let hidden = outcome.report.endpoints().len().saturating_sub(SHOWN);
    if hidden > 0 {
        writeln!(out, "({hidden} more endpoints; see -o json)")?;
    }
    writeln!(out)?;
    let all = outcome.report.all();
    let rate = outcome.report.metric(all, "requests.result-match-pct").unwrap_or_default();
    let tone = if all.matched() == all.total() { Tone::Good } else { Tone::Bad };
    let rate = style.paint(tone, format!("{rate:.2} %"));
    writeln!(out, "result match: {rate} ({} of {})", all.matched(), all.total())?;
    mismatches(traffic, outcome, out, style)?;
    if outcome.volatile.iter().next().is_some() {
        writeln!(out, "values that were not compared:")?;
        for (endpoint, place, why) in outcome.volatile.iter().take(SHOWN) {
            writeln!(out, "  {} {}: {why}", shortened(endpoint, 80), shortened(place, 80))?;
        }
    }
    if outcome.carried > 0 {
        writeln!(out, "tokens and ids carried on: {}", outcome.carried)?;
    }
    if !traffic.left_out.0.is_empty() {
        writeln!(out, "not sent: {}", shortened(&traffic.left_out.to_string(), 400))?;
    }
    out.flush()
}

fn mismatches(
    traffic: &Traffic,
    outcome: &Outcome,
    out: &mut impl Write,
    style: Style,
) -> io::Result<()> {
    let wrong: Vec<_> = outcome.verdicts.iter().filter(|verdict| !verdict.matches).collect();
    for verdict in wrong.iter().take(SHOWN) {
        let Some(item) = traffic.items.get(verdict.item) else { continue };
        let uri = item.record.http.as_ref().map(|http| http.req.uri.as_str()).unwrap_or_default();
        let recorded = shown_status(&item.record.status);
        let observed = match (&verdict.error, verdict.status) {
            (Some(error), _) => shortened(error, 120),
            (None, Some(status)) => status.to_string(),
            (None, None) => String::new(),
        };
        let new = if verdict.is_new { "  new" } else { "" };
        let line = format!("{} {uri}", item.record.command);
        let change = style.paint(Tone::Bad, format!("{recorded} → {observed}"));
        writeln!(out, "  {}  {change}{new}", shortened(&line, 160))?;
        for change in verdict.changes.iter().take(5) {
            let value = |value: &Option<String>| {
                value.as_deref().map_or_else(|| "nothing".to_owned(), |text| shortened(text, 60))
            };
            let (a, b) = (value(&change.baseline), value(&change.candidate));
            writeln!(out, "    {}: {a} → {b}", shortened(&change.location, 80))?;
        }
    }
    if wrong.len() > SHOWN {
        writeln!(out, "  ({} more)", wrong.len() - SHOWN)?;
    }
    Ok(())
}

fn shown_status(status: &str) -> String {
    if status.is_empty() { "no answer".to_owned() } else { shortened(status, 20) }
}

fn table(outcome: &Outcome) -> Table<10> {
    let right = Align::Right;
    let mut table = Table::new([
        ("ENDPOINT", Align::Left),
        ("METHOD", Align::Left),
        ("AVG", right),
        ("P50", right),
        ("P90", right),
        ("P95", right),
        ("P99", right),
        ("COUNT", right),
        ("PCT", right),
        ("PER-SECOND", right),
    ]);
    let report = &outcome.report;
    let mut row = |endpoint: &str, method: &str, figures: &Figures| {
        let value = |name: &str| -> Cell {
            format!("{:.2}", report.metric(figures, name).unwrap_or_default()).into()
        };
        table.push([
            shortened(endpoint, 60).into(),
            shortened(method, 20).into(),
            value("latency.avg"),
            value("latency.p50"),
            value("latency.p90"),
            value("latency.p95"),
            value("latency.p99"),
            figures.total().to_string().into(),
            value("requests.result-match-pct"),
            value("requests.per-second"),
        ]);
    };
    for (method, path, figures) in report.endpoints().into_iter().take(SHOWN) {
        row(path, method, figures);
    }
    row(ALL, "", report.all());
    table
}

pub(super) fn document(traffic: &Traffic, outcome: &Outcome) -> Value {
    let mut document = outcome.report.to_json();
    let volatile = outcome.volatile.iter().map(|(endpoint, location, why)| {
        json!({ "endpoint": endpoint, "location": location, "why": why.to_string() })
    });
    if let Value::Object(map) = &mut document {
        map.insert("volatile".into(), volatile.collect());
        map.insert("tokensCarried".into(), outcome.carried.into());
        map.insert("notSent".into(), json!(traffic.left_out.0));
    }
    document
}

/// An entry of `replay-verdict.json`.
pub(super) fn verdict(traffic: &Traffic, verdict: &Verdict) -> Option<Value> {
    let item = traffic.items.get(verdict.item)?;
    let changes = verdict.changes.iter().map(|change| {
        json!({
            "severity": "mismatch", "kind": change.kind.as_str(), "location": change.location,
            "baseline": change.baseline, "candidate": change.candidate,
        })
    });
    let mut entry = Map::new();
    let mut put = |key: &str, value: Value| entry.insert(key.to_owned(), value);
    put("uuid", super::outcome::uuid_text(item.record.uuid).into());
    put("method", item.record.command.as_ref().into());
    put("url", item.record.location.as_str().into());
    put("match", verdict.matches.into());
    put("bodyMatch", verdict.body_matches.into());
    put("bodyChanges", changes.collect());
    put("recordedStatus", item.record.status.as_ref().into());
    let observed = verdict.status.map(|status| status.to_string()).unwrap_or_default();
    put("observedStatus", observed.into());
    if let Some(error) = &verdict.error {
        put("error", error.as_str().into());
    }
    put("newMismatch", verdict.is_new.into());
    Some(Value::Object(entry))
}
