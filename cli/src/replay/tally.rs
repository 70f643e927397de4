//! What one user saw, small enough to send for hours: an answer is compared when it comes, and
//! of answers that differ alike one stands for all.

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock},
    time::Duration,
};

use weir_replay::{
    compare::{Answer, Change, Kind, Volatile, Why, changes, general},
    message::Message,
};

use super::{connection::NoAnswer, load::Item};

/// The first answer to each request.
pub(super) type First = Arc<[OnceLock<Message>]>;

pub(super) struct Tally {
    first: First,
    ignore_bodies: bool,
    pub(super) samples: Vec<Sample>,
    pub(super) results: Vec<Answered>,
    numbers: HashMap<Key, u32>,
    pub(super) volatile: Volatile,
    /// Values put in place of recorded ones.
    pub(super) carried: usize,
}

/// One request that was sent.
#[derive(Clone, Copy)]
pub(super) struct Sample {
    /// Place in the results.
    pub(super) result: u32,
    pub(super) latency: Duration,
}

/// How a request was answered, once or often.
pub(super) struct Answered {
    /// Place in the traffic.
    pub(super) item: usize,
    pub(super) status: Option<u16>,
    pub(super) error: Option<String>,
    /// Differences from the recorded answer: those that were not known to be volatile by then.
    pub(super) changes: Vec<Change>,
}

/// What makes two answers to one request alike.
#[derive(Eq, Hash, PartialEq)]
enum Key {
    Failed(usize, String),
    Answered(usize, Option<u16>, Vec<(Kind, String)>),
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

impl Tally {
    pub(super) fn new(first: First, ignore_bodies: bool) -> Self {
        Self {
            first,
            ignore_bodies,
            samples: Vec::new(),
            results: Vec::new(),
            numbers: HashMap::new(),
            volatile: Volatile::default(),
            carried: 0,
        }
    }

    /// Notes how the item of this number went.
    pub(super) fn add(
        &mut self,
        number: usize,
        item: &Item,
        latency: Duration,
        answer: Result<Message, NoAnswer>,
    ) {
        let (key, result) = match answer {
            Err(error) => {
                let error = error.to_string();
                let result = Answered {
                    item: number,
                    status: None,
                    error: Some(error.clone()),
                    changes: Vec::new(),
                };
                (Key::Failed(number, error), result)
            }
            Ok(message) => {
                let status = message.status();
                let changes = self.compare(number, item, message);
                let mut places: Vec<_> =
                    changes.iter().map(|change| (change.kind, general(&change.location))).collect();
                places.dedup();
                let result = Answered { item: number, status, error: None, changes };
                (Key::Answered(number, status, places), result)
            }
        };
        let next = u32::try_from(self.results.len()).unwrap_or(u32::MAX);
        let result = *self.numbers.entry(key).or_insert_with(|| {
            self.results.push(result);
            next
        });
        self.samples.push(Sample { result, latency });
    }

    /// Differences from the recorded answer. What differs from an earlier answer to the same
    /// request, or looks new every time, is learnt and left out.
    fn compare(&mut self, number: usize, item: &Item, message: Message) -> Vec<Change> {
        let mut differing = Vec::new();
        if !self.ignore_bodies {
            differing = changes(item.answer(), answer(&message));
            self.volatile.learn_shapes(&item.endpoint, &differing);
        }
        let first = self.first.get(number);
        if let Some(Err(again)) = first.map(|first| first.set(message))
            && !self.ignore_bodies
            && let Some(earlier) = first.and_then(OnceLock::get)
        {
            learn_repeated(&mut self.volatile, item, earlier, &again);
        }
        differing.retain(|change| !self.volatile.holds(&item.endpoint, change));
        differing
    }
}

/// Learns from two answers to one request.
pub(super) fn learn_repeated(
    volatile: &mut Volatile,
    item: &Item,
    earlier: &Message,
    again: &Message,
) {
    if earlier.status() == again.status() {
        let differing = changes(answer(earlier), answer(again));
        volatile.learn(&item.endpoint, &differing, Why::Repetition);
    }
}
