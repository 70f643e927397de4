//! `weir files` as users run it, on the contract's golden recordings.
#![expect(
    clippy::unwrap_used,
    clippy::tests_outside_test_module,
    reason = "an integration test is all test code"
)]

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

const TREE: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/contract/golden/snapshot-tree");

fn weir(arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_weir")).args(arguments).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// Files below `directory`, by name, with what they hold; metadata left out.
fn files(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut open = vec![directory.to_owned()];
    let mut found = BTreeMap::new();
    while let Some(path) = open.pop() {
        if path.ends_with(".metadata") {
        } else if path.is_dir() {
            open.extend(fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
        } else {
            let name = path.strip_prefix(directory).unwrap().to_str().unwrap().to_owned();
            found.insert(name, fs::read(path).unwrap());
        }
    }
    found
}

/// The documents by uuid.
fn documents(files: &BTreeMap<String, Vec<u8>>) -> BTreeMap<String, Vec<u8>> {
    let uuid = |bytes: &[u8]| {
        let document: Value = serde_json::from_slice(bytes).unwrap();
        document["uuid"].as_str().unwrap().to_owned()
    };
    files.values().map(|bytes| (uuid(bytes), bytes.clone())).collect()
}

fn ends_in(name: &str, ending: &str) -> bool {
    Path::new(name).extension().is_some_and(|one| one == ending)
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn golden_recordings_go_to_markdown_and_back_without_a_changed_byte() {
    let folder = tempfile::tempdir().unwrap();
    let (markdown, json) = (folder.path().join("md"), folder.path().join("json"));
    let (code, stdout, stderr) =
        weir(&["files", "convert", "--in", TREE, "--out", text(&markdown)]);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stdout.contains(" as .md\n") && stdout.contains("wrote 1 RRPairs"), "{stdout}");
    let written = files(&markdown);
    let golden = files(&PathBuf::from(TREE));
    assert_eq!(written.len(), golden.len());
    assert!(
        written.contains_key("orders-api/2026-09-01_10-15-30.000250417Z.md"),
        "{:?}",
        written.keys()
    );
    // What is no HTTP has no Markdown.
    let unknown: Vec<_> = written.keys().filter(|name| name.starts_with("unknown-host/")).collect();
    assert!(unknown.iter().all(|name| ends_in(name, "json")) && !unknown.is_empty());

    let back = weir(&[
        "files",
        "convert",
        "--in",
        text(&markdown),
        "--out",
        text(&json),
        "--out-format",
        "json",
    ]);
    assert_eq!(back.0, Some(0), "{}", back.2);
    assert_eq!(documents(&files(&json)), documents(&golden));

    // Every command reads the new form.
    let (_, from_json, _) = weir(&["show", TREE]);
    let (code, from_markdown, _) = weir(&["show", text(&markdown)]);
    assert_eq!((code, from_markdown), (Some(0), from_json));
}

#[test]
fn lines_are_split_and_an_edit_is_taken_over_in_place() {
    let folder = tempfile::tempdir().unwrap();
    let lines: Vec<_> = files(&PathBuf::from(TREE)).into_values().collect();
    let count = lines.len();
    fs::write(folder.path().join("all.jsonl"), lines.join(&b'\n')).unwrap();
    fs::write(folder.path().join("other.json"), "{\"a\":1}").unwrap();
    let (code, stdout, stderr) = weir(&["files", "convert", "--in", text(folder.path())]);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stdout.contains("(1 documents are no RRPairs)"), "{stdout}");
    let written = files(folder.path());
    assert_eq!(written.len(), count + 1, "{:?}", written.keys());
    assert!(!written.contains_key("all.jsonl"));

    let (name, bytes) = written.iter().find(|(name, _)| ends_in(name, "md")).unwrap();
    let edited = String::from_utf8(bytes.clone()).unwrap();
    let (start, rest) = edited.split_once("direction: ").unwrap();
    let turned = if rest.starts_with("IN") {
        rest.replacen("IN", "OUT", 1)
    } else {
        rest.replacen("OUT", "IN", 1)
    };
    fs::write(folder.path().join(name), format!("{start}direction: {turned}")).unwrap();
    let json = folder.path().join("json");
    let back = [
        "files",
        "convert",
        "--in",
        text(folder.path()),
        "--out",
        text(&json),
        "--out-format",
        "json",
    ];
    assert_eq!(weir(&back).0, Some(0));
    let (mut before, mut changed) =
        (files(&PathBuf::from(TREE)).into_values().collect::<Vec<_>>(), 0);
    for document in documents(&files(&json)).into_values() {
        match before.iter().position(|one| *one == document) {
            Some(at) => drop(before.remove(at)),
            None => changed += 1,
        }
    }
    assert_eq!(changed, 1);

    fs::write(folder.path().join(name), "### REQUEST ###\n```\n").unwrap();
    let (code, _, stderr) = weir(&["files", "convert", "--in", text(folder.path())]);
    assert_eq!(code, Some(2));
    assert!(stderr.contains(name) && stderr.contains("line 2"), "{stderr}");
}

#[test]
fn answers_are_compared_with_the_recorded_pairs_that_they_name() {
    let folder = tempfile::tempdir().unwrap();
    let golden: Value =
        serde_json::from_slice(&fs::read(Path::new(TREE).join("../http-get-200.json")).unwrap())
            .unwrap();
    let mut answered = golden.clone();
    answered["uuid"] = "AAAAAAAAAAAAAAAAAAAAAA==".into();
    answered["tags"]["refUuid"] = "3c1f5d6e-8a41-4a0f-9f0e-1b6a2f3e4d01".into();
    let (recorded, new) = (folder.path().join("a"), folder.path().join("b"));
    let write = |directory: &Path, document: &Value| {
        fs::create_dir_all(directory).unwrap();
        fs::write(directory.join("pair.json"), document.to_string()).unwrap();
    };
    write(&recorded, &golden);
    write(&new, &answered);
    let compare = || weir(&["files", "compare", "--in", text(&recorded), "--in", text(&new)]);
    assert_eq!(compare().1, "equal: 1 of 1\n");
    answered["status"] = "500".into();
    answered["http"]["res"]["bodyBase64"] = "eyJpZCI6NDN9".into(); // {"id":43}
    write(&new, &answered);
    let (code, stdout, _) = compare();
    assert_eq!(code, Some(1));
    assert!(stdout.starts_with("GET /v1/orders/42  200 → 500\n  $.id: 42 → 43\n"), "{stdout}");
    let (code, stdout, _) = weir(&["files", "compare", "--in", text(&new), "-o", "json"]);
    let document: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((code, &document["unpaired"]), (Some(1), &1.into()));
}
