//! Logs to stderr. They never hold a captured byte.

use std::io;

use tracing_subscriber::{EnvFilter, fmt::format::FmtSpan};

use crate::style::Style;

/// Form of the log lines.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, clap::ValueEnum)]
pub enum LogFormat {
    #[default]
    Text,
    Json,
}

/// Starts logging at the level of `WEIR_LOG`, else `info`. Later calls change nothing.
pub fn start(format: LogFormat) {
    let filter = EnvFilter::try_from_env("WEIR_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_span_events(FmtSpan::NONE)
        .with_writer(io::stderr)
        .with_ansi(Style::of(&io::stderr()) == Style::COLOURED);
    let started = match format {
        LogFormat::Text => lines.with_target(false).try_init(),
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    };
    started.ok(); // the first one stays
}
