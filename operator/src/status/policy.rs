//! Status of a `DlpPolicy`.

use jiff::Timestamp;
use weir_api::{
    condition::{self, reason},
    v1alpha1::DlpPolicyStatus,
};
use weir_plan::{Outcome, PolicyPlan};

use super::conditions::{Conditions, Summary, Truth, faults, refused, warnings};

/// A policy, and what compiling gave.
#[derive(Clone, Copy, Debug)]
pub struct PolicyView<'a> {
    /// `metadata.generation`.
    pub generation: i64,
    pub previous: Option<&'a DlpPolicyStatus>,
    pub outcome: &'a Outcome,
    /// As it is in the plan.
    pub plan: Option<&'a PolicyPlan>,
    /// Captures whose records pass it.
    pub bound_captures: usize,
}

/// Equal to the previous status when nothing changed.
pub fn policy(view: PolicyView<'_>, now: Timestamp) -> DlpPolicyStatus {
    let mut next = view.previous.cloned().unwrap_or_default();
    let previous = view.previous.map_or(&[][..], |previous| &previous.conditions);
    let mut conditions = Conditions::new(previous, view.generation, now);

    let accepted = faults(view.outcome, condition::ACCEPTED);
    let resolved = faults(view.outcome, condition::RESOLVED_REFS);
    conditions.set_by(condition::ACCEPTED, accepted.as_ref(), reason::ACCEPTED);
    if view.outcome.planned {
        conditions.set(condition::COMPILED, Truth::True, reason::COMPILED, "");
    } else {
        conditions.set(condition::COMPILED, Truth::False, reason::NOT_PLANNED, "not in force");
    }
    let summary = refused(accepted.as_ref(), resolved.as_ref())
        .unwrap_or_else(|| Summary::Ready(reason::READY, warnings(view.outcome)));

    next.observed_generation = Some(view.generation);
    next.conditions = conditions.finish(&summary);
    next.hash = view.plan.map(|plan| plan.source.hash());
    next.bound_captures = i32::try_from(view.bound_captures).ok();
    next
}
