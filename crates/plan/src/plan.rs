//! What a node carries out. Compared by value, so that a reload touches only what changed.

use std::{collections::BTreeSet, fmt, time::Duration};

use serde::{Deserialize, Serialize};
use weir_api::v1alpha1::{CaptureDirection, Compression, Protocol, TlsMode, WhenFull};
use weir_dlp::PolicySource;
use weir_filter::FilterSource;

use crate::{Endpoint, SecretText, Selector, Transport};

/// Names an object across namespaces.
#[derive(Clone, Debug, Default, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub struct ObjectKey {
    pub namespace: String,
    pub name: String,
}

/// Everything that is in force, ordered by key.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Plan {
    pub captures: Vec<CapturePlan>,
    /// Exporters that a capture uses, and those that none uses yet.
    pub exporters: Vec<ExporterPlan>,
    /// Every policy that compiles.
    pub policies: Vec<PolicyPlan>,
}

/// An accepted `DlpPolicy`.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct PolicyPlan {
    pub key: ObjectKey,
    /// It compiles, and its tests pass.
    pub source: PolicySource,
}

/// An accepted `TrafficCapture`. All its exporters are in the plan.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct CapturePlan {
    pub key: ObjectKey,
    /// `metadata.uid`, empty where objects have none: tells a capture from an earlier one of the
    /// same name.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub uid: String,
    /// Labels of the pods of `key.namespace` to record.
    pub selector: Selector,
    pub direction: CaptureDirection,
    /// Own port for inbound, remote port for outbound traffic; empty = all.
    pub ports: BTreeSet<u16>,
    /// Protocols to record; empty = all that are known.
    pub protocols: BTreeSet<Protocol>,
    pub tls: TlsMode,
    /// Bytes kept of each body, per message and direction.
    pub max_body_bytes: u64,
    pub sampling: Option<SamplingPlan>,
    /// Time after which the capture is complete.
    pub duration: Option<Duration>,
    pub budget: BudgetPlan,
    /// Nothing is recorded while true.
    pub suspended: bool,
    pub exporters: Vec<ObjectKey>,
    /// Policies that hold for its records besides those of the exporter, floors first. All are
    /// in the plan.
    pub policies: Vec<ObjectKey>,
}

/// Keep `keep` of every `out_of` sessions; `out_of >= keep >= 1`.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct SamplingPlan {
    pub keep: u32,
    pub out_of: u32,
}

/// Limits of a capture over all nodes; absent = none.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct BudgetPlan {
    pub bytes_per_second: Option<u64>,
    pub records: Option<u64>,
}

/// An accepted `Exporter`.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct ExporterPlan {
    pub key: ObjectKey,
    pub endpoint: Endpoint,
    pub transport: Transport,
    /// Why that transport, for the log line and status (contract §3.2).
    pub transport_reason: String,
    pub headers: Vec<HeaderPlan>,
    /// Present exactly when the endpoint's scheme is `https`.
    pub tls: Option<TlsPlan>,
    pub compression: Compression,
    /// For one request.
    pub timeout: Duration,
    /// The rule to filter by; it compiles. `None` drops nothing.
    pub filter: Option<FilterSource>,
    /// Policies that every record passes, floors first. All are in the plan.
    pub policies: Vec<ObjectKey>,
    /// Bytes of encoded records that may wait on this node.
    pub queue_bytes: u64,
    pub when_full: WhenFull,
}

/// One header (HTTP) or metadata entry (gRPC) of every request.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct HeaderPlan {
    /// Lower case.
    pub name: String,
    pub value: SecretText,
}

/// TLS settings of a client.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct TlsPlan {
    /// PEM certificates to trust instead of the system's.
    pub ca_pem: Option<SecretText>,
    /// PEM certificate chain and key of this client.
    pub client_pem: Option<(SecretText, SecretText)>,
    /// Name to expect in the server's certificate when it is not the endpoint's host.
    pub server_name: Option<String>,
}

impl Plan {
    /// How many captures have records that pass the policy.
    pub fn bound_captures(&self, policy: &ObjectKey) -> usize {
        let exports = |key: &ObjectKey| {
            self.exporters.iter().any(|e| e.key == *key && e.policies.contains(policy))
        };
        let bound = |capture: &&CapturePlan| {
            capture.policies.contains(policy) || capture.exporters.iter().any(exports)
        };
        self.captures.iter().filter(bound).count()
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}
