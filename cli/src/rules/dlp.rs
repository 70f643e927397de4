//! `weir dlp test` and `weir dlp apply`.

mod show;

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use serde_json::Value;
use weir_dlp::{DlpDocument, PolicySource, Redactor};
use weir_rrpair::Raw;

use super::recordings::{self, Recording};
use crate::{
    run::Manifests,
    style::Style,
    table::{Align, Table},
    visible::shortened,
};

/// Redact the recordings of a snapshot directory as the forwarder would.
#[derive(Args, Debug)]
pub struct DlpCommand {
    #[command(subcommand)]
    action: DlpAction,
}

#[derive(Debug, Subcommand)]
enum DlpAction {
    /// Run the policies' own tests and say what they would redact.
    ///
    /// Exit status: 0 done, 1 there is no RRPair, or with --expect-clean something to redact,
    /// 2 it could not be done, which includes a policy whose tests fail.
    Test {
        #[command(flatten)]
        input: DlpInput,
        /// Exit with 1 when something would be redacted: for recordings that are kept in a
        /// repository.
        #[arg(long)]
        expect_clean: bool,
    },
    /// Write the redacted recordings to a new directory.
    ///
    /// Exit status: 0 done, 1 there is no RRPair, 2 it could not be done.
    Apply {
        #[command(flatten)]
        input: DlpInput,
        /// Where to write; must be empty or not there.
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
    },
}

#[derive(Args, Debug)]
struct DlpInput {
    /// The snapshot directory to read.
    #[arg(long = "in", value_name = "DIR")]
    input: PathBuf,
    /// Manifests with DlpPolicy objects: files or directories.
    #[arg(short, long = "file", value_name = "FILE", required_unless_present = "dlp_config")]
    files: Vec<PathBuf>,
    /// Namespace of manifests that name none.
    #[arg(long, default_value = "default")]
    namespace: String,
    /// Only this policy, as NAME or NAMESPACE/NAME; all of the manifests without it. Several
    /// policies are merged, as for an exporter that names them all.
    #[arg(long, value_name = "NAME")]
    policy: Vec<String>,
    /// A DLP configuration of the reference format (JSON) instead of manifests.
    #[arg(long, value_name = "FILE", conflicts_with = "files")]
    dlp_config: Option<PathBuf>,
    /// List every place that changes, with what stands there afterwards.
    #[arg(long)]
    show_redacted: bool,
}

/// Categories with how many values and how many records.
type Counts = BTreeMap<String, (u64, u64)>;

impl DlpCommand {
    /// # Errors
    ///
    /// When the policies or the recordings cannot be read, or a policy's tests fail.
    pub fn run(self, out: &mut impl Write, style: Style) -> anyhow::Result<ExitCode> {
        match self.action {
            DlpAction::Test { input, expect_clean } => input.run(None, expect_clean, out, style),
            DlpAction::Apply { input, out: directory } => {
                input.run(Some(&directory), false, out, style)
            }
        }
    }
}

impl DlpInput {
    fn run(
        &self,
        directory: Option<&Path>,
        expect_clean: bool,
        out: &mut impl Write,
        style: Style,
    ) -> anyhow::Result<ExitCode> {
        let policies = self.policies()?;
        let redactor = Redactor::compile(&policies).context("merge the policies")?;
        let (recordings, others) = recordings::read(&self.input)?;
        if let Some(directory) = directory {
            recordings::create(directory)?;
        }
        let (mut counts, mut modified) = (Counts::new(), 0);
        for Recording { path, document, record } in &recordings {
            let outcome = redactor
                .redact(Raw(record.clone()))
                .with_context(|| format!("redact {}", path.display()))?;
            let after = weir_rrpair::json::to_map(outcome.record.record());
            modified += u64::from(outcome.modified);
            for (category, hits) in outcome.hits {
                let (values, records) = counts.entry(category).or_default();
                (*values, *records) = (*values + hits, *records + 1);
            }
            if let Some(directory) = directory {
                recordings::write(directory, path, &after)?;
            }
            if self.show_redacted && outcome.modified {
                writeln!(out, "{}", shortened(&path.to_string_lossy(), 4096))?;
                let before = Value::Object(document.clone());
                show::changes(&before, &Value::Object(after), "", out)?;
            }
        }
        report(&redactor, &counts, (recordings.len(), modified, others), out, style)?;
        let negative = recordings.is_empty() || (expect_clean && modified > 0);
        Ok(if negative { ExitCode::from(1) } else { ExitCode::SUCCESS })
    }

    /// The policies that were asked for; each compiles, and its tests pass.
    fn policies(&self) -> anyhow::Result<Vec<PolicySource>> {
        if let Some(path) = &self.dlp_config {
            let text = fs::read(path).with_context(|| format!("read {}", path.display()))?;
            let document: DlpDocument = serde_json::from_slice(&text)
                .with_context(|| format!("read the DLP configuration {}", path.display()))?;
            let policy = document.policy().with_context(|| format!("use {}", path.display()))?;
            policy.check().with_context(|| format!("compile {}", path.display()))?;
            return Ok(vec![policy]);
        }
        let plan = Manifests::read(&self.files, &self.namespace)?.plan;
        let is = |name: &String, key: &weir_plan::ObjectKey| {
            *name == key.name || *name == key.to_string()
        };
        for name in &self.policy {
            if !plan.policies.iter().any(|policy| is(name, &policy.key)) {
                bail!("no DlpPolicy {} in the manifests", shortened(name, 253));
            }
        }
        if plan.policies.is_empty() {
            bail!("no DlpPolicy in the manifests");
        }
        let chosen = |key| self.policy.is_empty() || self.policy.iter().any(|name| is(name, key));
        let policies = plan.policies.iter().filter(|policy| chosen(&policy.key));
        Ok(policies.map(|policy| policy.source.clone()).collect())
    }
}

fn report(
    redactor: &Redactor,
    counts: &Counts,
    (records, modified, others): (usize, u64, usize),
    out: &mut impl Write,
    style: Style,
) -> io::Result<()> {
    writeln!(out, "policy {} (hash {})", shortened(redactor.rule(), 400), redactor.hash())?;
    writeln!(out, "{records} RRPairs, {modified} of them with something redacted")?;
    if !counts.is_empty() {
        let mut table = Table::new([
            ("CATEGORY", Align::Left),
            ("VALUES", Align::Right),
            ("RRPAIRS", Align::Right),
        ]);
        for (category, (values, records)) in counts {
            table.push([
                shortened(category, 63).into(),
                values.to_string().into(),
                records.to_string().into(),
            ]);
        }
        table.write(style, out)?;
    }
    if others > 0 {
        writeln!(out, "({others} files are no RRPairs; they are not written)")?;
    }
    out.flush()
}
