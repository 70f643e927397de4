//! The folders of all queues. Those of exporters that are not in the plan are kept for a day,
//! in case they come back.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use weir_plan::ObjectKey;

/// Time that a queue is kept for after its exporter left the plan. Only minutes in which a
/// forwarder runs count, so that no clock has to be right.
pub(crate) const KEPT_MINUTES: u32 = 24 * 60;
/// In a queue's folder: the minutes so far.
const MARK: &str = "unplanned-minutes";

/// A folder with a folder for each exporter's queue.
#[derive(Clone, Debug)]
pub(crate) struct Shelf(pub(crate) PathBuf);

impl Shelf {
    /// The folder of this exporter's queue.
    pub(crate) fn folder(&self, key: &ObjectKey) -> PathBuf {
        // Names of Kubernetes have no `_`; whatever else they may hold elsewhere, a name is
        // never a path.
        self.0.join(format!("{}_{}", escaped(&key.namespace), escaped(&key.name)))
    }

    /// Every exporter that has a folder.
    pub(crate) fn keys(&self) -> io::Result<Vec<ObjectKey>> {
        let entries = match fs::read_dir(&self.0) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut keys = Vec::new();
        for entry in entries {
            let name = entry?.file_name();
            let parts = name.to_str().and_then(|name| name.split_once('_'));
            keys.extend(parts.and_then(|(namespace, name)| {
                Some(ObjectKey { namespace: unescaped(namespace)?, name: unescaped(name)? })
            }));
        }
        keys.sort();
        Ok(keys)
    }
}

/// Minutes for which the exporter of this folder has not been in the plan.
pub(crate) fn unplanned_minutes(folder: &Path) -> u32 {
    let text = fs::read_to_string(folder.join(MARK)).unwrap_or_default();
    text.trim().parse().unwrap_or(0)
}

/// Notes them. Without it the queue is kept longer after a restart, no more.
pub(crate) fn note_minutes(folder: &Path, minutes: u32) {
    fs::write(folder.join(MARK), format!("{minutes}\n")).ok();
}

/// The exporter is in the plan.
pub(crate) fn note_planned(folder: &Path) {
    fs::remove_file(folder.join(MARK)).ok();
}

fn escaped(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
    let each = |byte| if plain(byte) { char::from(byte).into() } else { format!("%{byte:02x}") };
    name.bytes().map(each).collect::<String>()
}

fn unescaped(name: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = name;
    while let Some(char) = rest.chars().next() {
        if char == '%' {
            bytes.push(u8::from_str_radix(rest.get(1..3)?, 16).ok()?);
            rest = rest.get(3..)?;
        } else {
            bytes.extend(char.to_string().bytes());
            rest = rest.get(char.len_utf8()..)?;
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_says_whose_queue_it_holds_and_never_lies_elsewhere() {
        let root = tempfile::tempdir().unwrap();
        let shelf = Shelf(root.path().join("queues"));
        assert!(shelf.keys().unwrap().is_empty(), "no folder yet");
        let key = |namespace: &str, name: &str| ObjectKey {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        };
        let keys =
            [key("..", "../../etc"), key("a_b", "100%"), key("default", "a.b-c"), key("é", "")];
        for key in &keys {
            let folder = shelf.folder(key);
            assert_eq!(folder.parent(), Some(shelf.0.as_path()));
            fs::create_dir_all(&folder).unwrap();
        }
        assert!(shelf.folder(&keys[2]).ends_with("default_a.b-c"));
        fs::create_dir(shelf.0.join("odd%zz_a")).unwrap();
        assert_eq!(shelf.keys().unwrap(), keys);
    }

    #[test]
    fn minutes_are_noted_and_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(unplanned_minutes(folder.path()), 0);
        note_minutes(folder.path(), 77);
        assert_eq!(unplanned_minutes(folder.path()), 77);
        note_planned(folder.path());
        assert_eq!(unplanned_minutes(folder.path()), 0);
    }
}
