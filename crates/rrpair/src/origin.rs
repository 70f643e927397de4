//! Who captured a pair, and on which connection: what the wire itself does not say.

use std::net::IpAddr;

use crate::model::{Direction, Text};
use crate::time::Timestamp;

/// Facts of one captured connection, set once and used for each of its pairs
/// (contract §1.1, §1.6, §1.7).
#[derive(Clone, Debug, PartialEq)]
pub struct Origin {
    /// Cluster name; never `undefined`.
    pub cluster: String,
    pub namespace: String,
    /// Service that captured: `service` and `resource` of the record.
    pub service: String,
    /// `k8sAppPodName` and `proxyId`.
    pub pod_name: String,
    /// `k8sAppLabel`; the object-store layout routes on it.
    pub app_label: String,
    /// Side of the captured workload.
    pub direction: Direction,
    /// `netinfo.id`.
    pub connection_id: u64,
    /// Start of capture of the connection.
    pub connection_start: Timestamp,
    /// When it was connected or accepted; `None` when that was before the capture.
    pub established: Option<Timestamp>,
    /// Client address and port.
    pub client: (IpAddr, u16),
    /// Server address and port.
    pub server: (IpAddr, u16),
    /// Name of the server, when DNS, SNI or the workload table knows one.
    pub server_name: Option<String>,
    /// The bytes were decrypted: the wire was TLS.
    pub is_tls: bool,
    /// ALPN of the TLS connection, e.g. `h2`.
    pub alpn: Option<Text>,
    /// `tlsVersion`, e.g. `1.3`.
    pub tls_version: Option<&'static str>,
    /// `proxyVersion`, e.g. `v0.1.0`.
    pub version: Text,
}
