//! Reading a snapshot directory back.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use serde_json::{Map, Value};
use weir_rrpair::{RrPair, json};

use super::record_files;

/// What a JSON file holds: an RRPair's document, `None` when it is another document (it says
/// no `direction`), or why it is none at all.
pub(crate) type Read = Result<Option<Map<String, Value>>, json::ReadRecord>;

/// Every JSON file of a directory with what it holds, in the order of names.
///
/// # Errors
///
/// When the directory cannot be listed; and in an item's place, when its file cannot be read.
pub(crate) fn documents(
    directory: &Path,
) -> anyhow::Result<impl Iterator<Item = anyhow::Result<(PathBuf, Read)>>> {
    let files = record_files(directory)
        .with_context(|| format!("read the directory {}", directory.display()))?;
    Ok(files.into_iter().map(|path| {
        let text = fs::read(&path).with_context(|| format!("read {}", path.display()))?;
        let read = json::object_from_slice(&text);
        Ok((path, read.map(|body| Some(body).filter(|body| body.contains_key("direction")))))
    }))
}

/// The records below a directory with their files. JSON that is something else may lie beside
/// them; what is no JSON is an error.
///
/// # Errors
///
/// For the first file that cannot be read.
pub(crate) fn records(directory: &Path) -> anyhow::Result<Vec<(PathBuf, RrPair)>> {
    let mut records = Vec::new();
    for document in documents(directory)? {
        let (path, read) = document?;
        let Some(body) = read.with_context(|| path.display().to_string())? else { continue };
        let record = json::from_map(body).with_context(|| path.display().to_string())?;
        records.push((path, record));
    }
    Ok(records)
}
