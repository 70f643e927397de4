//! The RRPairs of a snapshot directory, and where they go.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use serde_json::{Map, Value};
use weir_rrpair::{
    RrPair,
    json::{from_map, object_to_compact_ascii, to_map},
};

use crate::snapshot;

/// One RRPair of a directory.
#[derive(Debug)]
pub(super) struct Recording {
    /// Below the directory.
    pub(super) path: PathBuf,
    pub(super) document: Map<String, Value>,
    pub(super) record: RrPair,
}

/// Reads every RRPair below `directory`, in the order of names; the second value counts the
/// JSON files that are none.
pub(super) fn read(directory: &Path) -> anyhow::Result<(Vec<Recording>, usize)> {
    let (mut recordings, mut others) = (Vec::new(), 0);
    for document in snapshot::read::documents(directory)? {
        let (place, read) = document?;
        let Ok(Some(body)) = read else {
            others += 1;
            continue;
        };
        let record = from_map(body).with_context(|| format!("read {place}"))?;
        let path = place.below(directory).json_file();
        recordings.push(Recording { path, document: to_map(&record), record });
    }
    Ok((recordings, others))
}

/// A directory that is written to, which must not hold anything before: what is there could
/// be taken for what was written.
pub(crate) fn create(directory: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(directory).with_context(|| format!("create {}", directory.display()))?;
    let mut entries =
        fs::read_dir(directory).with_context(|| format!("read {}", directory.display()))?;
    if entries.next().is_some() {
        bail!("{} is not empty; name a new directory for --out", directory.display());
    }
    Ok(())
}

/// Writes a document to the same place below `out`.
pub(super) fn write(out: &Path, path: &Path, document: &Map<String, Value>) -> anyhow::Result<()> {
    let file = out.join(path);
    if let Some(parent) = file.parent() {
        fs::create_dir_all(parent).with_context(|| format!("create {}", parent.display()))?;
    }
    fs::write(&file, object_to_compact_ascii(document))
        .with_context(|| format!("write {}", file.display()))
}
