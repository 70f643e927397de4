//! When a status is written: at once when it says something else, every few seconds when only
//! its numbers moved, never when nothing did. Pure: times come in as arguments.
//!
//! A local copy may be older than our own last write; the book remembers what was written until
//! the copy has caught up, so that no status is judged by what it was before.

use std::{collections::HashMap, fmt::Debug, time::Duration};

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use weir_api::{
    condition,
    v1alpha1::{DlpPolicyStatus, ExporterStatus, TrafficCaptureStatus},
};
use weir_plan::ObjectKey;

/// Writes of numbers alone, for one object at most this often.
const CALM: Duration = Duration::from_secs(5);
/// Writes of numbers alone per second, over all objects of a kind.
const CALM_PER_SECOND: u32 = 20;
/// After a write that failed, the next try; doubled each time.
const RETRY: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_mins(1);

/// A status with conditions.
pub(crate) trait Reported: Clone + Debug + Default + PartialEq {
    fn generation(&self) -> Option<i64>;
    fn conditions(&self) -> &[Condition];
    fn conditions_mut(&mut self) -> &mut Vec<Condition>;
}

macro_rules! reported {
    ($($status:ty),*) => {$(
        impl Reported for $status {
            fn generation(&self) -> Option<i64> {
                self.observed_generation
            }

            fn conditions(&self) -> &[Condition] {
                &self.conditions
            }

            fn conditions_mut(&mut self) -> &mut Vec<Condition> {
                &mut self.conditions
            }
        }
    )*};
}
reported!(TrafficCaptureStatus, ExporterStatus, DlpPolicyStatus);

/// All conditions that this operator writes, in the order in which it does.
const OURS: [&str; 11] = [
    condition::ACCEPTED,
    condition::RESOLVED_REFS,
    condition::COMPILED,
    condition::PROGRAMMED,
    condition::TLS_COVERAGE,
    condition::REACHABLE,
    condition::DELIVERING,
    condition::COMPLETE,
    condition::READY,
    condition::RECONCILING,
    condition::STALLED,
];

/// One object as the local copy has it.
#[derive(Clone, Debug)]
pub(crate) struct Copy<'a, S> {
    pub(crate) uid: &'a str,
    pub(crate) version: Option<u64>,
    pub(crate) status: Option<&'a S>,
}

/// What to do about a status.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Judgement {
    Same,
    Write,
    /// Not before this time.
    Wait(Timestamp),
}

/// The statuses of one kind.
#[derive(Debug)]
pub(crate) struct Book<S> {
    entries: HashMap<ObjectKey, Entry<S>>,
}

#[derive(Debug)]
struct Entry<S> {
    uid: String,
    /// The object's version after the last write, and the status then.
    written: Option<(u64, S)>,
    at: Option<Timestamp>,
    failures: u32,
}

impl<S> Default for Book<S> {
    fn default() -> Self {
        Self { entries: HashMap::new() }
    }
}

impl<S: Reported> Book<S> {
    /// The status that the server has, as far as anybody here knows; only what is ours of it.
    pub(crate) fn current(&self, key: &ObjectKey, copy: &Copy<'_, S>) -> Option<S> {
        let written = self.entry(key, copy.uid).and_then(|entry| entry.written.as_ref());
        let newer = written.filter(|(version, _)| copy.version.is_some_and(|had| had < *version));
        let found = newer.map(|(_, status)| status).or(copy.status)?;
        let mut status = found.clone();
        tidy(status.conditions_mut());
        Some(status)
    }

    /// Whether `next` is written over `current`. `count` is how many objects the kind has.
    pub(crate) fn judge(
        &self,
        key: &ObjectKey,
        uid: &str,
        current: Option<&S>,
        next: &S,
        (now, count): (Timestamp, usize),
    ) -> Judgement {
        let mut next = next.clone();
        tidy(next.conditions_mut());
        if current == Some(&next) {
            return Judgement::Same;
        }
        let entry = self.entry(key, uid);
        let failures = entry.map_or(0, |entry| entry.failures);
        let pause = match failures {
            0 if current.is_none_or(|current| says_otherwise(current, &next)) => Duration::ZERO,
            0 => calm(count),
            more => RETRY.saturating_mul(1 << (more - 1).min(6)).min(RETRY_MAX),
        };
        let due = entry.and_then(|entry| entry.at).and_then(|at| at.checked_add(pause).ok());
        match due {
            Some(due) if due > now => Judgement::Wait(due),
            _ => Judgement::Write,
        }
    }

    /// A write succeeded; the object has this version now.
    pub(crate) fn wrote(
        &mut self,
        key: &ObjectKey,
        uid: &str,
        (version, status): (Option<u64>, S),
        now: Timestamp,
    ) {
        let (uid, written) = (uid.to_owned(), version.map(|version| (version, status)));
        self.entries.insert(key.clone(), Entry { uid, written, at: Some(now), failures: 0 });
    }

    pub(crate) fn failed(&mut self, key: &ObjectKey, uid: &str, now: Timestamp) {
        let failures = self.entry(key, uid).map_or(0, |entry| entry.failures).saturating_add(1);
        let (uid, at) = (uid.to_owned(), Some(now));
        self.entries.insert(key.clone(), Entry { uid, written: None, at, failures });
    }

    /// Forgets the objects that are not there any more.
    pub(crate) fn retain(&mut self, known: impl Fn(&ObjectKey) -> bool) {
        self.entries.retain(|key, _| known(key));
    }

    fn entry(&self, key: &ObjectKey, uid: &str) -> Option<&Entry<S>> {
        self.entries.get(key).filter(|entry| entry.uid == uid)
    }
}

fn calm(count: usize) -> Duration {
    let count = u32::try_from(count).unwrap_or(u32::MAX);
    CALM.max(Duration::from_secs(1) * (count / CALM_PER_SECOND))
}

/// Another answer to "does it work, and why not?", or the first for this generation.
fn says_otherwise<S: Reported>(current: &S, next: &S) -> bool {
    type Said<'a> = (&'a str, &'a str, &'a str, Option<i64>);
    fn said(conditions: &[Condition]) -> Vec<Said<'_>> {
        let each = conditions.iter();
        each.map(|c| (&*c.type_, &*c.status, &*c.reason, c.observed_generation)).collect()
    }
    current.generation() != next.generation()
        || said(current.conditions()) != said(next.conditions())
}

/// In our order and without what others have added: the server may keep another order.
fn tidy(conditions: &mut Vec<Condition>) {
    let place = |condition: &Condition| OURS.iter().position(|ours| *ours == condition.type_);
    conditions.retain(|condition| place(condition).is_some());
    conditions.sort_by_key(place);
}

#[cfg(test)]
mod tests;
