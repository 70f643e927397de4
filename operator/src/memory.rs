//! What is known from earlier passes, and the statuses that follow from it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use jiff::Timestamp;
use kube::{Resource, ResourceExt as _, core::object::HasStatus};
use weir_api::v1alpha1::{
    DlpPolicy, DlpPolicyStatus, Exporter, ExporterStatus, TrafficCapture, TrafficCaptureStatus,
};
use weir_plan::{Compiled, ObjectKey, ObjectKind, Outcome, Plan, PlanDocument};

use crate::{
    book::{Book, Copy, Judgement, Reported},
    fit::Fitted,
    history::History,
    snapshot::{Snapshot, key},
    status::{self, CaptureView, ExporterView, Fleet, Ledger, PolicyView, Round, completion},
    write::Pending,
};

/// What is known from earlier passes.
#[derive(Default)]
pub(crate) struct Memory {
    /// The last plan: what is refused now stays as it was then.
    pub(crate) before: Plan,
    history: History,
    ledger: Ledger,
    /// The round that the ledger has.
    round: Arc<Round>,
    pub(crate) captures: Book<TrafficCaptureStatus>,
    pub(crate) exporters: Book<ExporterStatus>,
    pub(crate) policies: Book<DlpPolicyStatus>,
}

/// All statuses to write, and when to look again.
#[derive(Default)]
pub(crate) struct Statuses {
    pub(crate) captures: Vec<Pending<TrafficCapture>>,
    pub(crate) exporters: Vec<Pending<Exporter>>,
    pub(crate) policies: Vec<Pending<DlpPolicy>>,
    pub(crate) again: Option<Timestamp>,
}

/// What one pass found.
struct Found<'a> {
    snapshot: &'a Snapshot,
    compiled: &'a Compiled,
    fitted: &'a Fitted,
    fleet: Fleet,
    outcomes: BTreeMap<ObjectKind, BTreeMap<&'a ObjectKey, &'a Outcome>>,
    now: Timestamp,
}

impl Memory {
    /// For an operator that finds this plan in force.
    pub(crate) fn after(before: Plan) -> Self {
        let mut memory = Self::default();
        // Nodes that have it have what did not change since.
        memory.history.push(&PlanDocument::new(before.clone()));
        memory.before = before;
        memory
    }

    /// Brings everything up to what was read.
    pub(crate) fn take_note(&mut self, snapshot: &Snapshot, round: &Arc<Round>) {
        let captures: BTreeMap<ObjectKey, String> = snapshot
            .captures
            .iter()
            .map(|object| (key(object), object.uid().unwrap_or_default()))
            .collect();
        let exporters: BTreeSet<ObjectKey> = snapshot.exporters.iter().map(key).collect();
        let policies: BTreeSet<ObjectKey> = snapshot.policies.iter().map(key).collect();
        self.captures.retain(|key| captures.contains_key(key));
        self.exporters.retain(|key| exporters.contains(key));
        self.policies.retain(|key| policies.contains(key));
        self.ledger.retain(captures);
        if !Arc::ptr_eq(&self.round, round) {
            self.ledger.observe(round);
            self.round = Arc::clone(round);
        }
        // Only when all have answered: the counts of a run that is silent now would be taken
        // twice, once from the status and once from the run itself.
        if !round.answers.is_empty() && round.answers.len() == round.present.len() {
            for object in &snapshot.captures {
                let current = self.captures.current(&key(object), &copy(object));
                let records = current.and_then(|status| status.records);
                self.ledger.adopt(&key(object), records.as_ref());
            }
        }
    }

    /// The compiled plan with the captures suspended that are complete, and when the next will be.
    pub(crate) fn in_force(
        &self,
        compiled: &Compiled,
        snapshot: &Snapshot,
        now: Timestamp,
    ) -> (Plan, Option<Timestamp>) {
        let objects: BTreeMap<ObjectKey, _> =
            snapshot.captures.iter().map(|object| (key(object), object)).collect();
        let (mut plan, mut due) = (compiled.plan.clone(), None);
        for capture in &mut plan.captures {
            let Some(object) = objects.get(&capture.key) else { continue };
            let status = self.captures.current(&capture.key, &copy(object));
            if completion(capture, status.as_ref(), now).is_some() {
                capture.suspended = true;
            } else if let (Some(duration), Some(start)) =
                (capture.duration, status.and_then(|status| status.start_time))
                && let Ok(end) = start.0.checked_add(duration)
            {
                due = [due, Some(end)].into_iter().flatten().min();
            }
        }
        (plan, due)
    }

