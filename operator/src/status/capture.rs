//! Status of a `TrafficCapture`.

use std::collections::BTreeSet;

use jiff::Timestamp;
use weir_api::{
    condition::{self, reason},
    v1alpha1::{EffectiveCapture, NodeCounts, TlsMode, TrafficCaptureStatus},
};
use weir_plan::{CapturePlan, ObjectKey, Outcome, status::TlsCounts};

use super::{
    Fleet,
    conditions::{Conditions, Summary, Truth, faults, refused, too_large, warnings},
    exporter::whole_seconds,
    fleet::CaptureSums,
};

/// A capture, and what compiling gave.
#[derive(Clone, Copy, Debug)]
pub struct CaptureView<'a> {
    pub key: &'a ObjectKey,
    /// `metadata.generation`.
    pub generation: i64,
    pub previous: Option<&'a TrafficCaptureStatus>,
    pub outcome: &'a Outcome,
    /// As it was compiled, before it was suspended since it is complete.
    pub plan: Option<&'a CapturePlan>,
    /// It has no room in the plan.
    pub too_large: bool,
    /// Revisions of the plan that have this capture just as it is now.
    pub revisions: &'a BTreeSet<String>,
}

/// Why a capture records nothing more.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Completion {
    /// `spec.duration` is over.
    DurationElapsed,
    /// `spec.budget.records` is used up.
    BudgetUsed,
}

impl Completion {
    fn reason(self) -> &'static str {
        match self {
            Self::DurationElapsed => reason::DURATION_ELAPSED,
            Self::BudgetUsed => reason::BUDGET_USED,
        }
    }

    fn text(self) -> &'static str {
        match self {
            Self::DurationElapsed => "spec.duration is over",
            Self::BudgetUsed => "spec.budget.records is used up",
        }
    }
}

/// Whether a capture is complete, by what its status says: more duration or budget takes it up
/// again.
pub fn completion(
    plan: &CapturePlan,
    previous: Option<&TrafficCaptureStatus>,
    now: Timestamp,
) -> Option<Completion> {
    let previous = previous?;
    if let (Some(start), Some(duration)) = (&previous.start_time, plan.duration) {
        let ran = now.duration_since(start.0);
        if !ran.is_negative() && ran.unsigned_abs() >= duration {
            return Some(Completion::DurationElapsed);
        }
    }
    let seen = previous.records.and_then(|records| u64::try_from(records.seen).ok());
    let used = plan.budget.records.zip(seen).is_some_and(|(budget, seen)| seen >= budget);
    used.then_some(Completion::BudgetUsed)
}

