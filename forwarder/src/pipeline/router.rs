//! Which captures want the pairs of a connection, and which exporters they go to.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use weir_abi::Role;
use weir_plan::{CaptureDirection, CapturePlan, ObjectKey, Protocol, TlsMode};
use weir_rrpair::Uuid;

use super::{
    Active, Book,
    budget::{Gate, Verdict},
    outbox::Outbox,
    policies::{Passage, Policies},
};
use crate::{attribution::Workload, queue::Route};

#[cfg(test)]
mod tests;

/// A capture of the plan, by its place there.
pub(crate) type CaptureIndex = usize;

/// Captures that want a connection's pairs, with where those go.
#[derive(Debug)]
pub(crate) struct CaptureSet {
    pub(crate) captures: Vec<CaptureIndex>,
    /// Each exporter once.
    pub(crate) targets: Vec<Target>,
    /// Bytes of a body that one of the captures wants kept.
    pub(crate) max_body_bytes: u64,
    /// Some pairs may be left out, so each has to be decided about.
    gated: bool,
}

/// An exporter of a set of captures.
#[derive(Debug)]
pub(crate) struct Target {
    /// Its place in the plan.
    pub(crate) place: usize,
    pub(crate) route: Route,
    /// Under its own policies and those of the captures that name it.
    pub(crate) passage: Passage,
}

/// One side of a connection for the captures' `direction` and `ports`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Side {
    /// Role of the captured process; not [`Role::Unknown`].
    pub(crate) role: Role,
    /// Own port of a server, remote port of a client.
    pub(crate) port: u16,
    /// Only its plaintext can be read.
    pub(crate) encrypted: bool,
}

#[derive(Debug)]
struct State {
    plan: CapturePlan,
    /// Where the book has its counts.
    page: usize,
    gate: Gate,
    /// Monotonic time at which `duration` is over.
    ends_ns: Option<u64>,
    complete: bool,
}

#[derive(Debug)]
struct Begun {
    uid: String,
    at_ns: u64,
    /// Pairs that earlier captures of the same name took.
    before: u64,
}

/// Routes by the plan in force.
#[derive(Debug, Default)]
pub(crate) struct Router {
    captures: Vec<State>,
    by_key: BTreeMap<ObjectKey, CaptureIndex>,
    /// Each exporter with its policies.
    exporters: Vec<(ObjectKey, Vec<ObjectKey>)>,
    policies: Policies,
    sets: HashMap<Vec<CaptureIndex>, Arc<CaptureSet>>,
    /// When each capture was first in the plan.
    begun: BTreeMap<ObjectKey, Begun>,
    kept: Vec<CaptureIndex>,
    generation: u64,
}

impl Router {
    /// Takes the plan over. What captures recorded before, and when they began, stays.
    pub(crate) fn apply(&mut self, active: &Active, book: &mut Book, now_ns: u64) {
        let mut old: Vec<_> = std::mem::take(&mut self.captures);
        self.captures = active
            .captures
            .iter()
            .map(|plan| {
                if let Some(same) = old.iter().position(|state| state.plan == *plan) {
                    return old.swap_remove(same);
                }
                let page = book.page(&plan.key);
                let recorded = book.captures.get(page).map_or(0, |(_, counts)| counts.kept());
                let begun = self.begun.get(&plan.key).filter(|begun| begun.uid == plan.uid);
                let (began_ns, before) = begun.map_or((now_ns, recorded), |b| (b.at_ns, b.before));
                let begun = Begun { uid: plan.uid.clone(), at_ns: began_ns, before };
                self.begun.insert(plan.key.clone(), begun);
                let length = plan.duration.map(|d| u64::try_from(d.as_nanos()).unwrap_or(u64::MAX));
                State {
                    plan: plan.clone(),
                    page,
                    gate: Gate::new(plan, recorded - before),
                    ends_ns: length.map(|length| began_ns.saturating_add(length)),
                    complete: false,
                }
            })
            .collect();
        self.by_key = active.captures.iter().map(|plan| plan.key.clone()).zip(0..).collect();
        let exporters = active.exporters.iter();
        self.exporters = exporters.map(|e| (e.key.clone(), e.policies.clone())).collect();
        self.policies.apply(&active.policies);
        self.complete_and_reroute(book, now_ns);
    }

    /// Changes whenever an answer of [`Router::route`] may have changed.
    pub(crate) const fn generation(&self) -> u64 {
        self.generation
    }

    /// Once a second: ends captures whose time or records are over, and sets the budgets'
    /// shares.
    pub(crate) fn tick(&mut self, book: &mut Book, now_ns: u64, elapsed: Duration) {
        for state in &mut self.captures {
            state.gate.tick(elapsed);
            if let Some((_, counts)) = book.captures.get_mut(state.page) {
                counts.budget_share_permille = state.gate.share_permille();
            }
        }
        let over = |state: &State| !state.complete && state.is_over(now_ns);
        if self.captures.iter().any(over) {
            self.complete_and_reroute(book, now_ns);
        }
    }

