//! Component tests of Weir with real processes: servers that others wrote, clients that know
//! what they sent, `weir run`, `weir collect` and the OpenTelemetry Collector.
//!
//! The tests in `tests/` need root and eBPF and are ignored by default; `make test-component`
//! runs them. This library is their harness and holds the oracle: [`truth::compare`] judges
//! what was captured by what the client sent and received. It links no crate of Weir.

pub mod artifacts;
pub mod capture;
pub mod cluster;
pub mod http;
pub mod ledger;
pub mod load;
pub mod otlp_json;
pub mod process;
pub mod random;
pub mod servers;
pub mod snapshot;
pub mod tls_support;
pub mod truth;
pub mod wait;
