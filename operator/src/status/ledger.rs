//! Counts that survive restarts. A forwarder counts from its own start; a capture's status
//! counts from the capture's beginning, over every forwarder that ever ran.

use std::collections::{BTreeMap, BTreeSet};

use weir_api::v1alpha1::RecordCounts;
use weir_plan::{
    NodeStatus, ObjectKey,
    status::{NodeCapture, NodeRecords},
};

use super::{Fleet, fleet::add_records};

/// Rounds without a pod on a node after which what waited there counts as lost.
const GONE: u32 = 12;

/// One round of asking all nodes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Round {
    /// Nodes that should run Weir.
    pub expected: usize,
    /// Nodes that have a pod of the DaemonSet.
    pub present: BTreeSet<String>,
    /// What they said, those that answered.
    pub answers: Vec<NodeStatus>,
    /// Why the others did not, for a person.
    pub troubles: Vec<String>,
}

/// What every run of every forwarder counted.
#[derive(Debug, Default)]
pub struct Ledger {
    /// The current run of each node.
    live: BTreeMap<String, Run>,
    /// Sums of the runs that are over.
    over: BTreeMap<ObjectKey, RecordCounts>,
    /// Captures whose counts of before this operator's start are in `over`.
    adopted: BTreeSet<ObjectKey>,
    /// The captures that there are, with their uids.
    known: BTreeMap<ObjectKey, String>,
}

#[derive(Debug)]
struct Run {
    last: NodeStatus,
    absent: u32,
}

impl Ledger {
    /// Takes note of a round.
    pub fn observe(&mut self, round: &Round) {
        for answer in &round.answers {
            let next = Run { last: answer.clone(), absent: 0 };
            match self.live.insert(answer.node.clone(), next) {
                Some(before) if before.last.started == answer.started => {}
                Some(before) => self.follow(before.last, answer),
                None => self.retire(&[], Some(&answer.captures)),
            }
        }
        let mut gone = Vec::new();
        self.live.retain(|node, run| {
            run.absent = if round.present.contains(node) { 0 } else { run.absent + 1 };
            let keep = run.absent <= GONE;
            if !keep {
                gone.push(run.last.clone());
            }
            keep
        });
        for last in &gone {
            self.retire(&last.captures, None);
        }
    }

    /// Takes over what a capture's status says from before this operator started, once, after
    /// the nodes were first asked. What happened between the old operator's last write and
    /// now on a run that is still live is in that run's own counts.
    pub fn adopt(&mut self, key: &ObjectKey, status: Option<&RecordCounts>) {
        if !self.adopted.insert(key.clone()) {
            return;
        }
        let Some(before) = status.filter(|counts| counts.seen > 0) else { return };
        let mut live = self.over.get(key).copied().unwrap_or_default();
        for run in self.live.values() {
            for capture in run.last.captures.iter().filter(|capture| capture.key == *key) {
                if !is_of(capture, &self.known) {
                    continue;
                }
                add_records(&mut live, &capture.records);
            }
        }
        let past = difference(before, &live);
        add_counts(self.over.entry(key.clone()).or_default(), &past);
    }

    /// Forgets the captures that are not there any more, also when others have their names.
    pub fn retain(&mut self, known: BTreeMap<ObjectKey, String>) {
        let same =
            |key: &ObjectKey| known.contains_key(key) && known.get(key) == self.known.get(key);
        self.over.retain(|key, _| same(key));
        self.adopted.retain(same);
        self.known = known;
    }

    /// All nodes, with their past.
    pub fn fleet(&self, round: &Round) -> Fleet {
        let mut past = self.over.clone();
        let answered: BTreeSet<&str> =
            round.answers.iter().map(|node| node.node.as_str()).collect();
        for (_, run) in self.live.iter().filter(|(node, _)| !answered.contains(node.as_str())) {
            for capture in run.last.captures.iter().filter(|c| is_of(c, &self.known)) {
                add_records(past.entry(capture.key.clone()).or_default(), &capture.records);
            }
        }
        let mut answers = round.answers.clone();
        for answer in &mut answers {
            answer.captures.retain(|capture| is_of(capture, &self.known));
        }
        Fleet::new(round.expected, answers).with_past(past).with_troubles(round.troubles.clone())
    }

