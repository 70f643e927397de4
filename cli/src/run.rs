//! `weir run`: capture on one machine with the manifests of a cluster.

mod describe;
mod files;
mod load;
mod machine;
mod report;
mod watch;
mod workloads;

use std::{
    io::Write, net::SocketAddr, path::PathBuf, process::ExitCode, time::Duration as StdDuration,
};

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use tokio::{
    signal::unix::{SignalKind, signal},
    time::{MissedTickBehavior, interval},
};
use weir_api::{Duration, Quantity};
use weir_capture_agent::{AgentConfig, Hook};
use weir_plan::Plan;

use self::{files::Files, load::Loaded, machine::Machine, report::ReportFormat, watch::Watch};
use crate::{logging::LogFormat, signals::StopSignals, style::Style};

/// How often it is looked whether a capture is complete.
const LOOK: StdDuration = StdDuration::from_secs(1);

/// Capture the traffic of local processes as TrafficCapture and Exporter manifests say.
///
/// A process is what a Pod is in a cluster: a TrafficCapture's selector chooses by the labels
/// weir.dev/pid, weir.dev/exe, weir.dev/service, weir.dev/unit, weir.dev/script and
/// weir.dev/port. The processes need no restart. Manifests that change are put in force at
/// once; when one is bad, the last good plan stays.
///
/// Where OTEL_EXPORTER_OTLP_ENDPOINT is set, what /metrics says is pushed there by OTLP as well.
///
/// SIGUSR1 prints the ledger, SIGHUP reads the manifests again. SIGINT and SIGTERM deliver what
/// is captured and end; a second one ends at once.
///
/// Exit status: 0 ended as asked, 2 bad manifests, missing rights, or a kernel that cannot
/// (see `weir doctor`).
#[derive(Args, Debug)]
pub struct RunCommand {
    /// Manifest files, or directories of *.yaml, *.yml and *.json; may be repeated.
    #[arg(short, long = "filename", value_name = "FILE|DIR", required = true, num_args = 1..)]
    files: Vec<PathBuf>,
    /// `cluster` of every record.
    #[arg(long, value_name = "NAME", default_value = "local", value_parser = name)]
    cluster: String,
    /// Namespace of manifests that name none.
    #[arg(long, value_name = "NAME", default_value = "default", value_parser = name)]
    namespace: String,
    /// Memory between the kernel and the forwarder, a power of two such as 8Mi.
    #[arg(long, value_name = "SIZE", default_value = "8Mi", value_parser = ring_bytes)]
    ring_size: u32,
    /// Folder for the exporters' queues: what could not be delivered waits there, and is delivered
    /// by the next run.
    #[arg(long, value_name = "DIR", default_value = "/var/lib/weir-run")]
    state_dir: PathBuf,
    /// How the kernel side listens.
    #[arg(long, value_enum, default_value_t)]
    hook: HookChoice,
    /// Serve /metrics, /ledger and /healthz here.
    #[arg(long, value_name = "HOST:PORT")]
    metrics_addr: Option<SocketAddr>,
    /// Form of the log on stderr.
    #[arg(long, value_enum, default_value_t)]
    log_format: LogFormat,
    /// Print the ledger this often, such as 10s.
    #[arg(long, value_name = "TIME", value_parser = positive_time)]
    report: Option<StdDuration>,
    /// Form of the ledger.
    #[arg(long, value_enum, default_value_t)]
    report_format: ReportFormat,
    /// How long to deliver what is captured when asked to end.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = time)]
    drain_time: StdDuration,
    /// Check the manifests, print the plan and end.
    #[arg(long, visible_alias = "once")]
    dry_run: bool,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
enum HookChoice {
    /// Socket tracepoints where the kernel has them, else syscall exits.
    #[default]
    Auto,
    /// Socket tracepoints (Linux 6.3): no cost to other syscalls.
    SockLength,
    /// The end of every syscall: older kernels too, about 50 ns on each syscall.
    SyscallExit,
}

/// The plan of some manifest files, for commands that capture nothing.
#[derive(Debug)]
pub(crate) struct Manifests {
    pub(crate) plan: Plan,
}

impl Manifests {
    /// # Errors
    ///
    /// Files that cannot be read, and every fault in them.
    pub(crate) fn read(files: &[PathBuf], namespace: &str) -> anyhow::Result<Self> {
        let files = Files::read(files)?;
        let Loaded { plan, notes } = load::load(&files, namespace)?;
        log_notes(&notes);
        Ok(Self { plan })
    }
}

impl RunCommand {
    /// The form of logs that was asked for.
    pub fn log_format(&self) -> LogFormat {
        self.log_format
    }

