//! `weir gather`: from a store to a snapshot directory (contract §4).

mod bucket;
mod client;
mod datadog;
mod es;
mod filter;
mod loki;
mod object;
mod otlp_file;
mod progress;
mod resume;
mod run;
mod window;
mod writer;

use std::{io::Write, path::PathBuf, process::ExitCode};

use clap::{Args, Subcommand};

use self::{
    bucket::{AzureCommand, GcsCommand, S3Command},
    datadog::DatadogCommand,
    es::EsCommand,
    loki::LokiCommand,
    otlp_file::OtlpFileCommand,
    run::Failed,
    window::Moment,
};
pub(crate) use self::{filter::Pattern, run::report_written};
use crate::{snapshot::Order, visible::Visible};

/// Gather RRPairs from your store into a snapshot directory.
///
/// The directory is what `weir show`, `weir replay` and `proxymock mock --in` read. Everything
/// in the window is gathered, however much it is, and the number is checked. All messages go to
/// stderr.
///
/// Exit status: 0 records were written (or --dry-run), 1 nothing matched or the store failed,
/// 2 bad arguments, missing credentials, or the directory cannot be written.
#[derive(Args, Debug)]
pub struct GatherCommand {
    #[command(subcommand)]
    source: Source,
}

#[derive(Debug, Subcommand)]
enum Source {
    Es(Box<EsCommand>),
    Loki(Box<LokiCommand>),
    S3(Box<S3Command>),
    Gcs(Box<GcsCommand>),
    Azure(Box<AzureCommand>),
    Datadog(Box<DatadogCommand>),
    OtlpFile(Box<OtlpFileCommand>),
}

/// What every store is asked.
#[derive(Args, Clone, Debug)]
pub(crate) struct CommonOptions {
    /// Directory for `.metadata/` and `snapshot-<uuid>/`; made when it is missing.
    #[arg(long, value_name = "DIR")]
    out_dir: PathBuf,
    /// Start of the window: a time ago such as -15m (s, m, h, d), `now`, or a time such as
    /// 2026-09-01T10:15:30Z; without a zone it is UTC. Unless told, -15m; of S3 -1h, of files
    /// everything.
    #[arg(long, value_name = "WHEN", allow_hyphen_values = true)]
    start: Option<Moment>,
    /// End of the window, in the same forms.
    #[arg(long, value_name = "WHEN", default_value = "now", allow_hyphen_values = true)]
    end: Moment,
    /// Write at most this many records, the first ones in the store's order (Elasticsearch, Loki
    /// and Datadog give the newest first); 0 is all.
    #[arg(long, value_name = "N", default_value_t = 0)]
    limit: u64,
    /// Say what would be asked and how much matches, and write nothing.
    #[arg(long)]
    dry_run: bool,
    /// Which of several records with the same signature is instance 0, the one that a mock
    /// answers with first. Unless told, the order in which the store gives them.
    #[arg(long, value_enum)]
    order: Option<Order>,
    /// Go on with a gather into this directory that did not end: the same window and snapshot.
    #[arg(long)]
    resume: bool,
    /// No progress.
    #[arg(long, short)]
    quiet: bool,
}

impl GatherCommand {
    /// `messages` gets everything that is said.
    ///
    /// # Errors
    ///
    /// Bad arguments, missing credentials, a directory that cannot be written.
    pub fn run(self, messages: &mut impl Write) -> anyhow::Result<ExitCode> {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let ended = match self.source {
            Source::Es(command) => runtime.block_on(command.run(messages)),
            Source::Loki(command) => runtime.block_on(command.run(messages)),
            Source::S3(command) => runtime.block_on(command.run(messages)),
            Source::Gcs(command) => runtime.block_on(command.run(messages)),
            Source::Azure(command) => runtime.block_on(command.run(messages)),
            Source::Datadog(command) => runtime.block_on(command.run(messages)),
            Source::OtlpFile(command) => runtime.block_on(command.run(messages)),
        };
        match ended {
            // A store that fails is exit 1, as in the gather scripts (contract §4).
            Err(error) if error.is::<Failed>() => {
                writeln!(messages, "weir: {}", Visible(&format!("{error:#}")))?;
                Ok(ExitCode::from(1))
            }
            ended => ended,
        }
    }
}
