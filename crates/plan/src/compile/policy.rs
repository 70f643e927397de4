//! `DlpPolicy`: this version cannot redact, so whatever needs a policy fails closed (DESIGN,
//! decision 6).

use weir_api::v1alpha1::{DlpPolicy, ObjectReference};

use super::{ObjectKind, Objects, Outcome, Rejection, key_of, tenancy};
use crate::{ObjectKey, Selector};

/// A policy that no tenant can avoid.
pub(super) struct Floor {
    key: ObjectKey,
    /// `None` when its selector is none: such a floor covers everything.
    namespaces: Option<Selector>,
}

/// Floors of the namespaces that may set them, whatever else is wrong with the policy: a floor
/// does not fall because of a mistake in it.
pub(super) fn floors(objects: &Objects) -> Vec<Floor> {
    objects
        .policies
        .iter()
        .filter_map(|policy| {
            let key = key_of(&policy.metadata);
            let enforce = policy.spec.enforce.as_ref()?;
            may_enforce(&key, objects)
                .then(|| Floor { namespaces: Selector::new(&enforce.namespace_selector).ok(), key })
        })
        .collect()
}

fn may_enforce(key: &ObjectKey, objects: &Objects) -> bool {
    objects.operator_namespace.as_ref().is_none_or(|namespace| *namespace == key.namespace)
}

pub(super) fn outcome(policy: &DlpPolicy, objects: &Objects) -> Outcome {
    let key = key_of(&policy.metadata);
    let mut rejections = Vec::new();
    if policy.spec.enforce.is_some() && !may_enforce(&key, objects) {
        let operator_namespace = objects.operator_namespace.clone().unwrap_or_default();
        rejections.push(Rejection::EnforceNotPermitted { operator_namespace });
    }
    if let Some(Err(source)) =
        policy.spec.enforce.as_ref().map(|enforce| Selector::new(&enforce.namespace_selector))
    {
        rejections
            .push(Rejection::InvalidSelector { field: "spec.enforce.namespaceSelector", source });
    }
    rejections.extend(tenancy::check(policy.spec.allowed_namespaces.as_ref()).err());
    rejections.push(Rejection::DlpUnsupported { field: "spec".to_owned(), target: key.clone() });
    Outcome { kind: ObjectKind::DlpPolicy, key, planned: false, rejections, warnings: Vec::new() }
}

/// Faults of an object of `namespace` that names `references` and stands on `floors`.
pub(super) fn faults(
    references: &[ObjectReference],
    namespace: &str,
    objects: &Objects,
    floors: &[Floor],
) -> Vec<Rejection> {
    let labels = tenancy::labels(namespace, objects);
    let covers = |floor: &&Floor| floor.namespaces.as_ref().is_none_or(|s| s.matches(&labels));
    let enforced = floors
        .iter()
        .filter(covers)
        .map(|floor| Rejection::EnforcedDlpUnsupported { target: floor.key.clone() });
    let named = references.iter().enumerate().map(|(index, reference)| {
        let field = format!("spec.dlpPolicies[{index}]");
        let target = tenancy::target(reference, namespace);
        let policy = objects.policies.iter().find(|policy| key_of(&policy.metadata) == target);
        let permitted = policy.is_some_and(|policy| {
            let allowed = policy.spec.allowed_namespaces.as_ref();
            tenancy::permits(allowed, &target.namespace, namespace, objects)
        });
        if permitted {
            Rejection::DlpUnsupported { field, target }
        } else {
            tenancy::unusable(field, ObjectKind::DlpPolicy, target, namespace)
        }
    });
    enforced.chain(named).collect()
}
