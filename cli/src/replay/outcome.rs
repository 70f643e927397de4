//! What a replay found.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::OnceLock,
    time::Duration,
};

use weir_replay::{
    compare::{Change, Kind, Volatile, Why},
    report::{self, Report},
};
use weir_rrpair::Uuid;

use super::{
    load::Traffic,
    tally::{Answered, First, Tally, learn_repeated},
};

/// Everything that was seen.
pub(super) struct Ended {
    /// Answers of the round that was only to learn from.
    pub(super) learnt: First,
    /// Answers of the rounds that count.
    pub(super) first: First,
    volatile: Volatile,
    tallies: Vec<Tally>,
    pub(super) elapsed: Duration,
}

/// Recorded pairs that an earlier replay matched, and those that it did not.
pub(super) struct Baseline {
    pub(super) mismatches: BTreeSet<String>,
}

/// About one recorded pair: its worst answer of all repetitions.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(super) struct Verdict {
    /// Place in the traffic.
    pub(super) item: usize,
    pub(super) matches: bool,
    pub(super) body_matches: bool,
    pub(super) has_recorded_status: bool,
    pub(super) changes: Vec<Change>,
    /// `None` without an answer.
    pub(super) status: Option<u16>,
    pub(super) error: Option<String>,
    /// Not in the baseline.
    pub(super) is_new: bool,
}

pub(super) struct Outcome {
    pub(super) report: Report,
    pub(super) verdicts: Vec<Verdict>,
    pub(super) volatile: Volatile,
    /// The first answer to each item.
    pub(super) first: First,
    pub(super) carried: usize,
}

impl Outcome {
    /// Not one request, though answers were recorded.
    pub(super) fn nobody_answers(&self) -> bool {
        self.verdicts.iter().all(|verdict| verdict.error.is_some() && !verdict.matches)
    }

    /// How many recorded pairs differ, and in nothing but values of the same types.
    pub(super) fn differing_in_values(&self) -> usize {
        let values = |verdict: &&Verdict| {
            !verdict.matches
                && !verdict.changes.is_empty()
                && verdict.has_recorded_status
                && verdict.changes.iter().all(|change| change.kind == Kind::Changed)
        };
        self.verdicts.iter().filter(values).count()
    }
}

impl Ended {
    pub(super) fn new(traffic: &Traffic) -> Self {
        let none = || traffic.items.iter().map(|_| OnceLock::new()).collect();
        Self {
            learnt: none(),
            first: none(),
            volatile: Volatile::default(),
            tallies: Vec::new(),
            elapsed: Duration::ZERO,
        }
    }

    /// Keeps what the round taught, not what it was answered.
    pub(super) fn learn(&mut self, learnt: Tally) {
        self.volatile.merge(learnt.volatile);
    }

    pub(super) fn add(&mut self, mut tally: Tally) {
        self.volatile.merge(std::mem::take(&mut tally.volatile));
        self.tallies.push(tally);
    }
}

/// Compares everything that was seen with the recording.
pub(super) fn evaluate(
    traffic: &Traffic,
    ended: Ended,
    ignore_bodies: bool,
    baseline: Option<&Baseline>,
) -> Outcome {
    let Ended { learnt, first, volatile, tallies, elapsed } = ended;
    let volatile = learn(traffic, &learnt, &first, volatile, ignore_bodies);
    let mut verdicts: BTreeMap<usize, Verdict> = BTreeMap::new();
    let mut samples = Vec::new();
    let mut carried = 0;
    for tally in tallies {
        carried += tally.carried;
        let mut outcomes = Vec::with_capacity(tally.results.len());
        for result in tally.results {
            let Some(item) = traffic.items.get(result.item) else { continue };
            let endpoint = (item.record.command.as_ref(), item.record.location.as_str());
            let verdict = verdict(traffic, result, &volatile);
            let outcome = match (&verdict.error, verdict.matches) {
                (Some(_), _) => report::Outcome::Failed,
                (None, true) => report::Outcome::Matched,
                (None, false) => report::Outcome::Differed,
            };
            outcomes.push((endpoint, outcome));
            match verdicts.get_mut(&verdict.item) {
                Some(worst) if worst.matches => *worst = verdict,
                Some(_) => {}
                None => {
                    verdicts.insert(verdict.item, verdict);
                }
            }
        }
        samples.extend(tally.samples.iter().filter_map(|sample| {
            let ((method, path), outcome) = *outcomes.get(sample.result as usize)?;
            Some((method, path, outcome, sample.latency))
        }));
    }
    let mut verdicts: Vec<_> = verdicts.into_values().collect();
    if let Some(baseline) = baseline {
        for verdict in &mut verdicts {
            let uuid = traffic.items.get(verdict.item).map(|item| item.record.uuid);
            let known = baseline.mismatches.contains(&uuid.unwrap_or_default().to_string());
            verdict.is_new = !verdict.matches && !known;
        }
    }
    let report = Report::new(samples, elapsed);
    Outcome { report, verdicts, volatile, first, carried }
}

fn learn(
    traffic: &Traffic,
    learnt: &First,
    first: &First,
    mut volatile: Volatile,
    ignore_bodies: bool,
) -> Volatile {
    if ignore_bodies {
        return Volatile::default();
    }
    for (number, item) in traffic.items.iter().enumerate() {
        let [before, after] =
            [learnt, first].map(|round| round.get(number).and_then(OnceLock::get));
        if let (Some(before), Some(after)) = (before, after) {
            learn_repeated(&mut volatile, item, before, after);
        }
    }
    for (endpoint, differing) in traffic.recorded_twice() {
        volatile.learn(&endpoint, &differing, Why::Recording);
    }
    volatile
}

fn verdict(traffic: &Traffic, result: Answered, volatile: &Volatile) -> Verdict {
    let Answered { item: number, status, error, mut changes } = result;
    let mut matches = false;
    let mut has_recorded_status = false;
    if let Some(item) = traffic.items.get(number) {
        changes.retain(|change| !volatile.holds(&item.endpoint, change));
        has_recorded_status = if error.is_some() {
            // A recorded request without an answer is answered alike by none.
            item.record.status.is_empty()
        } else {
            item.answer().status == status.unwrap_or_default()
        };
        matches = has_recorded_status && changes.is_empty();
    }
    let body_matches = error.is_none() && changes.is_empty();
    Verdict {
        item: number,
        matches,
        body_matches,
        has_recorded_status,
        changes,
        status,
        error,
        is_new: false,
    }
}

/// Hyphenated text of a record's uuid.
pub(super) fn uuid_text(uuid: Uuid) -> String {
    uuid.to_string()
}
