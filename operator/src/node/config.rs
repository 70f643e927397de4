//! Settings of the DaemonSet, as the installation gives them: one YAML file, read strictly.

use std::{collections::BTreeMap, num::NonZeroU32};

use k8s_openapi::{
    api::core::v1::{Affinity, LocalObjectReference, Toleration},
    apimachinery::pkg::{api::resource::Quantity, util::intstr::IntOrString},
};
use serde::{Deserialize, Serialize};

/// What an installation may choose. All but `image` may be absent.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NodeConfig {
    /// Image with both programs.
    pub image: String,
    #[serde(default = "if_not_present")]
    pub image_pull_policy: String,
    #[serde(default)]
    pub image_pull_secrets: Vec<LocalObjectReference>,
    /// Filter of log lines, for example `info`.
    #[serde(default = "info")]
    pub log: String,
    /// Bytes of the memory between kernel and forwarder.
    #[serde(default)]
    pub ring_bytes: Option<u32>,
    /// Read TLS at its libraries, which takes the agent a further capability.
    #[serde(default = "yes")]
    pub tls_probes: bool,
    /// Port of health, metrics and status in the pod.
    #[serde(default = "admin_port")]
    pub admin_port: u16,
    /// Push the forwarders' metrics by OTLP.
    #[serde(default)]
    pub metrics: Option<Metrics>,
    #[serde(default)]
    pub state: State,
    #[serde(default)]
    pub capture_agent: ContainerConfig,
    #[serde(default)]
    pub forwarder: ContainerConfig,
    #[serde(default)]
    pub pod_labels: BTreeMap<String, String>,
    #[serde(default)]
    pub pod_annotations: BTreeMap<String, String>,
    #[serde(default)]
    pub node_selector: BTreeMap<String, String>,
    #[serde(default)]
    pub tolerations: Vec<Toleration>,
    #[serde(default)]
    pub affinity: Option<Affinity>,
    #[serde(default)]
    pub priority_class_name: String,
    #[serde(default = "one")]
    pub max_unavailable: IntOrString,
    /// Time to deliver what waits when a pod ends.
    #[serde(default = "half_a_minute")]
    pub termination_grace_period_seconds: u32,
}

/// Where metrics are pushed to.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Metrics {
    pub endpoint: String,
    #[serde(default)]
    pub protocol: MetricsProtocol,
    /// Secret of the operator's namespace whose key `headers` has what goes with each request.
    #[serde(default)]
    pub headers_secret: String,
    #[serde(default)]
    pub interval_seconds: Option<NonZeroU32>,
}

/// How they travel, as OpenTelemetry's variables name it.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub enum MetricsProtocol {
    #[default]
    #[serde(rename = "http/protobuf")]
    Http,
    #[serde(rename = "grpc")]
    Grpc,
}

/// Settings of one container.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ContainerConfig {
    #[serde(default)]
    pub resources: Resources,
}

/// Requests and limits.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Resources {
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub limits: BTreeMap<String, Quantity>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub requests: BTreeMap<String, Quantity>,
}

/// Where the forwarder keeps the last plan and its queues.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum State {
    /// With the pod: survives restarts of its containers.
    #[serde(rename_all = "camelCase")]
    EmptyDir { size_limit: Quantity },
    /// A directory of the node that exists and belongs to user 65532: survives the pod.
    #[serde(rename_all = "camelCase")]
    HostPath {
        path: String,
        /// What the queues there may take of it; without one they have their own limits alone.
        #[serde(default)]
        size_limit: Option<Quantity>,
    },
}

/// Least size of a place for the state.
const LEAST_STATE: u64 = 16 << 20;

impl State {
    fn size_limit(&self) -> Option<weir_api::Quantity> {
        let limit = match self {
            Self::EmptyDir { size_limit } => Some(size_limit),
            Self::HostPath { size_limit, .. } => size_limit.as_ref(),
        };
        limit.map(|limit| weir_api::Quantity(limit.0.clone()))
    }

    /// Bytes that the queues may take together. The kubelet ends a pod whose volume is larger
    /// than it may be, so an eighth stays free: for the last plan, folders and what the file
    /// system adds.
    pub(super) fn queue_bytes(&self) -> Option<u64> {
        let whole = self.size_limit()?.whole().ok()?;
        Some(whole - whole / 8)
    }

    fn check(&self) -> Result<(), NodeConfigError> {
        if let Self::HostPath { path, .. } = self
            && !path.starts_with('/')
        {
            return Err(NodeConfigError::RelativePath(path.clone()));
        }
        let Some(limit) = self.size_limit() else { return Ok(()) };
        match limit.whole() {
            Ok(bytes) if bytes >= LEAST_STATE => Ok(()),
            Ok(_) => Err(NodeConfigError::SmallState(limit)),
            Err(source) => Err(NodeConfigError::SizeLimit { limit, source }),
        }
    }
}

impl Default for State {
    fn default() -> Self {
        Self::EmptyDir { size_limit: Quantity("2Gi".to_owned()) }
    }
}

/// Why a text is no [`NodeConfig`].
#[derive(Debug, thiserror::Error)]
pub enum NodeConfigError {
    #[error("it is not the YAML of node settings")]
    Yaml(#[source] Box<serde_saphyr::Error>),
    #[error("image is empty")]
    NoImage,
    #[error("metrics.endpoint {0:?} does not begin with http:// or https://")]
    MetricsEndpoint(String),
    #[error("state.hostPath.path {0:?} is not an absolute path")]
    RelativePath(String),
    #[error("sizeLimit {limit} of the state is no size")]
    SizeLimit {
        limit: weir_api::Quantity,
        #[source]
        source: weir_api::ParseQuantity,
    },
    #[error("sizeLimit {0} of the state is less than 16Mi")]
    SmallState(weir_api::Quantity),
}

impl NodeConfig {
    /// Reads settings.
    ///
    /// # Errors
    ///
    /// [`NodeConfigError`] names the field.
    pub fn parse(text: &str) -> Result<Self, NodeConfigError> {
        let config: Self =
            serde_saphyr::from_str(text).map_err(|error| NodeConfigError::Yaml(Box::new(error)))?;
        if config.image.is_empty() {
            return Err(NodeConfigError::NoImage);
        }
        if let Some(Metrics { endpoint, .. }) = &config.metrics
            && !["http://", "https://"].iter().any(|scheme| endpoint.starts_with(scheme))
        {
            return Err(NodeConfigError::MetricsEndpoint(endpoint.clone()));
        }
        config.state.check()?;
        Ok(config)
    }
}

fn if_not_present() -> String {
    "IfNotPresent".to_owned()
}

fn yes() -> bool {
    true
}

fn info() -> String {
    "info".to_owned()
}

fn admin_port() -> u16 {
    9464
}

fn one() -> IntOrString {
    IntOrString::Int(1)
}

fn half_a_minute() -> u32 {
    30
}
