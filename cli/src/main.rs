//! The binary `weir`: see the library beside it.

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use clap::Parser as _;
use weir_cli::{Cli, logging};

fn main() -> ExitCode {
    let cli = Cli::parse();
    logging::start(cli.log_format());
    cli.run().unwrap_or_else(|error| {
        writeln!(io::stderr(), "weir: {error:#}").ok(); // there is nowhere else to say it
        ExitCode::from(2)
    })
}
