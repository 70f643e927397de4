//! The instructions that a function may reach, and what can be proven about them.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::code::{ARGUMENTS, Flow, RESULT, Step, Steps};
use crate::elf::Image;
use crate::limits::{MAX_ARGUMENT_STEPS, MAX_CANDIDATES, MAX_STEPS};
use crate::plan::WhyUretprobe;

/// A function's control flow, followed from its entry; calls are stepped over.
pub(crate) struct Graph {
    /// The addresses that the symbol covers.
    range: Range<u64>,
    steps: BTreeMap<u64, Step>,
    /// What hinders proofs about the symbol's own range.
    inside: Option<WhyUretprobe>,
    /// What hinders proofs about all that it reaches.
    anywhere: Option<WhyUretprobe>,
}

impl Graph {
    pub(crate) fn walk(image: &Image<'_>, range: Range<u64>) -> Self {
        let mut graph = Self { range, steps: BTreeMap::new(), inside: None, anywhere: None };
        let mut steps = Steps::new();
        // The function itself first; then its cold parts and whatever it ends in.
        let (mut near, mut far) = (vec![graph.range.start], Vec::new());
        while let Some(address) = near.pop().or_else(|| far.pop()) {
            if graph.steps.contains_key(&address) {
                continue;
            }
            if graph.steps.len() == MAX_STEPS {
                graph.hinder(address, WhyUretprobe::TooLong);
                break;
            }
            let code = image.code(address).unwrap_or_default();
            let Some(step) = steps.decode(code, address) else {
                graph.hinder(address, WhyUretprobe::Undecodable);
                continue;
            };
            match step.flow {
                Flow::Indirect => graph.hinder(address, WhyUretprobe::IndirectJump),
                Flow::Linked => graph.anywhere = Some(WhyUretprobe::TailCall),
                _ => {}
            }
            for target in graph.after(&step).into_iter().flatten() {
                if graph.range.contains(&target) { near.push(target) } else { far.push(target) }
            }
            graph.steps.insert(address, step);
        }
        graph
    }

    fn hinder(&mut self, address: u64, why: WhyUretprobe) {
        self.anywhere = Some(why);
        if self.range.contains(&address) {
            self.inside = Some(why);
        }
    }

    /// Where execution may go from `step`.
    fn after(&self, step: &Step) -> [Option<u64>; 2] {
        match step.flow {
            // Nobody returns to behind the end: what was called there never returns.
            Flow::Call if step.next == self.range.end => [None, None],
            Flow::Next | Flow::Call => [Some(step.next), None],
            Flow::Jump(target) => [Some(target), None],
            Flow::Branch(target) => [Some(step.next), Some(target)],
            Flow::Return | Flow::Linked | Flow::Indirect | Flow::Stop => [None, None],
        }
    }

    /// The first emulated instruction that every call runs once before it writes one of the
    /// first `count` argument registers.
    pub(crate) fn argument_site(&self, count: usize) -> Option<u64> {
        let wanted = ARGUMENTS.iter().take(count).fold(0, |bits, bit| bits | bit);
        let mut address = self.range.start;
        for _ in 0..MAX_ARGUMENT_STEPS {
            let step = self.steps.get(&address)?;
            if step.emulated {
                return self.runs_once(address).then_some(address);
            }
            if step.flow != Flow::Next || step.writes & wanted != 0 {
                return None;
            }
            address = step.next;
        }
        None
    }

    /// The first emulated instruction behind Go's check of its stack before one of the `wanted`
    /// registers is written. A call that fails the check begins anew, and gets there once.
    pub(crate) fn site_behind_check(&self, wanted: u8) -> Option<u64> {
        let mut address = self.range.start;
        let mut checked = false;
        for _ in 0..MAX_ARGUMENT_STEPS {
            let step = self.steps.get(&address)?;
            match step.flow {
                Flow::Branch(target) if !checked => checked = self.begins_anew(target),
                _ if checked && step.emulated => {
                    return self.runs_once(address).then_some(address);
                }
                _ => {}
            }
            let goes_on = matches!(step.flow, Flow::Next | Flow::Branch(_));
            if !goes_on || step.writes & wanted != 0 || (step.flow != Flow::Next && !checked) {
                return None;
            }
            address = step.next;
        }
        None
    }

