//! Asks every node for its status: often after a new plan, so that a capture soon says that it
//! is programmed, and every few seconds otherwise.

use std::{collections::BTreeSet, net::IpAddr, sync::Arc, time::Duration};

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use futures::{StreamExt as _, stream};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use k8s_openapi::api::{apps::v1::DaemonSet, core::v1::Pod};
use kube::{ResourceExt as _, runtime::reflector::Store};
use tokio::{
    sync::{Notify, watch},
    time::timeout,
};
use weir_plan::NodeStatus;

use crate::{node::ADMIN_PORT, status::Round};

const CALM: Duration = Duration::from_secs(5);
const SOON: Duration = Duration::from_millis(100);
/// For one node.
const TIMEOUT: Duration = Duration::from_secs(2);
/// Nodes at a time.
const PARALLEL: usize = 32;
/// Far more than a status of 10,000 captures has.
const MAX_BYTES: usize = 8 << 20;
/// Nodes without an answer that are told of.
const TOLD: usize = 3;

/// Asks until it is dropped.
pub(crate) struct Poller {
    pub(crate) pods: Store<Pod>,
    pub(crate) daemon_sets: Store<DaemonSet>,
    /// A new plan was written.
    pub(crate) hurry: Arc<Notify>,
    /// Woken when an answer differs from the last.
    pub(crate) wake: Arc<Notify>,
}

impl Poller {
    pub(crate) async fn run(self, rounds: watch::Sender<Arc<Round>>) {
        let client = Client::builder(TokioExecutor::new()).build_http();
        let mut pause = CALM;
        // Told even when there is no node: whoever judges by it waits for it.
        rounds.send_replace(Arc::new(self.round(&client).await));
        loop {
            tokio::select! {
                () = tokio::time::sleep(pause) => pause = (pause * 2).min(CALM),
                () = self.hurry.notified() => {
                    pause = SOON;
                    tokio::time::sleep(SOON).await;
                }
            }
            let round = self.round(&client).await;
            let changed = rounds.send_if_modified(|last| {
                let changed = **last != round;
                if changed {
                    *last = Arc::new(round);
                }
                changed
            });
            if changed {
                self.wake.notify_one();
            }
        }
    }

    async fn round(&self, client: &Client<HttpConnector, Empty<Bytes>>) -> Round {
        let pods = self.pods.state();
        let living = pods.into_iter().filter(|pod| pod.metadata.deletion_timestamp.is_none());
        let asked: Vec<_> = living.map(|pod| ask(client, pod)).collect();
        let answers: Vec<_> = stream::iter(asked).buffer_unordered(PARALLEL).collect().await;
        let mut round = Round { expected: self.expected(answers.len()), ..Round::default() };
        let mut silent = BTreeSet::new();
        for (pod, answer) in answers {
            let node = node_of(&pod);
            round.present.insert(node.to_owned());
            match answer {
                // A node's name is the API server's to say.
                Ok(status) => round.answers.push(NodeStatus { node: node.to_owned(), ..status }),
                Err(error) => {
                    tracing::debug!(node, error = format!("{error:#}"), "a node gave no status");
                    silent.insert(format!("node {node}: {}", why(&pod, &error)));
                }
            }
        }
        // In a fixed order, so that equal rounds are equal.
        round.answers.sort_by(|a, b| a.node.cmp(&b.node));
        round.troubles = silent.into_iter().take(TOLD).collect();
        round
    }

    fn expected(&self, pods: usize) -> usize {
        let sets = self.daemon_sets.state();
        let desired = sets.first().and_then(|set| set.status.as_ref());
        let desired = desired.map(|status| status.desired_number_scheduled);
        desired.and_then(|count| usize::try_from(count).ok()).unwrap_or(pods)
    }
}

async fn ask(
    client: &Client<HttpConnector, Empty<Bytes>>,
    pod: Arc<Pod>,
) -> (Arc<Pod>, anyhow::Result<NodeStatus>) {
    let answer = status(client, &pod).await;
    (pod, answer)
}

async fn status(
    client: &Client<HttpConnector, Empty<Bytes>>,
    pod: &Pod,
) -> anyhow::Result<NodeStatus> {
    let address = pod.status.as_ref().and_then(|status| status.pod_ip.as_deref());
    let address: IpAddr =
        address.context("the pod has no address yet")?.parse().context("read its address")?;
    let port = admin_port(pod).context("the pod has no admin port")?;
    let host = std::net::SocketAddr::new(address, port);
    let uri = format!("http://{host}/status").parse().context("write its address")?;
    let body = async {
        let response = client.get(uri).await.context("ask for the status")?;
        ensure!(response.status().is_success(), "the status answers {}", response.status());
        let body = Limited::new(response.into_body(), MAX_BYTES).collect().await;
        body.map_err(|error| anyhow::anyhow!("read the status: {error}"))
    };
    let body = timeout(TIMEOUT, body).await.context("no answer in time")??.to_bytes();
    serde_json::from_slice(&body).context("read the status")
}

fn admin_port(pod: &Pod) -> Option<u16> {
    let ports =
        pod.spec.iter().flat_map(|spec| &spec.containers).flat_map(|c| c.ports.iter().flatten());
    let admin = ports.into_iter().find(|port| port.name.as_deref() == Some(ADMIN_PORT))?;
    u16::try_from(admin.container_port).ok()
}

fn node_of(pod: &Pod) -> &str {
    pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()).unwrap_or("(not scheduled)")
}

/// Why a pod gives no status: what its containers wait for says more than a connection refused.
fn why(pod: &Pod, error: &anyhow::Error) -> String {
    let status = pod.status.as_ref();
    let containers = status.and_then(|status| status.container_statuses.as_ref());
    let waiting = containers.into_iter().flatten().find_map(|container| {
        let reason = container.state.as_ref()?.waiting.as_ref()?.reason.as_ref()?;
        Some(format!("container {} of pod {}: {reason}", container.name, pod.name_any()))
    });
    waiting.unwrap_or_else(|| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(status: serde_json::Value) -> Pod {
        serde_json::from_value(serde_json::json!({
            "metadata": {"name": "weir-node-x"},
            "spec": {"nodeName": "a", "containers": [
                {"name": "capture-agent"},
                {"name": "forwarder", "ports": [{"name": "admin", "containerPort": 9464}]},
            ]},
            "status": status,
        }))
        .unwrap()
    }

    #[test]
    fn a_pod_that_cannot_start_says_why() {
        let error = anyhow::anyhow!("refused");
        let waiting = pod(serde_json::json!({"containerStatuses": [{
            "name": "capture-agent", "ready": false, "restartCount": 4, "image": "", "imageID": "",
            "state": {"waiting": {"reason": "CrashLoopBackOff"}},
        }]}));
        let expect = "container capture-agent of pod weir-node-x: CrashLoopBackOff";
        assert_eq!(why(&waiting, &error), expect);
        assert_eq!(why(&pod(serde_json::json!({})), &error), "refused");
        assert_eq!((admin_port(&waiting), node_of(&waiting)), (Some(9464), "a"));
    }
}
