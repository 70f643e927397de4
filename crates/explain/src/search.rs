//! From facts to reasons.

use std::collections::{BTreeMap, BTreeSet};

use weir_rrpair::RrPair;

use crate::facts::{Fact, Facts, Measure, Place, Shape, facts};
use crate::route::{Route, route};

/// Failures whose facts are looked at; the rest is only counted.
const MAX_FAILURES: usize = 5_000;
/// Different reasons that one route may have.
const MAX_REASONS: usize = 3;
/// A reason that chance gives in more than one of so many routes is marked.
const CHANCE: f64 = 0.05;

/// How a request ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Outcome {
    Passed,
    Failed,
}

/// What failures have in common.
#[derive(Clone, Debug, PartialEq)]
pub struct Reason {
    pub fact: Fact,
    /// Of the failures that no earlier reason explains, those for which it is true.
    pub failures: usize,
    pub of_failures: usize,
    pub passes: usize,
    pub of_passes: usize,
    /// With so few requests it may be chance.
    pub weak: bool,
    /// Place in the input of a failure for which it is true.
    pub example: usize,
}

/// A route that fails.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    pub route: Route,
    pub failures: usize,
    pub passes: usize,
    /// How often each status is among the failures.
    pub statuses: BTreeMap<String, usize>,
    /// The strongest first; none when nothing tells failures from passes.
    pub reasons: Vec<Reason>,
    /// Failures that no reason explains.
    pub unexplained: usize,
}

/// What every route's failures have in common that its passes lack; the most failures first.
pub fn explain<'a>(
    records: impl IntoIterator<Item = &'a RrPair>,
    outcome: impl Fn(&RrPair) -> Outcome,
) -> Vec<Explanation> {
    let mut routes: BTreeMap<Route, Requests<'a>> = BTreeMap::new();
    for (number, record) in records.into_iter().enumerate() {
        let requests = routes.entry(route(record)).or_default();
        match outcome(record) {
            Outcome::Failed => requests.failures.push((number, record)),
            Outcome::Passed => requests.passes.push(record),
        }
    }
    let failing = routes.into_iter().filter(|(_, requests)| !requests.failures.is_empty());
    let mut explained: Vec<_> =
        failing.map(|(route, requests)| requests.explained(route)).collect();
    explained.sort_by(|a, b| b.failures.cmp(&a.failures).then_with(|| a.route.cmp(&b.route)));
    explained
}

#[derive(Default)]
struct Requests<'a> {
    failures: Vec<(usize, &'a RrPair)>,
    passes: Vec<&'a RrPair>,
}

impl Requests<'_> {
    fn explained(mut self, route: Route) -> Explanation {
        // The input's order must not matter.
        self.failures.sort_by_key(|(_, record)| (record.ts, record.uuid.0));
        let mut statuses: BTreeMap<String, usize> = BTreeMap::new();
        for (_, record) in &self.failures {
            *statuses.entry(record.status.to_string()).or_default() += 1;
        }
        let mut explanation = Explanation {
            route,
            failures: self.failures.len(),
            passes: self.passes.len(),
            statuses,
            reasons: Vec::new(),
            unexplained: self.failures.len(),
        };
        if self.passes.is_empty() {
            return explanation;
        }
        let looked_at = self.failures.iter().take(MAX_FAILURES);
        let mut left: Vec<(usize, Facts)> =
            looked_at.map(|(number, record)| (*number, facts(record))).collect();
        let passes = Passes::of(&self.passes, &left);
        while explanation.reasons.len() < MAX_REASONS
            && let Some(reason) = passes.reason(&left)
        {
            left.retain(|(_, facts)| !holds(&reason.fact, facts));
            explanation.unexplained -= reason.failures;
            explanation.reasons.push(reason);
        }
        explanation
    }
}

/// What is known of the passing siblings.
struct Passes {
    count: usize,
    /// For each fact of a failure, the passes for which it is true too.
    facts: BTreeMap<Fact, usize>,
    places: BTreeMap<Place, usize>,
    /// Least and greatest.
    numbers: BTreeMap<(Place, Measure), (i64, i64)>,
}

impl Passes {
    fn of(passes: &[&RrPair], failures: &[(usize, Facts)]) -> Self {
        let asked: BTreeSet<&Fact> = failures.iter().flat_map(|(_, facts)| &facts.plain).collect();
        let mut known = Self {
            count: passes.len(),
            facts: BTreeMap::new(),
            places: BTreeMap::new(),
            numbers: BTreeMap::new(),
        };
        for record in passes {
            let facts = facts(record);
            for fact in facts.plain {
                if asked.contains(&fact) {
                    *known.facts.entry(fact).or_default() += 1;
                }
            }
            for place in facts.places {
                *known.places.entry(place).or_default() += 1;
            }
            for (key, value) in facts.numbers {
                let (least, greatest) = known.numbers.entry(key).or_insert((value, value));
                *least = value.min(*least);
                *greatest = value.max(*greatest);
            }
        }
        known
    }

