//! The capture agent of a node.

use std::{path::PathBuf, process::ExitCode};

use clap::Parser;
use tracing_subscriber::EnvFilter;
use weir_capture_agent::{
    AgentConfig, Hook,
    daemon::{self, DaemonConfig, DaemonError},
};

/// Capture the pods of this node that the forwarder names, and hand it the captured bytes in
/// shared memory. Uses no network, and reads no payload.
///
/// Exit status: 2 when this kernel or these rights do not allow to capture, 1 for other faults.
#[derive(Parser)]
#[command(name = "weir-capture-agent", version)]
struct Arguments {
    /// Unix socket on which the forwarder is served.
    #[arg(long, value_name = "PATH", default_value = "/run/weir/agent.sock")]
    socket: PathBuf,
    /// User that the forwarder runs as.
    #[arg(long, value_name = "UID", default_value_t = 65532)]
    forwarder_uid: u32,
    /// Bytes of the memory between the kernel and the forwarder, a power of two.
    #[arg(long, value_name = "BYTES", default_value_t = AgentConfig::default().ring_bytes)]
    ring_bytes: u32,
    /// How the kernel side listens: auto, sock-length (Linux 6.3) or syscall-exit.
    #[arg(long, value_name = "HOOK", default_value = "auto")]
    hook: Hook,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let filter = EnvFilter::try_from_env("WEIR_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).json().init();
    let usual = AgentConfig::default();
    let config = DaemonConfig {
        socket: arguments.socket,
        forwarder_uid: arguments.forwarder_uid,
        agent: AgentConfig {
            ring_bytes: arguments.ring_bytes,
            // A small ring must wake its reader before it is full.
            wake_bytes: usual.wake_bytes.min(arguments.ring_bytes / 8),
            hook: arguments.hook,
            ..usual
        },
    };
    let Err(error) = daemon::run(&config) else { return ExitCode::SUCCESS };
    let status = match error {
        DaemonError::Start(_) => ExitCode::from(2),
        DaemonError::Link(_) | DaemonError::Io { .. } => ExitCode::FAILURE,
    };
    tracing::error!("{:#}", anyhow::Error::from(error));
    status
}
