//! The only part of the forwarder that knows the Kubernetes API: it watches one Secret, and the
//! metadata of the node's pods.

use std::pin::pin;

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::{Pod as ClusterPod, Secret};
use kube::{
    Api, Client, ResourceExt as _,
    core::PartialObjectMeta,
    runtime::{
        WatchStreamExt as _,
        watcher::{self, Event, watcher},
    },
};
use tokio::sync::mpsc;
use weir_forwarder::{
    chain,
    node::{News, Owner, Pod, PodNews},
};
use weir_plan::{PLAN_KEY, PlanDocument};

/// Of a static pod: what its control group is named by.
const CONFIG_HASH: &str = "kubernetes.io/config.hash";

/// Tells each plan of the Secret. One that cannot be read changes nothing, and neither does the
/// Secret's end: an operator that goes away must not end captures.
pub(crate) async fn watch_plan(
    client: Client,
    namespace: String,
    name: String,
    news: mpsc::Sender<News>,
) {
    let secrets = Api::<Secret>::namespaced(client, &namespace);
    let config = watcher::Config::default().fields(&format!("metadata.name={name}"));
    let mut events = pin!(watcher(secrets, config).default_backoff());
    while let Some(event) = events.next().await {
        let secret = match event {
            Ok(Event::Apply(secret) | Event::InitApply(secret)) => secret,
            Ok(Event::Delete(_)) => {
                tracing::warn!(namespace, name, "the plan's Secret is gone, the last plan stays");
                continue;
            }
            Ok(Event::Init | Event::InitDone) => continue,
            Err(error) => {
                tracing::warn!(namespace, name, "cannot watch the plan: {}", chain(&error));
                continue;
            }
        };
        let bytes = secret.data.as_ref().and_then(|data| data.get(PLAN_KEY));
        let Some(bytes) = bytes else {
            tracing::error!(namespace, name, "the plan's Secret has no {PLAN_KEY}");
            continue;
        };
        match PlanDocument::decode(&bytes.0) {
            Ok(plan) => {
                if news.send(News::Plan(plan)).await.is_err() {
                    return;
                }
            }
            Err(error) => {
                tracing::error!(namespace, name, "the last good plan stays: {}", chain(&error));
            }
        }
    }
}

/// Tells which pods are on the node.
pub(crate) async fn watch_pods(client: Client, node: String, news: mpsc::Sender<News>) {
    let pods = Api::<PartialObjectMeta<ClusterPod>>::all(client);
    let config = watcher::Config::default().fields(&format!("spec.nodeName={node}"));
    let mut events = pin!(watcher(pods, config).default_backoff());
    // Of a list that is under way.
    let mut listed = Vec::new();
    while let Some(event) = events.next().await {
        let told = match event {
            Ok(Event::Init) => {
                listed.clear();
                continue;
            }
            Ok(Event::InitApply(pod)) => {
                listed.push(as_pod(pod));
                continue;
            }
            Ok(Event::InitDone) => PodNews::All(std::mem::take(&mut listed)),
            Ok(Event::Apply(pod)) => PodNews::Applied(as_pod(pod)),
            Ok(Event::Delete(pod)) => PodNews::Gone(as_pod(pod).uid),
            Err(error) => {
                tracing::warn!(node, "cannot watch the node's pods: {}", chain(&error));
                continue;
            }
        };
        if news.send(News::Pods(told)).await.is_err() {
            return;
        }
    }
}

fn as_pod(found: PartialObjectMeta<ClusterPod>) -> Pod {
    let hash = found.annotations().get(CONFIG_HASH).cloned();
    let mut owners = found.owner_references().iter();
    let owner = owners.find(|owner| owner.controller == Some(true));
    let owner = owner.map(|owner| Owner { kind: owner.kind.clone(), name: owner.name.clone() });
    let metadata = found.metadata;
    Pod {
        uid: hash.or(metadata.uid).unwrap_or_default(),
        namespace: metadata.namespace.unwrap_or_default(),
        name: metadata.name.unwrap_or_default(),
        labels: metadata.labels.unwrap_or_default(),
        owner,
    }
}
