//! Signals that end or question a command.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Exit status of a command that a second signal ended: as a shell shows for SIGINT.
const INTERRUPTED: i32 = 130;

/// SIGINT and SIGTERM, caught from the moment this exists.
#[derive(Debug)]
pub(crate) struct StopSignals {
    interrupt: Signal,
    terminate: Signal,
}

impl StopSignals {
    /// Must be called inside a tokio runtime.
    pub(crate) fn catch() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// Waits for either.
    pub(crate) async fn recv(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }

    /// From now on the next signal ends the process at once: whoever asks twice does not want
    /// to wait for an orderly end.
    pub(crate) fn exit_on_next(mut self) {
        tokio::spawn(async move {
            self.recv().await;
            std::process::exit(INTERRUPTED);
        });
    }
}
