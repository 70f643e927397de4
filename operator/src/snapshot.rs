//! The objects of one pass.

use std::{collections::BTreeMap, sync::Arc};

use kube::{
    Resource, ResourceExt as _,
    core::{ObjectMeta, error_boundary::InvalidObject},
    runtime::reflector::{Lookup, Store},
};
use serde_json::json;
use weir_api::v1alpha1::{DlpPolicy, DlpPolicySpec, Exporter, TrafficCapture};
use weir_plan::{ObjectKey, ObjectKind};

use crate::{
    reconcile::Unreadable,
    watch::{Guarded, Stores},
};

pub(crate) struct Snapshot {
    pub(crate) captures: Vec<Arc<TrafficCapture>>,
    pub(crate) exporters: Vec<Arc<Exporter>>,
    pub(crate) policies: Vec<Arc<DlpPolicy>>,
    /// Labels by name.
    pub(crate) namespaces: BTreeMap<String, BTreeMap<String, String>>,
    pub(crate) unreadable: Vec<Unreadable>,
}

impl Snapshot {
    pub(crate) fn of(stores: &Stores) -> Self {
        let mut unreadable = Vec::new();
        let namespaces = stores.namespaces.state();
        Self {
            captures: readable(&stores.captures, ObjectKind::TrafficCapture, &mut unreadable),
            exporters: readable(&stores.exporters, ObjectKind::Exporter, &mut unreadable),
            policies: readable(&stores.policies, ObjectKind::DlpPolicy, &mut unreadable),
            namespaces: namespaces
                .iter()
                .map(|namespace| (namespace.name_any(), namespace.labels().clone()))
                .collect(),
            unreadable,
        }
    }
}

/// In the order of their names, so that equal objects are always told of alike.
fn readable<K>(
    store: &Store<Guarded<K>>,
    kind: ObjectKind,
    unreadable: &mut Vec<Unreadable>,
) -> Vec<Arc<K>>
where
    K: Resource<DynamicType = ()> + Clone + 'static,
    Guarded<K>: Lookup<DynamicType = ()>,
{
    let mut found = Vec::new();
    for object in store.state() {
        match &object.0 {
            Ok(object) => found.push(Arc::new(object.clone())),
            Err(fault) => unreadable.push((kind, fault.clone())),
        }
    }
    found.sort_by_cached_key(key);
    found
}

/// Stands for a policy that this version cannot read. It may be a floor, so in the operator's
/// namespace it covers everything, and as a policy that never compiles it lets nothing pass.
pub(crate) fn unreadable_policy(object: &InvalidObject, operator_namespace: &str) -> DlpPolicy {
    let mut spec = json!({"patterns": [{"name": "unreadable", "regex": "("}]});
    if object.metadata.namespace.as_deref() == Some(operator_namespace) {
        spec["enforce"] = json!({"namespaceSelector": {}});
    }
    let spec: DlpPolicySpec = serde_json::from_value(spec).expect("these are fields of a policy");
    let mut policy = DlpPolicy::new("", spec);
    policy.metadata = ObjectMeta {
        name: object.metadata.name.clone(),
        namespace: object.metadata.namespace.clone(),
        ..ObjectMeta::default()
    };
    policy
}

pub(crate) fn key<K: Resource>(object: &Arc<K>) -> ObjectKey {
    let metadata = object.meta();
    ObjectKey {
        namespace: metadata.namespace.clone().unwrap_or_default(),
        name: metadata.name.clone().unwrap_or_default(),
    }
}
