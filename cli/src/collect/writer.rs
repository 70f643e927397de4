//! The thread that writes pairs: file system calls block, and there is one snapshot.

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::printer::Lines;
use crate::{
    receiver::{Batch, NotStored, Pair, Stored},
    snapshot::Snapshot,
    style::Style,
    view::View,
};

/// Writes batches into a snapshot and offers a line for each pair.
#[derive(Debug)]
pub(super) struct Writer {
    pub(super) snapshot: Snapshot,
    /// Pairs to write at most.
    pub(super) limit: Option<u64>,
    /// Cancelled when the limit is reached.
    pub(super) full: CancellationToken,
    /// `None` when the run is quiet.
    pub(super) lines: Option<Lines>,
    pub(super) style: Style,
}

impl Writer {
    /// Writes until the channel is closed.
    pub(super) fn run(mut self, mut batches: mpsc::Receiver<Batch>) -> Snapshot {
        let mut healthy = true;
        while let Some(batch) = batches.blocking_recv() {
            let stored = self.store(&batch.pairs);
            // Said once per fault: the sender tries again every few seconds.
            if let Err(error) = &stored
                && healthy
            {
                tracing::error!(%error, "write a pair; the sender is asked to try again");
            }
            healthy = stored.is_ok();
            // A sender that went away has closed its connection; the pairs stay.
            batch.reply.send(stored.map_err(|_cause| NotStored)).ok();
        }
        self.snapshot
    }

    fn store(&mut self, pairs: &[Pair]) -> std::io::Result<Stored> {
        for (place, pair) in pairs.iter().enumerate() {
            if self.is_full() {
                return Ok(Stored { surplus: (pairs.len() - place) as u64 });
            }
            self.snapshot.write(pair)?;
            if let Some(lines) = &self.lines {
                lines.offer(View::new(&pair.body).line(self.style));
            }
            if self.is_full() {
                self.full.cancel();
            }
        }
        Ok(Stored::default())
    }

    fn is_full(&self) -> bool {
        self.limit.is_some_and(|limit| self.snapshot.pairs() >= limit)
    }
}
