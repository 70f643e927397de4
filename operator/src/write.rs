//! Writes statuses by server-side apply, and tells of what a person must know as Events.

use std::{collections::HashMap, fmt::Debug, sync::Arc};

use anyhow::Context as _;
use futures::{StreamExt as _, stream};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{
    Api, Client, Resource, ResourceExt as _,
    api::{DynamicObject, Patch},
    core::{ApiResource, NamespaceResourceScope, object::HasStatus},
    runtime::events::{Event, EventType, Recorder, Reporter},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::json;
use tracing::{Instrument as _, Span};
use weir_api::{
    condition::{self, reason},
    v1alpha1::{DlpPolicy, Exporter, TrafficCapture},
};
use weir_plan::{ObjectKey, ObjectKind};

use crate::{
    book::{Book, Reported},
    deploy::{FIELD_MANAGER, forced},
    health::Counts,
    reconcile::Unreadable,
    status::unreadable,
    traces,
};

/// Writes at a time.
const PARALLEL: usize = 8;
/// Characters of an Event's note; the API server allows 1024 bytes.
const MAX_NOTE: usize = 250;

/// A status that is not what the server has.
pub(crate) struct Pending<K: HasStatus> {
    pub(crate) object: Arc<K>,
    pub(crate) key: ObjectKey,
    pub(crate) uid: String,
    pub(crate) current: Option<K::Status>,
    pub(crate) next: K::Status,
}

pub(crate) struct Writer {
    client: Client,
    recorder: Recorder,
    counts: Counts,
    /// What was written to objects that cannot be read: by uid, their version then.
    told: HashMap<String, Option<i64>>,
}

impl Writer {
    pub(crate) fn new(client: Client, identity: String, counts: Counts) -> Self {
        let reporter = Reporter { controller: FIELD_MANAGER.to_owned(), instance: Some(identity) };
        let recorder = Recorder::new(client.clone(), reporter);
        Self { client, recorder, counts, told: HashMap::new() }
    }

    /// Writes these; one that fails does not keep the others from being written.
    pub(crate) async fn statuses<K>(
        &self,
        book: &mut Book<K::Status>,
        pending: Vec<Pending<K>>,
        now: Timestamp,
    ) -> anyhow::Result<()>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + HasStatus
            + Clone
            + Debug
            + DeserializeOwned,
        K::Status: Reported + Serialize,
    {
        let writes = stream::iter(pending).map(|pending| {
            let span = traces::write_status(&K::kind(&()), &pending.key);
            let ready = pending.next.conditions().iter().find(|c| c.type_ == condition::READY);
            span.record("object.ready", ready.map(|ready| &*ready.reason));
            async move {
                let written =
                    self.apply::<K>(&pending.key, &pending.uid, json!(pending.next)).await;
                match &written {
                    Ok(_) => traces::succeeded(&Span::current(), "written"),
                    Err(error) => traces::failed(&Span::current(), error),
                }
                if written.is_ok() {
                    self.tell(&pending).await;
                }
                (pending, written)
            }
            .instrument(span)
        });
        let mut writes = writes.buffer_unordered(PARALLEL);
        let mut failure = Ok(());
        while let Some((pending, written)) = writes.next().await {
            let Pending { key, uid, next, .. } = pending;
            match written {
                Ok(version) => book.wrote(&key, &uid, (version, next), now),
                // Deleted, or deleted and made again.
                Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => {}
                Err(error) => {
                    book.failed(&key, &uid, now);
                    let kind = K::kind(&()).into_owned();
                    failure = Err(error).with_context(|| format!("write status of {kind} {key}"));
                }
            }
        }
        failure
    }

    /// Tells the authors of objects that this version cannot read.
    pub(crate) async fn unreadable(
        &mut self,
        objects: &[Unreadable],
        now: Timestamp,
    ) -> anyhow::Result<()> {
        for (kind, object) in objects {
            let metadata = &object.metadata;
            let (Some(uid), Some(name), Some(namespace)) =
                (&metadata.uid, &metadata.name, &metadata.namespace)
            else {
                continue;
            };
            if self.told.get(uid) == Some(&metadata.generation) {
                continue;
            }
            let generation = metadata.generation.unwrap_or_default();
            let status = json!({
                "observedGeneration": generation,
                "conditions": unreadable(generation, &object.error, now),
            });
            let key = ObjectKey { namespace: namespace.clone(), name: name.clone() };
            let span = traces::write_status(&kind.to_string(), &key);
            // As untyped objects: the answer cannot be read either.
            let written =
                self.apply_untyped(*kind, &key, uid, status).instrument(span.clone()).await;
            match &written {
                Ok(()) => traces::succeeded(&span, "written"),
                Err(error) => traces::failed(&span, error),
            }
            match written {
                Ok(()) => {}
                Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => {}
                Err(error) => {
                    return Err(error).with_context(|| format!("write status of {kind} {key}"));
                }
            }
            self.told.insert(uid.clone(), metadata.generation);
        }
        let known =
            |uid: &String| objects.iter().any(|(_, o)| o.metadata.uid.as_ref() == Some(uid));
        self.told.retain(|uid, _| known(uid));
        Ok(())
    }

    /// The object's version afterwards.
    async fn apply<K>(
        &self,
        key: &ObjectKey,
        uid: &str,
        status: serde_json::Value,
    ) -> kube::Result<Option<u64>>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Clone
            + Debug
            + DeserializeOwned,
    {
        let object = json!({
            "apiVersion": K::api_version(&()), "kind": K::kind(&()),
            // With the uid: not to an object of the same name that was made meanwhile.
            "metadata": {"name": key.name, "uid": uid}, "status": status,
        });
        let api = Api::<K>::namespaced(self.client.clone(), &key.namespace);
        let after = api.patch_status(&key.name, &forced(), &Patch::Apply(object)).await?;
        self.counts.status_writes.inc();
        Ok(after.resource_version().and_then(|version| version.parse().ok()))
    }

    async fn apply_untyped(
        &self,
        kind: ObjectKind,
        key: &ObjectKey,
        uid: &str,
        status: serde_json::Value,
    ) -> kube::Result<()> {
        let resource = match kind {
            ObjectKind::DlpPolicy => ApiResource::erase::<DlpPolicy>(&()),
            ObjectKind::Exporter => ApiResource::erase::<Exporter>(&()),
            ObjectKind::TrafficCapture => ApiResource::erase::<TrafficCapture>(&()),
        };
        let object = json!({
            "apiVersion": resource.api_version, "kind": resource.kind,
            "metadata": {"name": key.name, "uid": uid}, "status": status,
        });
        let api =
            Api::<DynamicObject>::namespaced_with(self.client.clone(), &key.namespace, &resource);
        api.patch_status(&key.name, &forced(), &Patch::Apply(object)).await?;
        self.counts.status_writes.inc();
        Ok(())
    }

    /// An Event is a courtesy: what it says is in the status too.
    async fn tell<K>(&self, pending: &Pending<K>)
    where
        K: Resource<DynamicType = ()> + HasStatus,
        K::Status: Reported,
    {
        let before = pending.current.as_ref().map_or(&[][..], |status| status.conditions());
        let Some(event) = news(before, pending.next.conditions()) else { return };
        if let Err(error) = self.recorder.publish(&event, &pending.object.object_ref(&())).await {
            tracing::debug!(%error, object = %pending.key, "an Event was not written");
        }
    }
}

/// What a person must know of a change: that something does not work, that it works again, and
/// that a capture is complete. Not that an object works from the start.
fn news(before: &[Condition], after: &[Condition]) -> Option<Event> {
    let ready = |conditions: &[Condition]| {
        conditions.iter().find(|condition| condition.type_ == condition::READY).cloned()
    };
    let (before, after) = (ready(before), ready(after)?);
    if before.as_ref().is_some_and(|b| (&b.status, &b.reason) == (&after.status, &after.reason)) {
        return None;
    }
    let type_ = if is_bad(&after) {
        EventType::Warning
    } else if after.status == "True"
        && (after.reason == reason::COMPLETE || before.as_ref().is_some_and(is_bad))
    {
        EventType::Normal
    } else {
        return None;
    };
    Some(Event {
        type_,
        reason: after.reason,
        note: Some(after.message.chars().take(MAX_NOTE).collect()),
        action: "Reconcile".to_owned(),
        secondary: None,
    })
}

/// Not ready, and not merely on its way.
fn is_bad(ready: &Condition) -> bool {
    let on_its_way = [reason::WAITING_FOR_NODES, reason::NO_NODES, reason::NOT_PLANNED];
    ready.status == "False" && !on_its_way.contains(&&*ready.reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ready(status: &str, reason: &str) -> Vec<Condition> {
        serde_json::from_value(json!([{"type": "Ready", "status": status, "reason": reason,
            "message": "m", "lastTransitionTime": "2026-11-21T12:00:00Z"}]))
        .unwrap()
    }

    #[test]
    fn events_are_for_what_a_person_must_know() {
        let table = [
            (None, ("True", "Ready"), None),
            (None, ("False", "WaitingForNodes"), None),
            (Some(("False", "WaitingForNodes")), ("True", "Ready"), None),
            (None, ("False", "InvalidQuantity"), Some(EventType::Warning)),
            (Some(("False", "InvalidQuantity")), ("False", "InvalidQuantity"), None),
            (Some(("False", "InvalidQuantity")), ("True", "Ready"), Some(EventType::Normal)),
            (Some(("True", "Ready")), ("False", "Unreachable"), Some(EventType::Warning)),
            (Some(("True", "Ready")), ("True", "Complete"), Some(EventType::Normal)),
        ];
        for (before, after, expect) in table {
            let conditions = before.map(|(status, reason)| ready(status, reason));
            let found = news(&conditions.unwrap_or_default(), &ready(after.0, after.1));
            assert_eq!(found.map(|event| event.type_), expect, "{before:?} -> {after:?}");
        }
    }
}
