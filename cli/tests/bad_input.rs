//! Every command that reads recordings says what is wrong with a directory, and where, and
//! writes nothing.
#![expect(
    clippy::unwrap_used,
    clippy::tests_outside_test_module,
    reason = "an integration test is all test code"
)]

use std::{fs, path::Path, process::Command};

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/contract/golden");

/// Commands and, in place of `IN` and `OUT`, where they read and where they may write. `weir show`
/// and `weir web` are not among them: they show what there is and count the rest.
const READERS: [&[&str]; 4] = [
    &["explain", "--in", "IN"],
    &["replay", "--in", "IN", "--test-against", "127.0.0.1:1", "--out", "OUT"],
    &["mock", "--in", "IN", "--proxy-out-port", "0", "--out", "OUT"],
    &["files", "convert", "--in", "IN", "--out-format", "markdown", "--out", "OUT"],
];

/// Exit code and what was said.
fn weir(command: &[&str], input: &Path, out: &Path) -> (Option<i32>, String) {
    let [input, out] = [input, out].map(|path| path.to_str().unwrap());
    let arguments = command.iter().map(|argument| match *argument {
        "IN" => input,
        "OUT" => out,
        other => other,
    });
    let mut weir = Command::new(env!("CARGO_BIN_EXE_weir"));
    weir.env_clear().env("HOME", "/nonexistent").args(arguments);
    let output = weir.output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

fn check(name: &str, content: &[u8], expected: &str) {
    let folder = tempfile::tempdir().unwrap();
    let (input, out) = (folder.path().join("in"), folder.path().join("out"));
    fs::create_dir(&input).unwrap();
    fs::copy(format!("{GOLDEN}/http-get-200.json"), input.join("a.json")).unwrap();
    fs::write(input.join(name), content).unwrap();
    for command in READERS {
        let (code, said) = weir(command, &input, &out);
        assert_eq!(code, Some(2), "{command:?}: {said}");
        let expected = format!("{}/{name}{expected}", input.display());
        assert!(said.contains(&expected), "{command:?}: no {expected} in {said}");
        assert!(!said.contains("canary"), "{command:?} shows what was captured: {said}");
        assert!(!out.exists(), "{command:?}");
    }
}

#[test]
fn a_missing_directory_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let (input, out) = (folder.path().join("no-such-directory"), folder.path().join("out"));
    let web: &[&str] = &["web", "--in", "IN", "--listen", "127.0.0.1:0"];
    for command in READERS.into_iter().chain([web, &["show", "IN"]]) {
        let (code, said) = weir(command, &input, &out);
        assert_eq!(code, Some(2), "{command:?}: {said}");
        assert!(said.contains(input.to_str().unwrap()), "{command:?}: {said}");
        assert!(!out.exists() && !input.exists(), "{command:?}");
    }
}

#[test]
fn broken_json_is_named_with_its_file() {
    check("b.json", b"{\"direction\":\"IN\",\"status\":canary}", ": ");
}

#[test]
fn a_half_written_file_is_named() {
    let whole = fs::read(format!("{GOLDEN}/http-get-200.json")).unwrap();
    let whole: serde_json::Value = serde_json::from_slice(&whole).unwrap();
    let whole = whole.to_string().into_bytes();
    check("b.json", &whole[..whole.len() / 2], ": ");
    check("b.jsonl", &[&whole[..], b"\n", &whole[..whole.len() / 2]].concat(), ":2: ");
}
