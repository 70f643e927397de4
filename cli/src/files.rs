//! `weir files`: recordings in another form, and two recordings side by side.

mod compare;
mod convert;

use std::{
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
};

use clap::{Args, Subcommand, ValueEnum};

use crate::{explain::Output, style::Style};

/// Convert recordings to another form, or compare answers with recorded ones.
#[derive(Args, Debug)]
pub struct FilesCommand {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Convert(ConvertCommand),
    Compare(CompareCommand),
}

/// Write every RRPair of a directory in another form.
///
/// Reads JSON (one RRPair a file), JSONL (one a line) and Markdown. Files are named by the time of
/// the request, in a directory for each host. What has no Markdown form, which is all but HTTP, is
/// written as JSON.
///
/// Exit status: 0 written, 1 there is no RRPair, 2 it could not be done.
#[derive(Args, Debug)]
struct ConvertCommand {
    /// The directory to read.
    #[arg(long = "in", value_name = "DIR", default_value = ".")]
    input: PathBuf,
    /// A new directory to write to; unless told, the new files stand in the place of the old ones.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// The form to write.
    #[arg(long, value_enum, default_value_t)]
    out_format: Format,
    /// Leave the old files beside the new ones.
    #[arg(long, conflicts_with = "out")]
    keep_original: bool,
}

/// A form of RRPairs.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
enum Format {
    #[default]
    Markdown,
    Json,
}

/// Compare pairs with the recorded ones that their tag `refUuid` names.
///
/// For instance what `weir replay` or `weir mock` wrote with what was recorded.
///
/// Exit status: 0 all are equal, 1 some differ or there is nothing to compare, 2 the input cannot
/// be read.
#[derive(Args, Debug)]
struct CompareCommand {
    /// A directory to read; give both, or one that holds both.
    #[arg(long = "in", value_name = "DIR", default_value = ".")]
    input: Vec<PathBuf>,
    /// Leave out values that are new every time: times, ids, tokens.
    #[arg(long)]
    normalize: bool,
    /// Form of the output.
    #[arg(long, short, value_enum, default_value_t)]
    output: Output,
}

impl FilesCommand {
    /// # Errors
    ///
    /// When the input cannot be read or the output not be written.
    pub fn run(self, out: &mut impl Write, style: Style) -> anyhow::Result<ExitCode> {
        match self.command {
            Command::Convert(command) => command.run(out),
            Command::Compare(command) => match command.run(out, style) {
                Err(error) if is_broken_pipe(&error) => Ok(ExitCode::SUCCESS),
                ended => ended,
            },
        }
    }
}

/// Whoever reads has seen enough.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let io = error.downcast_ref::<io::Error>();
    io.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
