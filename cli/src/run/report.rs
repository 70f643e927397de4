//! The ledger as users read it.

use std::io::{self, Write};

use weir_forwarder::LedgerSnapshot;

/// Form of a ledger.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, clap::ValueEnum)]
pub(super) enum ReportFormat {
    /// One line, zeros left out.
    #[default]
    Text,
    /// Every count, one JSON object on a line.
    Json,
}

pub(super) fn write(
    ledger: &LedgerSnapshot,
    format: ReportFormat,
    out: &mut impl Write,
) -> io::Result<()> {
    match format {
        ReportFormat::Text => writeln!(out, "ledger: {ledger}")?,
        ReportFormat::Json => writeln!(out, "{}", serde_json::to_string(ledger)?)?,
    }
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(format: ReportFormat) -> String {
        let mut out = Vec::new();
        write(&LedgerSnapshot::default(), format, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn each_form_is_one_line() {
        assert!(written(ReportFormat::Text).starts_with("ledger: 0 pairs"));
        assert_eq!(written(ReportFormat::Text).lines().count(), 1);
        assert_eq!(written(ReportFormat::Json).lines().count(), 1);
    }

    #[test]
    fn json_names_every_part() {
        let document: serde_json::Value =
            serde_json::from_str(&written(ReportFormat::Json)).unwrap();
        for part in ["node", "kernel", "captures", "exporters"] {
            assert!(document.get(part).is_some(), "{part}");
        }
    }
}
