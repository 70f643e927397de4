//! `weir doctor`: what this machine can and cannot do for a capture.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use clap::{Args, ValueEnum};
use weir_capture_agent::doctor::{Check, Status, can_capture, checks};

use crate::{
    style::{Style, Tone},
    table::{Align, Cell, Table},
};

/// Check what this kernel and these rights allow, by name.
///
/// Programs are loaded and unloaded again, nothing is attached. Run it as the user that will
/// capture.
///
/// Exit status: 0 a capture can work (perhaps with a cost or without a feature), 1 it cannot.
#[derive(Args, Debug)]
pub struct DoctorCommand {
    /// Form of the report.
    #[arg(long, short, value_enum, default_value_t)]
    output: Output,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
enum Output {
    #[default]
    Text,
    Json,
}

impl DoctorCommand {
    /// # Errors
    ///
    /// When `out` cannot be written.
    pub fn run(self, out: &mut impl Write, style: Style) -> anyhow::Result<ExitCode> {
        let report = checks();
        let works = can_capture(&report);
        match self.output {
            Output::Text => write_text(&report, works, out, style)?,
            Output::Json => {
                let document = serde_json::json!({ "canCapture": works, "checks": report });
                writeln!(out, "{document:#}")?;
            }
        }
        Ok(if works { ExitCode::SUCCESS } else { ExitCode::from(1) })
    }
}

fn write_text(report: &[Check], works: bool, out: &mut impl Write, style: Style) -> io::Result<()> {
    let mut table = Table::new([("", Align::Left), ("CHECK", Align::Left), ("FOUND", Align::Left)]);
    for check in report {
        table.push([mark(check.status), check.name.into(), check.detail.as_str().into()]);
    }
    table.write(style, out)?;
    let remedies = report.iter().filter(|check| !check.remedy.is_empty());
    for (place, check) in remedies.enumerate() {
        if place == 0 {
            writeln!(out, "\nwhat to do:")?;
        }
        writeln!(out, "  {}: {}", check.name, check.remedy)?;
    }
    let verdict = if works { "a capture can work here" } else { "a capture cannot work here" };
    writeln!(out, "\n{verdict}")
}

fn mark(status: Status) -> Cell {
    match status {
        Status::Ok => Cell::toned("✓", Tone::Good),
        Status::Degraded => Cell::toned("!", Tone::Warning),
        Status::Missing => Cell::toned("✗", Tone::Bad),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &'static str, status: Status, remedy: &str) -> Check {
        Check { name, status, detail: "detail".to_owned(), remedy: remedy.to_owned() }
    }

    #[test]
    fn checks_stand_in_columns_and_remedies_below() {
        let report = [
            check("kernel", Status::Ok, ""),
            check("type information", Status::Missing, "use another kernel"),
            check("hooks", Status::Degraded, "update"),
        ];
        let mut out = Vec::new();
        write_text(&report, false, &mut out, Style::PLAIN).unwrap();
        let expected = "   CHECK             FOUND
✓  kernel            detail
✗  type information  detail
!  hooks             detail

what to do:
  type information: use another kernel
  hooks: update

a capture cannot work here
";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn json_says_what_the_exit_status_says() {
        let mut out = Vec::new();
        let command = DoctorCommand { output: Output::Json };
        let code = command.run(&mut out, Style::PLAIN).unwrap();
        let report: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(report["canCapture"] == true, code == ExitCode::SUCCESS);
        assert!(!report["checks"].as_array().unwrap().is_empty());
    }
}
