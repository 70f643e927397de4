//! Tells when manifest files may have changed.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    time::Duration,
};

use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::{
    sync::mpsc,
    time::{Instant, timeout_at},
};

/// An editor or a copy changes files in several steps: quiet for this long is a change done.
const QUIET: Duration = Duration::from_millis(200);
/// A directory that never comes to rest is read again after this long all the same.
const PATIENCE: Duration = Duration::from_secs(2);

/// Watches the places that `-f` names.
#[derive(Debug)]
pub(super) struct Watch {
    changes: mpsc::Receiver<()>,
    /// Watching ends when it is dropped.
    _watcher: RecommendedWatcher,
}

impl Watch {
    /// Watches directories rather than files, since editors and ConfigMap mounts replace a
    /// file instead of writing to it.
    pub(super) fn start(named: &[PathBuf]) -> notify::Result<Self> {
        // One waiting note says as much as many.
        let (note, notes) = mpsc::channel(1);
        let mut watcher =
            notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
                // Errors too (a directory that went away): to read again says what is wrong.
                if event.is_ok_and(|event| event.kind.is_access()) {
                    return; // our own reading
                }
                note.try_send(()).ok(); // full: a note waits already
            })?;
        let directories: BTreeSet<_> = named.iter().map(|path| directory_of(path)).collect();
        for directory in directories {
            watcher.watch(directory, RecursiveMode::NonRecursive)?;
        }
        Ok(Self { changes: debounced(notes), _watcher: watcher })
    }

    /// Waits for a change that is done. Nothing is missed when the wait is given up.
    pub(super) async fn changed(&mut self) {
        if self.changes.recv().await.is_none() {
            std::future::pending::<()>().await; // the watcher is gone: nothing will change
        }
    }
}

/// One note for each change that is done. A task of its own, so that whoever waits for it in a
/// `select!` cannot lose a note half way.
fn debounced(mut notes: mpsc::Receiver<()>) -> mpsc::Receiver<()> {
    let (change, changes) = mpsc::channel(1);
    tokio::spawn(
        async move { while settled(&mut notes).await && change.send(()).await.is_ok() {} },
    );
    changes
}

fn directory_of(path: &Path) -> &Path {
    if path.is_dir() {
        return path;
    }
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Waits for a note and then until none came for [`QUIET`], [`PATIENCE`] at most. False when
/// none will come.
async fn settled(notes: &mut mpsc::Receiver<()>) -> bool {
    if notes.recv().await.is_none() {
        return false;
    }
    let latest = Instant::now() + PATIENCE;
    while Instant::now() < latest {
        match timeout_at((Instant::now() + QUIET).min(latest), notes.recv()).await {
            Ok(Some(())) => {}
            Ok(None) | Err(_) => break,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn several_steps_are_one_change() {
        let (note, notes) = mpsc::channel(1);
        let mut changes = debounced(notes);
        let started = Instant::now();
        let steps = async {
            for _ in 0..3 {
                note.send(()).await.unwrap();
                tokio::time::sleep(QUIET / 2).await;
            }
        };
        tokio::join!(changes.recv(), steps);
        assert_eq!(started.elapsed(), QUIET * 2); // the last step is at one QUIET
        assert!(changes.try_recv().is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_place_without_rest_is_read_after_patience() {
        let (note, notes) = mpsc::channel(1);
        let mut changes = debounced(notes);
        let started = Instant::now();
        let noise = async {
            loop {
                note.send(()).await.ok();
                tokio::time::sleep(QUIET / 2).await;
            }
        };
        tokio::select! {
            change = changes.recv() => assert_eq!(change, Some(())),
            () = noise => {}
        }
        assert!(started.elapsed() <= PATIENCE + QUIET, "{:?}", started.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_that_is_given_up_loses_no_change() {
        let (note, notes) = mpsc::channel(1);
        let mut changes = debounced(notes);
        note.send(()).await.unwrap();
        for _ in 0..4 {
            let given_up = tokio::time::timeout(QUIET / 8, changes.recv()).await;
            assert!(given_up.is_err());
        }
        assert_eq!(changes.recv().await, Some(()));
    }

    /// Waits in real time: the kernel reports, no paused clock can stand in for it.
    #[tokio::test]
    async fn a_file_that_is_replaced_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.yaml");
        fs::write(&path, "old").unwrap();
        let mut watch = Watch::start(std::slice::from_ref(&path)).unwrap();
        let new = folder.path().join("new");
        fs::write(&new, "new").unwrap();
        fs::rename(&new, &path).unwrap();
        watch.changed().await;
    }

    #[test]
    fn a_file_in_the_current_directory_is_watched_there() {
        assert_eq!(directory_of(Path::new("a.yaml")), Path::new("."));
        assert_eq!(directory_of(Path::new("/x/a.yaml")), Path::new("/x"));
    }
}