    fn complete_and_reroute(&mut self, book: &mut Book, now_ns: u64) {
        for state in &mut self.captures {
            state.complete = state.is_over(now_ns);
            if let Some((_, counts)) = book.captures.get_mut(state.page) {
                counts.complete = state.complete;
                counts.budget_share_permille = state.gate.share_permille();
            }
        }
        self.sets.clear();
        self.generation += 1;
    }

    /// The captures of `workload` that want this side of a connection; `None` when none does.
    pub(crate) fn route(
        &mut self,
        workload: &Workload,
        side: Side,
        outboxes: &mut [Outbox],
    ) -> Option<Arc<CaptureSet>> {
        let mut wanting: Vec<_> = workload
            .captures
            .iter()
            .filter_map(|key| self.by_key.get(key).copied())
            .filter(|index| self.captures.get(*index).is_some_and(|state| state.wants(side)))
            .collect();
        wanting.sort_unstable();
        wanting.dedup();
        (!wanting.is_empty()).then(|| self.set(&wanting, outboxes))
    }

    /// The captures of `set` that keep this pair, and counts what the others left out. `None`
    /// when none keeps it.
    pub(crate) fn decide(
        &mut self,
        set: &Arc<CaptureSet>,
        (session, uuid): (Option<&str>, &Uuid),
        message_bytes: u64,
        book: &mut Book,
        outboxes: &mut [Outbox],
    ) -> Option<Arc<CaptureSet>> {
        if !set.gated {
            return Some(Arc::clone(set));
        }
        let mut kept = std::mem::take(&mut self.kept);
        kept.clear();
        for index in &set.captures {
            let Some(state) = self.captures.get_mut(*index) else { continue };
            let Some((_, counts)) = book.captures.get_mut(state.page) else { continue };
            match state.gate.decide(session, uuid, message_bytes) {
                Verdict::Keep => kept.push(*index),
                Verdict::Sampled => counts.sampled += 1,
                Verdict::OverBudget => counts.over_budget += 1,
            }
        }
        let result = (!kept.is_empty()).then(|| self.set(&kept, outboxes));
        self.kept = kept;
        result
    }

    /// Pages of the book with the counts of these captures.
    pub(crate) fn pages<'a>(
        &'a self,
        captures: &'a [CaptureIndex],
    ) -> impl Iterator<Item = usize> + 'a {
        captures.iter().filter_map(|index| self.captures.get(*index).map(|state| state.page))
    }

    fn set(&mut self, captures: &[CaptureIndex], outboxes: &mut [Outbox]) -> Arc<CaptureSet> {
        if let Some(known) = self.sets.get(captures) {
            return Arc::clone(known);
        }
        let states = || captures.iter().filter_map(|index| self.captures.get(*index));
        let mut targets = Vec::new();
        for (place, ((key, own), outbox)) in self.exporters.iter().zip(outboxes).enumerate() {
            let senders: Vec<_> =
                states().filter(|state| state.plan.exporters.contains(key)).collect();
            if senders.is_empty() {
                continue;
            }
            let mut policies = own.clone();
            for policy in senders.iter().flat_map(|state| &state.plan.policies) {
                if !policies.contains(policy) {
                    policies.push(policy.clone());
                }
            }
            let keys: Vec<_> = senders.iter().map(|state| state.plan.key.clone()).collect();
            targets.push(Target {
                place,
                route: outbox.route(&keys),
                passage: self.policies.passage(policies),
            });
        }
        let set = Arc::new(CaptureSet {
            captures: captures.to_vec(),
            targets,
            max_body_bytes: states().map(|state| state.plan.max_body_bytes).max().unwrap_or(0),
            gated: states().any(|state| !state.gate.is_open()),
        });
        self.sets.insert(captures.to_vec(), Arc::clone(&set));
        set
    }
}

impl State {
    fn is_over(&self, now_ns: u64) -> bool {
        self.gate.is_used_up() || self.ends_ns.is_some_and(|end| now_ns >= end)
    }

    fn wants(&self, side: Side) -> bool {
        let CapturePlan { direction, ports, protocols, suspended, tls, .. } = &self.plan;
        let readable = !side.encrypted || *tls == TlsMode::Decrypt;
        let direction = match direction {
            CaptureDirection::Both => true,
            CaptureDirection::Inbound => side.role == Role::Server,
            CaptureDirection::Outbound => side.role == Role::Client,
        };
        // HTTP is all that is decoded yet.
        let protocol = protocols.is_empty() || protocols.contains(&Protocol::Http);
        let port = ports.is_empty() || ports.contains(&side.port);
        direction && protocol && port && readable && !suspended && !self.complete
    }
}
