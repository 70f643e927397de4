//! `weir filter test` and `weir filter apply`.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use weir_filter::{Filter, RuleDocument};

use super::recordings::{self, Recording};
use crate::{run::Manifests, style::Style, view::View, visible::shortened};

/// Filter the recordings of a snapshot directory as an exporter would.
#[derive(Args, Debug)]
pub struct FilterCommand {
    #[command(subcommand)]
    action: FilterAction,
}

#[derive(Debug, Subcommand)]
enum FilterAction {
    /// Say what would be dropped.
    ///
    /// Exit status: 0 done, 1 no RRPair is kept, 2 it could not be done.
    Test {
        #[command(flatten)]
        input: FilterInput,
    },
    /// Write what is kept to a new directory.
    ///
    /// Exit status: 0 done, 1 no RRPair is kept, 2 it could not be done.
    Apply {
        #[command(flatten)]
        input: FilterInput,
        /// Where to write; must be empty or not there.
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
    },
}

#[derive(Args, Debug)]
struct FilterInput {
    /// The snapshot directory to read.
    #[arg(long = "in", value_name = "DIR")]
    input: PathBuf,
    #[command(flatten)]
    source: FilterChoice,
    /// Namespace of manifests that name none.
    #[arg(long, default_value = "default")]
    namespace: String,
    /// The Exporter of the manifests whose filter is meant; needed when several have one.
    #[arg(long, value_name = "NAME", requires = "files")]
    exporter: Option<String>,
    /// List every RRPair that is dropped.
    #[arg(long)]
    show_dropped: bool,
}

#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
struct FilterChoice {
    /// Manifests with Exporter objects: files or directories.
    #[arg(short, long = "file", value_name = "FILE")]
    files: Vec<PathBuf>,
    /// A filter rule of the reference format (JSON).
    #[arg(long, value_name = "FILE")]
    filter_config: Option<PathBuf>,
    /// A filter rule that ships with Weir, e.g. standard.
    #[arg(long, value_name = "NAME")]
    rule: Option<String>,
    /// A query of the reference's language: what it matches is dropped.
    #[arg(long, value_name = "QUERY")]
    query: Option<String>,
}

impl FilterCommand {
    /// # Errors
    ///
    /// When the filter or the recordings cannot be read.
    pub fn run(self, out: &mut impl Write, style: Style) -> anyhow::Result<ExitCode> {
        match self.action {
            FilterAction::Test { input } => input.run(None, out, style),
            FilterAction::Apply { input, out: directory } => {
                input.run(Some(&directory), out, style)
            }
        }
    }
}

impl FilterInput {
    fn run(
        &self,
        directory: Option<&Path>,
        out: &mut impl Write,
        style: Style,
    ) -> anyhow::Result<ExitCode> {
        let filter = self.filter()?;
        let (recordings, others) = recordings::read(&self.input)?;
        if let Some(directory) = directory {
            recordings::create(directory)?;
        }
        let mut kept = 0;
        for Recording { path, document, record } in &recordings {
            if filter.drops(record) {
                if self.show_dropped {
                    writeln!(out, "dropped {}", View::new(document).line(style))?;
                }
                continue;
            }
            kept += 1;
            if let Some(directory) = directory {
                recordings::write(directory, path, document)?;
            }
        }
        let dropped = recordings.len() - kept;
        writeln!(out, "{} RRPairs, {kept} kept, {dropped} dropped", recordings.len())?;
        if others > 0 {
            writeln!(out, "({others} files are no RRPairs; they are not written)")?;
        }
        out.flush()?;
        Ok(if kept == 0 { ExitCode::from(1) } else { ExitCode::SUCCESS })
    }

    fn filter(&self) -> anyhow::Result<Filter> {
        let FilterChoice { files: _, filter_config, rule, query } = &self.source;
        if let Some(name) = rule {
            return Filter::named(name).context("use the filter rule");
        }
        if let Some(query) = query {
            let document = RuleDocument::from_query("query", query).context("read the query")?;
            return Filter::compile(&document).context("compile the query");
        }
        if let Some(path) = filter_config {
            let text = fs::read(path).with_context(|| format!("read {}", path.display()))?;
            let document: RuleDocument = serde_json::from_slice(&text)
                .with_context(|| format!("read the filter rule {}", path.display()))?;
            return Filter::compile(&document)
                .with_context(|| format!("compile {}", path.display()));
        }
        self.of_exporter()
    }

    fn of_exporter(&self) -> anyhow::Result<Filter> {
        let plan = Manifests::read(&self.source.files, &self.namespace)?.plan;
        let meant = |key: &weir_plan::ObjectKey| {
            self.exporter.as_ref().is_none_or(|name| *name == key.name || *name == key.to_string())
        };
        let mut filters = plan
            .exporters
            .iter()
            .filter(|exporter| meant(&exporter.key))
            .filter_map(|exporter| exporter.filter.as_ref());
        match (filters.next(), filters.next()) {
            (Some(one), None) => Filter::new(one).context("compile the filter"),
            (Some(_), Some(_)) => {
                bail!("several Exporters of the manifests have a filter; name one with --exporter")
            }
            (None, _) => match &self.exporter {
                Some(name) => {
                    bail!("no Exporter {} with a filter in the manifests", shortened(name, 253))
                }
                None => bail!("no Exporter of the manifests has a filter"),
            },
        }
    }
}
