//! The DaemonSet that runs capture agent and forwarder on every node. Pure: settings in, object
//! out. Nothing of it comes from a tenant's object.

mod config;

#[cfg(test)]
mod tests;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use serde_json::{Value, json};

pub use config::{Metrics, MetricsProtocol, NodeConfig, NodeConfigError, Resources, State};

/// Name of the DaemonSet.
pub(crate) const DAEMON_SET: &str = "weir-node";
/// Selects its pods.
pub(crate) const COMPONENT_SELECTOR: &str =
    "app.kubernetes.io/name=weir,app.kubernetes.io/component=node";
/// Name of the forwarder's port for health, metrics and status.
pub(crate) const ADMIN_PORT: &str = "admin";

const SERVICE_ACCOUNT: &str = "weir-forwarder";
/// User of the forwarder.
const FORWARDER_UID: u32 = 65532;
const STATE: &str = "/var/lib/weir";
const RUN: &str = "/run/weir";
const TOKENS: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// What the agent needs, each by its name (docs/capture-requirements.md).
const AGENT_CAPABILITIES: [&str; 3] = ["BPF", "PERFMON", "SYS_PTRACE"];
/// What probes in libraries need besides: Linux asks for it since July 2025 (CVE-2025-38466).
const PROBE_CAPABILITY: &str = "SYS_ADMIN";

/// The DaemonSet, for server-side apply.
pub(crate) fn daemon_set(
    config: &NodeConfig,
    namespace: &str,
    owner: Option<&OwnerReference>,
) -> Value {
    let labels = json!({
        "app.kubernetes.io/name": "weir", "app.kubernetes.io/component": "node",
    });
    let mut object_labels = labels.clone();
    object_labels["app.kubernetes.io/managed-by"] = json!("weir-operator");
    let mut pod_labels = json!(config.pod_labels);
    merge(&mut pod_labels, &labels);
    let mut metadata = json!({
        "name": DAEMON_SET, "namespace": namespace, "labels": object_labels,
    });
    if let Some(owner) = owner {
        metadata["ownerReferences"] = json!([owner]);
    }
    let mut pod_metadata = json!({"labels": pod_labels});
    if !config.pod_annotations.is_empty() {
        pod_metadata["annotations"] = json!(config.pod_annotations);
    }
    json!({
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": metadata,
        "spec": {
            "selector": {"matchLabels": labels},
            "updateStrategy": {
                "type": "RollingUpdate",
                "rollingUpdate": {"maxUnavailable": config.max_unavailable, "maxSurge": 0},
            },
            "template": {"metadata": pod_metadata, "spec": pod(config)},
        },
    })
}

