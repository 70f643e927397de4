//! The manifest files that `-f` names.

use std::{
    collections::BTreeSet,
    fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use anyhow::Context as _;

/// Longest manifest file that is read, in bytes: one by mistake must not fill memory.
const LONGEST: u64 = 4 << 20;

/// Text of every manifest file, ordered by path.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Files(pub(super) Vec<(PathBuf, String)>);

impl Files {
    /// Reads what `named` stand for: files as they are, directories for every `*.yaml`,
    /// `*.yml` and `*.json` directly in them.
    pub(super) fn read(named: &[PathBuf]) -> anyhow::Result<Self> {
        let mut paths = BTreeSet::new();
        for path in named {
            let metadata =
                fs::metadata(path).with_context(|| format!("read {}", path.display()))?;
            if metadata.is_dir() {
                let inside = manifests_in(path);
                paths.extend(inside.with_context(|| format!("read {}", path.display()))?);
            } else {
                paths.insert(path.clone());
            }
        }
        let read = |path: PathBuf| {
            let text = read_text(&path).with_context(|| format!("read {}", path.display()))?;
            Ok((path, text))
        };
        paths.into_iter().map(read).collect::<anyhow::Result<_>>().map(Self)
    }
}

/// Hidden files are left out: editors put half-written ones there.
fn manifests_in(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        let known = path.extension().is_some_and(|extension| {
            ["yaml", "yml", "json"].iter().any(|known| extension == *known)
        });
        if known && !hidden && path.is_file() {
            found.push(path);
        }
    }
    Ok(found)
}

fn read_text(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    fs::File::open(path)?.take(LONGEST + 1).read_to_string(&mut text)?;
    if text.len() as u64 > LONGEST {
        return Err(io::Error::other(format!("longer than {LONGEST} bytes")));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(files: &Files) -> Vec<String> {
        let name = |(path, _): &(PathBuf, String)| {
            path.file_name().unwrap().to_string_lossy().into_owned()
        };
        files.0.iter().map(name).collect()
    }

    #[test]
    fn a_directory_stands_for_its_manifests_in_order() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b.yml", "a.yaml", "c.json", "notes.txt", ".d.yaml.swp", ".e.yaml"] {
            fs::write(folder.path().join(name), name).unwrap();
        }
        fs::create_dir(folder.path().join("deeper.yaml")).unwrap();
        let files = Files::read(&[folder.path().to_owned()]).unwrap();
        assert_eq!(names(&files), ["a.yaml", "b.yml", "c.json"]);
    }

    #[test]
    fn a_named_file_is_read_whatever_its_name_and_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("plan.txt");
        fs::write(&path, "text").unwrap();
        let files = Files::read(&[path.clone(), path.clone()]).unwrap();
        assert_eq!(files, Files(vec![(path, "text".to_owned())]));
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = Files::read(&["/does/not/exist.yaml".into()]).unwrap_err();
        assert!(error.to_string().contains("/does/not/exist.yaml"));
    }

    #[test]
    fn a_huge_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("huge.yaml");
        fs::File::create(&path).unwrap().set_len(LONGEST + 1).unwrap();
        assert!(Files::read(&[path]).is_err());
    }
}
