//! The whole story, with other people's Collector and store: a request fails, its traffic is
//! gathered from the store, explained, looked at, and replayed against the build that has the bug
//! and against the one that does not. With `--nocapture` it shows what somebody at a terminal
//! sees.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::tests_outside_test_module,
    reason = "an integration test is all test code"
)]

mod store;
mod terminal;

use std::{collections::BTreeSet, fs, path::Path};

use serde_json::{Value, json};
use tokio::process::Command;
use weir_demo::{
    process::Process,
    program::{Build, Ports, Program, Truth},
    snapshot::{self, Direction},
    verify,
};

use crate::{
    store::{Store, free_port},
    terminal::{curl, programs, repository, until, weir},
};

async fn program(folder: &Path, build: Build) -> Program {
    let ports = Ports { gateway: 0, outerspace: 0, telemetry: 0, database: free_port() };
    Program::start(programs(), folder, ports, build).await.unwrap()
}

/// Captures one run of the space program; returns what was truly sent.
async fn capture(collector: u16, folder: &Path) -> Truth {
    let manifests = folder.join("manifests");
    fs::create_dir(&manifests).unwrap();
    let from = repository().join("demo/manifests");
    fs::copy(from.join("capture.yaml"), manifests.join("capture.yaml")).unwrap();
    let exporter = fs::read_to_string(from.join("exporter.yaml")).unwrap();
    // The port of the manifest is the usual one; this run's is its own.
    let endpoint = format!("transport: HTTP\n    endpoint: http://127.0.0.1:{collector}");
    let exporter = exporter.replace("endpoint: http://127.0.0.1:4318", &endpoint);
    assert!(exporter.contains(&endpoint), "the manifest has another endpoint");
    fs::write(manifests.join("exporter.yaml"), exporter).unwrap();

    let mut program = program(folder, Build::Buggy).await;
    let mut command = Command::new(programs().join("weir"));
    command.arg("run").arg("-f").arg(&manifests).arg("--state-dir").arg(folder.join("state"));
    let mut run = Process::start("weir-run", command, &folder.join("logs")).unwrap();
    run.line(|line| line.starts_with("capturing 3 processes")).await.unwrap();
    program.drive().await.unwrap();
    run.stop().await.unwrap();
    program.stop().await.unwrap()
}

/// Gathers everything and holds it against the truth, byte for byte.
async fn gather(store: &Store, truth: &Truth, records: usize, snapshot: &str) {
    let mut arguments = vec!["gather"];
    arguments.extend(store.arguments());
    arguments.extend(["--out-dir", snapshot]);
    let gathered = weir(&arguments).await;
    assert_eq!(gathered.code, Some(0));
    assert!(gathered.said.contains(&format!("wrote {records} RRPairs to ")));
    let found = snapshot::read(Path::new(snapshot)).unwrap();
    let verdict = verify::verify(&truth.driver, &truth.gateway, &found);
    let problems: Vec<_> = verdict.problems.iter().take(5).map(ToString::to_string).collect();
    assert!(problems.is_empty(), "{problems:#?}");
    assert_eq!(verdict.matched, records);
}

