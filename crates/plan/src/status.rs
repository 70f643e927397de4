//! What a node says of itself: the body of `GET /status` on a forwarder's admin port. Counts
//! run from the start of that forwarder; `started` tells one run from the next.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{ObjectKey, Transport};

/// One node. Unknown fields are passed over and absent ones are zero, so that operator and
/// nodes may differ in version.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeStatus {
    /// Version of the forwarder.
    pub version: String,
    /// Name of the node.
    pub node: String,
    /// When this forwarder started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started: Option<Timestamp>,
    /// [`PlanDocument::revision`](crate::PlanDocument::revision) of the plan in force; none
    /// before the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan_revision: Option<String>,
    pub agent: AgentStatus,
    pub captures: Vec<NodeCapture>,
    pub exporters: Vec<NodeExporter>,
    /// Runs of this forwarder before this one, the newest first, as the node's disk has them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub earlier: Vec<NodeRun>,
}

/// What one run of a forwarder counted: at its end, or a second before it was killed.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeRun {
    /// [`NodeStatus::started`] then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started: Option<Timestamp>,
    /// Their records alone.
    pub captures: Vec<NodeCapture>,
}

/// The capture agent beside the forwarder.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AgentStatus {
    /// The forwarder has the agent's ring.
    pub connected: bool,
    /// Programs are attached to the kernel. False while no capture matches a pod here.
    pub hooks_attached: bool,
    /// What this kernel can do, by the names that `weir doctor` gives.
    pub kernel: BTreeMap<String, String>,
    /// Bytes of a ring that nobody read, since a forwarder before this one went away.
    pub abandoned_bytes: u64,
    /// Why the agent captures nothing although it should.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// One capture on one node.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeCapture {
    pub key: ObjectKey,
    /// Of the capture that is counted; an earlier one of the same name had another.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub uid: String,
    /// Pods of this node that the capture matches, as far as the kernel side follows them.
    pub matched_pods: u32,
    pub records: NodeRecords,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_record_time: Option<Timestamp>,
    pub tls: TlsCounts,
}

/// `seen + recovered = exported + filtered + sampled + shed + undecodable + queued`. All but
/// `queued` only ever grow.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeRecords {
    pub seen: u64,
    /// Seen by an earlier run of this forwarder, and found waiting on disk at its start.
    pub recovered: u64,
    pub exported: u64,
    pub filtered: u64,
    pub sampled: u64,
    pub shed: u64,
    pub undecodable: u64,
    pub queued: u64,
    /// Everything that was lost: shed, undecodable, and what the kernel side gave up.
    pub dropped: u64,
}

/// Containers with TLS traffic.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TlsCounts {
    /// Read in clear.
    pub covered: u32,
    /// Not readable, by reason.
    pub opaque: BTreeMap<String, u32>,
}

/// One exporter on one node.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeExporter {
    pub key: ObjectKey,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transport: Option<Transport>,
    /// The receiver answered the last time; absent before the first try.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reachable: Option<bool>,
    /// Records that the receiver took.
    pub delivered: u64,
    pub queue: NodeQueue,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_delivery: Option<Timestamp>,
    /// The last failure; absent once delivery works again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
}

/// What waits for a receiver on one node.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeQueue {
    pub records: u64,
    pub bytes: u64,
    /// Records that the queue gave up: it or the disk was full, or the disk failed.
    pub dropped: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absent_fields_are_zero_and_unknown_ones_are_passed_over() {
        let status: NodeStatus = serde_json::from_str(
            r#"{"node": "a", "later": [1], "captures": [{"key": {"namespace": "n", "name": "c"},
                "records": {"seen": 3, "later": 1}}]}"#,
        )
        .unwrap();
        assert_eq!(status.captures[0].records.seen, 3);
        assert_eq!(status.captures[0].records.exported, 0);
        assert!(!status.agent.connected);
    }

    #[test]
    fn a_status_survives_its_json_with_the_names_of_the_seam() {
        let time: Timestamp = "2026-11-21T12:00:00Z".parse().unwrap();
        let key = ObjectKey { namespace: "n".to_owned(), name: "c".to_owned() };
        let status = NodeStatus {
            version: "0.1.0".to_owned(),
            node: "a".to_owned(),
            started: Some(time),
            plan_revision: Some("r".to_owned()),
            agent: AgentStatus { connected: true, hooks_attached: true, ..AgentStatus::default() },
            captures: vec![NodeCapture {
                key: key.clone(),
                matched_pods: 2,
                last_record_time: Some(time),
                ..NodeCapture::default()
            }],
            exporters: vec![NodeExporter {
                key,
                transport: Some(Transport::Http),
                reachable: Some(true),
                last_delivery: Some(time),
                last_error: Some("e".to_owned()),
                ..NodeExporter::default()
            }],
            earlier: vec![NodeRun { started: Some(time), captures: Vec::new() }],
        };
        let json = serde_json::to_value(&status).unwrap();
        assert_eq!(json["planRevision"], "r");
        assert_eq!(json["agent"]["hooksAttached"], true);
        assert_eq!(json["captures"][0]["matchedPods"], 2);
        assert_eq!(json["captures"][0]["lastRecordTime"], "2026-11-21T12:00:00Z");
        assert_eq!(json["exporters"][0]["lastError"], "e");
        assert_eq!(json["earlier"][0]["started"], "2026-11-21T12:00:00Z");
        assert_eq!(serde_json::from_value::<NodeStatus>(json).unwrap(), status);
    }
}
