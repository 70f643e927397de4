//! Built-in detectors: where in a text a value of their kind stands.
//!
//! Two passes: one over the literals that some kinds begin with or hold, and one over the
//! words, from which kinds made of digits are told. What either proposes is checked
//! (checksums, ranges, structure) with a look-around of bounded length, or of one that is
//! skipped afterwards, so that the whole takes linear time.

mod cloud;
mod literals;
mod network;
mod numbers;
mod tokens;
mod words;

#[cfg(test)]
mod tests;

use std::ops::Range;
use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, AhoCorasickBuilder};

use crate::act::ActId;
use crate::policy::Detector;
use crate::signs::Signs;
use literals::{LITERALS, Literal};

/// A value that a detector found.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Found {
    pub(crate) range: Range<usize>,
    pub(crate) category: &'static str,
    pub(crate) detector: Detector,
}

/// Some of the detectors, with what is done to what they find.
#[derive(Debug)]
pub(crate) struct Finders {
    acts: [Option<ActId>; Detector::ALL.len()],
    /// Of the literals of the detectors that are on.
    literals: Option<(AhoCorasick, Vec<Literal>)>,
    words: bool,
    /// Some of the words are letters alone, as of a hash.
    lettered: bool,
}

static ALL: LazyLock<Finders> = LazyLock::new(|| {
    let mut acts = [Some(0); Detector::ALL.len()];
    // Names values by more telling kinds.
    acts[Detector::Sql as usize] = None;
    Finders::new(acts)
});

impl Finders {
    pub(crate) fn new(acts: [Option<ActId>; Detector::ALL.len()]) -> Self {
        let on = |detector: Detector| acts[detector as usize].is_some();
        let chosen: Vec<Literal> =
            LITERALS.iter().filter(|literal| on(literal.detector)).copied().collect();
        let literals = (!chosen.is_empty()).then(|| {
            let searcher = AhoCorasickBuilder::new()
                .ascii_case_insensitive(true)
                .kind(Some(aho_corasick::AhoCorasickKind::DFA))
                .build(chosen.iter().map(|literal| literal.text))
                .expect("a few short literals");
            (searcher, chosen)
        });
        let words = words::DETECTORS.iter().any(|detector| on(*detector));
        let lettered = [Detector::Hash, Detector::IpAddress, Detector::TraceId, Detector::Uuid]
            .into_iter()
            .any(on);
        Self { acts, literals, words, lettered }
    }

    pub(crate) fn act(&self, detector: Detector) -> Option<ActId> {
        self.acts[detector as usize]
    }

    /// Values in `text`, in no order; they may overlap.
    pub(crate) fn find(&self, text: &[u8], signs: Signs, found: &mut Vec<Found>) {
        let first = found.len();
        if let Some((searcher, literals)) = &self.literals
            && signs.literal(text.len())
        {
            // The end of what each detector found last: nothing is looked at twice.
            let mut ends = [0; Detector::ALL.len()];
            for hit in searcher.find_overlapping_iter(text) {
                let literal = literals[hit.pattern().as_usize()];
                let end = &mut ends[literal.detector as usize];
                if hit.start() < *end {
                    continue;
                }
                let mut limit = *end;
                if let Some((range, category)) =
                    literals::check(text, hit.start(), literal, &mut limit)
                {
                    limit = limit.max(range.end);
                    found.push(Found { range, category, detector: literal.detector });
                }
                *end = limit;
            }
        }
        if self.words && (signs.digit() || self.lettered) {
            words::find(text, self, found);
        }
        if found.len() > first + 1 {
            drop_host_names(text, found, first);
        }
    }

    fn on(&self, detector: Detector) -> bool {
        self.acts[detector as usize].is_some()
    }
}

/// `secret@host` in `scheme://user:secret@host` is no mail address.
fn drop_host_names(text: &[u8], found: &mut Vec<Found>, first: usize) {
    let separators: Vec<usize> = found[first..]
        .iter()
        .filter(|found| found.detector == Detector::UrlCredential)
        .map(|found| found.range.end)
        .filter(|end| text.get(*end) == Some(&b'@'))
        .collect();
    if separators.is_empty() {
        return;
    }
    let mut index = 0;
    found.retain(|found| {
        index += 1;
        index <= first
            || found.detector != Detector::Email
            || !separators.iter().any(|at| found.range.contains(at))
    });
}

/// Category of a whole value, whatever the detectors in force (contract §3.4).
pub(crate) fn category(value: &[u8]) -> Option<&'static str> {
    /// Longer values are none of the kinds.
    const LONGEST: usize = 16 << 10;
    if value.len() > LONGEST {
        return None;
    }
    let trimmed = value.trim_ascii();
    let start = value.len() - value.trim_ascii_start().len();
    let whole = start..start + trimmed.len();
    let mut found = Vec::new();
    ALL.find(value, Signs::of(value), &mut found);
    found
        .into_iter()
        .filter(|found| found.range.start <= whole.start && found.range.end >= whole.end)
        // Detectors in the order of `rank`: the most telling one names it.
        .min_by_key(|found| rank(found.detector))
        .map(|found| found.category)
}

/// Of kinds that fit the same value the first one names it.
pub(crate) const fn rank(detector: Detector) -> u8 {
    match detector {
        Detector::PrivateKey => 0,
        Detector::Jwt => 1,
        Detector::CloudCredential => 2,
        Detector::CreditCard => 3,
        Detector::Ssn => 4,
        Detector::Iban => 5,
        Detector::Email => 6,
        Detector::UrlCredential => 7,
        Detector::BearerToken => 8,
        Detector::IpAddress => 9,
        Detector::Uuid => 10,
        Detector::TraceId => 11,
        Detector::Hash => 12,
        Detector::DateTime => 13,
        Detector::PhoneNumber => 14,
        Detector::Coordinates => 15,
        Detector::Url => 16,
        Detector::Sql => 17,
    }
}
