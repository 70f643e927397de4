//! Reading the directory, at the start and while it grows.

use std::{
    collections::HashSet,
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
    thread,
    time::Duration,
};

use anyhow::Context as _;
use serde_json::{Map, Value};

use super::index::Index;
use crate::snapshot::{
    self,
    read::{Place, of_file},
};

/// Files that are read before they are shown.
const BATCH: usize = 2_000;
/// Between two looks for new files.
const PAUSE: Duration = Duration::from_secs(1);

pub(crate) struct Loader {
    directory: PathBuf,
    index: Arc<RwLock<Index>>,
    known: HashSet<PathBuf>,
}

impl Loader {
    /// # Errors
    ///
    /// When there is no such directory.
    pub(crate) fn new(directory: PathBuf, index: Arc<RwLock<Index>>) -> anyhow::Result<Self> {
        fs::read_dir(&directory)
            .with_context(|| format!("read the directory {}", directory.display()))?;
        Ok(Self { directory, index, known: HashSet::new() })
    }

    /// Reads what is there; with `follow` never ends.
    pub(crate) fn run(mut self, follow: bool) {
        loop {
            if let Err(error) = self.look() {
                tracing::warn!(%error, directory = %self.directory.display(), "cannot read");
            }
            self.write(|index| {
                if !index.loaded {
                    index.loaded = true;
                    index.version += 1;
                }
            });
            if !follow {
                return;
            }
            thread::sleep(PAUSE);
        }
    }

    fn look(&mut self) -> io::Result<()> {
        let files = snapshot::record_files(&self.directory)?;
        let fresh: Vec<_> = files.into_iter().filter(|file| !self.known.contains(file)).collect();
        for batch in fresh.chunks(BATCH) {
            let documents = batch.iter().flat_map(|file| read(file)).collect();
            self.write(|index| index.add(documents));
        }
        self.known.extend(fresh);
        Ok(())
    }

    fn write(&self, change: impl FnOnce(&mut Index)) {
        change(&mut self.index.write().unwrap_or_else(PoisonError::into_inner));
    }
}

/// The documents of a file. One that cannot be read counts as one that is no RRPair.
fn read(file: &Path) -> Vec<(Place, Option<Map<String, Value>>)> {
    let unreadable = || vec![(Place::of(file), None)];
    let Ok(read) = of_file(file) else { return unreadable() };
    let read: io::Result<Vec<_>> =
        read.map(|one| one.map(|(place, read)| (place, read.ok().flatten()))).collect();
    read.unwrap_or_else(|_error| unreadable())
}
