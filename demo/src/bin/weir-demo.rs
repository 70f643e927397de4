//! `make demo`: starts the space program, captures it unmodified, and holds what arrived at
//! `weir collect` against what was sent.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use tokio::process::Command;
use tokio::signal::unix::{SignalKind, signal};
use weir_demo::process::Process;
use weir_demo::program::{Build, Ports, Program, Truth};
use weir_demo::snapshot::{self, Direction, Record};
use weir_demo::verify::{Verdict, verify};
use weir_demo::{report, requests};

const MANIFESTS: &str = "demo/manifests";
const OUT: &str = "demo/out";
/// More problems than this are counted, not listed.
const PROBLEMS_SHOWN: usize = 20;

// One thread: the services' parent is this thread, and they end when it does.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let ended = tokio::select! {
        ended = demo() => ended,
        why = interrupted() => why,
    };
    if let Err(error) = give_to_invoker(Path::new(OUT)) {
        writeln!(io::stderr(), "weir-demo: {error:#}").ok();
    }
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            writeln!(io::stderr(), "\nweir-demo: {error:#}").ok();
            ExitCode::FAILURE
        }
    }
}

async fn interrupted() -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("watch SIGTERM")?;
    let mut hang_up = signal(SignalKind::hangup()).context("watch SIGHUP")?;
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
        _ = hang_up.recv() => {}
    }
    anyhow::bail!("interrupted; everything that was started has been stopped")
}

async fn demo() -> anyhow::Result<()> {
    let out = PathBuf::from(OUT);
    anyhow::ensure!(Path::new(MANIFESTS).is_dir(), "run this in the root of the repository");
    fs::create_dir_all(".cache").context("create .cache")?;
    let lock = fs::File::create(".cache/demo.lock").context("create the lock")?;
    lock.try_lock().context("lock .cache/demo.lock: is another demo running?")?;
    if out.exists() {
        fs::remove_dir_all(&out).with_context(|| format!("remove the last {OUT}"))?;
    }
    fs::create_dir_all(out.join("logs")).with_context(|| format!("create {OUT}"))?;
    let programs = std::env::current_exe().context("find the programs")?;
    let programs = programs.parent().context("find the programs")?;

    let (truth, told) = capture(programs, &out).await?;
    let records = snapshot::read(&out.join("snapshot"))?;
    let verdict = verify(&truth.driver, &truth.gateway, &records);
    show(&mut io::stdout().lock(), &records, &verdict, &told).context("write the report")?;
    anyhow::ensure!(
        verdict.problems.is_empty(),
        "the snapshot is not what was sent, problems: {}; logs are in {OUT}/logs",
        verdict.problems.len()
    );
    Ok(())
}

/// Runs program and capture; returns the truth and the capture's own account of its losses.
async fn capture(programs: &Path, out: &Path) -> anyhow::Result<(Truth, Vec<String>)> {
    let weir = programs.join("weir");
    let logs = out.join("logs");

    step("Starting the space program: a database, three services, a driver")?;
    let mut program = Program::start(programs, out, Ports::DEMO, Build::Buggy).await?;
    for (name, id) in program.services() {
        say(&format!("  {name:<18} process {id}"))?;
    }
    say("  PostgreSQL is there as honest background: Weir does not decode its protocol yet.")?;

    step("Starting `weir collect`, then `weir run -f demo/manifests`")?;
    let mut command = Command::new(&weir);
    command.arg("collect").arg("--out-dir").arg(out.join("snapshot"));
    let mut collect = Process::start("weir-collect", command, &logs)?;
    collect.line(|line| line.contains("OTLP/HTTP on")).await?;
    let mut command = Command::new(&weir);
    let state = tempfile::tempdir().context("make a folder for the queue")?;
    command.arg("run").arg("-f").arg(MANIFESTS).arg("--state-dir").arg(state.path());
    let mut run = Process::start("weir-run", command, &logs)?;
    run.line(|line| line.starts_with("capturing 3 processes")).await?;
    for line in run.lines(|line| line.contains("starting OTLP log exporter")) {
        say(&format!("  {}", report::visible(&line)))?;
    }

    step("Driving: every kind of request, on connections that are older than the capture")?;
    let sent = program.drive().await?;
    say(&format!("  {sent}"))?;

    step("Stopping: the capture drains first")?;
    run.stop().await?;
    collect.stop().await?;
    Ok((program.stop().await?, run.lines(|line| line.contains("ledger"))))
}

