//! A queue's log on disk: taking over what lies there, and making durable what was written.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use weir_queue::{self as log, Disk, Log, OpenDisk, Storage};

use super::{Queue, ShedReason, State, volume::Bounded};

/// How long a record may be on disk before it is made durable: what a power cut may take. A
/// process that is killed loses nothing that is written.
const SYNC_EVERY: Duration = Duration::from_millis(200);

/// Why a queue is not on disk.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    #[error("records wait in memory, and must be delivered first")]
    Busy,
    #[error("could not use the queue's folder {}", .0.display())]
    Open(PathBuf, #[source] OpenDisk),
    #[error("could not read the queue in {}", .0.display())]
    Read(PathBuf, #[source] io::Error),
}

impl Queue {
    /// Keeps the queue in `folder` from now on, and takes over what waits there. On an error it
    /// goes on in memory, and tries again whenever that is empty.
    pub(crate) fn store_in(&self, folder: &Path) -> Result<(), StoreError> {
        let mut state = self.lock();
        state.wanted = Some(folder.to_owned());
        let stored = state.store();
        drop(state);
        self.wake.notify_one();
        self.written.notify_one();
        stored
    }

    /// Forgets the folder, so that it can be deleted; gives up what waits.
    pub(crate) fn leave_disk(&self, reason: ShedReason) -> Option<PathBuf> {
        let mut state = self.lock();
        state.closed = Some(reason);
        state.give_up(reason);
        state.wanted = None;
        state.folder.take().inspect(|_| state.replace_log(super::memory_log()))
    }

    /// Makes durable what was written, again and again.
    pub(crate) async fn keep_durable(self: Arc<Self>) {
        loop {
            self.written.notified().await;
            tokio::time::sleep(SYNC_EVERY).await;
            let queue = Arc::clone(&self);
            // Only a panic makes this fail; the next round is another attempt.
            tokio::task::spawn_blocking(move || queue.sync()).await.ok();
        }
    }

    /// Makes durable what is not. Nothing to do when everything was delivered.
    pub(crate) fn sync(&self) {
        let mut state = self.lock();
        if state.folder.is_none() && state.wanted.is_some() {
            state.store().ok(); // it has noted its error
        }
        if state.folder.is_none() || (state.log.is_empty() && !state.in_flight) {
            return;
        }
        let job = state.log.sync_job();
        drop(state);
        let synced = match job {
            Ok(None) => return,
            Ok(Some(job)) => job.run(),
            Err(error) => Err(error),
        };
        let mut state = self.lock();
        if synced.is_err() {
            state.log.sync_failed();
        }
        state.note_trouble(synced.err().map(|error| format!("could not sync the queue: {error}")));
    }
}

impl State {
    fn store(&mut self) -> Result<(), StoreError> {
        let Some(folder) = self.wanted.clone().filter(|_| self.folder.is_none()) else {
            return Ok(());
        };
        if self.in_flight || !self.log.is_empty() {
            return Err(StoreError::Busy);
        }
        let opened =
            Disk::open(&folder).map_err(|error| StoreError::Open(folder.clone(), error)).and_then(
                |disk| self.open(disk).map_err(|error| StoreError::Read(folder.clone(), error)),
            );
        let (log, dropped) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                self.note_trouble(Some(crate::chain(&error)));
                return Err(error);
            }
        };
        self.replace_log(log);
        self.folder = Some(folder);
        let waiting = self.log.waiting();
        self.settle(&waiting, |counts, records| {
            counts.recovered += records;
            counts.queued += records;
        });
        self.settle(&dropped, |counts, records| {
            counts.recovered += records;
            counts.shed(ShedReason::QueueFull, records);
        });
        self.note_damage();
        self.note_trouble(None);
        Ok(())
    }

    fn open(&self, disk: Disk) -> io::Result<(Log, log::Tally)> {
        let files: Box<dyn Storage> = match &self.account {
            Some(account) => Box::new(Bounded::new(disk, account.clone())?),
            None => Box::new(disk),
        };
        Log::open(files, self.asked)
    }

    pub(super) fn replace_log(&mut self, log: Log) {
        self.log = log;
        self.by_label.clear();
        self.meet_labels();
        let mut routes = std::mem::take(&mut self.routes);
        for route in &mut routes {
            route.label = self.log.label(&super::label_text(&route.captures));
        }
        self.routes = routes;
        self.meet_labels();
    }
}
