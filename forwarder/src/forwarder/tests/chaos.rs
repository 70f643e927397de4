//! Delivery through kills and bad receivers, to the OpenTelemetry Collector. The forwarder that
//! is killed is this very program, started anew with one test to run.

mod disk_full;
mod proxy;
mod secrets;

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::SystemTime,
};

use serde_json::Value;

use self::proxy::{Manner, Proxy};
use super::*;

const KILLS: usize = 50;
/// Enough for every manner of a receiver, twice: the queue itself is the same.
const KILLS_OVER_GRPC: usize = 20;
/// Records between two lines of the forwarder.
const BURST: u64 = 10;
const PORT: &str = "WEIR_CHAOS_PORT";
const FOLDER: &str = "WEIR_CHAOS_FOLDER";
const RUN: &str = "WEIR_CHAOS_RUN";
const TRANSPORT: &str = "WEIR_CHAOS_TRANSPORT";
/// Name of the run that ends in order.
const LAST: &str = "last";

/// Starts one test of this program.
fn start_self(test: &str, folder: &Path, port: u16, run: &str) -> Command {
    let mut command = Command::new(env::current_exe().unwrap());
    let name = format!("forwarder::tests::chaos::{test}");
    command.args(["--exact", &name, "--ignored", "--nocapture"]);
    command.env(PORT, port.to_string()).env(FOLDER, folder).env(RUN, run);
    command
}

/// A forwarder that says after each burst how many of its records are in the queue.
#[test]
#[ignore = "the program that every_queued_record_arrives_through_fifty_kills starts"]
fn forwarder_to_be_killed() {
    let port = env::var(PORT).unwrap().parse().unwrap();
    let (folder, run) = (PathBuf::from(env::var(FOLDER).unwrap()), env::var(RUN).unwrap());
    let mut kernel = Kernel::new();
    let transport = match env::var(TRANSPORT).as_deref() {
        Ok("grpc") => Transport::Grpc,
        _ => Transport::Http,
    };
    let forwarder = forwarder(&kernel, |config| config.queue_dir = Some(folder));
    forwarder.apply(plan(vec![exporter("chaos", port, transport)]));
    kernel.open(1, Call::SERVER);
    let mut queued = 0;
    loop {
        for number in queued..queued + BURST {
            exchange(&mut kernel, 1, Call::SERVER, &format!("/{run}/{number}"));
        }
        queued += BURST;
        wait_until(Instant::now() + PATIENCE, || forwarder.ledger().records().seen >= queued);
        let records = forwarder.ledger().records();
        assert_eq!((records.seen, records.shed_total()), (queued, 0));
        // What is counted as seen is in the queue, and with that in the kernel's hands.
        println!("queued {queued}");
        // Enough for one life; from here on it only delivers.
        if run != LAST && queued == 10 * BURST {
            loop {
                std::thread::park();
            }
        }
        if run == LAST && queued == 5 * BURST {
            assert!(forwarder.settle(PATIENCE), "{:?}", forwarder.ledger());
            let ledger = forwarder.stop();
            ledger.check().unwrap();
            println!("ledger {}", serde_json::to_string(&ledger).unwrap());
            return;
        }
    }
}

/// The Collector of the component tests, with what it wrote.
struct Collector {
    process: Child,
    /// OTLP/gRPC and OTLP/HTTP.
    ports: [u16; 2],
    output: PathBuf,
}

impl Collector {
    fn start(folder: &Path, name: &str) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let built = Command::new(root.join("e2e/otelcol/build.sh")).output().unwrap();
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        let program = String::from_utf8(built.stdout).unwrap();
        let ports = [crate::testing::free_port(), crate::testing::free_port()];
        let output = folder.join(name);
        let process = Command::new(program.trim())
            .arg("--config")
            .arg(root.join("e2e/otelcol/config.yaml"))
            .env("OTLP_GRPC_PORT", ports[0].to_string())
            .env("OTLP_HTTP_PORT", ports[1].to_string())
            .env("OTLP_OUTPUT", &output)
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let up = |port: &u16| std::net::TcpStream::connect(("127.0.0.1", *port)).is_ok();
        assert!(wait_until(Instant::now() + PATIENCE, || ports.iter().all(up)));
        Self { process, ports, output }
    }

    fn port(&self, transport: Transport) -> u16 {
        self.ports[usize::from(transport != Transport::Grpc)]
    }

    /// Ends it in order; every record that it wrote, as location and uuid.
    fn finish(mut self) -> Vec<(String, String)> {
        let id = self.process.id().to_string();
        assert!(Command::new("kill").arg(id).status().unwrap().success());
        assert!(self.process.wait().unwrap().success());
        let mut records = Vec::new();
        for line in fs::read_to_string(&self.output).unwrap().lines() {
            let document: Value = serde_json::from_str(line).unwrap();
            for resource in document["resourceLogs"].as_array().unwrap() {
                for scope in resource["scopeLogs"].as_array().unwrap() {
                    let logs = scope["logRecords"].as_array().unwrap();
                    records.extend(logs.iter().map(|log| {
                        let fields = log["body"]["kvlistValue"]["values"].as_array().unwrap();
                        let field = |name: &str| {
                            let found = fields.iter().find(|field| field["key"] == name).unwrap();
                            found["value"]["stringValue"].as_str().unwrap().to_owned()
                        };
                        (field("location"), field("uuid"))
                    }));
                }
            }
        }
        records
    }
}

