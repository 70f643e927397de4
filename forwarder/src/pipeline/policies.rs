//! Redactors of the plan in force, made once for each list of policies.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use weir_dlp::{PolicySource, Redactor};
use weir_plan::{ObjectKey, PolicyPlan};

/// How records get from the pipeline to an exporter.
#[derive(Clone, Debug)]
pub(crate) enum Passage {
    /// No policy holds for them.
    Open,
    /// Redacted.
    Through(Arc<Redactor>),
    /// A policy that holds for them is not there or does not compile: nothing leaves.
    Closed,
}

/// What was made of the plan's policies.
#[derive(Debug, Default)]
pub(crate) struct Policies {
    sources: BTreeMap<ObjectKey, PolicySource>,
    made: HashMap<Vec<ObjectKey>, Passage>,
}

impl Policies {
    /// Takes the plan over; redactors of policies that did not change stay.
    pub(crate) fn apply(&mut self, plans: &[PolicyPlan]) {
        let sources: BTreeMap<_, _> =
            plans.iter().map(|plan| (plan.key.clone(), plan.source.clone())).collect();
        let old = std::mem::replace(&mut self.sources, sources);
        let sources = &self.sources;
        self.made.retain(|keys, _| keys.iter().all(|key| old.get(key) == sources.get(key)));
    }

    /// The passage under all of these policies. The same list gives the same redactor.
    pub(crate) fn passage(&mut self, keys: Vec<ObjectKey>) -> Passage {
        if keys.is_empty() {
            return Passage::Open;
        }
        if let Some(known) = self.made.get(&keys) {
            return known.clone();
        }
        let passage = self.make(&keys);
        self.made.insert(keys, passage.clone());
        passage
    }

    fn make(&self, keys: &[ObjectKey]) -> Passage {
        let mut sources = Vec::with_capacity(keys.len());
        for key in keys {
            let Some(source) = self.sources.get(key) else {
                tracing::error!(policy = %key, "policy is not in the plan; nothing is exported");
                return Passage::Closed;
            };
            sources.push(source.clone());
        }
        match Redactor::compile(&sources) {
            Ok(redactor) => Passage::Through(Arc::new(redactor)),
            Err(error) => {
                tracing::error!(%error, "policies do not compile together; nothing is exported");
                Passage::Closed
            }
        }
    }
}

impl Passage {
    /// True when both do the same to every record.
    pub(crate) fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Open, Self::Open) | (Self::Closed, Self::Closed) => true,
            (Self::Through(a), Self::Through(b)) => Arc::ptr_eq(a, b),
            _ => false,
        }
    }
}
