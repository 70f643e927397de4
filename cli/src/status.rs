//! `weir status`: what became of every record, by capture and exporter.

mod node;
mod objects;

use std::{io::Write, process::ExitCode};

use clap::Args;

use crate::{
    style::{Style, Tone},
    table::{Align, Cell, Table},
    visible::Visible,
};

/// Say what became of every record, by capture and exporter.
///
/// With an address, from the forwarder that serves it: `weir run --metrics-addr`, or a node's
/// forwarder (port 9464; `kubectl port-forward` reaches it). Its counts are of one moment.
/// Without one, from the status of the objects in the cluster, which covers all nodes and every
/// run before; it is read through `kubectl`, and as old as the operator's last look.
///
/// Always: SEEN + RECOVERED = EXPORTED + FILTERED + SAMPLED + SHED + UNDECODABLE + QUEUED.
/// RECOVERED were seen by an earlier run and found waiting on disk. SHED are those that the queue
/// gave up, that were over the budget, that may not leave, and that the receiver refused.
///
/// Exit status: 0 done, 1 counts do not add up, 2 nobody could be asked.
#[derive(Args, Debug)]
pub struct StatusCommand {
    /// Where a forwarder serves /ledger; may be repeated.
    #[arg(value_name = "HOST:PORT")]
    addresses: Vec<String>,
    /// Objects of this namespace only.
    #[arg(short, long, value_name = "NAME", conflicts_with = "addresses")]
    namespace: Option<String>,
    /// Context of kubectl.
    #[arg(long, value_name = "NAME", conflicts_with = "addresses")]
    context: Option<String>,
}

/// One capture at one exporter, or everywhere.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
struct Line {
    capture: String,
    /// Empty for all of them together.
    exporter: String,
    seen: u64,
    recovered: u64,
    exported: u64,
    filtered: u64,
    sampled: u64,
    shed: u64,
    undecodable: u64,
    queued: u64,
}

/// One exporter's queue and delivery.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
struct Delivery {
    exporter: String,
    queued: u64,
    bytes: u64,
    /// By reason, where that is known.
    given_up: Vec<(String, u64)>,
    error: Option<String>,
}

/// What one source says.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
struct Status {
    lines: Vec<Line>,
    deliveries: Vec<Delivery>,
}

impl Line {
    const fn adds_up(&self) -> bool {
        let known = self.exported + self.filtered + self.sampled + self.shed;
        self.seen + self.recovered == known + self.undecodable + self.queued
    }

    fn cells(&self) -> [Cell; 10] {
        let exporter = if self.exporter.is_empty() { "*" } else { &self.exporter };
        let shed = self.shed.to_string();
        [
            visible(&self.capture).into(),
            visible(exporter).into(),
            self.seen.to_string().into(),
            self.recovered.to_string().into(),
            self.exported.to_string().into(),
            self.filtered.to_string().into(),
            self.sampled.to_string().into(),
            if self.shed > 0 { Cell::toned(shed, Tone::Bad) } else { shed.into() },
            self.undecodable.to_string().into(),
            self.queued.to_string().into(),
        ]
    }
}

impl StatusCommand {
    /// Asks and prints.
    ///
    /// # Errors
    ///
    /// When somebody could not be asked, or answers something else.
    pub fn run(&self, out: &mut impl Write, style: Style) -> anyhow::Result<ExitCode> {
        let mut good = true;
        if self.addresses.is_empty() {
            let status = objects::ask(self.namespace.as_deref(), self.context.as_deref())?;
            good &= write(&status, out, style)?;
        }
        for (place, address) in self.addresses.iter().enumerate() {
            let status = node::ask(address)?;
            if self.addresses.len() > 1 {
                let gap = if place > 0 { "\n" } else { "" };
                writeln!(out, "{gap}{}", visible(address))?;
            }
            good &= write(&status, out, style)?;
        }
        Ok(if good { ExitCode::SUCCESS } else { ExitCode::from(1) })
    }
}

fn visible(text: &str) -> String {
    Visible(text).to_string()
}

/// True when everything adds up.
fn write(status: &Status, out: &mut impl Write, style: Style) -> anyhow::Result<bool> {
    let right = |name| (name, Align::Right);
    let mut table = Table::new([
        ("CAPTURE", Align::Left),
        ("EXPORTER", Align::Left),
        right("SEEN"),
        right("RECOVERED"),
        right("EXPORTED"),
        right("FILTERED"),
        right("SAMPLED"),
        right("SHED"),
        right("UNDECODABLE"),
        right("QUEUED"),
    ]);
    status.lines.iter().for_each(|line| table.push(line.cells()));
    table.write(style, out)?;
    for delivery in &status.deliveries {
        let Delivery { exporter, queued, bytes, given_up, error } = delivery;
        write!(out, "\n{}: {queued} queued, {bytes} bytes", visible(exporter))?;
        for (reason, records) in given_up {
            write!(out, ", {records} {}", visible(reason))?;
        }
        if let Some(error) = error {
            write!(out, "\n  {}", style.paint(Tone::Bad, visible(error)))?;
        }
    }
    if !status.deliveries.is_empty() {
        writeln!(out)?;
    }
    let mut good = true;
    for line in status.lines.iter().filter(|line| !line.adds_up()) {
        good = false;
        let text = format!("the counts of {} do not add up", visible(&line.capture));
        writeln!(out, "{}", style.paint(Tone::Bad, text))?;
    }
    Ok(good)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(queued: u64) -> Line {
        Line {
            capture: "shop/all".to_owned(),
            exporter: "shop/a\u{1b}[2J".to_owned(),
            seen: 9,
            recovered: 1,
            exported: 4,
            filtered: 1,
            sampled: 1,
            shed: 1,
            undecodable: 1,
            queued,
        }
    }

    fn written(status: &Status) -> (bool, String) {
        let mut out = Vec::new();
        let good = write(status, &mut out, Style::PLAIN).unwrap();
        (good, String::from_utf8(out).unwrap())
    }

    #[test]
    fn every_count_has_its_column_and_what_does_not_add_up_is_said() {
        let delivery = Delivery {
            exporter: "shop/a".to_owned(),
            queued: 2,
            bytes: 900,
            given_up: vec![("shed (disk_full)".to_owned(), 1)],
            error: Some("HTTP 503".to_owned()),
        };
        let status = Status { lines: vec![line(2)], deliveries: vec![delivery] };
        let (good, text) = written(&status);
        assert!(good, "{text}");
        let row: Vec<_> = text.lines().nth(1).unwrap().split_whitespace().collect();
        assert_eq!(row[2..], ["9", "1", "4", "1", "1", "1", "1", "2"]);
        assert!(!text.contains('\u{1b}'), "a name is no command of the terminal");
        assert!(text.contains("shop/a: 2 queued, 900 bytes, 1 shed (disk_full)\n  HTTP 503"));
        let (good, text) = written(&Status { lines: vec![line(3)], deliveries: Vec::new() });
        assert!(!good && text.contains("the counts of shop/all do not add up"), "{text}");
    }
}
