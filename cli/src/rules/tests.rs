use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Parser;

use super::*;
use crate::style::Style;

const BEFORE: &str = include_str!("../../../fixtures/contract/golden/filter-dlp/before.jsonl");
const AFTER: &str = include_str!("../../../fixtures/contract/golden/filter-dlp/after.jsonl");
const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/contract/golden/filter-dlp");

const POLICIES: &str = "\
apiVersion: weir.dev/v1alpha1
kind: DlpPolicy
metadata: {name: cards}
spec: {detectors: [CreditCard], action: Mask, tests: [{input: a 4111111111111111, expect: 'a ****************'}]}
---
apiVersion: weir.dev/v1alpha1
kind: DlpPolicy
metadata: {name: nothing}
spec: {keys: [no-such-key]}
---
apiVersion: weir.dev/v1alpha1
kind: Exporter
metadata: {name: local}
spec:
  otlp: {endpoint: 'http://127.0.0.1:4318'}
  filter: {drop: ['location == \"/healthz\"']}
";

#[derive(Parser)]
enum Line {
    Dlp(DlpCommand),
    Filter(FilterCommand),
}

fn weir(line: &[&str]) -> anyhow::Result<(ExitCode, String)> {
    let mut out = Vec::new();
    let code = match Line::try_parse_from([&["weir"], line].concat())? {
        Line::Dlp(command) => command.run(&mut out, Style::PLAIN)?,
        Line::Filter(command) => command.run(&mut out, Style::PLAIN)?,
    };
    Ok((code, String::from_utf8(out).unwrap()))
}

/// A snapshot directory with the golden pairs, and a file of manifests.
fn snapshot(folder: &Path) -> (String, String) {
    let directory = folder.join("in/host");
    fs::create_dir_all(&directory).unwrap();
    for (number, line) in BEFORE.lines().enumerate() {
        fs::write(directory.join(format!("{number}.json")), line).unwrap();
    }
    fs::write(directory.join("other.json"), "{}").unwrap();
    let manifests = folder.join("policies.yaml");
    fs::write(&manifests, POLICIES).unwrap();
    let text = |path: PathBuf| path.to_str().unwrap().to_owned();
    (text(folder.join("in")), text(manifests))
}

#[test]
fn the_golden_rules_give_the_golden_records() {
    let folder = tempfile::tempdir().unwrap();
    let (input, _) = snapshot(folder.path());
    let of = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (filtered, redacted) = (of("filtered"), of("redacted"));
    let (rule, policy) = (format!("{GOLDEN}/filter.json"), format!("{GOLDEN}/dlp.json"));
    let line = ["filter", "apply", "--in", &input, "--filter-config", &rule, "--out", &filtered];
    let (code, text) = weir(&line).unwrap();
    assert_eq!(code, ExitCode::SUCCESS);
    assert!(text.starts_with("3 RRPairs, 2 kept, 1 dropped\n(1 files are no RRPairs"), "{text}");
    let line = ["dlp", "apply", "--in", &filtered, "--dlp-config", &policy, "--out", &redacted];
    weir(&line).unwrap();
    for (number, expected) in AFTER.lines().enumerate() {
        let file = folder.path().join(format!("redacted/host/{}.json", number + 1));
        let read = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        assert_eq!(read(&fs::read_to_string(file).unwrap()), read(expected));
    }
    // What was written once is not written over.
    assert!(weir(&line).unwrap_err().to_string().contains("is not empty"));
}

#[test]
fn a_report_names_categories_and_places_and_no_secret() {
    let folder = tempfile::tempdir().unwrap();
    let (input, manifests) = snapshot(folder.path());
    let line = ["dlp", "test", "--in", &input, "-f", &manifests, "--show-redacted"];
    let (code, text) = weir(&line).unwrap();
    assert_eq!(code, ExitCode::SUCCESS);
    assert!(text.contains("3 RRPairs, 1 of them with something redacted\n"), "{text}");
    assert!(text.contains("CREDIT_CARD       1        1\n"), "{text}");
    assert!(text.contains("http.req.bodyBase64: {\"amount\":1999,"), "{text}");
    assert!(text.contains("policy default/cards,default/nothing (hash "), "{text}");
    assert!(!text.contains("4000-0000"), "{text}");
    let (code, _) = weir(&[&line[..6], &["--expect-clean"]].concat()).unwrap();
    assert_eq!(code, ExitCode::from(1));
    let (code, _) =
        weir(&[&line[..6], &["--expect-clean", "--policy", "nothing"]].concat()).unwrap();
    assert_eq!(code, ExitCode::SUCCESS);
    let error = weir(&[&line[..6], &["--policy", "x"]].concat()).unwrap_err();
    assert_eq!(error.to_string(), "no DlpPolicy x in the manifests");
}

#[test]
fn a_policy_that_fails_its_test_is_an_error_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let (input, manifests) = snapshot(folder.path());
    fs::write(&manifests, POLICIES.replace("'a ****************'", "a")).unwrap();
    let error = weir(&["dlp", "test", "--in", &input, "-f", &manifests]).unwrap_err().to_string();
    assert!(error.contains("policies.yaml:4") && error.contains("tests[0]"), "{error}");
}

#[test]
fn filters_come_from_manifests_rules_and_queries() {
    let folder = tempfile::tempdir().unwrap();
    let (input, manifests) = snapshot(folder.path());
    for source in [
        ["-f", manifests.as_str()],
        ["--rule", "standard"],
        ["--query", r#"(location IS "/healthz")"#],
    ] {
        let line = ["filter", "test", "--in", &input, source[0], source[1], "--show-dropped"];
        let (code, text) = weir(&line).unwrap();
        assert_eq!(code, ExitCode::SUCCESS);
        assert!(text.contains("3 RRPairs, 2 kept, 1 dropped\n"), "{source:?}: {text}");
        assert!(text.starts_with("dropped ") && text.contains("/healthz"), "{text}");
    }
    let all = ["filter", "test", "--in", &input, "--query", r#"(location CONTAINS "")"#];
    assert_eq!(weir(&all).unwrap().0, ExitCode::from(1));
    assert!(weir(&["filter", "test", "--in", &input]).is_err());
}
