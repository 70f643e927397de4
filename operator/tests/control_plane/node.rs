//! A node of paper: it answers for its status and says that it does what the plan says.

use std::sync::{Arc, Mutex};

use axum::{Json, Router, extract::State, routing::get};
use k8s_openapi::api::core::v1::{Pod, Secret, ServiceAccount};
use kube::{
    Api, Client,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::json;
use tokio::net::TcpListener;
use weir_plan::{
    NodeStatus, PLAN_KEY, PLAN_SECRET, PlanDocument,
    status::{NodeCapture, NodeExporter, NodeRecords},
};

/// What each node says of each capture that is not suspended.
#[derive(Clone, Copy, Default)]
pub(crate) struct Said {
    pub(crate) records: NodeRecords,
    pub(crate) started: i64,
}

#[derive(Clone)]
pub(crate) struct Node {
    client: Client,
    namespace: String,
    pub(crate) said: Arc<Mutex<Said>>,
}

impl Node {
    /// Starts the node and makes its pod.
    pub(crate) async fn start(client: Client, namespace: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let node =
            Self { client: client.clone(), namespace: namespace.to_owned(), said: Arc::default() };
        let routes = Router::new().route("/status", get(status)).with_state(node.clone());
        tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });

        let account = json!({"metadata": {"name": "default"}});
        let account: ServiceAccount = serde_json::from_value(account).unwrap();
        let accounts = Api::<ServiceAccount>::namespaced(client.clone(), namespace);
        // It may be there from an earlier test.
        drop(accounts.create(&PostParams::default(), &account).await);
        let pods = Api::<Pod>::namespaced(client, namespace);
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": "weir-node-1", "labels": {
                "app.kubernetes.io/name": "weir", "app.kubernetes.io/component": "node"}},
            "spec": {"nodeName": "node-1", "automountServiceAccountToken": false, "containers": [
                {"name": "forwarder", "image": "none",
                 "ports": [{"name": "admin", "containerPort": port}]}]},
        });
        pods.create(&PostParams::default(), &serde_json::from_value(pod).unwrap()).await.unwrap();
        let address = json!({"status": {"podIP": "127.0.0.1", "podIPs": [{"ip": "127.0.0.1"}]}});
        let patch = Patch::Strategic(address);
        pods.patch_status("weir-node-1", &PatchParams::default(), &patch).await.unwrap();
        node
    }

    pub(crate) async fn plan(&self) -> Option<PlanDocument> {
        plan(&self.client, &self.namespace).await
    }
}

/// The plan in force.
pub(crate) async fn plan(client: &Client, namespace: &str) -> Option<PlanDocument> {
    let secrets = Api::<Secret>::namespaced(client.clone(), namespace);
    let mut data = secrets.get_opt(PLAN_SECRET).await.unwrap()?.data.unwrap();
    Some(PlanDocument::decode(&data.remove(PLAN_KEY).unwrap().0).unwrap())
}

async fn status(State(node): State<Node>) -> Json<NodeStatus> {
    let said = *node.said.lock().unwrap();
    let plan = node.plan().await;
    let mut status = NodeStatus {
        version: "test".to_owned(),
        started: jiff::Timestamp::from_second(said.started).ok(),
        ..NodeStatus::default()
    };
    let Some(document) = plan else { return Json(status) };
    status.plan_revision = Some(document.revision().to_owned());
    let plan = document.into_plan();
    status.captures = plan
        .captures
        .into_iter()
        .filter(|capture| !capture.suspended)
        .map(|capture| NodeCapture {
            key: capture.key,
            uid: capture.uid,
            matched_pods: 1,
            records: said.records,
            ..NodeCapture::default()
        })
        .collect();
    let exporter = |key| NodeExporter { key, ..NodeExporter::default() };
    status.exporters = plan.exporters.into_iter().map(|plan| exporter(plan.key)).collect();
    Json(status)
}
