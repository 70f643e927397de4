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
use weir_rrpair::json;

use super::index::Index;
use crate::snapshot;

/// Files that are read before they are shown.
const BATCH: usize = 2_000;
/// Between two looks for new files.
const PAUSE: Duration = Duration::from_secs(1);
/// Largest file that is taken for a pair.
const LARGEST: u64 = 64 << 20;

pub(super) struct Loader {
    directory: PathBuf,
    index: Arc<RwLock<Index>>,
    known: HashSet<PathBuf>,
}

impl Loader {
    /// # Errors
    ///
    /// When there is no such directory.
    pub(super) fn new(directory: PathBuf, index: Arc<RwLock<Index>>) -> anyhow::Result<Self> {
        fs::read_dir(&directory)
            .with_context(|| format!("read the directory {}", directory.display()))?;
        Ok(Self { directory, index, known: HashSet::new() })
    }

    /// Reads what is there; with `follow` never ends.
    pub(super) fn run(mut self, follow: bool) {
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
            let documents = batch.iter().map(|file| (file.clone(), read(file).ok())).collect();
            self.write(|index| index.add(documents));
        }
        self.known.extend(fresh);
        Ok(())
    }

    fn write(&self, change: impl FnOnce(&mut Index)) {
        change(&mut self.index.write().unwrap_or_else(PoisonError::into_inner));
    }
}

/// The document in a file.
pub(super) fn read(file: &Path) -> io::Result<Map<String, Value>> {
    if fs::metadata(file)?.len() > LARGEST {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "larger than any pair"));
    }
    json::object_from_slice(&fs::read(file)?).map_err(io::Error::other)
}
