//! The thread that writes what a source gives.

use std::{
    io,
    path::PathBuf,
    time::{Duration, Instant},
};

use serde_json::Value;
use tokio::sync::mpsc;
use weir_rrpair::snapshot;

use super::{progress::Progress, resume::Unfinished};
use crate::{receiver::Pair, snapshot::Snapshot};

/// How often the place is noted; what lies between is asked for again.
const NOTE_EVERY: Duration = Duration::from_secs(1);

/// Records in the order of the store.
#[derive(Debug, Default)]
pub(super) struct Page {
    pub(super) pairs: Vec<Pair>,
    /// Everything up to here was given with this page and those before.
    pub(super) cursor: Option<Value>,
}

/// Where a source puts what it finds.
#[derive(Clone, Debug)]
pub(super) struct Feed {
    pub(super) pages: mpsc::Sender<Page>,
    pub(super) progress: Progress,
}

/// Nothing more is wanted: the limit is reached, or the disk failed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Enough;

impl Feed {
    pub(super) async fn send(&self, page: Page) -> Result<(), Enough> {
        self.pages.send(page).await.map_err(|_closed| Enough)
    }

    /// The same from a thread that may wait.
    pub(super) fn blocking_send(&self, page: Page) -> Result<(), Enough> {
        self.pages.blocking_send(page).map_err(|_closed| Enough)
    }
}

#[derive(Debug)]
pub(super) struct Writer {
    pub(super) snapshot: Snapshot,
    pub(super) out_dir: PathBuf,
    pub(super) limit: Option<u64>,
    pub(super) progress: Progress,
    pub(super) unfinished: Unfinished,
}

/// How the writing went.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) snapshot: Snapshot,
    pub(super) limited: bool,
}

impl Writer {
    /// Writes until the channel is closed or the limit is reached.
    pub(super) fn run(mut self, mut pages: mpsc::Receiver<Page>) -> io::Result<Written> {
        let mut noted: Option<Instant> = None;
        while let Some(page) = pages.blocking_recv() {
            for pair in &page.pairs {
                if self.limit.is_some_and(|limit| self.snapshot.pairs() >= limit) {
                    return Ok(Written { snapshot: self.snapshot, limited: true });
                }
                let known = snapshot::uuid(&pair.body).is_some_and(|uuid| self.snapshot.had(uuid));
                if !known {
                    self.snapshot.write(pair)?;
                    self.progress.add_written(1);
                }
            }
            self.unfinished.cursor = page.cursor.or(self.unfinished.cursor);
            if noted.is_none_or(|at| at.elapsed() >= NOTE_EVERY) && self.snapshot.pairs() > 0 {
                self.unfinished.write(&self.out_dir)?;
                noted = Some(Instant::now());
            }
        }
        if self.snapshot.pairs() > 0 {
            self.unfinished.write(&self.out_dir)?;
        }
        Ok(Written { snapshot: self.snapshot, limited: false })
    }
}
