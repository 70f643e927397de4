//! Which sessions of a capture are recorded: its sampling, and its budget on top.

use std::time::Duration;

use weir_filter::Sample;
use weir_plan::{BudgetPlan, CapturePlan, SamplingPlan};
use weir_rrpair::Uuid;

/// Share of the sessions in thousandths.
const WHOLE: u32 = 1000;

/// What a gate decided about a pair.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Verdict {
    Keep,
    /// Left out by `sampling`.
    Sampled,
    /// Given up: over `budget`.
    OverBudget,
}

/// Decides for one capture.
///
/// Over `bytesPerSecond` the share of sessions that pass is lowered, every second anew and for
/// whole sessions: the choice is by the session's hash, so a smaller share is a part of the
/// larger one and what is kept stays complete.
#[derive(Debug)]
pub(crate) struct Gate {
    sampling: SamplingPlan,
    budget: BudgetPlan,
    sample: Option<Sample>,
    /// Of what sampling keeps; `None` lets all of it through.
    share: Option<Sample>,
    share_permille: u32,
    /// Message bytes that sampling kept since the last tick.
    offered_bytes: u64,
    recorded: u64,
}

impl Gate {
    /// The gate of a capture that has recorded `recorded` pairs already.
    pub(crate) fn new(plan: &CapturePlan, recorded: u64) -> Self {
        let sampling = plan.sampling.unwrap_or(SamplingPlan { keep: 1, out_of: 1 });
        let sample = plan.sampling.and_then(|plan| Sample::new(plan.keep, plan.out_of).ok());
        Self {
            sampling,
            budget: plan.budget,
            sample,
            share: None,
            share_permille: WHOLE,
            offered_bytes: 0,
            recorded,
        }
    }

    /// True when pairs need not be asked about one by one.
    pub(crate) const fn is_open(&self) -> bool {
        self.sample.is_none()
            && self.budget.bytes_per_second.is_none()
            && self.budget.records.is_none()
    }

    /// True when the budget of records is used up.
    pub(crate) fn is_used_up(&self) -> bool {
        self.budget.records.is_some_and(|records| self.recorded >= records)
    }

    /// Share of the sessions that the budget lets through.
    pub(crate) const fn share_permille(&self) -> u32 {
        self.share_permille
    }

    /// Decides about one pair of `bytes` message bytes.
    pub(crate) fn decide(&mut self, session: Option<&str>, uuid: &Uuid, bytes: u64) -> Verdict {
        if self.sample.is_some_and(|sample| !sample.keeps(session, uuid)) {
            return Verdict::Sampled;
        }
        self.offered_bytes += bytes;
        let shed = self.share.is_some_and(|share| !share.keeps(session, uuid));
        if shed || self.is_used_up() {
            return Verdict::OverBudget;
        }
        self.recorded += 1;
        Verdict::Keep
    }

    /// Sets the share by what was offered in the time since the last tick.
    pub(crate) fn tick(&mut self, elapsed: Duration) {
        let offered = std::mem::take(&mut self.offered_bytes);
        let Some(limit) = self.budget.bytes_per_second else { return };
        let allowed = u128::from(limit) * elapsed.as_millis() / 1000;
        let fitting = (allowed * u128::from(WHOLE)).checked_div(u128::from(offered));
        let fitting = fitting.and_then(|share| u32::try_from(share).ok()).unwrap_or(WHOLE);
        // Down at once, up step by step, so that a short lull does not open the gate; and
        // never shut, since then nothing would show that there is traffic.
        let up = self.share_permille.saturating_mul(2);
        self.share_permille = fitting.min(up).clamp(1, WHOLE);
        // The same hash as sampling's, so the share is taken of what sampling keeps.
        let SamplingPlan { keep, out_of } = self.sampling;
        let whole = self.share_permille == WHOLE;
        let scaled = keep
            .checked_mul(self.share_permille)
            .zip(out_of.checked_mul(WHOLE))
            .and_then(|(keep, out_of)| Sample::new(keep, out_of).ok());
        self.share = if whole { None } else { scaled };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    const SECOND: Duration = Duration::from_secs(1);

    fn gate(sampling: Option<(u32, u32)>, budget: BudgetPlan) -> Gate {
        let mut plan = testing::capture("all", &[]);
        plan.sampling = sampling.map(|(keep, out_of)| SamplingPlan { keep, out_of });
        plan.budget = budget;
        Gate::new(&plan, 0)
    }

    fn kept(gate: &mut Gate, bytes: u64) -> Vec<u32> {
        let keeps = |session: &u32| {
            let session = format!("session-{session}");
            gate.decide(Some(&session), &Uuid::default(), bytes) == Verdict::Keep
        };
        (0..1000).filter(keeps).collect()
    }

    #[test]
    fn a_budget_of_records_ends_exactly() {
        let budget = BudgetPlan { records: Some(3), ..BudgetPlan::default() };
        let mut gate = gate(None, budget);
        assert!(!gate.is_open());
        assert_eq!(kept(&mut gate, 1), [0, 1, 2]);
        assert!(gate.is_used_up());
    }

    #[test]
    fn over_the_byte_budget_whole_sessions_are_shed_and_come_back_step_by_step() {
        let budget = BudgetPlan { bytes_per_second: Some(250_000), ..BudgetPlan::default() };
        let mut gate = gate(None, budget);
        assert_eq!(kept(&mut gate, 1000).len(), 1000, "nothing is known in the first second");
        gate.tick(SECOND);
        assert_eq!(gate.share_permille(), 250);
        let quarter = kept(&mut gate, 1000);
        assert!((200..300).contains(&quarter.len()), "{}", quarter.len());
        gate.tick(SECOND);
        assert_eq!(kept(&mut gate, 100), quarter, "the same sessions again");
        gate.tick(SECOND);
        assert_eq!(gate.share_permille(), 500);
        let half = kept(&mut gate, 0);
        assert!(quarter.iter().all(|session| half.contains(session)));
        gate.tick(SECOND);
        gate.tick(SECOND);
        assert_eq!(kept(&mut gate, 0).len(), 1000);
    }

    #[test]
    fn a_budget_sheds_among_the_sampled_sessions() {
        let budget = BudgetPlan { bytes_per_second: Some(50_000), ..BudgetPlan::default() };
        let mut gate = gate(Some((1, 5)), budget);
        let sampled = kept(&mut gate, 1000);
        assert!((150..250).contains(&sampled.len()));
        gate.tick(SECOND);
        let shed = kept(&mut gate, 1000);
        assert!((20..100).contains(&shed.len()), "{}", shed.len());
        assert!(shed.iter().all(|session| sampled.contains(session)));
    }

    #[test]
    fn a_capture_without_either_is_an_open_gate() {
        assert!(gate(None, BudgetPlan::default()).is_open());
        assert!(!gate(Some((1, 2)), BudgetPlan::default()).is_open());
    }
}
