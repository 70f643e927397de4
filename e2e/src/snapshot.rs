//! Reads what `weir collect` wrote (contract §4.3), without any code of Weir.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::truth::Pair;

/// Paths of all record files under `out_dir`.
///
/// # Errors
///
/// When a folder cannot be read.
pub fn files(out_dir: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for snapshot in entries(out_dir)? {
        if !file_name(&snapshot).starts_with("snapshot-") {
            continue;
        }
        for host in entries(&snapshot)? {
            found.extend(
                entries(&host)?
                    .into_iter()
                    .filter(|path| path.extension().is_some_and(|extension| extension == "json")),
            );
        }
    }
    Ok(found)
}

/// Reads a whole snapshot directory and checks its layout. Nothing was written when nothing came.
///
/// # Errors
///
/// When it is not laid out as the contract says or a file is not a record.
pub fn read(out_dir: &Path) -> Result<Vec<Pair>> {
    let metadata = out_dir.join(".metadata/snapshot.json");
    if !metadata.exists() && files(out_dir)?.is_empty() {
        return Ok(Vec::new());
    }
    let metadata = fs::read(&metadata).context("read .metadata/snapshot.json")?;
    let metadata: Value = serde_json::from_slice(&metadata).context("parse the metadata")?;
    let mut pairs = Vec::new();
    for path in files(out_dir)? {
        let name = path.display();
        let bytes = fs::read(&path).with_context(|| format!("read {name}"))?;
        ensure!(bytes.is_ascii(), "{name} is not ASCII");
        ensure!(!bytes.contains(&0x7f), "{name} has a bare DEL");
        ensure!(!bytes.ends_with(b"\n"), "{name} ends with a new line");
        let record: Value =
            serde_json::from_slice(&bytes).with_context(|| format!("parse {name}"))?;
        let pair = Pair::from_record(record).with_context(|| format!("read {name}"))?;
        let folder = path.parent().map(file_name).unwrap_or_default();
        let host = pair.record["http"]["req"]["host"].as_str().unwrap_or_default();
        ensure!(folder == folder_of(host), "{name} is of host {host}");
        pairs.push(pair);
    }
    ensure!(
        metadata["rrpairCount"].as_u64() == u64::try_from(pairs.len()).ok(),
        "the metadata count {} for {} files",
        metadata["rrpairCount"],
        pairs.len()
    );
    Ok(pairs)
}

/// The folder for a host (contract §4.3).
fn folder_of(host: &str) -> String {
    if host.is_empty() {
        return "unknown-host".to_owned();
    }
    let keep = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    host.chars().map(|c| if keep(c) { c } else { '_' }).collect()
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let Ok(list) = fs::read_dir(folder) else { return Ok(Vec::new()) };
    let mut paths = Vec::new();
    for entry in list {
        paths.push(entry.with_context(|| format!("list {}", folder.display()))?.path());
    }
    paths.sort();
    Ok(paths)
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn write(folder: &Path, path: &str, text: &str) {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn record(host: &str) -> String {
        json!({
            "msgType": "rrpair", "direction": "IN", "command": "GET", "status": "200", "uuid": "u",
            "location": "/", "http": {"req": {"host": host, "uri": "/"}, "res": {"statusCode": 200.0}},
        })
        .to_string()
    }

    fn snapshot(count: usize, path: &str, text: &str) -> Result<Vec<Pair>> {
        let folder = tempfile::tempdir().unwrap();
        let metadata = json!({"rrpairCount": count}).to_string();
        write(folder.path(), ".metadata/snapshot.json", &metadata);
        write(folder.path(), path, text);
        read(folder.path())
    }

    #[test]
    fn a_snapshot_reads_back() {
        let pairs = snapshot(1, "snapshot-1/a_8080/u.json", &record("a:8080")).unwrap();
        assert_eq!(pairs[0].uri.as_deref(), Some("/"));
        assert_eq!(snapshot(1, "snapshot-1/unknown-host/u.json", &record("")).unwrap().len(), 1);
    }

    #[test]
    fn what_the_contract_forbids_is_found() {
        let good = record("a");
        assert!(snapshot(2, "snapshot-1/a/u.json", &good).is_err(), "wrong count");
        assert!(snapshot(1, "snapshot-1/b/u.json", &good).is_err(), "wrong host");
        assert!(snapshot(1, "snapshot-1/a/u.json", &format!("{good}\n")).is_err(), "new line");
        assert!(snapshot(1, "snapshot-1/a/u.json", &good.replace("GET", "\u{7f}")).is_err(), "DEL");
        assert!(
            snapshot(1, "snapshot-1/a/u.json", &good.replace("GET", "é")).is_err(),
            "not ASCII"
        );
    }
}
