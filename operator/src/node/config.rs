//! Settings of the DaemonSet, as the installation gives them: one YAML file, read strictly.

use std::collections::BTreeMap;

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
    /// Port of health, metrics and status in the pod.
    #[serde(default = "admin_port")]
    pub admin_port: u16,
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
    HostPath { path: String },
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
    #[error("state.hostPath.path {0:?} is not an absolute path")]
    RelativePath(String),
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
        match &config.state {
            State::HostPath { path } if !path.starts_with('/') => {
                Err(NodeConfigError::RelativePath(path.clone()))
            }
            _ => Ok(config),
        }
    }
}

fn if_not_present() -> String {
    "IfNotPresent".to_owned()
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