    /// Runs until told to end.
    ///
    /// # Errors
    ///
    /// Bad manifests (all faults), missing rights, a kernel that cannot capture.
    pub fn run(self, out: &mut impl Write, style: Style) -> anyhow::Result<ExitCode> {
        let files = Files::read(&self.files)?;
        let Loaded { plan, notes } = load::load(&files, &self.namespace)?;
        log_notes(&notes);
        describe::write(&plan, out, style)?;
        if self.dry_run {
            return Ok(ExitCode::SUCCESS);
        }
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .context("start the runtime")?;
        let _inside = runtime.enter();
        // From here on a change of the files is noticed, and a signal ends the run in order.
        let watch = Watch::start(&self.files).context("watch the manifests")?;
        let signals = StopSignals::catch().context("catch signals")?;
        let queues = self.state_dir.join("queues");
        let mut machine =
            Machine::start(self.agent_config(), &self.cluster, self.metrics_addr, queues)?;
        machine.apply(plan.clone())?;
        if let Some(address) = machine.metrics_address() {
            writeln!(out, "metrics on http://{address}/metrics")?;
        }
        describe::write_ready(&machine, out)?;

        let mut run = Running { command: &self, machine, plan, files, out, style };
        runtime.block_on(run.until_stopped(signals, watch))?;
        run.end()
    }

    fn agent_config(&self) -> AgentConfig {
        let hook = match self.hook {
            HookChoice::Auto => Hook::Auto,
            HookChoice::SockLength => Hook::SockLength,
            HookChoice::SyscallExit => Hook::SyscallExit,
        };
        let ring_bytes = self.ring_size;
        let usual = AgentConfig::default();
        // A small ring must wake its reader before it is full.
        let wake_bytes = usual.wake_bytes.min(ring_bytes / 8);
        AgentConfig { ring_bytes, wake_bytes, hook, ..usual }
    }
}

/// A run under way.
struct Running<'a, W> {
    command: &'a RunCommand,
    machine: Machine,
    /// The plan in force.
    plan: Plan,
    /// The manifests as last read, good or bad.
    files: Files,
    out: &'a mut W,
    style: Style,
}