    /// A run is over, and `next` is there. The node's disk tells what the run had counted since it
    /// was asked last, and of runs between the two.
    fn follow(&mut self, last: NodeStatus, next: &NodeStatus) {
        let mut captures = last.captures;
        for run in next.earlier.iter().rev() {
            if run.started == last.started {
                for capture in &mut captures {
                    let noted = run.captures.iter().find(|noted| is_same(noted, capture));
                    let later = noted.map(|noted| noted.records);
                    let later = later.filter(|later| progress(later) >= progress(&capture.records));
                    capture.records = later.unwrap_or(capture.records);
                }
                let is_new = |noted: &&NodeCapture| !captures.iter().any(|c| is_same(noted, c));
                let begun: Vec<_> = run.captures.iter().filter(is_new).cloned().collect();
                captures.extend(begun);
            } else if run.started > last.started && run.started < next.started {
                self.retire(&captures, Some(&run.captures));
                captures.clone_from(&run.captures);
            }
        }
        self.retire(&captures, Some(&next.captures));
    }

    /// A run is over, and maybe another one goes on with what it left on disk. What waited when
    /// the first was asked last, and is not found by the next, has a fate that nobody can tell;
    /// it counts as lost. What is found beyond that had been seen since then.
    fn retire(&mut self, last: &[NodeCapture], next: Option<&[NodeCapture]>) {
        let next: Vec<_> =
            next.unwrap_or_default().iter().filter(|capture| is_of(capture, &self.known)).collect();
        let recovered = |key: &ObjectKey| {
            let found = next.iter().find(|capture| capture.key == *key);
            found.map_or(0, |capture| capture.records.recovered)
        };
        for capture in last.iter().filter(|capture| is_of(capture, &self.known)) {
            let records = capture.records;
            let missing = records.queued.saturating_sub(recovered(&capture.key));
            let past = NodeRecords {
                shed: records.shed.saturating_add(missing),
                dropped: records.dropped.saturating_add(missing),
                queued: 0,
                ..records
            };
            add_records(self.over.entry(capture.key.clone()).or_default(), &past);
        }
        for capture in next {
            let known = last.iter().find(|known| known.key == capture.key);
            let waited = known.map_or(0, |known| known.records.queued);
            let seen = capture.records.recovered.saturating_sub(waited);
            let past = NodeRecords { seen, ..NodeRecords::default() };
            add_records(self.over.entry(capture.key.clone()).or_default(), &past);
        }
    }
}

fn is_same(one: &NodeCapture, other: &NodeCapture) -> bool {
    (&one.key, &one.uid) == (&other.key, &other.uid)
}

/// Grows with everything that happens to a record.
fn progress(records: &NodeRecords) -> u64 {
    let NodeRecords { seen, recovered, exported, filtered, sampled, shed, undecodable, .. } =
        *records;
    [seen, recovered, exported, filtered, sampled, shed, undecodable].iter().sum()
}

/// False when a node still tells of an earlier capture of the same name.
fn is_of(capture: &NodeCapture, known: &BTreeMap<ObjectKey, String>) -> bool {
    let uid = known.get(&capture.key);
    capture.uid.is_empty() || uid.is_none_or(|uid| *uid == capture.uid)
}

fn each<'a>(left: &'a mut RecordCounts, right: &'a RecordCounts) -> [(&'a mut i64, &'a i64); 6] {
    [
        (&mut left.exported, &right.exported),
        (&mut left.filtered, &right.filtered),
        (&mut left.sampled, &right.sampled),
        (&mut left.shed, &right.shed),
        (&mut left.undecodable, &right.undecodable),
        (&mut left.dropped, &right.dropped),
    ]
}

/// What `whole` has more than `part`, of records whose fate is known; never below zero, and
/// still balanced.
fn difference(whole: &RecordCounts, part: &RecordCounts) -> RecordCounts {
    let mut rest = *whole;
    for (rest, part) in each(&mut rest, part) {
        *rest = (*rest - part).max(0);
    }
    rest.queued = 0;
    rest.seen = rest.exported + rest.filtered + rest.sampled + rest.shed + rest.undecodable;
    rest
}

fn add_counts(sum: &mut RecordCounts, more: &RecordCounts) {
    for (sum, more) in each(sum, more) {
        *sum += more;
    }
    sum.seen += more.seen;
    sum.queued += more.queued;
}

#[cfg(test)]
mod tests;
