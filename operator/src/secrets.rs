//! The Secrets that exporters refer to, and no others. A Secret is read by its name; only the
//! metadata of Secrets is watched, and only in namespaces where an exporter refers to one.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures::{StreamExt as _, TryStreamExt as _, future, stream};
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api, Client, ResourceExt as _,
    core::PartialObjectMeta,
    runtime::{WatchStreamExt as _, watcher},
};
use tokio::{
    sync::Notify,
    task::{AbortHandle, JoinSet},
};
use weir_api::v1alpha1::{DlpPolicy, Exporter};
use weir_plan::{ObjectKey, SecretData};

/// Reads at a time.
const PARALLEL: usize = 8;

/// What was read.
#[derive(Default)]
struct Known {
    /// `None` for a Secret that does not exist or may not be read.
    secrets: BTreeMap<ObjectKey, Option<SecretData>>,
    /// Changes that were told of. What was read while one came may be older than it.
    changes: u64,
}

type Cache = Arc<Mutex<Known>>;

pub(crate) struct Secrets {
    client: Client,
    wake: Arc<Notify>,
    cache: Cache,
    watches: BTreeMap<String, AbortHandle>,
    tasks: JoinSet<()>,
}

impl Secrets {
    pub(crate) fn new(client: Client, wake: Arc<Notify>) -> Self {
        let (cache, watches) = (Cache::default(), BTreeMap::new());
        Self { client, wake, cache, watches, tasks: JoinSet::new() }
    }

    /// The Secrets with these names that exist.
    pub(crate) async fn read(
        &mut self,
        names: &BTreeSet<ObjectKey>,
    ) -> kube::Result<BTreeMap<ObjectKey, SecretData>> {
        self.watch(names);
        let (missing, changes) = {
            let mut known = lock(&self.cache);
            known.secrets.retain(|name, _| names.contains(name));
            let missing = names.iter().filter(|name| !known.secrets.contains_key(*name));
            (missing.cloned().collect::<Vec<ObjectKey>>(), known.changes)
        };
        let client = &self.client;
        let reads = stream::iter(missing).map(|name| async move {
            let api = Api::<Secret>::namespaced(client.clone(), &name.namespace);
            match api.get_opt(&name.name).await {
                Ok(secret) => Ok((name, secret.map(data))),
                Err(kube::Error::Api(status)) if status.code == 403 => {
                    tracing::warn!(secret = %name, "the operator may not read a Secret");
                    Ok((name, None))
                }
                Err(error) => Err(error),
            }
        });
        let read: BTreeMap<ObjectKey, Option<SecretData>> =
            reads.buffer_unordered(PARALLEL).try_collect().await?;
        let mut known = lock(&self.cache);
        let mut all = known.secrets.clone();
        if known.changes == changes {
            known.secrets.extend(read.clone());
        } else {
            self.wake.notify_one();
        }
        drop(known);
        all.extend(read);
        Ok(all.into_iter().filter_map(|(name, data)| Some((name, data?))).collect())
    }

    /// Watches the namespaces of these Secrets, and no others.
    fn watch(&mut self, names: &BTreeSet<ObjectKey>) {
        let wanted: BTreeSet<&str> = names.iter().map(|name| name.namespace.as_str()).collect();
        self.watches.retain(|namespace, watch| {
            let keep = wanted.contains(namespace.as_str());
            if !keep {
                watch.abort();
            }
            keep
        });
        for namespace in wanted {
            if !self.watches.contains_key(namespace) {
                let api = Api::namespaced(self.client.clone(), namespace);
                let (cache, wake) = (Arc::clone(&self.cache), Arc::clone(&self.wake));
                let task = self.tasks.spawn(follow(api, namespace.to_owned(), cache, wake));
                self.watches.insert(namespace.to_owned(), task);
            }
        }
        while self.tasks.try_join_next().is_some() {}
    }
}

/// Forgets what changed, so that the next pass reads it again.
async fn follow(
    api: Api<PartialObjectMeta<Secret>>,
    namespace: String,
    cache: Cache,
    wake: Arc<Notify>,
) {
    let stream = watcher(api, watcher::Config::default()).default_backoff();
    stream
        .for_each(|event| {
            let mut known = lock(&cache);
            let forgotten = match event {
                Ok(watcher::Event::Apply(secret) | watcher::Event::Delete(secret)) => {
                    known.changes += 1;
                    let name = secret.name_any();
                    let name = ObjectKey { namespace: namespace.clone(), name };
                    known.secrets.remove(&name).is_some()
                }
                // After a gap anything may have changed.
                Ok(watcher::Event::InitDone) => {
                    known.changes += 1;
                    known.secrets.retain(|name, _| name.namespace != namespace);
                    true
                }
                Ok(_) => false,
                Err(error) => {
                    tracing::warn!(%error, namespace, "the watch of Secrets was interrupted");
                    false
                }
            };
            drop(known);
            if forgotten {
                wake.notify_one();
            }
            future::ready(())
        })
        .await;
}

fn lock(cache: &Cache) -> MutexGuard<'_, Known> {
    cache.lock().unwrap_or_else(PoisonError::into_inner)
}

fn data(secret: Secret) -> SecretData {
    let data = secret.data.unwrap_or_default();
    SecretData(data.into_iter().map(|(key, value)| (key, value.0)).collect())
}

/// The Secret that a policy refers to, in its own namespace.
pub(crate) fn referred_by_policy(policy: &DlpPolicy) -> Option<ObjectKey> {
    let name = policy.spec.key_ref.as_ref()?.name.clone();
    Some(ObjectKey { namespace: policy.namespace().unwrap_or_default(), name })
}

/// Secrets that an exporter refers to, all in its own namespace.
pub(crate) fn referred(exporter: &Exporter) -> BTreeSet<ObjectKey> {
    let Some(otlp) = &exporter.spec.otlp else { return BTreeSet::new() };
    let headers = otlp.headers.iter().filter_map(|header| header.value_from.as_ref());
    let headers = headers.map(|source| &source.secret_key_ref.name);
    let tls = otlp.tls.iter();
    let authorities = tls.clone().filter_map(|tls| tls.ca_ref.as_ref()).map(|ca| &ca.name);
    let clients = tls.filter_map(|tls| tls.client_certificate_ref.as_ref()).map(|own| &own.name);
    let namespace = exporter.namespace().unwrap_or_default();
    let names = headers.chain(authorities).chain(clients).cloned();
    names.map(|name| ObjectKey { namespace: namespace.clone(), name }).collect()
}
