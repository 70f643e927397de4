//! `weir collect`: an OTLP receiver that writes a snapshot directory.

mod printer;
mod writer;

use std::{
    fs,
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
    thread,
    time::Duration,
};

use anyhow::Context as _;
use clap::Args;
use serde_json::{Map, json};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use self::{printer::Printer, writer::Writer};
use crate::{
    clock,
    gather::report_written,
    receiver::{Counts, Receiver, ReceiverConfig},
    run::time,
    signals::StopSignals,
    snapshot::{Numbers, Order, Snapshot, SnapshotConfig, Summary},
    style::Style,
};

/// Requests that wait for the disk before senders are held back.
const WAITING_BATCHES: usize = 16;
/// How long a terminal may take to show the last lines.
const PRINTER_PATIENCE: Duration = Duration::from_secs(2);

/// Receive RRPairs over OTLP and write them as a snapshot directory.
///
/// Prints one line per pair: time (UTC), direction, service, method, host and path, status,
/// duration, body sizes of request and response. Control characters are shown, never obeyed.
/// Ends at SIGINT, SIGTERM, after --for, or after --limit pairs.
///
/// Exit status: 0 pairs were written, 1 none came, 2 it could not listen or write.
#[derive(Args, Debug)]
pub struct CollectCommand {
    /// Where OTLP/gRPC is received; port 0 lets the system choose.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:4317")]
    listen_grpc: String,
    /// Where OTLP/HTTP is received (protobuf or JSON, POST /v1/logs).
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:4318")]
    listen_http: String,
    /// Directory for `.metadata/` and `snapshot-<uuid>/`; made when it is missing.
    #[arg(long, value_name = "DIR")]
    out_dir: PathBuf,
    /// No line per pair.
    #[arg(long, short)]
    quiet: bool,
    /// End after this many pairs.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
    /// End after this time, such as 30s or 5m.
    #[arg(long = "for", value_name = "TIME", value_parser = time)]
    time: Option<Duration>,
    /// Which of several pairs with the same signature is instance 0.
    #[arg(long, value_enum, default_value_t)]
    order: Order,
    /// Largest request in bytes, also after decompression.
    #[arg(long, value_name = "BYTES", default_value_t = 16 << 20)]
    max_request_bytes: usize,
}

/// How a run went.
struct Outcome {
    summary: Option<Summary>,
    counts: Counts,
    addresses: [String; 2],
}

impl CollectCommand {
    /// Runs until told to end. `out` gets the lines, in `style`.
    ///
    /// # Errors
    ///
    /// When a port or the directory cannot be used.
    pub fn run(
        self,
        mut out: impl Write + Send + 'static,
        style: Style,
    ) -> anyhow::Result<ExitCode> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .context("start the runtime")?;
        let (receiver, signals) = runtime.block_on(self.listen())?;
        let existed = self.out_dir.exists();
        fs::create_dir_all(&self.out_dir)
            .with_context(|| format!("make the directory {}", self.out_dir.display()))?;
        writeln!(out, "listening for OTLP/gRPC on {}", receiver.grpc_address())?;
        writeln!(out, "listening for OTLP/HTTP on {}", receiver.http_address())?;
        out.flush()?;

        let printer = Printer::start(out);
        let outcome = runtime.block_on(self.collect(receiver, signals, &printer, style))?;
        let Some(mut out) = printer.finish(PRINTER_PATIENCE) else {
            tracing::warn!("the terminal does not take the summary; everything is written");
            return Ok(exit_code(&outcome));
        };
        match self.report(&outcome, &mut out) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => return Err(error.into()),
            _ => {}
        }
        if outcome.summary.is_none() && !existed {
            fs::remove_dir(&self.out_dir).ok(); // only when it is still empty
        }
        Ok(exit_code(&outcome))
    }

    async fn listen(&self) -> anyhow::Result<(Receiver, StopSignals)> {
        let config = ReceiverConfig {
            grpc: self.listen_grpc.clone(),
            http: self.listen_http.clone(),
            max_request_bytes: self.max_request_bytes,
        };
        let receiver = Receiver::bind(&config).await?;
        Ok((receiver, StopSignals::catch().context("catch signals")?))
    }

    async fn collect<W: Write + Send + 'static>(
        &self,
        receiver: Receiver,
        mut signals: StopSignals,
        printer: &Printer<W>,
        style: Style,
    ) -> anyhow::Result<Outcome> {
        let addresses = [receiver.grpc_address(), receiver.http_address()];
        let addresses = addresses.map(|address| address.to_string());
        let stop = CancellationToken::new();
        let writer = Writer {
            snapshot: Snapshot::new(self.snapshot_config(&addresses)),
            limit: self.limit,
            full: stop.clone(),
            lines: (!self.quiet).then(|| printer.lines()),
            style,
        };
        let (batches, waiting) = mpsc::channel(WAITING_BATCHES);
        let writer = thread::spawn(move || writer.run(waiting));
        let receiving = tokio::spawn(receiver.serve(batches, stop.clone()));
        tokio::select! {
            () = signals.recv() => {}
            () = elapsed(self.time) => {}
            () = stop.cancelled() => {}
        }
        signals.exit_on_next();
        stop.cancel();
        let counts = receiving.await.context("receive")?;
        let summary = tokio::task::spawn_blocking(move || {
            let snapshot =
                writer.join().map_err(|_cause| io::Error::other("the writer panicked"))?;
            snapshot.finish()
        });
        let summary = summary.await.context("finish the snapshot")?;
        let summary = summary.context("finish the snapshot: number its pairs")?;
        Ok(Outcome { summary, counts, addresses })
    }

    fn snapshot_config(&self, [grpc, http]: &[String; 2]) -> SnapshotConfig {
        let mut source_keys = Map::new();
        source_keys.insert("otlpListen".into(), json!({ "grpc": grpc, "http": http }));
        SnapshotConfig {
            out_dir: self.out_dir.clone(),
            numbers: Numbers::Time(self.order),
            time_range: None,
            tool: "weir-collect",
            source: "otlp",
            source_keys,
            created_at: clock::now(),
        }
    }

    fn report(&self, outcome: &Outcome, out: &mut impl Write) -> io::Result<()> {
        match &outcome.summary {
            Some(summary) => report_written(summary, &self.out_dir, out)?,
            None => report_nothing(outcome, out)?,
        }
        out.flush()
    }
}

fn exit_code(outcome: &Outcome) -> ExitCode {
    if outcome.summary.is_some() { ExitCode::SUCCESS } else { ExitCode::from(1) }
}

fn report_nothing(outcome: &Outcome, out: &mut impl Write) -> io::Result<()> {
    let Counts { requests, rejected, surplus: _, misdirected } = outcome.counts;
    let [grpc, http] = &outcome.addresses;
    writeln!(out, "no traffic matched filter; nothing written.")?;
    if rejected > 0 {
        writeln!(out, "hint: {rejected} log records came, none of them an RRPair")
    } else if misdirected > 0 {
        writeln!(
            out,
            "hint: {misdirected} requests came to the wrong port: OTLP/gRPC is {grpc}, OTLP/HTTP is {http}"
        )
    } else if requests > 0 {
        writeln!(out, "hint: {requests} requests came without a log record")
    } else {
        writeln!(
            out,
            "hint: nothing was sent; set the Exporter's endpoint to http://{grpc} or http://{http}"
        )
    }
}

async fn elapsed(time: Option<Duration>) {
    match time {
        Some(time) => tokio::time::sleep(time).await,
        None => std::future::pending().await,
    }
}
