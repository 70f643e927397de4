//! The forwarder of a node in a cluster.

mod cluster;

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use anyhow::Context as _;
use clap::Parser;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::mpsc,
};
use tokio_util::task::AbortOnDropHandle;
use tracing_subscriber::EnvFilter;
use weir_forwarder::{
    ForwarderConfig, MetricsPush,
    node::{Node, NodeConfig},
};

/// News of plan and pods that wait to be taken.
const NEWS: usize = 64;

/// Make request/response pairs of what the node's capture agent captures, and deliver them as
/// OpenTelemetry logs, as the operator's plan says.
///
/// Needs no privilege: a service account that may watch the plan's Secret and pods, the folder of
/// the agent's socket, and a folder of its own. The agent may come and go.
///
/// Where OTEL_EXPORTER_OTLP_ENDPOINT is set, what /metrics says is pushed there by OTLP as well.
///
/// SIGTERM detaches every hook, delivers what is captured and ends. Exit status 1: something that
/// a restart may mend.
#[derive(Parser)]
#[command(name = "weir-forwarder", version)]
struct Arguments {
    /// Socket of the capture agent.
    #[arg(long, value_name = "PATH", default_value = "/run/weir/agent.sock")]
    agent_socket: PathBuf,
    /// Folder for the exporters' queues and the last plan, so that a restart loses no record and
    /// does not need the API server.
    #[arg(long, value_name = "DIR", default_value = "/var/lib/weir")]
    state_dir: PathBuf,
    /// Most bytes of all queues in that folder together; no limit unless given. Half of it is for
    /// all, the other half is divided among the namespaces and their exporters.
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u64).range(1 << 20..))]
    queues_max_bytes: Option<u64>,
    /// Namespace of the plan's Secret.
    #[arg(long, value_name = "NAME", env = "POD_NAMESPACE", default_value = "weir-system")]
    plan_namespace: String,
    /// Name of the plan's Secret.
    #[arg(long, value_name = "NAME", default_value = weir_plan::PLAN_SECRET)]
    plan_secret: String,
    /// `cluster` of every record.
    #[arg(long, value_name = "NAME", env = "WEIR_CLUSTER_NAME", default_value = "kubernetes", value_parser = name)]
    cluster: String,
    /// Serve /status, /metrics, /ledger, /healthz and /readyz here.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "0.0.0.0:9464")]
    admin: SocketAddr,
    /// Seconds to deliver what is captured when asked to end.
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    drain_seconds: u64,
    /// Name of this node.
    #[arg(long, env = "NODE_NAME")]
    node: String,
    /// Address of this pod; connections with it are our own.
    #[arg(long, env = "POD_IP")]
    pod_ip: Option<IpAddr>,
    /// Name of this pod, which is never captured.
    #[arg(long, env = "POD_NAME", requires = "pod_namespace")]
    pod_name: Option<String>,
    /// Namespace of this pod.
    #[arg(long, env = "POD_NAMESPACE")]
    pod_namespace: Option<String>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let filter = EnvFilter::try_from_env("WEIR_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).json().init();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let ended =
        runtime.context("start the runtime").and_then(|runtime| runtime.block_on(run(arguments)));
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("catch SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("catch SIGINT")?;
    let Arguments { plan_namespace, plan_secret, node, .. } = arguments;
    let version = concat!("v", env!("CARGO_PKG_VERSION"));
    let started = Node::start(NodeConfig {
        forwarder: ForwarderConfig {
            own_address: arguments.pod_ip,
            admin: Some(arguments.admin),
            queue_volume_bytes: arguments.queues_max_bytes,
            metrics_push: MetricsPush::from_env("weir-forwarder", Some(&node))?,
            ..ForwarderConfig::without_ring(arguments.cluster, version)
        },
        agent_socket: arguments.agent_socket,
        state_dir: arguments.state_dir,
        node: node.clone(),
        own_pod: arguments.pod_namespace.zip(arguments.pod_name),
        drain_time: Duration::from_secs(arguments.drain_seconds),
    })?;
    let client = kube::Client::try_default().await.context("find the Kubernetes API")?;
    let (tell, news) = mpsc::channel(NEWS);
    let plan = cluster::watch_plan(client.clone(), plan_namespace, plan_secret, tell.clone());
    let pods = cluster::watch_pods(client, node, tell);
    let _plan = AbortOnDropHandle::new(tokio::spawn(plan));
    let _pods = AbortOnDropHandle::new(tokio::spawn(pods));
    let stop = async {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    let ledger = started.run(news, stop).await?;
    tracing::info!(%ledger, "ended");
    if let Err(imbalance) = ledger.check() {
        tracing::error!("the ledger does not balance: {imbalance}");
    }
    Ok(())
}

/// Records carry it, and `undefined` would mean "none" (contract §4.2).
fn name(text: &str) -> Result<String, String> {
    let fits = |char: char| char.is_ascii_alphanumeric() || matches!(char, '-' | '.' | '_');
    if text.is_empty() || text == "undefined" || !text.chars().all(fits) {
        return Err("must be letters, digits, '-', '.' and '_', and not `undefined`".to_owned());
    }
    Ok(text.to_owned())
}
