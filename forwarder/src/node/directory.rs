//! The pods of this node, and which captures want them.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use weir_plan::ObjectKey;

use super::{Pod, PodNews};
use crate::{LiveCaptures, Workload};

/// Deleted pods that are remembered, since records of them may still wait to be read.
const REMEMBERED: usize = 512;

/// Shared between the node's task and the reader's thread.
#[derive(Debug, Default)]
pub(super) struct Directory(RwLock<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// Namespace and name of the pod that we run in.
    own: Option<(String, String)>,
    live: LiveCaptures,
    pods: HashMap<String, Entry>,
    /// Uids of deleted pods, the oldest first.
    gone: VecDeque<String>,
}

#[derive(Debug)]
struct Entry {
    pod: Pod,
    /// Present when some capture wants it.
    workload: Option<Arc<Workload>>,
    gone: bool,
}

impl Directory {
    pub(super) fn new(own: Option<(String, String)>) -> Self {
        Self(RwLock::new(Inner { own, ..Inner::default() }))
    }

    fn read(&self) -> RwLockReadGuard<'_, Inner> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Inner> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The workload of a pod that some capture wants, or wanted when the pod was deleted.
    pub(super) fn workload(&self, uid: &str) -> Option<Arc<Workload>> {
        self.read().pods.get(uid)?.workload.clone()
    }

    /// Goes by other captures from now on; true when something is answered otherwise.
    pub(super) fn follow(&self, live: LiveCaptures) -> bool {
        let mut inner = self.write();
        inner.live = live;
        let Inner { own, live, pods, .. } = &mut *inner;
        let mut changed = false;
        for entry in pods.values_mut() {
            changed |= entry.decide(own.as_ref(), live);
        }
        changed
    }

    /// Takes news of pods; true when something is answered otherwise about a pod that was known.
    pub(super) fn take(&self, news: PodNews) -> bool {
        let mut inner = self.write();
        match news {
            PodNews::All(pods) => {
                let there: BTreeSet<_> = pods.iter().map(|pod| pod.uid.clone()).collect();
                let gone =
                    inner.pods.iter().filter(|(uid, entry)| !entry.gone && !there.contains(*uid));
                let gone: Vec<_> = gone.map(|(uid, _)| uid.clone()).collect();
                for uid in gone {
                    inner.bury(uid);
                }
                pods.into_iter().fold(false, |changed, pod| changed | inner.insert(pod))
            }
            PodNews::Applied(pod) => inner.insert(pod),
            PodNews::Gone(uid) => {
                inner.bury(uid);
                false
            }
        }
    }

    /// Uids of the pods to capture.
    pub(super) fn targets(&self) -> BTreeSet<String> {
        let inner = self.read();
        let wanted = inner.pods.iter().filter(|(_, entry)| !entry.gone && entry.workload.is_some());
        wanted.map(|(uid, _)| uid.clone()).collect()
    }

    /// Those of `pods` whose encrypted connections nobody wants read.
    pub(super) fn undisclosed(&self, pods: &BTreeSet<String>) -> BTreeSet<String> {
        let inner = self.read();
        let decrypts = |uid: &&String| {
            let workload = inner.pods.get(*uid).and_then(|entry| entry.workload.as_ref());
            workload.is_some_and(|workload| inner.live.any_decrypts(&workload.captures))
        };
        pods.iter().filter(|uid| !decrypts(uid)).cloned().collect()
    }

    /// Uids of the pods that other captures would want.
    pub(super) fn targets_of(&self, live: &LiveCaptures) -> BTreeSet<String> {
        let inner = self.read();
        let wanted = inner.pods.iter().filter(|(_, entry)| {
            !entry.gone && entry.wanting(inner.own.as_ref(), live).next().is_some()
        });
        wanted.map(|(uid, _)| uid.clone()).collect()
    }

    /// How many pods each capture matches now.
    pub(super) fn matched(&self) -> BTreeMap<ObjectKey, u32> {
        let mut matched = BTreeMap::new();
        let inner = self.read();
        let workloads = inner.pods.values().filter(|entry| !entry.gone);
        for key in workloads.filter_map(|entry| entry.workload.as_ref()).flat_map(|w| &w.captures) {
            *matched.entry(key.clone()).or_default() += 1;
        }
        matched
    }

    /// The pods as they are now, for the disk.
    pub(super) fn pods(&self) -> Vec<Pod> {
        let inner = self.read();
        let there = inner.pods.values().filter(|entry| !entry.gone);
        let mut pods: Vec<_> = there.map(|entry| entry.pod.clone()).collect();
        pods.sort_by(|a, b| a.uid.cmp(&b.uid));
        pods
    }
}

impl Inner {
    fn insert(&mut self, pod: Pod) -> bool {
        let Self { own, live, pods, .. } = self;
        let uid = pod.uid.clone();
        match pods.get_mut(&uid) {
            Some(entry) if !entry.gone => {
                entry.pod = pod;
                entry.decide(own.as_ref(), live)
            }
            _ => {
                let mut entry = Entry { pod, workload: None, gone: false };
                entry.decide(own.as_ref(), live);
                pods.insert(uid, entry);
                false
            }
        }
    }

    fn bury(&mut self, uid: String) {
        let Some(entry) = self.pods.get_mut(&uid) else { return };
        if std::mem::replace(&mut entry.gone, true) {
            return;
        }
        self.gone.push_back(uid);
        if self.gone.len() > REMEMBERED
            && let Some(oldest) = self.gone.pop_front()
            && self.pods.get(&oldest).is_some_and(|entry| entry.gone)
        {
            self.pods.remove(&oldest);
        }
    }
}

impl Entry {
    fn wanting<'a>(
        &'a self,
        own: Option<&(String, String)>,
        live: &'a LiveCaptures,
    ) -> impl Iterator<Item = ObjectKey> + use<'a> {
        let Pod { namespace, name, labels, .. } = &self.pod;
        // Weir never captures itself.
        let ours = own.is_some_and(|own| (&own.0, &own.1) == (namespace, name));
        let wanting = if ours { Vec::new() } else { live.matching_in(namespace, labels) };
        wanting.into_iter()
    }

    /// Makes the workload anew; true when it is another one.
    fn decide(&mut self, own: Option<&(String, String)>, live: &LiveCaptures) -> bool {
        let captures: Vec<_> = self.wanting(own, live).collect();
        let pod = &self.pod;
        let workload = (!captures.is_empty()).then(|| Workload {
            service: pod.workload().to_owned(),
            namespace: pod.namespace.clone(),
            pod_name: pod.name.clone(),
            app_label: pod.app_label().to_owned(),
            captures,
        });
        if self.workload.as_deref() == workload.as_ref() {
            return false;
        }
        self.workload = workload.map(Arc::new);
        true
    }
}

#[cfg(test)]
mod tests;