impl<W: Write> Running<'_, W> {
    async fn until_stopped(
        &mut self,
        mut signals: StopSignals,
        mut watch: Watch,
    ) -> anyhow::Result<()> {
        let mut ask = signal(SignalKind::user_defined1()).context("catch SIGUSR1")?;
        let mut again = signal(SignalKind::hangup()).context("catch SIGHUP")?;
        let mut look = interval(LOOK);
        let mut report = interval(self.command.report.unwrap_or(StdDuration::MAX / 4));
        report.set_missed_tick_behavior(MissedTickBehavior::Delay);
        report.tick().await; // the first one is at once
        loop {
            tokio::select! {
                () = signals.recv() => break,
                () = watch.changed() => self.reload()?,
                _ = again.recv() => self.reload()?,
                _ = ask.recv() => self.report()?,
                _ = report.tick() => self.report()?,
                _ = look.tick() => self.look()?,
            }
        }
        signals.exit_on_next();
        Ok(())
    }

    fn look(&mut self) -> anyhow::Result<()> {
        anyhow::ensure!(self.machine.is_reading(), "the reader of the ring failed, see the log");
        self.machine.release_completed();
        Ok(())
    }

    /// Puts changed manifests in force; a bad edit changes nothing.
    fn reload(&mut self) -> anyhow::Result<()> {
        let read = Files::read(&self.command.files);
        if read.as_ref().is_ok_and(|files| *files == self.files) {
            return Ok(()); // touched, not changed
        }
        let plan = read.and_then(|files| {
            self.files = files;
            Ok(load::load(&self.files, &self.command.namespace)?)
        });
        let applied = plan.and_then(|Loaded { plan, notes }| {
            log_notes(&notes);
            if plan == self.plan {
                tracing::info!("the manifests changed, what they say did not");
                return Ok(None);
            }
            self.machine.apply(plan.clone())?;
            Ok(Some(plan))
        });
        match applied {
            Ok(Some(plan)) => {
                tracing::info!("the manifests changed: a new plan is in force");
                self.plan = plan;
                describe::write(&self.plan, self.out, self.style)?;
                describe::write_ready(&self.machine, self.out)?;
            }
            Ok(None) => {}
            Err(error) => {
                tracing::error!("the last good plan stays in force: {error:#}");
            }
        }
        Ok(())
    }

    fn report(&mut self) -> anyhow::Result<()> {
        let ledger = self.machine.ledger();
        report::write(&ledger, self.command.report_format, self.out)?;
        Ok(())
    }

    /// Delivers what is captured, then ends with the ledger.
    fn end(self) -> anyhow::Result<ExitCode> {
        let (ledger, delivered) = self.machine.end(self.command.drain_time);
        if !delivered {
            let time = self.command.drain_time;
            tracing::warn!(
                ?time,
                "not everything could be delivered in time; what is queued waits on disk"
            );
        }
        if let Err(imbalance) = ledger.check() {
            tracing::error!("the ledger does not balance: {imbalance}");
        }
        report::write(&ledger, self.command.report_format, self.out)?;
        Ok(ExitCode::SUCCESS)
    }
}

fn log_notes(notes: &[String]) {
    for note in notes {
        tracing::warn!("{note}");
    }
}

fn ring_bytes(text: &str) -> Result<u32, String> {
    let bytes = Quantity(text.to_owned()).whole().map_err(|error| error.to_string())?;
    u32::try_from(bytes)
        .ok()
        .filter(|bytes| bytes.is_power_of_two() && (4096..=1 << 30).contains(bytes))
        .ok_or_else(|| "must be a power of two from 4Ki to 1Gi".to_owned())
}

/// `500ms`, `30s`, `1h30m`, as in manifests.
pub(crate) fn time(text: &str) -> Result<StdDuration, String> {
    Duration(text.to_owned())
        .parsed()
        .map_err(|_cause| "use a form like 30s, 5m or 1h30m".to_owned())
}

fn positive_time(text: &str) -> Result<StdDuration, String> {
    time(text)?.checked_sub(StdDuration::from_nanos(1)).ok_or("must be longer than nothing")?;
    time(text)
}

/// A cluster or namespace: records carry it, and `undefined` would mean "none" (contract §4.2).
fn name(text: &str) -> Result<String, String> {
    let fits = |char: char| char.is_ascii_alphanumeric() || matches!(char, '-' | '.' | '_');
    if text.is_empty() || text == "undefined" || !text.chars().all(fits) {
        return Err("must be letters, digits, '-', '.' and '_', and not `undefined`".to_owned());
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_is_a_power_of_two() {
        assert_eq!(ring_bytes("8Mi"), Ok(8 << 20));
        assert_eq!(ring_bytes("4096"), Ok(4096));
        for bad in ["5Mi", "2Gi", "2Ki", "-1", "x"] {
            assert!(ring_bytes(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn times_are_written_as_in_manifests() {
        assert_eq!(time("1h30m"), Ok(StdDuration::from_mins(90)));
        assert_eq!(time("0s"), Ok(StdDuration::ZERO));
        assert!(time("soon").is_err() && positive_time("0s").is_err());
        assert_eq!(positive_time("500ms"), Ok(StdDuration::from_millis(500)));
    }

    #[test]
    fn a_cluster_is_never_undefined() {
        assert!(name("undefined").is_err() && name("").is_err() && name("a b").is_err());
        assert_eq!(name("dev-east"), Ok("dev-east".to_owned()));
    }
}
