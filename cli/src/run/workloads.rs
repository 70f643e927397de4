//! Which local process belongs to which capture.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, RwLock},
};

use weir_capture_agent::Process;
use weir_forwarder::{Attribution, LiveCaptures, TlsCoverage, Workload};
use weir_plan::ObjectKey;

/// Workloads that are remembered. Past it they are made again, which costs an allocation.
const REMEMBERED: usize = 4096;

/// Selects the processes of the captures that live.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Active(pub(super) LiveCaptures);

impl weir_capture_agent::Selector for Active {
    fn selects(&self, process: &Process) -> bool {
        self.0.selects(&process.labels)
    }

    fn decrypts(&self, process: &Process) -> bool {
        self.0.decrypts(&process.labels)
    }
}

/// Looks up a process by its id, ended ones too.
pub(super) type Lookup = Box<dyn Fn(u32) -> Option<Arc<Process>> + Send + Sync>;

/// Says whether the encrypted connections of a process can be read.
type AskTls = Box<dyn Fn(u32) -> TlsCoverage + Send + Sync>;

/// What was said of a process: its workload, or that it has none.
type Known = (Arc<Process>, Option<Arc<Workload>>);

/// Names the workload of a process for the forwarder: on one machine a process is a Pod.
pub(super) struct Workloads {
    lookup: Lookup,
    tls: AskTls,
    active: RwLock<Arc<Active>>,
    /// By process id; a reused id has another start time, and new labels another process.
    known: Mutex<HashMap<u32, Known>>,
}

impl Workloads {
    pub(super) fn new(lookup: Lookup) -> Self {
        let tls = Box::new(|_| TlsCoverage::Unknown);
        Self { lookup, tls, active: RwLock::default(), known: Mutex::default() }
    }

    /// Asks here about encryption.
    pub(super) fn with_tls(self, tls: impl Fn(u32) -> TlsCoverage + Send + Sync + 'static) -> Self {
        Self { tls: Box::new(tls), ..self }
    }

    /// Follows a new plan.
    pub(super) fn set(&self, active: Arc<Active>) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        *self.active.write().unwrap_or_else(PoisonError::into_inner) = active;
        known.clear();
    }
}

impl Attribution for Workloads {
    fn workload(&self, tgid: u32, _cgroup_id: u64) -> Option<Arc<Workload>> {
        let process = (self.lookup)(tgid)?;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((of, workload)) = known.get(&tgid)
            && Arc::ptr_eq(of, &process)
        {
            return workload.clone();
        }
        if known.len() >= REMEMBERED {
            known.clear();
        }
        let active = Arc::clone(&self.active.read().unwrap_or_else(PoisonError::into_inner));
        let workload = workload(&process, active.0.matching(&process.labels)).map(Arc::new);
        known.insert(tgid, (process, workload.clone()));
        workload
    }

    fn tls(&self, tgid: u32) -> TlsCoverage {
        (self.tls)(tgid)
    }
}

/// `None` when no capture wants the process.
fn workload(process: &Process, captures: Vec<ObjectKey>) -> Option<Workload> {
    let namespace = captures.first()?.namespace.clone();
    Some(Workload {
        service: process.service.clone(),
        namespace,
        pod_name: format!("{}-{}", process.service, process.pid),
        app_label: process.service.clone(),
        captures,
    })
}

#[cfg(test)]
#[path = "workloads/tests.rs"]
mod tests;
