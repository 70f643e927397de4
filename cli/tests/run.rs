//! `weir run` as far as it goes without rights: manifests, plan, faults. What it captures is
//! tested in `e2e/`.
#![expect(
    clippy::unwrap_used,
    clippy::tests_outside_test_module,
    reason = "an integration test is all test code"
)]

use std::{
    fs,
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    path::Path,
    process::{Command, Output},
};

const CAPTURE: &str = "\
apiVersion: weir.dev/v1alpha1
kind: TrafficCapture
metadata: {name: rocket}
spec:
  selector: {matchLabels: {weir.dev/exe: rocket-api}}
  direction: Inbound
  ports: [8080]
  exporters: [{name: local}]
";
const EXPORTER: &str = "\
apiVersion: weir.dev/v1alpha1
kind: Exporter
metadata: {name: local}
spec:
  otlp: {endpoint: 'http://127.0.0.1:4318'}
";

fn manifests(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    for (name, text) in files {
        fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

fn run(folder: &Path, flags: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
    command.env_remove("WEIR_LOG").arg("run").arg("-f").arg(folder).args(flags);
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn dry_run(files: &[(&str, &str)]) -> Output {
    let folder = manifests(files);
    run(folder.path(), &["--dry-run", "--namespace", "shop"]).output().unwrap()
}

#[test]
fn a_dry_run_prints_what_would_be_captured_and_where_it_goes() {
    let output = dry_run(&[("a.yaml", CAPTURE), ("b.yaml", EXPORTER)]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let stdout = text(&output.stdout);
    assert!(
        stdout.contains(
            "TrafficCapture shop/rocket: inbound traffic of processes with \
             weir.dev/exe=rocket-api, ports 8080 → shop/local"
        ),
        "{stdout}"
    );
    assert!(
        stdout.contains("Exporter shop/local: OTLP/HTTP to http://127.0.0.1:4318 ("),
        "{stdout}"
    );
    assert!(!stdout.contains("capturing"), "scripts take that for the start: {stdout}");
}

#[test]
fn every_fault_is_printed_once_with_file_and_line_and_is_exit_2() {
    let capture = CAPTURE.replace("ports:", "port:");
    let exporter = EXPORTER.replace("http://", "ftp://");
    let output = dry_run(&[("a.yaml", &capture), ("b.yaml", &exporter)]);
    assert_eq!(output.status.code(), Some(2));
    let stderr = text(&output.stderr);
    assert_eq!(stderr.matches("a.yaml:7").count(), 1, "{stderr}");
    assert!(stderr.starts_with("weir: "), "{stderr}");
    assert_eq!(text(&output.stdout), "");

    let output = dry_run(&[("a.yaml", CAPTURE), ("b.yaml", &exporter)]);
    let stderr = text(&output.stderr);
    assert_eq!(stderr.matches("b.yaml:5").count(), 1, "{stderr}");
    assert!(stderr.contains("scheme \"ftp\" is not one of http, https"), "{stderr}");
}

#[test]
fn a_secret_in_a_manifest_is_not_printed() {
    let secret = "\
apiVersion: v1
kind: Secret
metadata: {name: key}
stringData: {token: canary-4711}
";
    let exporter = format!(
        "{EXPORTER}    headers: [{{name: Authorization, valueFrom: {{secretKeyRef: {{name: key, key: token}}}}}}]\n"
    )
    .replace("  otlp: {endpoint: 'http://127.0.0.1:4318'}\n", "  otlp:\n    endpoint: 'http://127.0.0.1:4318'\n");
    let output = dry_run(&[("a.yaml", CAPTURE), ("b.yaml", &exporter), ("c.yaml", secret)]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(!text(&output.stdout).contains("canary") && !text(&output.stderr).contains("canary"));
}

#[test]
fn a_missing_file_is_exit_2() {
    let output = run(Path::new("/does/not/exist"), &["--dry-run"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).starts_with("weir: read /does/not/exist: "));
}

#[test]
fn a_bad_argument_is_exit_2_with_what_is_allowed() {
    let folder = manifests(&[]);
    for (flags, allowed) in [
        (["--ring-size", "5Mi"], "power of two"),
        (["--hook", "magic"], "sock-length"),
        (["--cluster", "undefined"], "not `undefined`"),
    ] {
        let output = run(folder.path(), &flags).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        assert!(text(&output.stderr).contains(allowed), "{}", text(&output.stderr));
    }
}

#[test]
fn without_rights_it_says_what_to_do_and_is_exit_2() {
    let folder = manifests(&[("a.yaml", CAPTURE), ("b.yaml", EXPORTER)]);
    let mut command = run(folder.path(), &[]);
    if rustix::process::geteuid().is_root() {
        command.uid(65534); // nobody
    }
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let stderr = text(&output.stderr);
    assert!(stderr.starts_with("weir: capturing needs the capabilities "), "{stderr}");
    assert!(stderr.contains("run as root, or grant them"), "{stderr}");
}

#[test]
fn doctor_agrees_with_its_exit_status() {
    let output = Command::new(env!("CARGO_BIN_EXE_weir")).arg("doctor").output().unwrap();
    let can = text(&output.stdout).ends_with("\na capture can work here\n");
    assert_eq!(output.status.code(), Some(i32::from(!can)));
}
