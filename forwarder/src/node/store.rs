//! The last good plan and the node's pods on disk, so that a restart works without the API
//! server.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use weir_plan::{PlanDocument, status::NodeRun};

use super::Pod;

/// Most bytes of a file that are read.
const MAX_BYTES: u64 = 64 << 20;

/// A folder of its own.
#[derive(Clone, Debug)]
pub(super) struct Store(PathBuf);

impl Store {
    pub(super) const fn new(folder: PathBuf) -> Self {
        Self(folder)
    }

    fn plan_file(&self) -> PathBuf {
        self.0.join("plan.json.gz")
    }

    fn pods_file(&self) -> PathBuf {
        self.0.join("pods.json")
    }

    fn runs_file(&self) -> PathBuf {
        self.0.join("runs.json")
    }

    /// What earlier runs counted, the newest first.
    pub(super) fn runs(&self) -> Vec<NodeRun> {
        let path = self.runs_file();
        let Some(bytes) = read(&path) else { return Vec::new() };
        serde_json::from_slice(&bytes).unwrap_or_else(|error| {
            tracing::warn!(path = %path.display(), %error, "the stored counts are of no use");
            Vec::new()
        })
    }

    /// Keeps what was counted, for a run after this one. It outlives this process, and need not
    /// outlive a power cut: it is written every second.
    pub(super) fn keep_runs(&self, runs: &[NodeRun]) {
        match serde_json::to_vec(runs) {
            Ok(bytes) => self.write(&self.runs_file(), &bytes, false),
            Err(error) => tracing::error!(%error, "counts have no JSON form"),
        }
    }

    /// The plan that was in force last.
    pub(super) fn plan(&self) -> Option<PlanDocument> {
        let path = self.plan_file();
        let bytes = read(&path)?;
        PlanDocument::decode(&bytes)
            .inspect_err(|error| tracing::warn!(path = %path.display(), %error, "the stored plan is of no use"))
            .ok()
    }

    /// The pods that were here last.
    pub(super) fn pods(&self) -> Option<Vec<Pod>> {
        let path = self.pods_file();
        let bytes = read(&path)?;
        serde_json::from_slice(&bytes)
            .inspect_err(|error| tracing::warn!(path = %path.display(), %error, "the stored pods are of no use"))
            .ok()
    }

    /// Keeps a plan. It holds credentials: only we may read it.
    pub(super) fn keep_plan(&self, plan: &PlanDocument) {
        self.write(&self.plan_file(), &plan.encode(), true);
    }

    pub(super) fn keep_pods(&self, pods: &[Pod]) {
        match serde_json::to_vec(pods) {
            Ok(bytes) => self.write(&self.pods_file(), &bytes, true),
            Err(error) => tracing::error!(%error, "pods have no JSON form"),
        }
    }

    /// Without it a restart needs the API server; that is worth a warning, no more.
    fn write(&self, path: &Path, bytes: &[u8], durable: bool) {
        if let Err(error) = self.replace(path, bytes, durable) {
            tracing::warn!(path = %path.display(), %error, "could not be kept for a restart");
        }
    }

    fn replace(&self, path: &Path, bytes: &[u8], durable: bool) -> io::Result<()> {
        let new = path.with_extension("new");
        // One that an interrupted write left has whatever mode it has.
        match fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
        file.write_all(bytes)?;
        if !durable {
            return fs::rename(&new, path);
        }
        file.sync_all()?;
        fs::rename(&new, path)?;
        File::open(&self.0)?.sync_all()
    }
}

fn read(path: &Path) -> Option<Vec<u8>> {
    let read = || {
        let mut bytes = Vec::new();
        let file = File::open(path)?;
        io::Read::read_to_end(&mut io::Read::take(file, MAX_BYTES), &mut bytes)?;
        Ok::<_, io::Error>(bytes)
    };
    match read() {
        Ok(bytes) => Some(bytes),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "could not be read");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use weir_plan::Plan;

    use super::*;

    #[test]
    fn what_is_kept_is_found_again_and_is_ours_alone() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(folder.path().to_owned());
        assert!(store.plan().is_none() && store.pods().is_none() && store.runs().is_empty());
        let runs = vec![NodeRun::default()];
        store.keep_runs(&runs);
        assert_eq!(store.runs(), runs);
        let plan = PlanDocument::new(Plan::default());
        let pods = vec![Pod { uid: "u".to_owned(), ..Pod::default() }];
        for _ in 0..2 {
            store.keep_plan(&plan);
            store.keep_pods(&pods);
        }
        assert_eq!((store.plan(), store.pods()), (Some(plan), Some(pods)));
        let mode = fs::metadata(store.plan_file()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn damaged_files_are_as_good_as_none() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(folder.path().to_owned());
        store.keep_plan(&PlanDocument::new(Plan::default()));
        let mut bytes = fs::read(store.plan_file()).unwrap();
        bytes.truncate(bytes.len() / 2);
        fs::write(store.plan_file(), bytes).unwrap();
        fs::write(store.pods_file(), "[{").unwrap();
        fs::write(store.runs_file(), "[{").unwrap();
        assert!(store.plan().is_none() && store.pods().is_none() && store.runs().is_empty());
    }
}
