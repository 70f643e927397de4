//! What a replay found.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::Duration,
};

use weir_replay::{
    compare::{Answer, Change, Volatile, Why, changes},
    message::Message,
    report::{self, Report},
};
use weir_rrpair::Uuid;

use super::{load::Traffic, user::Seen};

/// Everything that was seen.
#[derive(Default)]
pub(super) struct Ended {
    learnt: Vec<Seen>,
    seen: Vec<Seen>,
    pub(super) elapsed: Duration,
}

/// Recorded pairs that an earlier replay matched, and those that it did not.
pub(super) struct Baseline {
    pub(super) mismatches: BTreeSet<String>,
}

/// About one recorded pair: its worst answer of all repetitions.
pub(super) struct Verdict {
    /// Place in the traffic.
    pub(super) item: usize,
    pub(super) matches: bool,
    pub(super) body_matches: bool,
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
    pub(super) answers: BTreeMap<usize, Message>,
    pub(super) carried: usize,
}

impl Ended {
    pub(super) fn learn(&mut self, seen: Vec<Seen>) {
        self.learnt = seen;
    }

    pub(super) fn add(&mut self, seen: Vec<Seen>) {
        self.seen.extend(seen);
    }
}

pub(super) fn answer(message: &Message) -> Answer<'_> {
    let codings = message.head.first("content-encoding").unwrap_or_default();
    let whole = message.body_bytes == message.body.len() as u64;
    Answer {
        status: message.status().unwrap_or_default(),
        codings: std::str::from_utf8(codings).unwrap_or_default(),
        body: whole.then_some(message.body.as_slice()),
    }
}

/// Compares everything that was seen with the recording.
pub(super) fn evaluate(
    traffic: &Traffic,
    ended: Ended,
    ignore_bodies: bool,
    baseline: Option<&Baseline>,
) -> Outcome {
    let volatile = learn(traffic, &ended, ignore_bodies);
    let mut verdicts: BTreeMap<usize, Verdict> = BTreeMap::new();
    let mut samples = Vec::with_capacity(ended.seen.len());
    let mut answers = BTreeMap::new();
    let mut carried = 0;
    for seen in ended.seen {
        let Some(item) = traffic.items.get(seen.item) else { continue };
        carried += seen.carried;
        let verdict = verdict(traffic, &seen, &volatile, ignore_bodies);
        let outcome = match (&seen.answer, verdict.matches) {
            (Err(_), _) => report::Outcome::Failed,
            (Ok(_), true) => report::Outcome::Matched,
            (Ok(_), false) => report::Outcome::Differed,
        };
        let record = &item.record;
        samples.push((record.command.as_ref(), record.location.as_str(), outcome, seen.latency));
        match verdicts.get_mut(&seen.item) {
            Some(worst) if worst.matches => *worst = verdict,
            Some(_) => {}
            None => {
                verdicts.insert(seen.item, verdict);
            }
        }
        if let Ok(message) = seen.answer {
            answers.entry(seen.item).or_insert(message);
        }
    }
    let mut verdicts: Vec<_> = verdicts.into_values().collect();
    if let Some(baseline) = baseline {
        for verdict in &mut verdicts {
            let uuid = traffic.items.get(verdict.item).map(|item| item.record.uuid);
            let known = baseline.mismatches.contains(&uuid.unwrap_or_default().to_string());
            verdict.is_new = !verdict.matches && !known;
        }
    }
    let report = Report::new(samples, ended.elapsed);
    Outcome { report, verdicts, volatile, answers, carried }
}

fn learn(traffic: &Traffic, ended: &Ended, ignore_bodies: bool) -> Volatile {
    let mut volatile = Volatile::default();
    if ignore_bodies {
        return volatile;
    }
    for (endpoint, differing) in traffic.recorded_twice() {
        volatile.learn(&endpoint, &differing, Why::Recording);
    }
    let mut first: HashMap<usize, &Message> = HashMap::new();
    for seen in ended.learnt.iter().chain(&ended.seen) {
        let (Ok(message), Some(item)) = (&seen.answer, traffic.items.get(seen.item)) else {
            continue;
        };
        let other = *first.entry(seen.item).or_insert(message);
        if !std::ptr::eq(other, message) && other.status() == message.status() {
            let differing = changes(answer(other), answer(message));
            volatile.learn(&item.endpoint(), &differing, Why::Repetition);
        }
        let differing = changes(item.answer(), answer(message));
        volatile.learn_shapes(&item.endpoint(), &differing);
    }
    volatile
}

fn verdict(traffic: &Traffic, seen: &Seen, volatile: &Volatile, ignore_bodies: bool) -> Verdict {
    let mut verdict = Verdict {
        item: seen.item,
        matches: false,
        body_matches: false,
        changes: Vec::new(),
        status: None,
        error: None,
        is_new: false,
    };
    let Some(item) = traffic.items.get(seen.item) else { return verdict };
    match &seen.answer {
        Err(error) => {
            verdict.error = Some(error.clone());
            // A recorded request without an answer is answered alike by none.
            verdict.matches = item.record.status.is_empty();
        }
        Ok(message) => {
            verdict.status = message.status();
            let (recorded, observed) = (item.answer(), answer(message));
            if !ignore_bodies {
                let endpoint = item.endpoint();
                verdict.changes = changes(recorded, observed);
                verdict.changes.retain(|change| !volatile.holds(&endpoint, change));
            }
            verdict.body_matches = verdict.changes.is_empty();
            verdict.matches = recorded.status == observed.status && verdict.body_matches;
        }
    }
    verdict
}

/// Hyphenated text of a record's uuid.
pub(super) fn uuid_text(uuid: Uuid) -> String {
    uuid.to_string()
}
