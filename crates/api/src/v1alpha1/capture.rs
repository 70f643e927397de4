//! `TrafficCapture`: whose traffic is recorded, how much of it, and where it goes.

use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, LabelSelector, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ObjectReference;
use crate::{Duration, Quantity};

/// Records the requests and responses of the pods of this namespace that `selector` matches.
#[derive(Clone, CustomResource, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
#[kube(
    group = "weir.dev",
    version = "v1alpha1",
    kind = "TrafficCapture",
    doc = "Records the requests and responses of pods and sends them to exporters.",
    namespaced,
    status = "TrafficCaptureStatus",
    derive = "PartialEq",
    shortname = "tc",
    shortname = "tcap",
    category = "weir",
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status"
    ),
    printcolumn(name = "Pods", type_ = "integer", json_path = ".status.matchedPods"),
    printcolumn(
        name = "TLS",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"TLSCoverage\")].reason"
    ),
    printcolumn(name = "Pairs", type_ = "integer", json_path = ".status.records.seen"),
    printcolumn(name = "Dropped", type_ = "integer", json_path = ".status.records.dropped"),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].reason",
        priority = 1
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TrafficCaptureSpec {
    /// Labels of the pods to record, in this namespace. `{}` means all of them.
    #[x_kube(merge_strategy = MapMerge::Atomic)]
    pub selector: LabelSelector,

    /// Which side of the pods' traffic: `Inbound` (requests that they serve), `Outbound`
    /// (requests that they make) or `Both` (also when absent).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub direction: Option<CaptureDirection>,

    /// Ports to record: the pod's own port for inbound traffic, the remote port for outbound.
    /// All ports when absent.
    #[x_kube(merge_strategy = ListMerge::Set)]
    #[schemars(length(max = 64), inner(range(min = 1, max = 65535)))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<i32>,

    /// Protocols to record. All that are known when absent.
    #[x_kube(merge_strategy = ListMerge::Set)]
    #[schemars(length(max = 16))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub protocols: Vec<Protocol>,

    /// `Decrypt` (also when absent): TLS traffic is recorded in clear where the TLS library
    /// is a known one. `Ignore`: TLS traffic is left alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsMode>,

    /// Bytes to keep of each body, per message and direction; 1Mi when absent, at most 1Gi.
    /// A body that was cut is always marked as such.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_body_size: Option<Quantity>,

    /// Record only a share of the sessions. All when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sampling: Option<Sampling>,

    /// Stop recording this long after it first became ready, for example `30m`. The object
    /// stays and its condition `Complete` becomes true. Without end when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<Duration>,

    /// Upper limits. What is over them is shed in whole sessions and counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<Budget>,

    /// True stops recording until it is false again; the object and its counts stay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspend: Option<bool>,

    /// Where the records go. Each gets its own copy through its own filter and redaction. Two
    /// namespaces may have exporters of one name, so the list is taken as a whole.
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    #[schemars(length(min = 1, max = 16))]
    pub exporters: Vec<ObjectReference>,

    /// Redaction policies for this capture, added to the exporters' own and to those that the
    /// platform enforces.
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    #[schemars(length(max = 16))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dlp_policies: Vec<ObjectReference>,
}

/// Value of `direction`.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum CaptureDirection {
    Inbound,
    Outbound,
    Both,
}

/// Value of an entry of `protocols`.
#[derive(
    Clone, Copy, Debug, Deserialize, Eq, JsonSchema, Ord, PartialEq, PartialOrd, Serialize,
)]
pub enum Protocol {
    #[serde(rename = "HTTP")]
    Http,
    #[serde(rename = "GRPC")]
    Grpc,
    Postgres,
    #[serde(rename = "MySQL")]
    MySql,
    #[serde(rename = "MongoDB")]
    MongoDb,
    Kafka,
    #[serde(rename = "AMQP")]
    Amqp,
    Redis,
}

impl fmt::Display for Protocol {
    /// As it is written in manifests.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Http => "HTTP",
            Self::Grpc => "GRPC",
            Self::Postgres => "Postgres",
            Self::MySql => "MySQL",
            Self::MongoDb => "MongoDB",
            Self::Kafka => "Kafka",
            Self::Amqp => "AMQP",
            Self::Redis => "Redis",
        })
    }
}

/// Value of `tls`.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum TlsMode {
    Decrypt,
    Ignore,
}

/// Keep `keep` out of every `outOf` sessions. The choice depends on the session alone, so every
/// node and every run makes the same one and a session is kept whole or not at all.
#[derive(Clone, Copy, Debug, Deserialize, Eq, KubeSchema, PartialEq, Serialize)]
#[x_kube(validation = Rule::new("self.outOf >= self.keep")
    .message("outOf must be at least keep"))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Sampling {
    /// Sessions to keep, of every `outOf`.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub keep: i32,
    /// Size of the group that `keep` counts in.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub out_of: i32,
}

/// Limits of a capture over all nodes together.
#[derive(Clone, Debug, Deserialize, Eq, KubeSchema, PartialEq, Serialize)]
#[x_kube(validation = Rule::new("has(self.bytesPerSecond) || has(self.records)")
    .message("at least one of bytesPerSecond and records is required"))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Budget {
    /// Bytes of messages to record per second, for example `10Mi`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_per_second: Option<Quantity>,
    /// Records to make over the whole life of the capture.
    #[schemars(range(min = 1))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub records: Option<i64>,
}

/// What the capture does now.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TrafficCaptureStatus {
    /// `metadata.generation` that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Types: Accepted, ResolvedRefs, Programmed, TLSCoverage, Complete, Ready, Reconciling
    /// and Stalled.
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// When the capture first became ready; `duration` runs from here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_time: Option<Time>,
    /// Pods that the selector matches now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub matched_pods: Option<i32>,
    /// Nodes that should have this generation, and how many of them do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nodes: Option<NodeCounts>,
    /// What became of the pairs, over all nodes since the capture began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub records: Option<RecordCounts>,
    /// When the last record was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_record_time: Option<Time>,
    /// What is in force after defaults and the platform's policies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effective: Option<EffectiveCapture>,
}

/// Nodes of a capture.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeCounts {
    /// Nodes that run this generation of the capture.
    pub ready: i32,
    /// Nodes that should.
    pub desired: i32,
}

/// The ledger of a capture: `seen = exported + filtered + sampled + shed + undecodable + queued`,
/// each counted once per exporter. `dropped` is the sum of shed, undecodable and what the
/// kernel side lost.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RecordCounts {
    /// Pairs that reached a pipeline.
    pub seen: i64,
    /// Accepted by the receiver.
    pub exported: i64,
    /// Left out by the exporter's filter.
    pub filtered: i64,
    /// Left out by `sampling`.
    pub sampled: i64,
    /// Given up: over budget, or the queue was full.
    pub shed: i64,
    /// Recorded traffic that is no message of a known protocol.
    pub undecodable: i64,
    /// Waiting for the receiver.
    pub queued: i64,
    /// Everything that was lost, whatever the reason.
    pub dropped: i64,
}

/// The capture as it is carried out.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EffectiveCapture {
    /// Bytes kept of each body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_body_bytes: Option<i64>,
    /// Exporters in use, as `namespace/name`.
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exporters: Vec<String>,
    /// Redaction policies in use, enforced ones included, as `namespace/name`.
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dlp_policies: Vec<String>,
}
