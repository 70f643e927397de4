//! The operator. This version prints the CustomResourceDefinitions; the controller that acts
//! on them is not part of it yet.

use std::{fs, io::Write, path::PathBuf};

use anyhow::Context;
use clap::{Parser, Subcommand};

/// Weir's operator.
///
/// This version has no controller yet: it only prints the CustomResourceDefinitions. To capture
/// on one machine, with the same manifests, use `weir run`.
#[derive(Parser)]
#[command(name = "weir-operator", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Prints the CustomResourceDefinitions as YAML, or writes one file for each.
    Crds {
        /// Directory to write to; it must exist.
        #[arg(long)]
        out_dir: Option<PathBuf>,
    },
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().command {
        Command::Crds { out_dir: None } => print(&mut std::io::stdout().lock()),
        Command::Crds { out_dir: Some(directory) } => write(&directory),
    }
}

fn print(out: &mut impl Write) -> anyhow::Result<()> {
    for (_, text) in weir_api::crd::files() {
        write!(out, "---\n{text}").context("write to standard output")?;
    }
    Ok(())
}

fn write(directory: &std::path::Path) -> anyhow::Result<()> {
    for (name, text) in weir_api::crd::files() {
        let path = directory.join(name);
        fs::write(&path, text).with_context(|| format!("write {}", path.display()))?;
    }
    Ok(())
}