/// Equal to the previous status when nothing changed.
pub fn capture(view: CaptureView<'_>, fleet: &Fleet, now: Timestamp) -> TrafficCaptureStatus {
    let before = view.previous.cloned().unwrap_or_default();
    let mut conditions = Conditions::new(&before.conditions, view.generation, now);
    let accepted =
        if view.too_large { Some(too_large()) } else { faults(view.outcome, condition::ACCEPTED) };
    let resolved = faults(view.outcome, condition::RESOLVED_REFS);
    conditions.set_by(condition::ACCEPTED, accepted.as_ref(), reason::ACCEPTED);
    conditions.set_by(condition::RESOLVED_REFS, resolved.as_ref(), reason::RESOLVED);
    let refused = refused(accepted.as_ref(), resolved.as_ref());

    let Some(plan) = view.plan.filter(|_| !view.too_large && !view.outcome.kept()) else {
        let text = "this generation of the capture is in no node's plan";
        conditions.set(condition::PROGRAMMED, Truth::False, reason::NOT_PLANNED, text);
        let summary =
            refused.unwrap_or_else(|| Summary::Progressing(reason::NOT_PLANNED, text.to_owned()));
        return TrafficCaptureStatus {
            observed_generation: Some(view.generation),
            conditions: conditions.finish(&summary),
            matched_pods: None,
            nodes: None,
            effective: None,
            ..before
        };
    };

    let (nodes, programmed) = programmed(view, fleet);
    conditions.set(condition::PROGRAMMED, programmed.0, programmed.1, &programmed.2);
    let sums = fleet.capture(view.key);
    let tls = sums.as_ref().map(|sums| sums.tls.clone()).unwrap_or_default();
    let (truth, reason, message) = tls_coverage(plan.tls, &tls);
    conditions.set(condition::TLS_COVERAGE, truth, reason, &message);
    let complete = completion(plan, view.previous, now);
    if let Some(complete) = complete {
        conditions.set(condition::COMPLETE, Truth::True, complete.reason(), complete.text());
    } else if plan.duration.is_some() || plan.budget.records.is_some() {
        conditions.set(condition::COMPLETE, Truth::False, reason::RUNNING, "");
    }

    let summary = refused.unwrap_or_else(|| match complete {
        Some(complete) => Summary::Ready(reason::COMPLETE, complete.text().to_owned()),
        // Not "in progress": whoever waits for it would wait until a person resumes it.
        None if plan.suspended => {
            Summary::Ready(reason::SUSPENDED, "spec.suspend is true".to_owned())
        }
        None if programmed.0 != Truth::True => Summary::Progressing(programmed.1, programmed.2),
        None => Summary::Ready(reason::READY, warnings(view.outcome)),
    });
    let started = matches!(summary, Summary::Ready(reason::READY, _));
    let sums = sums.unwrap_or_else(|| CaptureSums {
        records: before.records.unwrap_or_default(),
        ..CaptureSums::default()
    });
    let last_record = before.last_record_time.as_ref().map(|time| time.0).max(sums.last_record);
    TrafficCaptureStatus {
        observed_generation: Some(view.generation),
        conditions: conditions.finish(&summary),
        start_time: before.start_time.or_else(|| started.then(|| whole_seconds(now))),
        matched_pods: Some(sums.matched_pods),
        nodes: Some(nodes),
        records: Some(sums.records),
        last_record_time: last_record.map(whole_seconds),
        effective: Some(EffectiveCapture {
            max_body_bytes: i64::try_from(plan.max_body_bytes).ok(),
            exporters: plan.exporters.iter().map(ToString::to_string).collect(),
            dlp_policies: plan.policies.iter().map(ToString::to_string).collect(),
        }),
    }
}

fn programmed(view: CaptureView<'_>, fleet: &Fleet) -> (NodeCounts, (Truth, &'static str, String)) {
    let (ready, desired) = (fleet.with_revision(view.revisions), fleet.desired());
    let whole = |count: usize| i32::try_from(count).unwrap_or(i32::MAX);
    let nodes = NodeCounts { ready: whole(ready), desired: whole(desired) };
    let verdict = if desired == 0 {
        (Truth::False, reason::NO_NODES, "no node runs Weir".to_owned())
    } else if ready < desired {
        let mut text = format!("{ready} of {desired} nodes have this generation");
        for trouble in &fleet.troubles {
            text.push_str("; ");
            text.push_str(trouble);
        }
        (Truth::False, reason::WAITING_FOR_NODES, text)
    } else {
        (Truth::True, reason::PROGRAMMED, String::new())
    };
    (nodes, verdict)
}

fn tls_coverage(mode: TlsMode, counts: &TlsCounts) -> (Truth, &'static str, String) {
    if mode == TlsMode::Ignore {
        return (Truth::False, reason::IGNORED, "spec.tls is Ignore".to_owned());
    }
    let reasons: Vec<String> = counts
        .opaque
        .iter()
        .filter(|(_, count)| **count > 0)
        .map(|(why, count)| format!("{why}: {count}"))
        .collect();
    let opaque = reasons.join(", ");
    match (counts.covered, opaque.is_empty()) {
        (0, true) => (Truth::Unknown, reason::NO_TLS, "no TLS traffic was seen".to_owned()),
        (_, true) => (Truth::True, reason::FULL, String::new()),
        (0, false) => (Truth::False, reason::OPAQUE, format!("containers not readable: {opaque}")),
        (covered, false) => {
            let text = format!("containers read in clear: {covered}; not readable: {opaque}");
            (Truth::False, reason::PARTIAL, text)
        }
    }
}
