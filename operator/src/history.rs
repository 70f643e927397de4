//! Which revisions of the plan have a capture just as it is now. One tenant's edit makes a new
//! revision for all; without this every capture of the cluster would lose `Programmed` and win
//! it back, with two writes for each, at every edit of any of them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use weir_plan::{CapturePlan, ExporterPlan, ObjectKey, Plan, PlanDocument, PolicyPlan};

/// Revisions that are remembered; a node that lags further behind counts as not programmed.
const KEPT: usize = 32;

/// The last revisions, newest last.
#[derive(Debug, Default)]
pub struct History {
    revisions: VecDeque<String>,
    /// Each capture of the newest plan as it is there, with the revisions that have it so.
    captures: BTreeMap<ObjectKey, (Part, BTreeSet<String>)>,
}

/// What a node does for one capture.
#[derive(Debug, PartialEq)]
struct Part {
    capture: CapturePlan,
    exporters: Vec<ExporterPlan>,
    policies: Vec<PolicyPlan>,
}

impl History {
    /// Takes note of the plan that is now in force.
    pub fn push(&mut self, document: &PlanDocument) {
        let revision = document.revision().to_owned();
        if self.revisions.back() != Some(&revision) {
            self.revisions.push_back(revision.clone());
        }
        if self.revisions.len() > KEPT {
            self.revisions.pop_front();
        }
        let mut before = std::mem::take(&mut self.captures);
        for capture in &document.plan().captures {
            let part = Part::of(capture, document.plan());
            let mut with = match before.remove(&capture.key) {
                Some((same, with)) if same == part => with,
                _ => BTreeSet::new(),
            };
            with.retain(|known| self.revisions.contains(known));
            with.insert(revision.clone());
            self.captures.insert(capture.key.clone(), (part, with));
        }
    }

    /// Revisions that have this capture as the newest has it; `None` when that has it not.
    pub fn revisions(&self, key: &ObjectKey) -> Option<&BTreeSet<String>> {
        self.captures.get(key).map(|(_, with)| with)
    }
}

impl Part {
    fn of(capture: &CapturePlan, plan: &Plan) -> Self {
        let used =
            plan.exporters.iter().filter(|exporter| capture.exporters.contains(&exporter.key));
        let exporters: Vec<_> = used.cloned().collect();
        let holds = |policy: &&PolicyPlan| {
            let mut lists = exporters.iter().map(|exporter| &exporter.policies);
            capture.policies.contains(&policy.key) || lists.any(|list| list.contains(&policy.key))
        };
        let policies = plan.policies.iter().filter(holds).cloned().collect();
        Self { capture: capture.clone(), exporters, policies }
    }
}

#[cfg(test)]
mod tests;
