//! `weir run`, `weir collect` and the OpenTelemetry Collector as processes.

use std::{
    fmt::Write as _,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitStatus,
};

use anyhow::{Context as _, Result, ensure};
use rustix::process::Signal;

use crate::{
    artifacts,
    ledger::Ledger,
    otlp_json::{self, Log},
    process::{Running, command, free_port},
    snapshot,
    truth::Pair,
    wait,
};

/// Both ways into the kernel (PLATFORM: D and B).
pub const HOOKS: [&str; 2] = ["sock-length", "syscall-exit"];

/// How records reach a receiver.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Transport {
    Grpc,
    Http,
}

impl Transport {
    const fn word(self) -> &'static str {
        match self {
            Self::Grpc => "GRPC",
            Self::Http => "HTTP",
        }
    }
}

/// An OTLP endpoint to export to.
#[derive(Clone, Copy, Debug)]
pub struct Endpoint {
    pub name: &'static str,
    pub port: u16,
    pub transport: Transport,
}

/// A running `weir collect`.
#[derive(Debug)]
pub struct Collect {
    pub process: Running,
    out_dir: PathBuf,
    grpc: u16,
    http: u16,
}

impl Collect {
    /// Starts it on free ports.
    ///
    /// # Errors
    ///
    /// When it does not start.
    pub fn start(folder: &Path) -> Result<Self> {
        Self::start_on(folder, free_port()?, free_port()?)
    }

    /// Starts it on these ports.
    ///
    /// # Errors
    ///
    /// When it does not start.
    pub fn start_on(folder: &Path, grpc: u16, http: u16) -> Result<Self> {
        let out_dir = folder.join("snapshot");
        let mut command = command(artifacts::weir()?);
        command.arg("collect").arg("--quiet").arg("--out-dir").arg(&out_dir);
        command.args(["--listen-grpc", &format!("127.0.0.1:{grpc}")]);
        command.args(["--listen-http", &format!("127.0.0.1:{http}")]);
        let mut process = Running::start("collect", folder, command)?;
        process.wait_for_text("listening for OTLP/HTTP on")?;
        Ok(Self { process, out_dir, grpc, http })
    }

    /// Where to export to.
    #[must_use]
    pub const fn endpoint(&self, transport: Transport) -> Endpoint {
        let port = match transport {
            Transport::Grpc => self.grpc,
            Transport::Http => self.http,
        };
        Endpoint { name: "collect", port, transport }
    }

    /// Record files so far.
    #[must_use]
    pub fn count(&self) -> usize {
        snapshot::files(&self.out_dir).map_or(0, |files| files.len())
    }

    /// Waits until at least `count` records are on disk.
    ///
    /// # Errors
    ///
    /// When patience ends.
    pub fn wait_for(&self, count: usize) -> Result<()> {
        let found =
            wait::until(&format!("{count} records"), || (self.count() >= count).then_some(()));
        found.with_context(|| format!("{} came", self.count()))
    }

    /// Ends it and reads everything that it wrote.
    ///
    /// # Errors
    ///
    /// When it does not end or wrote something that is no snapshot.
    pub fn finish(mut self) -> Result<Vec<Pair>> {
        self.process.terminate()?;
        snapshot::read(&self.out_dir)
    }
}

/// A running OpenTelemetry Collector that writes to a file.
#[derive(Debug)]
pub struct Otelcol {
    process: Running,
    output: PathBuf,
    pub grpc: u16,
    pub http: u16,
}

impl Otelcol {
    /// Starts it on free ports.
    ///
    /// # Errors
    ///
    /// When it cannot be built or does not start.
    pub fn start(folder: &Path) -> Result<Self> {
        let (grpc, http) = (free_port()?, free_port()?);
        let output = folder.join("otelcol.jsonl");
        let mut command = command(artifacts::otelcol()?);
        command.arg("--config").arg(artifacts::folder().join("otelcol/config.yaml"));
        command.env("OTLP_GRPC_PORT", grpc.to_string());
        command.env("OTLP_HTTP_PORT", http.to_string());
        command.env("OTLP_OUTPUT", &output);
        let mut process = Running::start("otelcol", folder, command)?;
        for port in [grpc, http] {
            process.wait_for_listener(SocketAddr::from(([127, 0, 0, 1], port)))?;
        }
        Ok(Self { process, output, grpc, http })
    }

    /// Ends it, which flushes its file, and reads the log records.
    ///
    /// # Errors
    ///
    /// When it does not end or the file is not OTLP/JSON.
    pub fn finish(mut self) -> Result<Vec<Log>> {
        let status = self.process.terminate()?;
        ensure!(status.success(), "the collector ended with {status}\n{}", self.process.output());
        otlp_json::read(&self.output)
    }
}

/// What to capture and where to send it.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Synthetic labels of the processes to capture.
    pub labels: Vec<(&'static str, String)>,
    /// `Inbound`, `Outbound` or `Both`.
    pub direction: &'static str,
    /// Ports of the servers whose connections are captured; none: all.
    pub ports: Vec<u16>,
    pub exporters: Vec<Endpoint>,
    pub max_body: &'static str,
    pub hook: Option<&'static str>,
    pub ring_size: Option<&'static str>,
    /// Level of its log.
    pub log: Option<&'static str>,
}

