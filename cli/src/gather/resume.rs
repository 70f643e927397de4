//! `.metadata/gather.json`: what a gather that did not end needs to go on.

use std::{fs, io, path::Path};

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use weir_rrpair::{Timestamp, Uuid};

use super::window::Window;
use crate::snapshot::write_whole;

const FILE: &str = ".metadata/gather.json";

/// Where a gather is.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Unfinished {
    /// Of the snapshot.
    id: String,
    /// What was asked, but for the window: it must be the same again.
    question: Value,
    start: Timestamp,
    end: Timestamp,
    /// The place up to which everything is written, as the source has it.
    pub(super) cursor: Option<Value>,
}

impl Unfinished {
    pub(super) fn new(id: Uuid, question: Value, window: Window) -> Self {
        let (start, end) = (window.start, window.end);
        Self { id: id.to_string(), question, start, end, cursor: None }
    }

    /// The gather to go on with.
    pub(super) fn read(out_dir: &Path, question: &Value) -> anyhow::Result<Self> {
        let path = out_dir.join(FILE);
        let text = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                bail!("nothing to resume in {}: no gather into it stopped early", out_dir.display())
            }
            text => text.with_context(|| format!("read {}", path.display()))?,
        };
        let unfinished: Self = serde_json::from_slice(&text)
            .with_context(|| format!("read {}: it is damaged", path.display()))?;
        if unfinished.question != *question {
            bail!(
                "the gather that stopped in {} asked something else: {}",
                out_dir.display(),
                unfinished.question
            );
        }
        unfinished.id().with_context(|| format!("read {}", path.display()))?;
        Ok(unfinished)
    }

    pub(super) fn id(&self) -> anyhow::Result<Uuid> {
        Uuid::parse(&self.id).context("its id is no UUID")
    }

    pub(super) fn window(&self) -> Window {
        Window { start: self.start, end: self.end }
    }

    pub(super) fn write(&self, out_dir: &Path) -> io::Result<()> {
        let path = out_dir.join(FILE);
        fs::create_dir_all(path.parent().unwrap_or(out_dir))?;
        write_whole(&path, &serde_json::to_vec(self)?)
    }

    pub(super) fn remove(out_dir: &Path) -> io::Result<()> {
        match fs::remove_file(out_dir.join(FILE)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}