/// What a crash in the middle of a write leaves, and what a jump of the clock does to files.
fn torn_and_out_of_time(queues: &Path, run: usize) {
    let folder = queues.join("default_chaos");
    let files = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    let mut segments: Vec<_> =
        files.filter(|path| path.to_string_lossy().contains("segment-")).collect();
    segments.sort();
    let Some(last) = segments.last() else { return };
    let mut bytes = fs::read(last).unwrap();
    // The start of another frame: as much of the first one as the run's number says.
    let torn = bytes.get(20..20 + 13 * run).unwrap_or_default().to_vec();
    bytes.extend(torn);
    fs::write(last, bytes).unwrap();
    let year = Duration::from_hours(24 * 365);
    let time =
        if run.is_multiple_of(2) { SystemTime::now() + year } else { SystemTime::UNIX_EPOCH };
    fs::File::options().append(true).open(last).unwrap().set_modified(time).unwrap();
}

/// Lines of a forwarder; kills it after `lines`, when the receiver was asked `requests` times,
/// or lets it end. The last number that it said was queued, and its ledger.
fn follow(mut child: Child, kill: Option<(usize, usize)>, proxy: &Proxy) -> (u64, Option<Value>) {
    let (mut queued, mut ledger, mut seen) = (0, None, 0);
    let asked = proxy.requests();
    let mut killed = false;
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        if let Some(number) = line.strip_prefix("queued ") {
            (queued, seen) = (number.parse().unwrap(), seen + 1);
        }
        if let Some(text) = line.strip_prefix("ledger ") {
            ledger = Some(serde_json::from_str(text).unwrap());
        }
        if let Some((lines, requests)) = kill
            && !killed
            && seen >= lines
        {
            let heard = || proxy.requests() >= asked + requests;
            assert!(wait_until(Instant::now() + PATIENCE, heard));
            child.kill().unwrap();
            killed = true;
        }
    }
    assert_eq!(child.wait().unwrap().success(), !killed);
    assert_eq!(killed, kill.is_some(), "it ended by itself");
    (queued, ledger)
}

#[test]
#[ignore = "needs the OpenTelemetry Collector"]
fn every_queued_record_arrives_through_fifty_kills() {
    every_queued_record_arrives(Transport::Http, KILLS);
}

#[test]
#[ignore = "needs the OpenTelemetry Collector"]
fn every_queued_record_arrives_through_kills_over_grpc() {
    every_queued_record_arrives(Transport::Grpc, KILLS_OVER_GRPC);
}

fn every_queued_record_arrives(transport: Transport, kills: usize) {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("queues");
    let first = Collector::start(root.path(), "first.jsonl");
    let proxy = Proxy::start(first.port(transport), transport);
    let mut expected = BTreeSet::new();
    let start = |run: &str| {
        let mut command = start_self("forwarder_to_be_killed", &folder, proxy.port, run);
        command.env(TRANSPORT, if transport == Transport::Grpc { "grpc" } else { "http" });
        command.stdout(Stdio::piped()).spawn().unwrap()
    };
    let mut arrived = Vec::new();
    let mut collector = Some(first);
    for run in 0..kills {
        proxy.be(match run % 5 {
            0 | 3 => Manner::Pass,
            1 => Manner::Down,
            2 => Manner::Slow,
            _ => Manner::Busy([429, 503][run / 5 % 2], "0"),
        });
        if run == kills / 2 {
            // It is away, for the forwarders of a while and for good.
            arrived.extend(collector.take().unwrap().finish());
        }
        if run == kills / 2 + 3 {
            let second = Collector::start(root.path(), "second.jsonl");
            proxy.send_to(second.port(transport));
            collector = Some(second);
        }
        // Some die before the receiver hears of them, some in the middle of it.
        let child = start(&run.to_string());
        let (queued, _) = follow(child, Some((1 + run % 4, run % 2)), &proxy);
        expected.extend((0..queued).map(|number| format!("/{run}/{number}")));
        torn_and_out_of_time(&folder, run);
    }
    proxy.be(Manner::Pass);
    proxy.script([
        // One for a request that the forwarder killed last may still have under way.
        Manner::Busy(503, "0"),
        Manner::Busy(503, "0"),
        Manner::Busy(429, "Sun, 06 Nov 1994 08:49:37 GMT"),
        Manner::Partial(2),
        Manner::Invalid,
    ]);
    let (queued, ledger) = follow(start(LAST), None, &proxy);
    expected.extend((0..queued).map(|number| format!("/{LAST}/{number}")));
    arrived.extend(collector.unwrap().finish());

    let mut uuids = BTreeMap::<String, BTreeSet<String>>::new();
    let copies = arrived.len();
    for (location, uuid) in arrived {
        uuids.entry(location).or_default().insert(uuid);
    }
    assert!(uuids.values().all(|uuids| uuids.len() == 1), "a duplicate has another uuid");
    let invalid = proxy.invalid();
    let lost: Vec<_> = expected
        .iter()
        .filter(|location| !uuids.contains_key(*location) && !invalid.contains(*location))
        .collect();
    assert!(lost.is_empty(), "{} of {}: {lost:?}", lost.len(), expected.len());
    let exporter = &ledger.unwrap()["exporters"][0];
    let counts = &exporter["counts"];
    assert_eq!(counts["refused"]["partial"], 2);
    assert_eq!(counts["refused"]["invalid"].as_u64().unwrap(), invalid.len() as u64);
    assert!(!invalid.is_empty() && counts["recovered"].as_u64().unwrap() > 0, "{counts}");
    assert_eq!((&counts["queued"], &counts["in_flight"]), (&0.into(), &0.into()));
    assert!(matches!(exporter["health"]["retries"].as_u64(), Some(2 | 3)), "{exporter}");
    println!(
        "{} queued in {kills} lives and one; {} refused; {} arrived, with {} further copies",
        expected.len(),
        invalid.len(),
        uuids.len(),
        copies - uuids.len()
    );
}