/// `weir web` gives its page the failing pairs, with their control byte marked.
async fn web(snapshot: &str, logs: &Path) {
    let mut command = Command::new(programs().join("weir"));
    command.args(["web", "--in", snapshot, "--listen", "127.0.0.1:0"]);
    let mut web = Process::start("weir-web", command, logs).unwrap();
    let line = web.line(|line| line.starts_with("weir web: http://")).await.unwrap();
    println!("\n$ weir web --in {snapshot}\n{line}");
    let url = line.split_whitespace().nth(2).unwrap().to_owned();
    let ask = async |path: &str| curl(&[&format!("{url}api/{path}")]).await;
    let state = until("the index of weir web", async || {
        Some(ask("state").await).filter(|state| state["loaded"] == true)
    })
    .await;
    let failing = ask("rows?filter=status:500").await;
    let rows = failing["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 18, "six requests, each seen on three sides: {failing}");
    for row in rows {
        assert!(row["target"].as_str().unwrap().ends_with("%7F"), "{row}");
        assert_eq!(row["marks"], json!(["control"]), "{row}");
    }
    let pair = ask(&format!("pairs/{}", rows[0]["number"])).await;
    assert_eq!(pair["document"]["status"], "500");
    println!("  {} pairs, {} of them with status 500", state["pairs"], rows.len());
    println!("  e.g. {} with the mark {}", rows[0]["target"], pair["marks"][0]["text"]);
    web.stop().await.unwrap();
}

/// Replays everything against one build; returns the requests whose answers differed.
async fn replay(snapshot: &str, folder: &Path, build: Build) -> (String, BTreeSet<String>) {
    let folder = folder.join(format!("{build:?}"));
    fs::create_dir(&folder).unwrap();
    let program = program(&folder, build).await;
    let against = |name| format!("{name}=http://{}", program.address(name).unwrap());
    let services = ["gateway", "outerspace-server", "telemetry"].map(against);
    let out = folder.join("replayed");
    // Launches are numbered: what is new every time has to be learnt.
    let mut arguments = vec!["replay", "--in", snapshot, "--learn"];
    for service in &services {
        arguments.extend(["--test-against", service]);
    }
    let condition = "requests.result-match-pct < 100";
    arguments.extend(["--fail-if", condition, "--out", out.to_str().unwrap()]);
    let ended = weir(&arguments).await;
    assert_eq!(ended.code, Some(i32::from(build == Build::Fixed)));

    let records = snapshot::read(Path::new(snapshot)).unwrap();
    let verdicts = fs::read(out.join("replay-verdict.json")).unwrap();
    let verdicts: Value = serde_json::from_slice(&verdicts).unwrap();
    let differing =
        verdicts["pairs"].as_array().unwrap().iter().filter(|one| one["match"] == false);
    let name = |verdict: &Value| {
        assert_eq!(
            (&verdict["recordedStatus"], &verdict["observedStatus"]),
            (&"500".into(), &"404".into())
        );
        let file = format!("{}.json", verdict["uuid"].as_str().unwrap());
        let record = records.iter().find(|record| record.file.ends_with(&file)).unwrap();
        format!("{} {}", record.service, record.target)
    };
    (ended.said, differing.map(name).collect())
}

async fn story(store: Store, folder: &Path) {
    let logs = folder.join("logs");
    let collector = store.collector(&logs).await;
    let truth = capture(collector.http, folder).await;
    let calls = truth.gateway.iter().filter(|call| !call.id.starts_with("warm-")).count();
    let probes = truth.driver.iter().filter(|exchange| exchange.probe).count();
    let records = truth.driver.len() - probes + 2 * calls;
    store.filled(collector, records).await;

    let snapshot = folder.join("snapshot");
    let snapshot = snapshot.to_str().unwrap();
    gather(&store, &truth, records, snapshot).await;

    let explained = weir(&["explain", "--in", snapshot]).await;
    assert_eq!(explained.code, Some(0));
    let reason = "6 of 6 failures end `id` with 0x7f (DEL), 0 of ";
    assert_eq!(explained.said.matches(reason).count(), 3, "on three sides of the call");
    web(snapshot, &logs).await;

    let (said, differing) = replay(snapshot, folder, Build::Buggy).await;
    assert!(said.contains("result match: 100.00 %"));
    assert_eq!(differing, BTreeSet::new());
    let (said, differing) = replay(snapshot, folder, Build::Fixed).await;
    assert!(said.contains("500 → 404"));
    let failing: BTreeSet<_> = snapshot::read(Path::new(snapshot))
        .unwrap()
        .iter()
        .filter(|record| record.direction == Direction::In && record.status == "500")
        .map(|record| format!("{} {}", record.service, record.target))
        .collect();
    assert_eq!(failing.len(), 12, "six at the gateway, six at the service behind it");
    assert_eq!(differing, failing);
}

#[tokio::test]
#[ignore = "needs root, eBPF, PostgreSQL, Elasticsearch and a Collector that exports to it"]
async fn from_a_500_in_elasticsearch_to_the_fix() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("logs")).unwrap();
    Box::pin(story(Store::elasticsearch().await, folder.path())).await;
}

#[tokio::test]
#[ignore = "needs root, eBPF, PostgreSQL and a Collector"]
async fn from_a_500_in_the_collectors_file_to_the_fix() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("logs")).unwrap();
    Box::pin(story(Store::file(folder.path()), folder.path())).await;
}
