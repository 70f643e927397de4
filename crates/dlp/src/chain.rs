//! Which chains of transforms are about a record.

use weir_filter::Filter;
use weir_rrpair::RrPair;

/// Chains with a condition that a redactor may have: a bit each.
const MOST: usize = 64;

/// The conditions of all chains.
#[derive(Debug, Default)]
pub(crate) struct Conditions(Vec<Filter>);

/// When something is redacted.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Condition {
    Always,
    /// In records that this chain is about.
    Chain(u8),
}

/// The chains that are about one record.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Chains(u64);

impl Conditions {
    /// One more; `None` when there are too many.
    pub(crate) fn add(&mut self, filter: Filter) -> Option<Condition> {
        let place = self.0.len();
        self.0.push(filter);
        (place < MOST).then(|| u8::try_from(place).ok().map(Condition::Chain)).flatten()
    }

    /// The chains that are about the record as it is now.
    pub(crate) fn of(&self, record: &RrPair) -> Chains {
        let bit = |(place, filter): (usize, &Filter)| u64::from(filter.drops(record)) << place;
        Chains(self.0.iter().enumerate().map(bit).sum())
    }
}

impl Condition {
    pub(crate) const fn holds(self, chains: Chains) -> bool {
        match self {
            Self::Always => true,
            Self::Chain(place) => chains.0 >> place & 1 == 1,
        }
    }
}

impl Chains {
    /// No record, or none of the chains.
    pub(crate) const NONE: Self = Self(0);
}