    /// Whether execution goes from `address` straight back to the entry.
    fn begins_anew(&self, mut address: u64) -> bool {
        for _ in 0..MAX_ARGUMENT_STEPS {
            let Some(step) = self.steps.get(&address) else { return false };
            match step.flow {
                Flow::Next | Flow::Call => address = step.next,
                Flow::Jump(target) => return target == self.range.start,
                _ => return false,
            }
        }
        false
    }

    /// Whether nothing jumps back to between the entry and `site`. A jump to the entry itself
    /// is another call to every probe.
    fn runs_once(&self, site: u64) -> bool {
        let before = self.range.start + 1..=site;
        self.range.contains(&site)
            && self.inside.is_none()
            && self.steps.values().all(|step| match step.flow {
                Flow::Jump(target) | Flow::Branch(target) => !before.contains(&target),
                _ => true,
            })
    }

    /// A branch that every call which returns passes exactly once, with the result in place.
    pub(crate) fn result_site(&self) -> Result<u64, WhyUretprobe> {
        if let Some(why) = self.anywhere {
            return Err(why);
        }
        let nodes = Nodes::new(self);
        let returns: Vec<usize> = nodes.all(|step| step.flow == Flow::Return);
        if returns.is_empty() {
            return Err(WhyUretprobe::NeverReturns);
        }
        let returning = flood(&nodes.before, &returns, None);
        let mut writers = nodes.all(|step| step.writes & RESULT != 0);
        writers.retain(|writer| returning[*writer]);
        // From here on the result may still change.
        let unsettled = flood(&nodes.before, &writers, None);
        let branches =
            nodes.all(|step| step.emulated && matches!(step.flow, Flow::Jump(_) | Flow::Branch(_)));
        let settled = |branch: &usize| {
            self.range.contains(&nodes.addresses[*branch])
                && returning[*branch]
                && nodes.after[*branch].iter().all(|next| !unsettled[*next])
        };
        branches
            .into_iter()
            .filter(settled)
            .take(MAX_CANDIDATES)
            .find(|branch| {
                let around = flood(&nodes.after, &[nodes.entry], Some(*branch));
                let onwards = flood(&nodes.after, &nodes.after[*branch], None);
                !onwards[*branch] && returns.iter().all(|end| !around[*end])
            })
            .map(|branch| nodes.addresses[branch])
            .ok_or(WhyUretprobe::NoCommonBranch)
    }
}

/// The same by index, with edges both ways.
struct Nodes<'g> {
    addresses: Vec<u64>,
    steps: Vec<&'g Step>,
    after: Vec<Vec<usize>>,
    before: Vec<Vec<usize>>,
    entry: usize,
}

impl<'g> Nodes<'g> {
    fn new(graph: &'g Graph) -> Self {
        let addresses: Vec<u64> = graph.steps.keys().copied().collect();
        let steps: Vec<&Step> = graph.steps.values().collect();
        let index = |address: u64| addresses.binary_search(&address).ok();
        let mut before = vec![Vec::new(); steps.len()];
        let mut after = Vec::with_capacity(steps.len());
        for (from, step) in steps.iter().enumerate() {
            let targets = graph.after(step).into_iter().flatten();
            let targets: Vec<usize> = targets.filter_map(index).collect();
            for to in &targets {
                before[*to].push(from);
            }
            after.push(targets);
        }
        let entry = index(graph.range.start).unwrap_or_default();
        Self { addresses, steps, after, before, entry }
    }

    fn all(&self, want: impl Fn(&Step) -> bool) -> Vec<usize> {
        (0..self.steps.len()).filter(|index| want(self.steps[*index])).collect()
    }
}

/// What is reached from `starts` along `edges` without passing `closed`, the starts included.
fn flood(edges: &[Vec<usize>], starts: &[usize], closed: Option<usize>) -> Vec<bool> {
    let mut reached = vec![false; edges.len()];
    let mut ahead = starts.to_vec();
    while let Some(node) = ahead.pop() {
        if Some(node) != closed && !std::mem::replace(&mut reached[node], true) {
            ahead.extend(&edges[node]);
        }
    }
    reached
}
