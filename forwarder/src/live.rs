//! Which captures of a plan live, and whom they select.

use std::collections::{BTreeMap, BTreeSet};

use weir_plan::{CapturePlan, ObjectKey, Plan, Selector, TlsMode};

use crate::LedgerSnapshot;

/// The captures of a plan that are neither suspended nor complete.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct LiveCaptures(Vec<Live>);

/// A capture with what it wants.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Live {
    key: ObjectKey,
    selector: Selector,
    decrypts: bool,
}

/// Which captures are complete.
#[derive(Clone, Debug, Default)]
pub struct Completion(BTreeSet<ObjectKey>);

impl LiveCaptures {
    /// True when nothing is to be captured.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Captures that select something with these labels, whatever its namespace: on one machine
    /// there are none.
    pub fn matching(&self, labels: &BTreeMap<String, String>) -> Vec<ObjectKey> {
        let matching = self.0.iter().filter(|live| live.selector.matches(labels));
        matching.map(|live| live.key.clone()).collect()
    }

    /// Captures of `namespace` that select a pod with these labels there.
    pub fn matching_in(
        &self,
        namespace: &str,
        labels: &BTreeMap<String, String>,
    ) -> Vec<ObjectKey> {
        let matching = self
            .0
            .iter()
            .filter(|live| live.key.namespace == namespace && live.selector.matches(labels));
        matching.map(|live| live.key.clone()).collect()
    }

    /// True when some capture selects these labels, whatever the namespace.
    pub fn selects(&self, labels: &BTreeMap<String, String>) -> bool {
        self.0.iter().any(|live| live.selector.matches(labels))
    }

    /// True when one of `captures` lives and wants plaintext of encrypted connections.
    pub(crate) fn any_decrypts(&self, captures: &[ObjectKey]) -> bool {
        self.0.iter().any(|live| live.decrypts && captures.contains(&live.key))
    }

    /// True when one of those wants plaintext of encrypted connections.
    pub fn decrypts(&self, labels: &BTreeMap<String, String>) -> bool {
        self.0.iter().any(|live| live.decrypts && live.selector.matches(labels))
    }
}

impl Completion {
    /// Follows a new plan: a capture that was edited begins anew.
    pub fn follow(&mut self, before: &Plan, plan: &Plan) {
        let kept: BTreeSet<_> = plan
            .captures
            .iter()
            .filter(|new| before.captures.contains(new))
            .map(|capture| &capture.key)
            .collect();
        self.0.retain(|key| kept.contains(key));
    }

    /// Looks whether captures of `plan` have become complete; true when that changed. The
    /// ledger is asked only when one has an end.
    pub fn update(&mut self, plan: &Plan, ledger: impl FnOnce() -> LedgerSnapshot) -> bool {
        let limited =
            |capture: &CapturePlan| capture.duration.is_some() || capture.budget.records.is_some();
        if !plan.captures.iter().any(limited) {
            return false;
        }
        let planned: BTreeSet<_> = plan.captures.iter().map(|capture| &capture.key).collect();
        let complete: BTreeSet<_> = ledger()
            .captures
            .into_iter()
            .filter(|capture| capture.counts.complete && planned.contains(&capture.key))
            .map(|capture| capture.key)
            .collect();
        for key in complete.difference(&self.0) {
            tracing::info!(capture = %key, "the capture is complete");
        }
        let changed = complete != self.0;
        self.0 = complete;
        changed
    }

    /// The captures of `plan` that live.
    pub fn live(&self, plan: &Plan) -> LiveCaptures {
        let live = |capture: &&CapturePlan| !capture.suspended && !self.0.contains(&capture.key);
        let captures = plan.captures.iter().filter(live);
        let live = captures.map(|capture| Live {
            key: capture.key.clone(),
            selector: capture.selector.clone(),
            decrypts: capture.tls == TlsMode::Decrypt,
        });
        LiveCaptures(live.collect())
    }
}

#[cfg(test)]
mod tests;