fn pod(config: &NodeConfig) -> Value {
    let mut pod = json!({
        "serviceAccountName": SERVICE_ACCOUNT,
        // Only the forwarder gets a token, by its own volume.
        "automountServiceAccountToken": false,
        "enableServiceLinks": false,
        // The agent tells processes of containers from each other.
        "hostPID": true,
        "terminationGracePeriodSeconds": config.termination_grace_period_seconds,
        "securityContext": {"seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [agent(config), forwarder(config)],
        "volumes": volumes(config),
    });
    for (field, value) in [
        ("imagePullSecrets", json!(config.image_pull_secrets)),
        ("nodeSelector", json!(config.node_selector)),
        ("tolerations", json!(config.tolerations)),
        ("affinity", json!(config.affinity)),
        ("priorityClassName", json!(config.priority_class_name)),
    ] {
        if !is_empty(&value) {
            pod[field] = value;
        }
    }
    pod
}

fn agent(config: &NodeConfig) -> Value {
    let socket = format!("{RUN}/agent.sock");
    let mut arguments = vec![
        "--socket".to_owned(),
        socket,
        "--forwarder-uid".to_owned(),
        FORWARDER_UID.to_string(),
    ];
    if let Some(bytes) = config.ring_bytes {
        arguments.extend(["--ring-bytes".to_owned(), bytes.to_string()]);
    }
    let mut capabilities = AGENT_CAPABILITIES.to_vec();
    if config.tls_probes {
        capabilities.push(PROBE_CAPABILITY);
    }
    let mut container = json!({
        "name": "capture-agent",
        "image": config.image,
        "imagePullPolicy": config.image_pull_policy,
        "command": ["weir-capture-agent"],
        "args": arguments,
        "env": [{"name": "WEIR_LOG", "value": config.log}],
        "securityContext": {
            "runAsUser": 0,
            "runAsGroup": 0,
            "allowPrivilegeEscalation": false,
            "readOnlyRootFilesystem": true,
            "capabilities": {"drop": ["ALL"], "add": capabilities},
            // The default profile of container runtimes refuses bpf(2) and perf_event_open(2).
            "seccompProfile": {"type": "Unconfined"},
        },
        "volumeMounts": [
            {"name": "run", "mountPath": RUN},
        ],
    });
    with_resources(&mut container, &config.capture_agent.resources);
    container
}

fn forwarder(config: &NodeConfig) -> Value {
    let port = config.admin_port;
    let probe = |path: &str| json!({"httpGet": {"path": path, "port": ADMIN_PORT}});
    let from_pod = |name: &str, path: &str| json!({"name": name, "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": path}}});
    let mut arguments = vec![
        "--agent-socket".to_owned(),
        format!("{RUN}/agent.sock"),
        "--state-dir".to_owned(),
        STATE.to_owned(),
        "--plan-namespace".to_owned(),
        "$(POD_NAMESPACE)".to_owned(),
        "--plan-secret".to_owned(),
        weir_plan::PLAN_SECRET.to_owned(),
        "--admin".to_owned(),
        format!("0.0.0.0:{port}"),
    ];
    if let Some(bytes) = config.state.queue_bytes() {
        arguments.extend(["--queues-max-bytes".to_owned(), bytes.to_string()]);
    }
    let mut container = json!({
        "name": "forwarder",
        "image": config.image,
        "imagePullPolicy": config.image_pull_policy,
        "command": ["weir-forwarder"],
        "args": arguments,
        "env": [
            from_pod("NODE_NAME", "spec.nodeName"),
            from_pod("POD_IP", "status.podIP"),
            from_pod("POD_NAME", "metadata.name"),
            from_pod("POD_NAMESPACE", "metadata.namespace"),
            {"name": "WEIR_LOG", "value": config.log},
        ],
        "ports": [{"name": ADMIN_PORT, "containerPort": port, "protocol": "TCP"}],
        "livenessProbe": probe("/healthz"),
        "readinessProbe": probe("/readyz"),
        "securityContext": {
            "runAsNonRoot": true,
            "runAsUser": FORWARDER_UID,
            "runAsGroup": FORWARDER_UID,
            "allowPrivilegeEscalation": false,
            "readOnlyRootFilesystem": true,
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "volumeMounts": [
            {"name": "run", "mountPath": RUN},
            {"name": "state", "mountPath": STATE},
            {"name": "token", "mountPath": TOKENS, "readOnly": true},
        ],
    });
    if let (Some(metrics), Some(environment)) = (&config.metrics, container["env"].as_array_mut()) {
        environment.extend(metrics_environment(metrics));
    }
    with_resources(&mut container, &config.forwarder.resources);
    container
}

/// The variables of OpenTelemetry's specification that the forwarder reads.
fn metrics_environment(metrics: &Metrics) -> Vec<Value> {
    let mut variables = vec![
        json!({"name": "OTEL_EXPORTER_OTLP_ENDPOINT", "value": metrics.endpoint}),
        json!({"name": "OTEL_EXPORTER_OTLP_PROTOCOL", "value": metrics.protocol}),
    ];
    if let Some(seconds) = metrics.interval_seconds {
        let milliseconds = (u64::from(seconds.get()) * 1000).to_string();
        variables.push(json!({"name": "OTEL_METRIC_EXPORT_INTERVAL", "value": milliseconds}));
    }
    if !metrics.headers_secret.is_empty() {
        let key = json!({"name": metrics.headers_secret, "key": "headers"});
        let from = json!({"secretKeyRef": key});
        variables.push(json!({"name": "OTEL_EXPORTER_OTLP_HEADERS", "valueFrom": from}));
    }
    variables
}

fn volumes(config: &NodeConfig) -> Value {
    let state = match &config.state {
        State::EmptyDir { size_limit } => {
            json!({"name": "state", "emptyDir": {"sizeLimit": size_limit}})
        }
        State::HostPath { path, .. } => {
            json!({"name": "state", "hostPath": {"path": path, "type": "Directory"}})
        }
    };
    json!([
        {"name": "run", "emptyDir": {}},
        state,
        {"name": "token", "projected": {"sources": [
            {"serviceAccountToken": {"path": "token", "expirationSeconds": 3607}},
            {"configMap": {
                "name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}],
            }},
            {"downwardAPI": {"items": [{
                "path": "namespace",
                "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"},
            }]}},
        ]}},
    ])
}

fn with_resources(container: &mut Value, resources: &Resources) {
    let resources = json!(resources);
    if !is_empty(&resources) {
        container["resources"] = resources;
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::String(text) => text.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

fn merge(into: &mut Value, from: &Value) {
    if let (Some(into), Some(from)) = (into.as_object_mut(), from.as_object()) {
        into.extend(from.clone());
    }
}