    /// Takes note of the plan that is in force now, and says what every object's status is.
    pub(crate) fn statuses(
        &mut self,
        snapshot: &Snapshot,
        compiled: &Compiled,
        fitted: &Fitted,
        now: Timestamp,
    ) -> Statuses {
        self.history.push(&fitted.document);
        let mut outcomes = BTreeMap::<_, BTreeMap<_, _>>::new();
        for outcome in &compiled.outcomes {
            outcomes.entry(outcome.kind).or_default().insert(&outcome.key, outcome);
        }
        let fleet = self.ledger.fleet(&self.round);
        let found = Found { snapshot, compiled, fitted, fleet, outcomes, now };
        let mut all = Statuses::default();
        self.of_captures(&found, &mut all);
        self.of_exporters(&found, &mut all);
        self.of_policies(&found, &mut all);
        all
    }

    fn of_captures(&self, found: &Found<'_>, all: &mut Statuses) {
        let plans: BTreeMap<&ObjectKey, _> =
            found.compiled.plan.captures.iter().map(|plan| (&plan.key, plan)).collect();
        let nowhere = BTreeSet::new();
        for object in &found.snapshot.captures {
            let key = key(object);
            let Some(outcome) = found.outcome(ObjectKind::TrafficCapture, &key) else { continue };
            let current = self.captures.current(&key, &copy(object));
            let view = CaptureView {
                key: &key,
                generation: object.metadata.generation.unwrap_or_default(),
                previous: current.as_ref(),
                outcome,
                plan: plans.get(&key).copied(),
                too_large: found.fitted.refused.contains(&key),
                revisions: self.history.revisions(&key).unwrap_or(&nowhere),
            };
            let next = status::capture(view, &found.fleet, found.now);
            let now = (found.now, found.snapshot.captures.len());
            let again = judge(&self.captures, &mut all.captures, (object, current, next), now);
            all.look_again(again);
        }
    }

    fn of_exporters(&self, found: &Found<'_>, all: &mut Statuses) {
        let plans: BTreeMap<&ObjectKey, _> =
            found.compiled.plan.exporters.iter().map(|plan| (&plan.key, plan)).collect();
        for object in &found.snapshot.exporters {
            let key = key(object);
            let Some(outcome) = found.outcome(ObjectKind::Exporter, &key) else { continue };
            let current = self.exporters.current(&key, &copy(object));
            let view = ExporterView {
                key: &key,
                generation: object.metadata.generation.unwrap_or_default(),
                previous: current.as_ref(),
                outcome,
                plan: plans.get(&key).copied(),
            };
            let next = status::exporter(view, &found.fleet, found.now);
            let now = (found.now, found.snapshot.exporters.len());
            let again = judge(&self.exporters, &mut all.exporters, (object, current, next), now);
            all.look_again(again);
        }
    }

    fn of_policies(&self, found: &Found<'_>, all: &mut Statuses) {
        let plans: BTreeMap<&ObjectKey, _> =
            found.compiled.plan.policies.iter().map(|plan| (&plan.key, plan)).collect();
        for object in &found.snapshot.policies {
            let key = key(object);
            let Some(outcome) = found.outcome(ObjectKind::DlpPolicy, &key) else { continue };
            let current = self.policies.current(&key, &copy(object));
            let generation = object.metadata.generation.unwrap_or_default();
            let bound_captures = found.compiled.plan.bound_captures(&key);
            let previous = current.as_ref();
            let plan = plans.get(&key).copied();
            let view = PolicyView { generation, previous, outcome, plan, bound_captures };
            let next = status::policy(view, found.now);
            let now = (found.now, found.snapshot.policies.len());
            let again = judge(&self.policies, &mut all.policies, (object, current, next), now);
            all.look_again(again);
        }
    }
}

impl Found<'_> {
    fn outcome(&self, kind: ObjectKind, key: &ObjectKey) -> Option<&Outcome> {
        self.outcomes.get(&kind)?.get(key).copied()
    }
}

impl Statuses {
    fn look_again(&mut self, at: Option<Timestamp>) {
        self.again = [self.again, at].into_iter().flatten().min();
    }
}

/// Adds a status to those that are written now, or says when it may be.
fn judge<K>(
    book: &Book<K::Status>,
    pending: &mut Vec<Pending<K>>,
    (object, current, next): (&Arc<K>, Option<K::Status>, K::Status),
    now: (Timestamp, usize),
) -> Option<Timestamp>
where
    K: Resource + HasStatus,
    K::Status: Reported,
{
    let (key, uid) = (key(object), object.uid().unwrap_or_default());
    match book.judge(&key, &uid, current.as_ref(), &next, now) {
        Judgement::Same => {}
        Judgement::Write => {
            pending.push(Pending { object: Arc::clone(object), key, uid, current, next });
        }
        Judgement::Wait(until) => return Some(until),
    }
    None
}

/// How the local copy has an object's status.
fn copy<K>(object: &Arc<K>) -> Copy<'_, K::Status>
where
    K: Resource + HasStatus,
{
    let metadata = object.meta();
    Copy {
        uid: metadata.uid.as_deref().unwrap_or_default(),
        version: metadata.resource_version.as_ref().and_then(|version| version.parse().ok()),
        status: object.status(),
    }
}