impl Setup {
    /// Captures what listens on `port`, inbound.
    #[must_use]
    pub fn port(port: u16, exporters: Vec<Endpoint>) -> Self {
        Self {
            labels: vec![("weir.dev/port", port.to_string())],
            direction: "Inbound",
            ports: Vec::new(),
            exporters,
            max_body: "4Mi",
            hook: None,
            // Tests of completeness are not about overload.
            ring_size: Some("64Mi"),
            log: None,
        }
    }

    /// The manifests as one YAML stream.
    #[must_use]
    pub fn manifests(&self) -> String {
        let mut text = String::from(
            "apiVersion: weir.dev/v1alpha1\nkind: TrafficCapture\nmetadata: {name: test}\nspec:\n",
        );
        let labels: Vec<String> =
            self.labels.iter().map(|(key, value)| format!("{key}: \"{value}\"")).collect();
        let names: Vec<String> =
            self.exporters.iter().map(|to| format!("{{name: {}}}", to.name)).collect();
        let write = writeln!(
            text,
            "  selector: {{matchLabels: {{{}}}}}\n  direction: {}\n  maxBodySize: {}\n  \
             exporters: [{}]",
            labels.join(", "),
            self.direction,
            self.max_body,
            names.join(", "),
        );
        debug_assert!(write.is_ok(), "a String takes everything");
        if !self.ports.is_empty() {
            let write = writeln!(text, "  ports: {:?}", self.ports);
            debug_assert!(write.is_ok(), "a String takes everything");
        }
        for exporter in &self.exporters {
            text.push_str(&exporter.manifest());
        }
        text
    }
}

impl Endpoint {
    fn manifest(&self) -> String {
        format!(
            "---\napiVersion: weir.dev/v1alpha1\nkind: Exporter\nmetadata: {{name: {}}}\nspec:\n  \
             otlp: {{endpoint: \"http://127.0.0.1:{}\", transport: {}}}\n",
            self.name,
            self.port,
            self.transport.word(),
        )
    }
}

/// A running `weir run`.
#[derive(Debug)]
pub struct Run {
    pub process: Running,
    manifests: PathBuf,
    /// Port of `/metrics` and `/ledger`.
    pub admin: u16,
}

impl Run {
    /// Starts it and waits until its targets are captured.
    ///
    /// # Errors
    ///
    /// When it does not come that far.
    pub fn start(folder: &Path, setup: &Setup) -> Result<Self> {
        let mut run = Self::spawn(folder, setup)?;
        run.wait_for_ready(1)?;
        Ok(run)
    }

    /// Starts it without waiting.
    ///
    /// # Errors
    ///
    /// When the program is missing.
    pub fn spawn(folder: &Path, setup: &Setup) -> Result<Self> {
        let manifests = folder.join("manifests");
        fs::create_dir_all(&manifests).context("make the folder of manifests")?;
        fs::write(manifests.join("test.yaml"), setup.manifests()).context("write manifests")?;
        let mut command = command(artifacts::weir()?);
        command.arg("run").arg("-f").arg(&manifests).args(["--report-format", "json"]);
        // Its last seconds may be slow in a debug build; no test is about that bound.
        command.args(["--drain-time", "45s"]);
        command.arg("--state-dir").arg(folder.join("state"));
        let admin = free_port()?;
        command.args(["--metrics-addr", &format!("127.0.0.1:{admin}")]);
        if let Some(level) = setup.log {
            command.env("WEIR_LOG", level);
        }
        for (flag, value) in [("--hook", setup.hook), ("--ring-size", setup.ring_size)] {
            if let Some(value) = value {
                command.args([flag, value]);
            }
        }
        let process = Running::start("run", folder, command)?;
        Ok(Self { process, manifests, admin })
    }

    /// The manifest file, to be changed while it runs.
    #[must_use]
    pub fn manifest(&self) -> PathBuf {
        self.manifests.join("test.yaml")
    }

    /// Waits until it has said `times` times that its targets are captured.
    ///
    /// # Errors
    ///
    /// As [`Running::wait_until`].
    pub fn wait_for_ready(&mut self, times: usize) -> Result<()> {
        self.process.wait_until("captured targets", |running| {
            let stdout = running.stdout();
            (stdout.lines().filter(|line| line.starts_with(READY)).count() >= times).then_some(())
        })
    }

    /// Asks for ledgers until one fulfils `test`.
    ///
    /// # Errors
    ///
    /// As [`Running::wait_until`].
    pub fn wait_for_ledger(
        &mut self,
        what: &str,
        test: impl Fn(&Ledger) -> bool,
    ) -> Result<Ledger> {
        self.process.wait_until(what, |running| {
            running.signal(Signal::USR1).ok()?;
            Ledger::read(running).ok().filter(&test)
        })
    }

    /// Ends it, which drains everything, and reads its closing ledger.
    ///
    /// # Errors
    ///
    /// When it does not end with 0.
    pub fn finish(mut self) -> Result<Ledger> {
        let status: ExitStatus = self.process.terminate()?;
        ensure!(status.success(), "weir run ended with {status}\n{}", self.process.output());
        Ledger::read(&self.process)
    }
}

/// How `weir run` begins the line that it writes once its targets are captured.
const READY: &str = "capturing ";