fn show(
    out: &mut impl Write,
    records: &[Record],
    verdict: &Verdict,
    ledger: &[String],
) -> io::Result<()> {
    writeln!(out, "\n== What was captured\n")?;
    report::services(out, records)?;
    for line in ledger {
        writeln!(out, "{}", report::visible(line))?;
    }

    writeln!(out, "\n== What failed: one request, wherever it was seen, every byte visible\n")?;
    let mut failures: Vec<&Record> =
        records.iter().filter(|record| record.status == "500").collect();
    failures.sort_by_key(|record| (&record.id, record.hop, record.direction == Direction::In));
    let first = failures.first().map(|record| &record.id);
    let seen = failures.iter().take_while(|record| Some(&record.id) == first).count();
    report::failure(out, &failures[..seen])?;
    let ends_in_del = |record: &&&Record| record.query.iter().any(|(_, id)| id.ends_with(b"\x7f"));
    let with_del = failures.iter().filter(ends_in_del).count();
    writeln!(
        out,
        "  {with_del} of {} pairs with status 500 have an id that ends in DEL, \\x7f",
        failures.len()
    )?;

    writeln!(out, "\n== Is it the truth?\n")?;
    let sent = requests::list().len();
    writeln!(out, "  {sent} requests sent, {} of them health probes that", verdict.filtered)?;
    writeln!(out, "  filterRule standard keeps out of the snapshot")?;
    writeln!(out, "  {} records right, each exactly once, byte for byte", verdict.matched)?;
    for problem in verdict.problems.iter().take(PROBLEMS_SHOWN) {
        writeln!(out, "  {}", report::visible(&problem.to_string()))?;
    }
    if verdict.problems.len() > PROBLEMS_SHOWN {
        writeln!(out, "  and {} more problems", verdict.problems.len() - PROBLEMS_SHOWN)?;
    }
    if verdict.problems.is_empty() {
        writeln!(out, "  nothing missing, nothing twice, nothing else")?;
        writeln!(out, "\n== How to go on\n")?;
        writeln!(out, "  {OUT}/snapshot   one JSON file per request/response pair")?;
        writeln!(out, "  {OUT}/logs       what each process said")?;
        writeln!(out, "  target/debug/weir show --failing {OUT}/snapshot")?;
        writeln!(out, "  Nothing is left running. To capture a program of your own, copy")?;
        writeln!(out, "  {MANIFESTS}, name your program there, and run as root:")?;
        writeln!(out, "    target/debug/weir collect --out-dir my-snapshot")?;
        writeln!(out, "    target/debug/weir run -f my-manifests")?;
    }
    Ok(())
}

fn step(title: &str) -> anyhow::Result<()> {
    say(&format!("\n== {title}"))
}

fn say(line: &str) -> anyhow::Result<()> {
    writeln!(io::stdout(), "{line}").context("write to standard output")
}

/// Under sudo the output would belong to root: hands it to whoever called.
fn give_to_invoker(path: &Path) -> anyhow::Result<()> {
    let id = |name| std::env::var(name).ok()?.parse::<u32>().ok();
    let Some((user, group)) = id("SUDO_UID").zip(id("SUDO_GID")) else { return Ok(()) };
    give(path, user, group).with_context(|| format!("hand over {}", path.display()))
}

fn give(path: &Path, user: u32, group: u32) -> io::Result<()> {
    let meta = fs::symlink_metadata(path)?;
    if meta.is_symlink() {
        return Ok(());
    }
    chown(path, Some(user), Some(group))?;
    if meta.is_dir() {
        for entry in fs::read_dir(path)? {
            give(&entry?.path(), user, group)?;
        }
    }
    Ok(())
}
