//! `weir gather otlp-file`: from the files that a collector wrote.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, bail};
use clap::Args;
use serde_json::{Map, json};
use weir_rrpair::Timestamp;

use super::{
    CommonOptions,
    filter::FilterOptions,
    object,
    run::{About, Given},
    window::{Moment, Window},
    writer::{Feed, Page},
};

/// Gather from files of OTLP/JSON, as the Collector's file exporter writes them.
///
/// One request a line, plain or gzip. Lines of bare RRPairs are taken too.
#[derive(Args, Debug)]
pub(crate) struct OtlpFileCommand {
    /// A file, or a directory with all files below it.
    #[arg(long = "in", value_name = "PATH", required = true)]
    inputs: Vec<PathBuf>,
    #[command(flatten)]
    common: CommonOptions,
    #[command(flatten)]
    filters: FilterOptions,
}

impl OtlpFileCommand {
    pub(super) async fn run(self, messages: &mut impl Write) -> anyhow::Result<ExitCode> {
        let files = files(&self.inputs)?;
        if files.is_empty() {
            bail!("no file below {}", shown(&self.inputs));
        }
        if self.common.resume {
            bail!("--resume is for stores; gather the files again");
        }
        // Files are chosen by name, so there is no window unless one is asked for.
        let plan = self.common.plan(json!({}), Moment::At(Timestamp(0)))?;
        let window = plan.window;
        if self.common.dry_run {
            for file in &files {
                writeln!(messages, "would read {}", file.display())?;
            }
            return Ok(ExitCode::SUCCESS);
        }
        let mut keys = Map::new();
        keys.insert("objectCount".into(), files.len().into());
        let about =
            About { tool: "otlp-file-gather", source: "otlp-file", keys, given: Given::Listed };
        let filters = self.filters.clone();
        let fetch = |feed: Feed| async move {
            let reading = tokio::task::spawn_blocking(move || {
                files.iter().try_for_each(|file| read(file, &window, &filters, &feed))
            });
            reading.await.context("read the files")?
        };
        Box::pin(self.common.gather(plan, about, messages, fetch)).await
    }
}

fn shown(paths: &[PathBuf]) -> String {
    let paths: Vec<_> = paths.iter().map(|path| path.to_string_lossy()).collect();
    paths.join(", ")
}

/// Every file, those of directories in the order of names.
fn files(inputs: &[PathBuf]) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for input in inputs {
        let read = || format!("read {}", input.display());
        if !fs::metadata(input).with_context(read)?.is_dir() {
            files.push(input.clone());
            continue;
        }
        let mut found = BTreeSet::new();
        let mut open = vec![input.clone()];
        while let Some(directory) = open.pop() {
            for entry in fs::read_dir(&directory).with_context(read)? {
                let entry = entry.with_context(read)?;
                // Links are not followed: no loop, no way out.
                let kind = entry.file_type().with_context(read)?;
                if kind.is_dir() {
                    open.push(entry.path());
                } else if kind.is_file() {
                    found.insert(entry.path());
                }
            }
        }
        files.extend(found);
    }
    Ok(files)
}

fn read(path: &Path, window: &Window, filters: &FilterOptions, feed: &Feed) -> anyhow::Result<()> {
    let file = File::open(path).with_context(|| format!("open {}", path.display()))?;
    let leftover = object::read(file, |mut pairs| {
        feed.progress.add_received(pairs.len() as u64);
        pairs.retain(|pair| window.contains(Timestamp(pair.time_ns)) && filters.keeps(&pair.body));
        feed.pages.blocking_send(Page { pairs, cursor: None }).is_ok()
    });
    let leftover = leftover.with_context(|| path.display().to_string())?;
    feed.progress.add_foreign(leftover.foreign);
    if leftover.cut {
        tracing::warn!("{}: the last line is cut off; it is left out", path.display());
    }
    Ok(())
}
