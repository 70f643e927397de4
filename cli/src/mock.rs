//! `weir mock`: recorded answers in place of the services that a program calls.

mod answer;
mod ca;
mod options;
mod report;
mod serve;
mod wire;

use std::{
    collections::BTreeSet,
    env,
    io::{self, Write},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, bail};
use clap::Args;
use tokio::{net::TcpListener, sync::mpsc, task::JoinSet};
use weir_replay::mock::Mocks;

use self::{
    ca::Ca,
    options::{Map, Timing},
    report::{Report, Results},
    serve::{Seen, Server, Way},
};
use crate::{
    clock, explain::Output, run::time, signals::StopSignals, snapshot, style::Style, tls,
    visible::shortened,
};

/// Requests that were answered and not yet written down.
const QUEUE: usize = 1_024;

/// Answer the calls of a program with recorded answers.
///
/// A proxy for HTTP and HTTPS gives to each request the recorded answer with the same signature
/// (direction OUT): host, method, path, query and body. Several with the same are given in the
/// order of their `instance`, and then from the start again. What is not known goes to the real
/// host. Runs until it is interrupted, and then says what was HIT, MISS and PASSTHROUGH.
///
/// Exit status: 0 done, 1 a request was a MISS or its real host could not be reached, 2 it could
/// not be done.
#[derive(Args, Debug)]
pub struct MockCommand {
    /// A directory that `weir gather` or `weir collect` wrote.
    #[arg(long = "in", value_name = "DIR", default_value = ".")]
    input: PathBuf,
    /// Port of the proxy; 0 takes a free one.
    #[arg(long, value_name = "PORT", default_value_t = 4140)]
    proxy_out_port: u16,
    /// Address to listen on.
    #[arg(long, value_name = "IP", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    bind: IpAddr,
    /// A port of ours that stands for a host: PORT=[http://|https://]HOST[:PORT].
    #[arg(long, value_name = "PORT=HOST")]
    map: Vec<Map>,
    /// Answer what is not known with 404 instead of asking the real host.
    #[arg(long)]
    no_passthrough: bool,
    /// When recorded answers are given: `none` (at once), `recorded` (after the time that it took
    /// then), or a factor such as 5x (five times that).
    #[arg(long, value_name = "TIMING", default_value_t)]
    mock_timing: Timing,
    /// End after this time.
    #[arg(long, value_name = "TIME", default_value = "12h", value_parser = time)]
    timeout: Duration,
    /// Directory of the authority that signs certificates for HTTPS; made when it is missing.
    /// Unless told, `weir/mock-ca` where the user's data is kept.
    #[arg(long, value_name = "DIR")]
    ca_dir: Option<PathBuf>,
    /// PEM file of the authorities that real hosts are checked with, in place of the system's.
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Form of the report on stdout.
    #[arg(long, short, value_enum, default_value_t)]
    output: Output,
    /// Directory for what was asked and answered; unless told, `results/mocked-TIME` in the input.
    #[arg(long, value_name = "DIR", conflicts_with = "no_out")]
    out: Option<PathBuf>,
    /// Write no results.
    #[arg(long)]
    no_out: bool,
}

impl MockCommand {
    /// The report goes to `out`, everything else to `messages`.
    ///
    /// # Errors
    ///
    /// When there is nothing to answer with, or input, ports or results fail.
    pub fn run(
        self,
        out: &mut impl Write,
        messages: &mut impl Write,
        style: Style,
    ) -> anyhow::Result<ExitCode> {
        let records = snapshot::read::records(&self.input)?.into_iter().map(|(_, record)| record);
        let mocks = Mocks::new(records);
        if mocks.is_empty() && (self.no_passthrough || mocks.left_out().is_empty()) {
            bail!("nothing to answer with in {}: {}", self.input.display(), left_out(&mocks));
        }
        let ca = Ca::load_or_make(&self.ca_directory()?, clock::now())?;
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let report = runtime.block_on(self.serve(mocks, ca, messages, style))?;
        let shown = match self.output {
            Output::Pretty => report.pretty(out, style),
            Output::Json => writeln!(out, "{:#}", report.document()),
        };
        match shown {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
            _ => Ok(ExitCode::from(u8::from(report.is_bad()))),
        }
    }

