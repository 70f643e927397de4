//! Own patterns: regular expressions over bytes that run in linear time.
//!
//! A lazy automaton finds where a match ends, a reversed one where it begins. One for all patterns
//! says whether there is anything at all, since most texts have nothing; then each pattern
//! searches alone, so that no match hides that of another which begins inside of it. Finding
//! every match can still take quadratic time with patterns such as `.*x|a`, so the steps are
//! counted, and text that uses too many is redacted as a whole.

use std::ops::Range;

use regex_automata::hybrid::LazyStateID;
use regex_automata::hybrid::dfa::{Cache, DFA};
use regex_automata::nfa::thompson;
use regex_automata::util::pool::Pool;
use regex_automata::util::syntax;
use regex_automata::{Anchored, Input, MatchKind, PatternID};

use crate::act::ActId;

/// Bytes that the automaton of all patterns of a redactor may have.
const NFA_BYTES: usize = 8 << 20;
/// Bytes for the states that were met, for each direction.
const CACHE_BYTES: usize = 2 << 20;
/// Steps for each byte of a text, and for the shortest one.
const STEPS_PER_BYTE: usize = 32;
const FREE_STEPS: usize = 64 << 10;

type CachePool = Pool<(Cache, Cache), Box<dyn Fn() -> (Cache, Cache) + Send + Sync>>;

/// Compiled patterns, by their place in the list that they were made of.
pub(crate) struct Patterns {
    together: Search,
    /// Each of them; none when there is but one.
    alone: Vec<Search>,
    pub(crate) acts: Vec<(ActId, u16)>,
}

/// The automatons of some expressions.
struct Search {
    forward: DFA,
    reverse: DFA,
    caches: CachePool,
}

/// A match: where, and of which pattern.
pub(crate) type Match = (Range<usize>, usize);

/// More steps than text of that length may take.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct TooCostly;

impl Patterns {
    /// `acts` says for each expression what is done, and its category.
    pub(crate) fn new(expressions: &[&str], acts: Vec<(ActId, u16)>) -> Result<Self, String> {
        let together = Search::new(expressions, CACHE_BYTES)?;
        let share = CACHE_BYTES / expressions.len().max(1);
        let alone = match expressions {
            [_] => Vec::new(),
            several => several
                .iter()
                .map(|expression| Search::new(&[expression], share))
                .collect::<Result<_, _>>()?,
        };
        Ok(Self { together, alone, acts })
    }

    /// Every match of every pattern, the leftmost first, none empty.
    pub(crate) fn find(&self, text: &[u8]) -> Result<Vec<Match>, TooCostly> {
        if self.alone.is_empty() {
            return self.together.find(text);
        }
        if !self.together.finds(text)? {
            return Ok(Vec::new());
        }
        let mut matches = Vec::new();
        for (pattern, search) in self.alone.iter().enumerate() {
            matches.extend(search.find(text)?.into_iter().map(|(range, _)| (range, pattern)));
        }
        matches.sort_by_key(|(range, pattern)| (range.start, range.end, *pattern));
        Ok(matches)
    }
}

/// Steps that a search may take.
const fn steps(text: &[u8]) -> usize {
    text.len().saturating_mul(STEPS_PER_BYTE).saturating_add(FREE_STEPS)
}

impl Search {
    fn new(expressions: &[&str], cache_bytes: usize) -> Result<Self, String> {
        let builder = |reverse: bool| {
            let mut builder = DFA::builder();
            builder
                .configure(
                    DFA::config()
                        .match_kind(if reverse { MatchKind::All } else { MatchKind::LeftmostFirst })
                        .starts_for_each_pattern(true)
                        // A share that is too small for the automaton is made larger.
                        .skip_cache_capacity_check(cache_bytes < CACHE_BYTES)
                        .cache_capacity(cache_bytes),
                )
                .syntax(syntax::Config::new().unicode(false).utf8(false))
                .thompson(
                    thompson::Config::new()
                        .utf8(false)
                        .reverse(reverse)
                        .nfa_size_limit(Some(NFA_BYTES)),
                );
            builder.build_many(expressions).map_err(|error| explain(&error))
        };
        let (forward, reverse) = (builder(false)?, builder(true)?);
        let caches: CachePool = {
            let (forward, reverse) = (forward.clone(), reverse.clone());
            Pool::new(Box::new(move || (forward.create_cache(), reverse.create_cache())))
        };
        Ok(Self { forward, reverse, caches })
    }

    /// Whether anything matches, an empty text included.
    fn finds(&self, text: &[u8]) -> Result<bool, TooCostly> {
        let mut caches = self.caches.get();
        let found = self.next_end(&mut caches.0, text, 0, &mut steps(text))?;
        Ok(found.is_some())
    }

