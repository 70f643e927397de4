//! Whose connections the reader sees: a question to whoever knows the processes or pods.

use std::sync::Arc;

use weir_link::TlsCoverage;
use weir_plan::ObjectKey;

/// A captured workload as records name it (contract §1.1, §1.7).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Workload {
    /// `service` and `resource` of its records.
    pub service: String,
    pub namespace: String,
    /// `k8sAppPodName` and `proxyId`.
    pub pod_name: String,
    /// `k8sAppLabel`.
    pub app_label: String,
    /// The captures whose selector matches it. Those that are suspended, complete or not in
    /// the plan do not count.
    pub captures: Vec<ObjectKey>,
}

/// Knows the workloads. Asked once per connection and plan, on the reader's thread: it must
/// not block.
pub trait Attribution: Send + Sync {
    /// The workload of the process `tgid` in the cgroup `cgroup_id`, `None` when it is not
    /// known or not to be captured.
    fn workload(&self, tgid: u32, cgroup_id: u64) -> Option<Arc<Workload>>;

    /// Whether the encrypted connections of the process can be read.
    fn tls(&self, _tgid: u32) -> TlsCoverage {
        TlsCoverage::Unknown
    }
}
