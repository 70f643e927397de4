//! `weir import`: recordings of other tools as snapshot directories.

mod har;

use std::{fs, io::Write, path::PathBuf, process::ExitCode};

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use serde_json::{Map, Value};
use weir_rrpair::{Direction, json::to_map};

use crate::{
    clock,
    gather::report_written,
    receiver::Pair,
    snapshot::{Numbers, Order, Snapshot, SnapshotConfig, random_uuid},
};

/// Make a snapshot directory of another tool's recording.
///
/// Exit status: 0 records were written, 1 there is no request in it, 2 it cannot be read.
#[derive(Args, Debug)]
pub struct ImportCommand {
    #[command(subcommand)]
    format: Format,
}

#[derive(Debug, Subcommand)]
enum Format {
    /// An HTTP archive, as browsers and proxies save it.
    Har(HarCommand),
    /// Not there yet.
    #[command(hide = true, disable_help_flag = true)]
    Pcap {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        _arguments: Vec<String>,
    },
}

#[derive(Args, Debug)]
struct HarCommand {
    /// The archive.
    #[arg(long, value_name = "FILE")]
    file: PathBuf,
    /// Directory for `.metadata/` and `snapshot-<uuid>/`; made when it is missing.
    #[arg(long, value_name = "DIR")]
    out_dir: PathBuf,
    /// Name of the service; unless told, the host of each request.
    #[arg(long, value_name = "NAME")]
    service: Option<String>,
    /// The requests are calls that the service makes (OUT), to be mocked; unless told they are
    /// what it answers (IN), to be replayed.
    #[arg(long)]
    outbound: bool,
}

impl ImportCommand {
    /// # Errors
    ///
    /// When the recording cannot be read or the directory not be written.
    pub fn run(self, out: &mut impl Write) -> anyhow::Result<ExitCode> {
        let Format::Har(command) = self.format else {
            bail!(
                "packet captures cannot be imported yet: capture with weir run, or export an \
                 HTTP archive and use weir import har"
            );
        };
        let file = &command.file;
        let text = fs::read(file).with_context(|| format!("read {}", file.display()))?;
        let direction = if command.outbound { Direction::Out } else { Direction::In };
        let records = har::records(&text, direction, command.service.as_deref(), random_uuid)
            .with_context(|| file.display().to_string())?;
        let mut source_keys = Map::new();
        source_keys.insert("file".into(), Value::String(file.to_string_lossy().into_owned()));
        let mut snapshot = Snapshot::new(SnapshotConfig {
            out_dir: command.out_dir.clone(),
            numbers: Numbers::Time(Order::Newest),
            time_range: None,
            tool: "weir-import",
            source: "har",
            source_keys,
            created_at: clock::now(),
        });
        for record in &records {
            let pair = Pair { body: to_map(record), time_ns: record.ts.0 };
            snapshot.write(&pair).context("write a record")?;
        }
        let Some(summary) = snapshot.finish().context("finish the snapshot")? else {
            writeln!(out, "no request in {}; nothing written.", file.display())?;
            return Ok(ExitCode::from(1));
        };
        report_written(&summary, &command.out_dir, out)?;
        Ok(ExitCode::SUCCESS)
    }
}