    /// Every match, the leftmost first, none empty and none inside of another.
    fn find(&self, text: &[u8]) -> Result<Vec<Match>, TooCostly> {
        let mut steps = steps(text);
        let mut caches = self.caches.get();
        let (forward, reverse) = &mut *caches;
        let mut matches = Vec::new();
        let mut from = 0;
        while from <= text.len() {
            let Some((end, pattern)) = self.next_end(forward, text, from, &mut steps)? else {
                break;
            };
            let input = Input::new(text).range(from..end).anchored(Anchored::Pattern(pattern));
            steps = steps.checked_sub(end - from).ok_or(TooCostly)?;
            let start = self
                .reverse
                .try_search_rev(reverse, &input)
                .map_err(|_gave_up| TooCostly)?
                .map_or(end, |half| half.offset());
            if start < end {
                matches.push((start..end, pattern.as_usize()));
            }
            from = end.max(from + 1);
        }
        Ok(matches)
    }

    /// Where the first match from `from` on ends.
    fn next_end(
        &self,
        cache: &mut Cache,
        text: &[u8],
        from: usize,
        steps: &mut usize,
    ) -> Result<Option<(usize, PatternID)>, TooCostly> {
        let input = Input::new(text).range(from..);
        let mut state =
            self.forward.start_state_forward(cache, &input).map_err(|_unsupported| TooCostly)?;
        let mut last = None;
        let note = |cache: &Cache, state: LazyStateID, at: usize, last: &mut Option<_>| {
            if state.is_match() {
                *last = Some((at, self.forward.match_pattern(cache, state, 0)));
            }
        };
        for (at, byte) in text.iter().enumerate().skip(from) {
            *steps = steps.checked_sub(1).ok_or(TooCostly)?;
            state = self.forward.next_state(cache, state, *byte).map_err(|_full| TooCostly)?;
            if state.is_tagged() {
                // Matches are told one byte late.
                note(cache, state, at, &mut last);
                if state.is_dead() {
                    return Ok(last);
                }
                if state.is_quit() {
                    return Err(TooCostly);
                }
            }
        }
        state = self.forward.next_eoi_state(cache, state).map_err(|_full| TooCostly)?;
        note(cache, state, text.len(), &mut last);
        Ok(last)
    }
}

/// What is wrong, in one line and without the library's name for the stage it happened in.
fn explain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = cause.to_string();
        source = cause.source();
    }
    // The parser draws a picture first; conditions and logs have one line.
    text.rsplit("error: ").next().unwrap_or_default().trim_end().to_owned()
}

impl std::fmt::Debug for Patterns {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Patterns({})", self.acts.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(expressions: &[&str], text: &str) -> Vec<(String, usize)> {
        let acts = expressions.iter().map(|_| (0, 0)).collect();
        let patterns = Patterns::new(expressions, acts).unwrap();
        let found = patterns.find(text.as_bytes()).unwrap();
        found
            .into_iter()
            .map(|(range, pattern)| (text.get(range).unwrap().to_owned(), pattern))
            .collect()
    }

    #[test]
    fn every_match_of_every_pattern_is_found() {
        let found = find(&[r"EMP-\d{6}", r"\bx+\b"], "EMP-123456 and xx, EMP-12 EMP-654321");
        let expect = [("EMP-123456", 0), ("xx", 1), ("EMP-654321", 0)];
        assert_eq!(found, expect.map(|(text, pattern)| (text.to_owned(), pattern)));
    }

    #[test]
    fn no_match_hides_that_of_another_pattern() {
        for (first, second) in [("[0-9]{4}", "[a-z0-9]{6}"), ("[a-z0-9]{6}", "[0-9]{4}")] {
            let mut found = find(&[first, second], "see 100000a");
            for (_, pattern) in &mut found {
                *pattern = 0;
            }
            let expect = ["1000", "100000"].map(|text| (text.to_owned(), 0));
            assert_eq!(found, expect, "{first} before {second}");
        }
    }

    #[test]
    fn empty_matches_are_none() {
        assert!(find(&["a*"], "bbb").is_empty());
        assert_eq!(find(&["a*"], "baab"), [("aa".to_owned(), 0)]);
    }

    #[test]
    fn a_quadratic_search_is_given_up() {
        let patterns = Patterns::new(&[r".*x|a"], vec![(0, 0)]).unwrap();
        assert_eq!(patterns.find(&vec![b'a'; 1 << 20]), Err(TooCostly));
        assert_eq!(patterns.find(&[b'a'; 100]).unwrap().len(), 100);
    }

    #[test]
    fn look_around_and_huge_repetitions_are_refused() {
        assert!(Patterns::new(&["(?=a)b"], vec![]).is_err());
        assert!(Patterns::new(&[r"((a{1000}){1000}){1000}"], vec![]).is_err());
    }
}
