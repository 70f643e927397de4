//! `Exporter`: where records go, through which filter and redaction.

use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{AllowedNamespaces, ObjectReference, SecretKeyReference, SecretReference};
use crate::{Duration, Quantity};

/// Sends the records of the captures that name it to one destination.
#[derive(Clone, CustomResource, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
#[kube(
    group = "weir.dev",
    version = "v1alpha1",
    kind = "Exporter",
    doc = "Sends the records of the captures that name it to a collector.",
    namespaced,
    status = "ExporterStatus",
    derive = "PartialEq",
    shortname = "exp",
    shortname = "wexp",
    category = "weir",
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status"
    ),
    printcolumn(name = "Endpoint", type_ = "string", json_path = ".spec.otlp.endpoint"),
    printcolumn(name = "Transport", type_ = "string", json_path = ".status.transport"),
    printcolumn(name = "Queued", type_ = "integer", json_path = ".status.queue.records"),
    printcolumn(name = "Last Delivery", type_ = "date", json_path = ".status.lastDelivery"),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].reason",
        priority = 1
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[x_kube(
    validation = Rule::new("has(self.otlp)").message("exactly one destination is required: otlp"),
    validation = Rule::new("!(has(self.filterRule) && has(self.filter))")
        .message("only one of filterRule and filter is allowed")
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExporterSpec {
    /// Destination that speaks OTLP, such as an OpenTelemetry Collector.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub otlp: Option<OtlpExporter>,

    /// Name of a filter rule that ships with Weir: `standard` drops health checks, probes and
    /// monitoring traffic. Nothing is dropped when this and `filter` are absent.
    #[schemars(length(min = 1, max = 63))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter_rule: Option<String>,

    /// Own rules, instead of `filterRule`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<ExpressionFilter>,

    /// Redaction policies that every record passes before it is queued or sent.
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    #[schemars(length(max = 16))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dlp_policies: Vec<ObjectReference>,

    /// Records that wait while the destination is slow or away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<Queue>,

    /// Namespaces whose captures may name this exporter; only its own when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowed_namespaces: Option<AllowedNamespaces>,
}

/// An OTLP receiver.
#[derive(Clone, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OtlpExporter {
    /// `http://host:port`, `https://host:port` (TLS) or `host:port` (plaintext). OTLP/HTTP
    /// endpoints may have a path; `/v1/logs` is appended to it.
    #[x_kube(validation = Rule::new(
        r"self.matches('^(https?://)?([A-Za-z0-9._-]+|\\[[0-9A-Fa-f:.]+\\])(:[0-9]{1,5})?(/[^\\s?#]*)?$')"
    ).message("must be http://host:port, https://host:port or host:port, with an optional path"))]
    #[schemars(length(min = 1, max = 2048))]
    pub endpoint: String,

    /// `Auto` (also when absent) goes by the port: 4318 is OTLP/HTTP, everything else
    /// OTLP/gRPC. `HTTP` and `GRPC` decide it. Status says which is used and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transport: Option<ExporterTransport>,

    /// Headers (HTTP) or metadata (gRPC) of every request.
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    #[schemars(length(max = 32))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<Header>,

    /// Settings for `https` endpoints. The system's certificate authorities are trusted when
    /// absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<ExporterTls>,

    /// Compression of requests; none when absent, since it costs node CPU.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compression: Option<Compression>,

    /// Time that one request may take before it is tried again; 10s when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,
}

/// Value of `transport`.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum ExporterTransport {
    Auto,
    #[serde(rename = "HTTP")]
    Http,
    #[serde(rename = "GRPC")]
    Grpc,
}

/// Value of `compression`.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum Compression {
    None,
    Gzip,
    Zstd,
}

/// One header with its value or the place of its value.
#[derive(Clone, Deserialize, Eq, KubeSchema, PartialEq, Serialize)]
#[x_kube(validation = Rule::new("has(self.value) != has(self.valueFrom)")
    .message("exactly one of value and valueFrom is required"))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Header {
    /// Name of the header.
    #[schemars(length(min = 1, max = 256), regex(pattern = r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$"))]
    pub name: String,
    /// The value itself. Credentials belong in a Secret: use `valueFrom`.
    #[schemars(length(max = 4096))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// Where the value is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value_from: Option<HeaderSource>,
}

impl fmt::Debug for Header {
    /// Without the value, which may be a credential in spite of the advice above.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, value, value_from } = self;
        f.debug_struct("Header")
            .field("name", name)
            .field("value_bytes", &value.as_ref().map(String::len))
            .field("value_from", value_from)
            .finish()
    }
}

/// Where a header's value is kept.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HeaderSource {
    /// Key of a Secret in the exporter's namespace.
    pub secret_key_ref: SecretKeyReference,
}

/// TLS settings of a client.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExporterTls {
    /// Key of a Secret with the PEM certificates of the authorities to trust instead of the
    /// system's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_ref: Option<SecretKeyReference>,
    /// Secret of type `kubernetes.io/tls` with the client's certificate and key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_certificate_ref: Option<SecretReference>,
    /// Name to expect in the server's certificate, when it is not the endpoint's host.
    #[schemars(length(min = 1, max = 253))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_name: Option<String>,
}

/// Filter expressions in CEL over the fields of a record, for example
/// `status == "200" && location.startsWith("/healthz")`.
#[derive(Clone, Debug, Deserialize, Eq, KubeSchema, PartialEq, Serialize)]
#[x_kube(validation = Rule::new("has(self.drop) || has(self.keep)")
    .message("at least one of drop and keep is required"))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExpressionFilter {
    /// A record for which any of these is true is dropped.
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    #[schemars(length(min = 1, max = 64), inner(length(min = 1, max = 4096)))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub drop: Vec<String>,
    /// When given, a record for which none of these is true is dropped.
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    #[schemars(length(min = 1, max = 64), inner(length(min = 1, max = 4096)))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keep: Vec<String>,
}

/// The queue of an exporter on each node. It holds redacted records only.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Queue {
    /// Bytes that may wait on one node, for example `1Gi`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_size: Option<Quantity>,
    /// What gives way when the queue is full: `DropOldest` (also when absent) or `DropNewest`.
    /// What is dropped is counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when_full: Option<WhenFull>,
}

/// Value of `queue.whenFull`.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum WhenFull {
    DropOldest,
    DropNewest,
}

/// What the exporter does now.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ExporterStatus {
    /// `metadata.generation` that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Types: Accepted, ResolvedRefs, Reachable, Delivering, Ready, Reconciling and Stalled.
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// Transport in use: `HTTP` or `GRPC`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transport: Option<ExporterTransport>,
    /// Why that transport is used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transport_reason: Option<String>,
    /// What waits, over all nodes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<QueueStatus>,
    /// When the destination last took records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_delivery: Option<Time>,
    /// The last failure to deliver; absent once delivery works again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
}

/// Queues of an exporter over all nodes.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct QueueStatus {
    /// Records waiting.
    pub records: i64,
    /// Their size.
    pub bytes: i64,
    /// Records that were dropped because a queue was full.
    pub dropped: i64,
}