    /// The fact that tells most failures from the passes.
    fn reason(&self, left: &[(usize, Facts)]) -> Option<Reason> {
        let mut candidates: BTreeMap<Fact, usize> = BTreeMap::new();
        for (_, facts) in left {
            for fact in self.candidates(facts) {
                *candidates.entry(fact).or_default() += 1;
            }
        }
        let tried = candidates.len();
        let of_failures = left.len();
        let scored = candidates.into_iter().filter_map(|(fact, failures)| {
            let passes = self.passes(&fact);
            let convincing = failures * self.count > 4 * passes * of_failures
                && 2 * failures >= of_failures.min(10)
                && (failures > 1 || !matches!(fact.shape, Shape::Equals(_)));
            // Failures told apart less the share of passes told wrongly, in failures.
            let wrong = (passes * of_failures).div_ceil(self.count);
            (convincing && failures > wrong).then(|| (failures - wrong, failures, passes, fact))
        });
        let best = scored.min_by(|a, b| b.0.cmp(&a.0).then_with(|| a.3.cmp(&b.3)));
        let (_, failures, passes, fact) = best?;
        let example = left.iter().find(|(_, facts)| holds(&fact, facts))?.0;
        #[expect(clippy::cast_precision_loss, reason = "a rough bound")]
        let chance = chance(failures, passes, of_failures, self.count) * tried as f64;
        let weak = chance > CHANCE;
        Some(Reason { fact, failures, of_failures, passes, of_passes: self.count, weak, example })
    }

    /// Everything about a failure that may tell it from the passes.
    fn candidates(&self, facts: &Facts) -> Vec<Fact> {
        let fact = |place: &Place, shape| Fact { place: place.clone(), shape };
        let mut found: Vec<Fact> = facts.plain.iter().cloned().collect();
        found.extend(facts.places.iter().map(|place| fact(place, Shape::Present)));
        let missing = self.places.keys().filter(|place| !facts.places.contains(place));
        found.extend(missing.map(|place| fact(place, Shape::Missing)));
        for (key, value) in &facts.numbers {
            let Some((least, greatest)) = self.numbers.get(key) else { continue };
            let (place, measure) = key;
            if value > greatest {
                found.push(fact(place, measure.above(*greatest)));
            }
            if value < least {
                found.push(fact(place, measure.below(*least)));
            }
        }
        found
    }

    fn passes(&self, fact: &Fact) -> usize {
        let present = self.places.get(&fact.place).copied().unwrap_or_default();
        match fact.shape {
            Shape::Present => present,
            Shape::Missing => self.count - present,
            // Limits are set so that no pass is beyond them.
            Shape::Above(_) | Shape::Below(_) | Shape::Longer(_) | Shape::Shorter(_) => 0,
            _ => self.facts.get(fact).copied().unwrap_or_default(),
        }
    }
}

/// Is the fact true of a request?
pub(crate) fn holds(fact: &Fact, facts: &Facts) -> bool {
    let number = |measure| facts.numbers.get(&(fact.place.clone(), measure)).copied();
    match fact.shape {
        Shape::Present => facts.places.contains(&fact.place),
        Shape::Missing => !facts.places.contains(&fact.place),
        Shape::Above(limit) => number(Measure::Value).is_some_and(|value| value > limit),
        Shape::Below(limit) => number(Measure::Value).is_some_and(|value| value < limit),
        Shape::Longer(limit) => number(Measure::Length).is_some_and(|value| value > limit),
        Shape::Shorter(limit) => number(Measure::Length).is_some_and(|value| value < limit),
        _ => facts.plain.contains(fact),
    }
}

/// How likely it is that a fact that has nothing to do with failing is true of so many failures
/// and so few passes: the chance that the first draws are all failures.
fn chance(failures: usize, passes: usize, of_failures: usize, of_passes: usize) -> f64 {
    if passes * of_failures >= failures * of_passes {
        return 1.0;
    }
    let all = of_failures + of_passes;
    #[expect(clippy::cast_precision_loss, reason = "a rough bound")]
    let product: f64 = (0..failures.saturating_sub(passes).min(60))
        .map(|drawn| (of_failures - drawn) as f64 / (all - drawn) as f64)
        .product();
    product
}

#[cfg(test)]
mod tests;
