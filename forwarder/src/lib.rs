//! Reads the capture's ring, makes pairs of it and delivers them as OpenTelemetry logs.

mod admin;
pub mod attribution;
mod chain;
pub mod clock;
pub mod connections;
pub mod export;
mod exporters;
mod forwarder;
pub mod ledger;
mod live;
mod metrics;
pub mod node;
mod pipeline;
pub mod queue;
mod reader;
pub mod ring;
mod senders;
mod shelf;
#[cfg(test)]
mod testing;

pub use admin::Pages;
pub use attribution::{Attribution, Workload};
pub use chain::chain;
pub use forwarder::{Forwarder, ForwarderConfig, RingInput, StartError};
pub use ledger::LedgerSnapshot;
pub use live::{Completion, LiveCaptures};
pub use metrics::{MetricsPush, MetricsPushError};
pub use weir_link::{TlsCoverage, TlsOpaque};
