//! Local copies of what the plan is made of. Whatever changes wakes the one reconcile loop.

use std::{collections::HashMap, fmt::Debug, sync::Arc};

use futures::{StreamExt as _, future};
use k8s_openapi::api::{
    apps::v1::DaemonSet,
    core::v1::{Namespace, Pod},
};
use kube::{
    Api, Client, Resource, ResourceExt as _,
    core::{DeserializeGuard, PartialObjectMeta},
    runtime::{
        WatchStreamExt as _,
        reflector::{self, Store},
        watcher::{self, Event, watcher},
    },
};
use serde::de::DeserializeOwned;
use tokio::{sync::Notify, task::JoinSet};
use weir_api::v1alpha1::{DlpPolicy, Exporter, TrafficCapture};

use crate::node::{COMPONENT_SELECTOR, DAEMON_SET};

/// An object, or what is known of one that this version cannot read: one such object must not
/// end the watch of all the others.
pub(crate) type Guarded<K> = DeserializeGuard<K>;

/// The copies.
pub(crate) struct Stores {
    pub(crate) captures: Store<Guarded<TrafficCapture>>,
    pub(crate) exporters: Store<Guarded<Exporter>>,
    pub(crate) policies: Store<Guarded<DlpPolicy>>,
    pub(crate) namespaces: Store<PartialObjectMeta<Namespace>>,
    /// Pods of the DaemonSet.
    pub(crate) pods: Store<Pod>,
    pub(crate) daemon_sets: Store<DaemonSet>,
}

impl Stores {
    /// Starts the watches in `tasks`; none of them ends by itself.
    pub(crate) fn start(
        client: &Client,
        namespace: &str,
        wake: &Arc<Notify>,
        tasks: &mut JoinSet<()>,
    ) -> Self {
        let all = watcher::Config::default;
        let nodes = all().labels(COMPONENT_SELECTOR);
        let own = all().fields(&format!("metadata.name={DAEMON_SET}"));
        Self {
            captures: watched(Api::all(client.clone()), all(), Wakes::Specs, wake, tasks),
            exporters: watched(Api::all(client.clone()), all(), Wakes::Specs, wake, tasks),
            policies: watched(Api::all(client.clone()), all(), Wakes::Specs, wake, tasks),
            namespaces: watched(Api::all(client.clone()), all(), Wakes::All, wake, tasks),
            pods: watched(
                Api::namespaced(client.clone(), namespace),
                nodes,
                Wakes::All,
                wake,
                tasks,
            ),
            daemon_sets: watched(
                Api::namespaced(client.clone(), namespace),
                own,
                Wakes::All,
                wake,
                tasks,
            ),
        }
    }

    /// Waits for the first list of each.
    pub(crate) async fn ready(&self) -> Result<(), reflector::store::WriterDropped> {
        self.captures.wait_until_ready().await?;
        self.exporters.wait_until_ready().await?;
        self.policies.wait_until_ready().await?;
        self.namespaces.wait_until_ready().await?;
        self.pods.wait_until_ready().await?;
        self.daemon_sets.wait_until_ready().await
    }
}

/// Which events wake the loop.
#[derive(Clone, Copy)]
enum Wakes {
    All,
    /// Not those after which an object has the generation that it had: they are our own
    /// statuses, coming back.
    Specs,
}

fn watched<K>(
    api: Api<K>,
    config: watcher::Config,
    wakes: Wakes,
    wake: &Arc<Notify>,
    tasks: &mut JoinSet<()>,
) -> Store<K>
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
{
    let (store, writer) = reflector::store();
    let stream = watcher(api, config)
        // Half of an object's bytes, and never looked at.
        .modify(|object| object.managed_fields_mut().clear())
        .default_backoff()
        .reflect(writer);
    tasks.spawn(follow(stream, wakes, Arc::clone(wake)));
    store
}

async fn follow<K: Resource<DynamicType = ()>>(
    stream: impl futures::Stream<Item = watcher::Result<Event<K>>> + Send,
    wakes: Wakes,
    wake: Arc<Notify>,
) {
    let mut generations = Generations::default();
    stream
        .for_each(|event| {
            match event {
                Ok(event) => {
                    if generations.changed(&event) || matches!(wakes, Wakes::All) {
                        wake.notify_one();
                    }
                }
                Err(error) => {
                    let kind = K::kind(&()).into_owned();
                    tracing::warn!(%error, kind, "a watch was interrupted");
                }
            }
            future::ready(())
        })
        .await;
}

/// The generation of each object, by uid.
#[derive(Default)]
struct Generations(HashMap<String, Option<i64>>);

impl Generations {
    fn changed<K: Resource>(&mut self, event: &Event<K>) -> bool {
        match event {
            Event::Init => {
                self.0.clear();
                false
            }
            Event::InitDone => true,
            Event::InitApply(object) => {
                self.0.insert(object.uid().unwrap_or_default(), object.meta().generation);
                false
            }
            Event::Apply(object) => {
                let now = object.meta().generation;
                self.0.insert(object.uid().unwrap_or_default(), now) != Some(now)
            }
            Event::Delete(object) => {
                self.0.remove(&object.uid().unwrap_or_default());
                true
            }
        }
    }
}
