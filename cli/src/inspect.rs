//! `weir inspect`: a snapshot directory in the terminal.
//!
//! The same index, filter and layout of bodies as in `weir web`. Captured text reaches the
//! terminal only through `crate::visible`.

mod app;
mod detail;
mod draw;
#[cfg(test)]
mod tests;
mod text;

use std::{
    io::{self, IsTerminal as _},
    path::PathBuf,
    process::ExitCode,
    sync::{Arc, RwLock},
    time::Duration,
};

use anyhow::{Context as _, bail};
use clap::Args;
use ratatui::{
    DefaultTerminal,
    crossterm::event::{self, Event, KeyEventKind},
};

use self::app::{App, Flow};
use crate::{
    browse::{index::Index, load::Loader},
    style::Style,
};

/// Between two looks at what the loader has read.
const TICK: Duration = Duration::from_millis(250);

/// Look through a snapshot directory in the terminal: list, filter, details.
///
/// Reads only. Press ? for the keys, q to leave.
///
/// Exit status: 0 left, 2 the directory cannot be read or this is no terminal.
#[derive(Args, Debug)]
pub struct InspectCommand {
    /// A directory that `weir collect` or `weir gather` wrote, or one inside it.
    #[arg(long = "in", value_name = "DIR", default_value = ".")]
    directory: PathBuf,
    /// What the filter box says at the start, as in `weir web`: words, such as 'status:5xx
    /// service:shop', CEL, or the reference's query language.
    #[arg(long, value_name = "FILTER", default_value = "")]
    filter: String,
    /// Keep looking for new files, such as those of a running `weir collect`.
    #[arg(long)]
    follow: bool,
}

impl InspectCommand {
    /// # Errors
    ///
    /// When the directory cannot be read, or there is no terminal.
    pub fn run(self, style: Style) -> anyhow::Result<ExitCode> {
        let index = Arc::new(RwLock::new(Index::default()));
        let loader = Loader::new(self.directory.clone(), Arc::clone(&index))?;
        if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
            bail!("weir inspect needs a terminal; weir show and weir web do without");
        }
        let follow = self.follow;
        std::thread::Builder::new().name("weir-load".into()).spawn(move || loader.run(follow))?;
        let app = App::new(index, self.directory, self.filter, style);
        let terminal = ratatui::try_init().context("use the terminal")?;
        let ended = talk(app, terminal);
        ratatui::restore();
        ended.context("use the terminal")?;
        Ok(ExitCode::SUCCESS)
    }
}

fn talk(mut app: App, mut terminal: DefaultTerminal) -> io::Result<()> {
    loop {
        terminal.draw(|frame| app.draw(frame))?;
        if app.refresh() {
            continue;
        }
        if !event::poll(TICK)? {
            continue;
        }
        if let Event::Key(key) = event::read()?
            && key.kind != KeyEventKind::Release
            && app.key(key) == Flow::Leave
        {
            return Ok(());
        }
    }
}
