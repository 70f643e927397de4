//! `weir web`: a snapshot directory in the browser.
//!
//! One process on loopback, read-only, without any asset from elsewhere. Captured bytes are
//! hostile: the page builds its document from text alone, and the content security policy
//! forbids every other source and every inline script.

mod api;
mod assets;
mod server;
mod sums;

use std::{
    io::Write,
    net::SocketAddr,
    path::PathBuf,
    process::ExitCode,
    sync::{Arc, RwLock},
};

use anyhow::{Context as _, bail};
use clap::Args;
use tokio::net::TcpListener;

use self::server::Server;
use crate::{
    browse::{index::Index, load},
    signals::StopSignals,
    style::Style,
    visible::shortened,
};

/// Show a snapshot directory in the browser: time line, filter, details, charts.
///
/// Serves on loopback until SIGINT or SIGTERM, reads only, and asks nothing of the network.
///
/// Exit status: 0 ended by a signal, 2 the directory cannot be read or the address not used.
#[derive(Args, Debug)]
pub struct WebCommand {
    /// A directory that `weir collect` or `weir gather` wrote, or one inside it.
    #[arg(long = "in", value_name = "DIR", default_value = ".")]
    directory: PathBuf,
    /// Keep looking for new files, such as those of a running `weir collect`.
    #[arg(long)]
    follow: bool,
    /// Where to serve; loopback only. Port 0 lets the system choose.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:9470")]
    listen: SocketAddr,
}

impl WebCommand {
    /// # Errors
    ///
    /// When the directory cannot be read, or the address not be listened on.
    pub fn run(self, out: &mut impl Write, _style: Style) -> anyhow::Result<ExitCode> {
        if !self.listen.ip().is_loopback() {
            bail!(
                "--listen {}: only a loopback address: whoever reaches it reads all that was captured",
                self.listen
            );
        }
        let index = Arc::new(RwLock::new(Index::default()));
        let loader = load::Loader::new(self.directory.clone(), Arc::clone(&index))?;
        let name = shortened(&self.directory.to_string_lossy(), 4096);
        let runtime = tokio::runtime::Runtime::new().context("start the runtime")?;
        runtime.block_on(async {
            let listener = TcpListener::bind(self.listen)
                .await
                .with_context(|| format!("listen on {}", self.listen))?;
            let address = listener.local_addr()?;
            writeln!(out, "weir web: http://{address}/ shows {name}; Ctrl-C ends it")?;
            out.flush()?;
            let follow = self.follow;
            std::thread::Builder::new().name("weir-web-load".into()).spawn(move || {
                loader.run(follow);
            })?;
            let server = Server::new(index, self.directory, address.port(), follow);
            let mut stop = StopSignals::catch()?;
            let stopped = async move { stop.recv().await };
            axum::serve(listener, server.router()).with_graceful_shutdown(stopped).await?;
            Ok(ExitCode::SUCCESS)
        })
    }
}

#[cfg(test)]
mod tests;
