//! The command line.

use std::{io, process::ExitCode};

use clap::{CommandFactory as _, Parser, Subcommand};
use clap_complete::Shell;

use crate::{
    collect::CollectCommand,
    doctor::DoctorCommand,
    explain::ExplainCommand,
    files::FilesCommand,
    gather::GatherCommand,
    import::ImportCommand,
    inspect::InspectCommand,
    logging::LogFormat,
    mock::MockCommand,
    replay::ReplayCommand,
    rules::{DlpCommand, FilterCommand},
    run::RunCommand,
    show::ShowCommand,
    status::StatusCommand,
    style::Style,
    tail::TailCommand,
    web::WebCommand,
};

/// Capture the request/response traffic of processes, and work with what was captured.
///
/// Logs go to stderr; WEIR_LOG sets their level (error, warn, info, debug).
/// Exit status of every command: 0 done, 1 done with a negative result that the command's
/// help names, 2 it could not be done (bad arguments, bad input, no permission).
#[derive(Debug, Parser)]
#[command(name = "weir", version, propagate_version = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(RunCommand),
    Collect(CollectCommand),
    Tail(TailCommand),
    Gather(GatherCommand),
    Status(StatusCommand),
    Show(ShowCommand),
    Inspect(InspectCommand),
    Web(WebCommand),
    Explain(ExplainCommand),
    Dlp(DlpCommand),
    Filter(FilterCommand),
    Replay(Box<ReplayCommand>),
    Mock(Box<MockCommand>),
    Import(ImportCommand),
    Files(FilesCommand),
    Doctor(DoctorCommand),
    /// Print the version.
    Version,
    /// Print a completion script for a shell.
    Completions {
        /// The shell to complete in.
        shell: Shell,
    },
}

impl Cli {
    /// The form of logs that the command line asks for.
    pub fn log_format(&self) -> LogFormat {
        match &self.command {
            Command::Run(command) => command.log_format(),
            _ => LogFormat::Text,
        }
    }

    /// Runs the command that was asked for.
    ///
    /// # Errors
    ///
    /// Why it could not be done; exit status 2.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let mut out = io::stdout();
        let style = Style::of(&out);
        match self.command {
            Command::Run(command) => command.run(&mut out, style),
            Command::Collect(command) => command.run(out, style),
            Command::Tail(command) => command.run(out, style),
            // Nothing goes to stdout (contract §4).
            Command::Gather(command) => command.run(&mut io::stderr()),
            Command::Status(command) => command.run(&mut out, style),
            Command::Show(command) => command.run(&mut out, style),
            Command::Inspect(command) => command.run(style),
            Command::Web(command) => command.run(&mut out, style),
            Command::Replay(command) => command.run(&mut out, &mut io::stderr(), style),
            Command::Mock(command) => command.run(&mut out, &mut io::stderr(), style),
            Command::Import(command) => command.run(&mut out),
            Command::Files(command) => command.run(&mut out, style),
            Command::Explain(command) => command.run(&mut out, style),
            Command::Dlp(command) => command.run(&mut out, style),
            Command::Filter(command) => command.run(&mut out, style),
            Command::Doctor(command) => command.run(&mut out, style),
            Command::Version => version(&mut out),
            Command::Completions { shell } => {
                clap_complete::generate(shell, &mut Self::command(), "weir", &mut out);
                Ok(ExitCode::SUCCESS)
            }
        }
    }
}

fn version(out: &mut impl io::Write) -> anyhow::Result<ExitCode> {
    writeln!(out, "weir {}", env!("CARGO_PKG_VERSION"))?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
