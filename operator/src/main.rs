//! The operator.

use std::{fs, io::Write, path::PathBuf, time::Duration};

use anyhow::Context;
use clap::{Parser, Subcommand};
use tracing_subscriber::{
    EnvFilter, Layer as _, layer::SubscriberExt as _, util::SubscriberInitExt as _,
};
use weir_operator::{Options, Traces};

/// Weir's operator. To capture on one machine, with the same manifests, use `weir run`.
#[derive(Parser)]
#[command(name = "weir-operator", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Watches the custom resources and keeps the plan and their statuses, until SIGTERM. Sends
    /// traces of that by OTLP where `OTEL_EXPORTER_OTLP_ENDPOINT` is set.
    Run {
        /// The operator's own namespace.
        #[arg(long, env = "WEIR_NAMESPACE", default_value = "weir-system")]
        namespace: String,
        /// Names this operator among its replicas: its pod.
        #[arg(long, env = "WEIR_IDENTITY")]
        identity: String,
        /// Address of /healthz, /readyz and /metrics.
        #[arg(long, default_value = "0.0.0.0:8080")]
        listen: std::net::SocketAddr,
        /// The operator's own Deployment. The plan and the DaemonSet belong to it and go with it.
        #[arg(long, value_name = "NAME")]
        deployment: Option<String>,
        /// Seconds without a renewal of the lease after which another replica takes over.
        #[arg(long, value_name = "SECONDS", default_value_t = 15,
              value_parser = clap::value_parser!(u16).range(3..=600))]
        lease_duration: u16,
        /// Settings of the DaemonSet, as YAML. Without them no DaemonSet is made.
        #[arg(long, value_name = "FILE")]
        node_config: Option<PathBuf>,
    },
    /// Prints the DaemonSet that `run` makes of these settings, as YAML: what will run on every
    /// node, to be looked at before it does.
    DaemonSet {
        /// The namespace that it goes to.
        #[arg(long, default_value = "weir-system")]
        namespace: String,
        /// Settings of the DaemonSet, as YAML: `node.yaml` of the chart's ConfigMap `weir-node`.
        #[arg(value_name = "FILE")]
        node_config: PathBuf,
    },
    /// Prints the CustomResourceDefinitions as YAML, or writes one file for each.
    Crds {
        /// Directory to write to; it must exist.
        #[arg(long)]
        out_dir: Option<PathBuf>,
    },
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().command {
        Command::Run { namespace, identity, listen, deployment, lease_duration, node_config } => {
            let runtime = tokio::runtime::Runtime::new().context("start the runtime")?;
            let traces = Traces::from_env(runtime.handle(), &identity)?;
            let filter =
                EnvFilter::try_from_env("WEIR_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
            let log = tracing_subscriber::fmt::layer().json().with_writer(std::io::stderr);
            tracing_subscriber::registry()
                .with(traces.as_ref().map(Traces::layer))
                .with(log.with_filter(filter))
                .init();
            let lease_duration = Duration::from_secs(lease_duration.into());
            let options =
                Options { namespace, identity, listen, deployment, lease_duration, node_config };
            let ended = runtime.block_on(weir_operator::run(options));
            if let Some(traces) = traces {
                traces.end();
            }
            ended
        }
        Command::DaemonSet { namespace, node_config } => {
            let text = weir_operator::daemon_set_yaml(&node_config, &namespace)?;
            std::io::stdout().lock().write_all(text.as_bytes()).context("write to standard output")
        }
        Command::Crds { out_dir: None } => print(&mut std::io::stdout().lock()),
        Command::Crds { out_dir: Some(directory) } => write(&directory),
    }
}

fn print(out: &mut impl Write) -> anyhow::Result<()> {
    for (_, text) in weir_api::crd::files() {
        write!(out, "---\n{text}").context("write to standard output")?;
    }
    Ok(())
}

fn write(directory: &std::path::Path) -> anyhow::Result<()> {
    for (name, text) in weir_api::crd::files() {
        let path = directory.join(name);
        fs::write(&path, text).with_context(|| format!("write {}", path.display()))?;
    }
    Ok(())
}
