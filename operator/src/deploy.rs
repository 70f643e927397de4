//! What the operator keeps in its own namespace: the plan's Secret and the DaemonSet. Both
//! belong to the operator's Deployment, so that they go with it.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use k8s_openapi::{
    ByteString,
    api::{
        apps::v1::{DaemonSet, Deployment},
        core::v1::Secret,
    },
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference},
};
use kube::{
    Api, Client, Resource as _,
    api::{Patch, PatchParams},
    runtime::reflector::Store,
};
use serde_json::{Value, json};
use weir_plan::{PLAN_KEY, PLAN_SECRET, Plan, PlanDocument};

use crate::node::{DAEMON_SET, NodeConfig, daemon_set};

pub(crate) const FIELD_MANAGER: &str = "weir-operator";
/// What others may have changed is looked at this often.
const LOOK: Duration = Duration::from_secs(10);

/// For every write: ours wins.
pub(crate) fn forced() -> PatchParams {
    PatchParams::apply(FIELD_MANAGER).force()
}

/// The operator's Deployment as an owner.
///
/// # Errors
///
/// When there is none of this name, or no answer.
pub(crate) async fn owner(
    client: &Client,
    namespace: &str,
    name: &str,
) -> anyhow::Result<OwnerReference> {
    let api = Api::<Deployment>::namespaced(client.clone(), namespace);
    let found = api.get(name).await.with_context(|| format!("read Deployment {namespace}/{name}"));
    let mut owner = found?.controller_owner_ref(&()).context("the Deployment has no uid")?;
    owner.block_owner_deletion = None;
    Ok(owner)
}

/// Writes the plan's Secret.
pub(crate) struct PlanSecret {
    api: Api<Secret>,
    deployments: Api<Deployment>,
    owner: Option<OwnerReference>,
    /// What the Secret has had, and when it was last looked at.
    seen: Option<(Vec<u8>, Instant)>,
}

impl PlanSecret {
    pub(crate) fn new(client: Client, namespace: &str, owner: Option<OwnerReference>) -> Self {
        let deployments = Api::namespaced(client.clone(), namespace);
        Self { api: Api::namespaced(client, namespace), deployments, owner, seen: None }
    }

    /// The plan that is in force, if one is that this version can read.
    pub(crate) async fn read(&self) -> anyhow::Result<Option<Plan>> {
        let Some(bytes) = self.bytes().await? else { return Ok(None) };
        match PlanDocument::decode(&bytes) {
            Ok(document) => Ok(Some(document.into_plan())),
            Err(error) => {
                tracing::warn!(%error, "the plan in force cannot be read and is made anew");
                Ok(None)
            }
        }
    }

    /// Writes the document unless the Secret has it; true when it was written.
    pub(crate) async fn write(&mut self, bytes: &[u8]) -> anyhow::Result<bool> {
        let seen = self.seen.as_ref();
        if seen.is_some_and(|(had, at)| had == bytes && at.elapsed() < LOOK) {
            return Ok(false);
        }
        let written = self.bytes().await?.as_deref() != Some(bytes);
        if written {
            self.still_owned().await?;
            let mut object = json!({
                "apiVersion": "v1", "kind": "Secret", "type": "weir.dev/plan",
                "metadata": {"name": PLAN_SECRET, "labels": labels("plan")},
                "data": {PLAN_KEY: ByteString(bytes.to_vec())},
            });
            own(&mut object, self.owner.as_ref());
            let patch = Patch::Apply(object);
            self.api.patch(PLAN_SECRET, &forced(), &patch).await.context("write the plan")?;
        }
        self.seen = Some((bytes.to_vec(), Instant::now()));
        Ok(written)
    }

    /// An uninstallation deletes the Deployment, and floors with it: the nodes must not carry out
    /// a plan without them while they end, and a new Secret would stay for good.
    async fn still_owned(&self) -> anyhow::Result<()> {
        let Some(owner) = &self.owner else { return Ok(()) };
        let found = self.deployments.get_metadata_opt(&owner.name).await;
        let metadata = found.context("look for the operator's Deployment")?.map(|it| it.metadata);
        let ours = |found: ObjectMeta| {
            found.uid.as_ref() == Some(&owner.uid) && found.deletion_timestamp.is_none()
        };
        ensure!(
            metadata.is_some_and(ours),
            "the operator's Deployment {} is gone, so no plan is written any more",
            owner.name
        );
        Ok(())
    }

    async fn bytes(&self) -> anyhow::Result<Option<Vec<u8>>> {
        let found = self.api.get_opt(PLAN_SECRET).await.context("read the plan's Secret")?;
        let mut data = found.and_then(|secret| secret.data).unwrap_or_default();
        Ok(data.remove(PLAN_KEY).map(|bytes| bytes.0))
    }
}

/// Keeps the DaemonSet as the settings want it.
pub(crate) struct Nodes {
    api: Api<DaemonSet>,
    wanted: Value,
    /// Its generation after the last write; another one is an edit by somebody else.
    generation: Option<i64>,
}

impl Nodes {
    pub(crate) fn new(
        client: Client,
        namespace: &str,
        config: &NodeConfig,
        owner: Option<&OwnerReference>,
    ) -> Self {
        let wanted = daemon_set(config, namespace, owner);
        Self { api: Api::namespaced(client, namespace), wanted, generation: None }
    }

    /// Applies the DaemonSet when it is not as it was left.
    pub(crate) async fn keep(&mut self, found: &Store<DaemonSet>) -> anyhow::Result<()> {
        let found = found.state().first().and_then(|set| set.metadata.generation);
        // The copy may be older than our own write, never newer without somebody's edit.
        if self.generation.is_some() && found.is_some() && found <= self.generation {
            return Ok(());
        }
        let patch = Patch::Apply(&self.wanted);
        let set = self.api.patch(DAEMON_SET, &forced(), &patch).await;
        self.generation = set.context("write the DaemonSet")?.metadata.generation;
        Ok(())
    }
}

fn labels(component: &str) -> Value {
    json!({
        "app.kubernetes.io/name": "weir",
        "app.kubernetes.io/component": component,
        "app.kubernetes.io/managed-by": FIELD_MANAGER,
    })
}

fn own(object: &mut Value, owner: Option<&OwnerReference>) {
    if let Some(owner) = owner {
        object["metadata"]["ownerReferences"] = json!([owner]);
    }
}