    async fn serve(
        &self,
        mocks: Mocks,
        ca: Ca,
        messages: &mut impl Write,
        style: Style,
    ) -> anyhow::Result<Report> {
        let mut signals = StopSignals::catch().context("catch signals")?;
        let mut ports = vec![(self.listen(self.proxy_out_port).await?, Way::Proxy)];
        for map in &self.map {
            ports.push((self.listen(map.port).await?, Way::Fixed(map.target.clone())));
        }
        let own: BTreeSet<_> =
            ports.iter().map(|(listener, _)| listener.local_addr()).collect::<io::Result<_>>()?;
        greet(&mocks, &ca, &ports, messages)?;
        let (seen, mut answered) = mpsc::channel::<Seen>(QUEUE);
        let server = Arc::new(Server {
            mocks,
            ca,
            own,
            timing: self.mock_timing,
            passes_through: !self.no_passthrough,
            tls: Arc::new(tls::config(!self.no_passthrough, self.ca_file.as_deref())?),
            seen,
        });
        let mut accepting = JoinSet::new();
        for (listener, way) in ports {
            accepting.spawn(Arc::clone(&server).accept(listener, way));
        }
        drop(server);

        let mut report = Report::default();
        let mut results = self.results_directory().map(Results::new);
        let ends = tokio::time::sleep(self.timeout);
        tokio::pin!(ends);
        loop {
            tokio::select! {
                next = answered.recv() => match next {
                    Some(seen) => note(&seen, &mut report, results.as_mut(), messages, style)?,
                    None => break,
                },
                () = signals.recv() => break,
                () = &mut ends => break,
            }
        }
        accepting.shutdown().await; // connections end with their port
        // Until the last of them is gone: what a client has got is counted.
        while let Some(seen) = answered.recv().await {
            note(&seen, &mut report, results.as_mut(), messages, style)?;
        }
        if let Some(results) = results
            && let Some(directory) = results.finish(&report)?
        {
            writeln!(messages, "results in {}", directory.display())?;
        }
        Ok(report)
    }

    async fn listen(&self, port: u16) -> anyhow::Result<TcpListener> {
        let address = SocketAddr::new(self.bind, port);
        TcpListener::bind(address).await.with_context(|| format!("listen on {address}"))
    }

    fn ca_directory(&self) -> anyhow::Result<PathBuf> {
        if let Some(directory) = &self.ca_dir {
            return Ok(directory.clone());
        }
        let named = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let data = named("XDG_DATA_HOME")
            .or_else(|| named("HOME").map(|home| home.join(".local/share")))
            .context("neither XDG_DATA_HOME nor HOME is set: say --ca-dir")?;
        Ok(data.join("weir/mock-ca"))
    }

    fn results_directory(&self) -> Option<PathBuf> {
        let usual = || snapshot::results_directory(&self.input, "mocked");
        (!self.no_out).then(|| self.out.clone().unwrap_or_else(usual))
    }
}

/// Says what is served and how to use it.
fn greet(
    mocks: &Mocks,
    ca: &Ca,
    ports: &[(TcpListener, Way)],
    messages: &mut impl Write,
) -> anyhow::Result<()> {
    writeln!(messages, "{} answers of {} hosts", mocks.len(), mocks.hosts())?;
    if !mocks.left_out().is_empty() {
        writeln!(messages, "left out: {}", shortened(&left_out(mocks), 400))?;
    }
    for (listener, way) in ports {
        let address = listener.local_addr()?;
        if let Way::Fixed(target) = way {
            writeln!(messages, "{target} is http://{address}")?;
            continue;
        }
        let proxy = format!("http://{address}");
        writeln!(messages, "proxy on {address}; for the program that calls:")?;
        writeln!(messages, "  export http_proxy={proxy} https_proxy={proxy}")?;
    }
    let file = ca.certificate();
    let names = ["SSL_CERT_FILE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS", "REQUESTS_CA_BUNDLE"];
    let trust: Vec<_> = names.iter().map(|name| format!("{name}={}", file.display())).collect();
    writeln!(messages, "  export {}", trust.join(" "))?;
    messages.flush()?;
    Ok(())
}

fn note(
    seen: &Seen,
    report: &mut Report,
    results: Option<&mut Results>,
    messages: &mut impl Write,
    style: Style,
) -> anyhow::Result<()> {
    report.add(seen);
    if let Some(results) = results {
        results.write(seen)?;
    }
    report::line(seen, messages, style).context("write to stderr")?;
    Ok(())
}

fn left_out(mocks: &Mocks) -> String {
    if mocks.left_out().is_empty() {
        return "there is no RRPair".to_owned();
    }
    let reasons: Vec<_> =
        mocks.left_out().iter().map(|(reason, count)| format!("{count} × {reason}")).collect();
    reasons.join(", ")
}
