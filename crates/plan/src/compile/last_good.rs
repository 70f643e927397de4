//! What stays in force of an object whose last edit was refused.

use std::collections::BTreeMap;

use weir_api::v1alpha1::{Exporter, TrafficCapture};

use super::{ObjectKind, Objects, Rejection, Verdict, capture::may_use, policy, policy::Policy};
use crate::{CapturePlan, ExporterPlan, ObjectKey};

/// Keeps an exporter as it was, but for its policies: those of before and those of today hold.
pub(super) fn exporter(
    verdict: &mut Verdict<ExporterPlan>,
    before: Option<&ExporterPlan>,
    object: &Exporter,
    objects: &Objects,
    policies: &[Policy<'_>],
) {
    let Some(mut kept) = before.cloned().filter(|_| may_stay(verdict)) else { return };
    let today = policy::resolve(&object.spec.dlp_policies, &kept.key.namespace, objects, policies);
    let held_by = both(today, std::mem::take(&mut kept.policies), policies);
    verdict.planned = held_by.map(|policies| ExporterPlan { policies, ..kept });
}

/// Keeps a capture as it was, towards those of its exporters that it may use today, and under
/// the policies of before and of today.
pub(super) fn capture(
    verdict: &mut Verdict<CapturePlan>,
    before: Option<&CapturePlan>,
    object: &TrafficCapture,
    objects: &Objects,
    policies: &[Policy<'_>],
    known: &BTreeMap<ObjectKey, Option<ExporterPlan>>,
) {
    let Some(mut kept) = before.cloned().filter(|_| may_stay(verdict)) else { return };
    let namespace = kept.key.namespace.clone();
    kept.exporters.retain(|target| {
        matches!(known.get(target), Some(Some(_))) && may_use(target, &namespace, objects)
    });
    // To stop is never refused.
    kept.suspended |= object.spec.suspend.unwrap_or(false);
    let today = policy::resolve(&object.spec.dlp_policies, &namespace, objects, policies);
    let held_by = both(today, std::mem::take(&mut kept.policies), policies);
    let planned = held_by.map(|policies| CapturePlan { policies, ..kept });
    verdict.planned = planned.filter(|kept| !kept.exporters.is_empty());
}

/// The policies of today and those of before; `None` when one of them does not compile.
fn both(
    (mut today, faults): (Vec<ObjectKey>, Vec<Rejection>),
    before: Vec<ObjectKey>,
    policies: &[Policy<'_>],
) -> Option<Vec<ObjectKey>> {
    let more: Vec<ObjectKey> = before.into_iter().filter(|key| !today.contains(key)).collect();
    today.extend(more);
    let compiles = |key: &ObjectKey| {
        policies.iter().any(|policy| policy.outcome.key == *key && policy.plan.is_some())
    };
    (faults.is_empty() && today.iter().all(compiles)).then_some(today)
}

/// Only after a slip in the object itself. A credential, a policy or a permission that is taken
/// away holds at once.
fn may_stay<T>(verdict: &Verdict<T>) -> bool {
    verdict.planned.is_none()
        && verdict.rejections.iter().any(is_slip)
        && verdict.rejections.iter().all(|fault| is_slip(fault) || is_lost_exporter(fault))
}

fn is_slip(fault: &Rejection) -> bool {
    matches!(
        fault,
        Rejection::InvalidSelector { .. }
            | Rejection::InvalidQuantity { .. }
            | Rejection::QuantityOutOfRange { .. }
            | Rejection::InvalidDuration { .. }
            | Rejection::DurationOutOfRange { .. }
            | Rejection::InvalidValue { .. }
            | Rejection::InvalidEndpoint { .. }
            | Rejection::FilterRuleNotFound { .. }
            | Rejection::InvalidFilter { .. }
            | Rejection::ProtocolsUnsupported
    )
}

/// Does not count: exporters are looked up again.
fn is_lost_exporter(fault: &Rejection) -> bool {
    matches!(
        fault,
        Rejection::RefNotFound { kind: ObjectKind::Exporter, .. }
            | Rejection::RefNotPermitted { kind: ObjectKind::Exporter, .. }
            | Rejection::RefNotAccepted { kind: ObjectKind::Exporter, .. }
    )
}

#[cfg(test)]
mod tests;
