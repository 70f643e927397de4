//! Compiled policies, and one run of them over one record.

use std::ops::Range;

use crate::act::{self, Act, ActId};
use crate::chain::{Chains, Condition, Conditions};
use crate::edit::{CategoryId, Edit};
use crate::finders::{self, Finders, Found, rank};
use crate::keys::KeySet;
use crate::paths::{Path, Trail, TrailStep};
use crate::pattern::Patterns;
use crate::signs::Signs;

/// Texts inside of texts (JSON in a string, base64 of a query, …) are followed this far.
pub(crate) const MAX_DEPTH: u8 = 6;

/// How often each byte of a record may be searched, in one form or another, and what is free.
const TIMES_SEARCHED: u64 = 48;
const FREE_BYTES: u64 = 16 << 10;

/// Category of a value that is none of the known kinds (contract §3.4).
const UNRECOGNIZED: &str = "UNRECOGNIZED";

/// Policies merged: what any of them redacts is redacted, in the strictest way.
#[derive(Debug)]
pub(crate) struct Engine {
    /// From weak to strict.
    pub(crate) acts: Vec<Act>,
    pub(crate) keys: KeySet,
    pub(crate) finders: Finders,
    pub(crate) patterns: Option<Patterns>,
    pub(crate) paths: Vec<(Path, Condition, ActId)>,
    pub(crate) conditions: Conditions,
    /// Chains that need JSON, by their place in their policy.
    pub(crate) wanting: Vec<(usize, Condition, Vec<String>)>,
    /// Policies that keep the values at their paths alone.
    pub(crate) denials: Vec<(Vec<Path>, ActId)>,
    /// Names of own patterns, after the built-in ones.
    pub(crate) own_categories: Vec<String>,
    pub(crate) remove_undecodable: bool,
}

/// Where a value stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'p> {
    /// `l7protocol` of the record.
    pub(crate) protocol: &'p str,
    /// `http.req.body`, …
    pub(crate) name: &'p str,
    /// Of the record.
    pub(crate) chains: Chains,
}

/// Where the value at hand stands, and what it inherits from there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct At<'p> {
    pub(crate) place: Place<'p>,
    pub(crate) trail: Option<&'p Trail<'p>>,
    /// Everything below a redacted key is redacted.
    pub(crate) under: Option<ActId>,
    pub(crate) depth: u8,
}

/// What one run found, besides its edits.
#[derive(Debug)]
pub(crate) struct Run<'e> {
    pub(crate) engine: &'e Engine,
    /// Values and what took their place, for the copies of them.
    pub(crate) originals: Vec<(Vec<u8>, Vec<u8>)>,
    /// Bytes that may be searched, by what the record has, and those that were.
    allowed: u64,
    pub(crate) spent: u64,
}

/// A value to redact in a text.
struct Hit {
    range: Range<usize>,
    category: CategoryId,
    act: ActId,
    rank: u8,
}

/// Built-in categories; an id is a place here, or after them among the own ones.
const CATEGORIES: [&str; 31] = [
    UNRECOGNIZED,
    "BEARER_TOKEN",
    "CLOUD_CREDENTIAL",
    "CREDIT_CARD",
    "DATETIME",
    "E164_PHONE_NUMBER",
    "EMAIL",
    "HTTP_URL",
    "IBAN",
    "IP4",
    "IP6",
    "JWT",
    "LATITUDE",
    "LONGITUDE",
    "MD5",
    "PRIVATE_KEY",
    "SHA1",
    "SHA256",
    "SHA384",
    "SHA512",
    "SPAN_ID",
    "SQL",
    "SSN",
    "TRACE_ID",
    "UNDECODABLE",
    "URL",
    "URL_CREDENTIAL",
    "UUID3",
    "UUID4",
    "UUID5",
    "UUID_RFC4122",
];
pub(crate) const FIRST_OWN_CATEGORY: usize = CATEGORIES.len();

/// Names of authentication schemes: the word stays, what follows goes.
const SCHEMES: [&str; 12] = [
    "Bearer",
    "Basic",
    "Digest",
    "Negotiate",
    "NTLM",
    "Token",
    "ApiKey",
    "DPoP",
    "HOBA",
    "vapid",
    "AWS4-HMAC-SHA256",
    "GoogleLogin",
];

/// Length of the scheme and the spaces after it that `value` begins with, or 0.
pub(crate) fn scheme_length(value: &[u8]) -> usize {
    let word = value.iter().take(20).take_while(|byte| **byte != b' ').count();
    let known = SCHEMES.iter().any(|scheme| value[..word].eq_ignore_ascii_case(scheme.as_bytes()));
    let spaces = value[word..].iter().take_while(|byte| **byte == b' ').count();
    if known && spaces > 0 { word + spaces } else { 0 }
}

pub(crate) fn category_id(name: &str) -> CategoryId {
    let place = CATEGORIES.iter().position(|known| *known == name).unwrap_or(0);
    u16::try_from(place).unwrap_or(0)
}

impl<'p> At<'p> {
    pub(crate) const fn new(protocol: &'p str, name: &'p str, chains: Chains) -> Self {
        Self { place: Place { protocol, name, chains }, trail: None, under: None, depth: 0 }
    }

    pub(crate) const fn deeper(self) -> Self {
        Self { depth: self.depth + 1, ..self }
    }
}

impl Engine {
    /// Some value's fate depends on where exactly it stands.
    pub(crate) fn knows_paths(&self) -> bool {
        !self.paths.is_empty() || !self.denials.is_empty()
    }

    pub(crate) fn category(&self, id: CategoryId) -> &str {
        let id = usize::from(id);
        match id.checked_sub(CATEGORIES.len()) {
            None => CATEGORIES[id],
            Some(own) => self.own_categories.get(own).map_or(UNRECOGNIZED, String::as_str),
        }
    }

    /// What overlaps is one: in the strictest way, named by the longest.
    fn merged(&self, mut hits: Vec<Hit>) -> Vec<Hit> {
        // By names at the end: the order in which policies were given means nothing.
        let key = |hit: &Hit| {
            (
                hit.range.start,
                std::cmp::Reverse(hit.range.end),
                hit.rank,
                self.category(hit.category),
            )
        };
        hits.sort_by(|one, other| key(one).cmp(&key(other)));
        let mut merged: Vec<Hit> = Vec::with_capacity(hits.len());
        for hit in hits {
            match merged.last_mut() {
                Some(last) if hit.range.start < last.range.end => {
                    if hit.range.len() > last.range.len() {
                        last.category = hit.category;
                    }
                    last.range.end = last.range.end.max(hit.range.end);
                    last.act = last.act.max(hit.act);
                }
                _ => merged.push(hit),
            }
        }
        merged
    }
}

impl<'e> Run<'e> {
    pub(crate) const fn new(engine: &'e Engine) -> Self {
        Self { engine, originals: Vec::new(), allowed: 0, spent: 0 }
    }

    /// Counts bytes that are about to be searched; false when texts in texts have used up
    /// what the record may cost. Each encoding makes another text of the same bytes, so
    /// without a limit a small hostile body could cost its length a thousand times.
    pub(crate) fn charge(&mut self, depth: u8, bytes: usize) -> bool {
        let bytes = bytes as u64;
        if depth == 0 {
            self.allowed += bytes * TIMES_SEARCHED + FREE_BYTES;
        }
        self.spent += bytes;
        self.spent <= self.allowed + FREE_BYTES
    }

    /// Closed: what costs too much to search does not leave.
    pub(crate) fn give_up(&mut self, text: &[u8]) -> Vec<Edit> {
        let strictest = self.engine.acts.len().checked_sub(1).and_then(|id| u8::try_from(id).ok());
        match strictest {
            Some(act) if !act::is_redacted(text) => {
                vec![self.edit(0..text.len(), text, 0, act, false)]
            }
            _ => Vec::new(),
        }
    }

    /// Calls `with` for the value of `name` at `at`.
    pub(crate) fn below<T>(
        &mut self,
        at: At<'_>,
        name: &[u8],
        with: impl FnOnce(&mut Self, At<'_>) -> T,
    ) -> T {
        let trail = Trail { parent: at.trail, step: TrailStep::Name(name) };
        let under = at.under.max(self.engine.keys.act(&at.place, name));
        with(self, At { trail: Some(&trail), under, ..at })
    }

    /// What is done to the whole value there, if anything; and whether the only reason is
    /// that nothing allows it.
    fn act(&self, at: At<'_>) -> Option<(ActId, bool)> {
        let mut named = at.under;
        for (path, condition, act) in &self.engine.paths {
            if named < Some(*act)
                && condition.holds(at.place.chains)
                && path.covers(at.place.name, at.trail)
            {
                named = Some(*act);
            }
        }
        let denied = self
            .engine
            .denials
            .iter()
            .filter(|(keep, _)| !keep.iter().any(|path| path.covers(at.place.name, at.trail)))
            .map(|(_, act)| *act)
            .max();
        match (named, denied) {
            (None, None) => None,
            (named, denied) => named.max(denied).map(|act| (act, named.is_none())),
        }
    }

    /// True when a value there is redacted whatever it is.
    pub(crate) fn is_named(&self, at: At<'_>) -> bool {
        self.act(at).is_some()
    }

    /// Redacts a value: all of it where a key, a path or a profile says so, else what is
    /// found in it.
    pub(crate) fn value(&mut self, at: At<'_>, value: &[u8]) -> Vec<Edit> {
        self.value_by(at, value, Signs::of(value))
    }

    /// The same, for a value whose signs are known.
    pub(crate) fn value_by(&mut self, at: At<'_>, value: &[u8], signs: Signs) -> Vec<Edit> {
        match self.act(at) {
            Some((act, denied)) => self.whole(value, act, denied),
            None => self.text_by(at, value, signs),
        }
    }

    /// Redacts all of a value but the name of its authentication scheme.
    fn whole(&mut self, value: &[u8], act: ActId, denied: bool) -> Vec<Edit> {
        let start = scheme_length(value);
        let secret = &value[start..];
        if act::is_redacted(secret) {
            return Vec::new();
        }
        let category = category_id(finders::category(secret).unwrap_or(UNRECOGNIZED));
        let edit = self.edit(start..value.len(), secret, category, act, !denied);
        if edit.with == secret { Vec::new() } else { vec![edit] }
    }

    fn edit(
        &mut self,
        range: Range<usize>,
        original: &[u8],
        category: CategoryId,
        act: ActId,
        remember: bool,
    ) -> Edit {
        let engine = self.engine;
        let with = engine.acts[usize::from(act)].replacement(original, engine.category(category));
        if remember && !original.is_empty() {
            self.originals.push((original.to_vec(), with.clone()));
        }
        Edit { range, with, hits: vec![category] }
    }

    /// Redacts what detectors, patterns and (with `loose`) keys find in a text.
    pub(crate) fn found(&mut self, at: At<'_>, text: &[u8], loose: bool) -> Vec<Edit> {
        self.found_by(at, text, loose, Signs::of(text))
    }

    /// The same, for a text whose signs are known.
    pub(crate) fn found_by(
        &mut self,
        at: At<'_>,
        text: &[u8],
        loose: bool,
        signs: Signs,
    ) -> Vec<Edit> {
        let mut hits = Vec::new();
        let mut found: Vec<Found> = Vec::new();
        self.engine.finders.find(text, signs, &mut found);
        for Found { range, category, detector } in found {
            let Some(act) = self.engine.finders.act(detector) else { continue };
            let category = category_id(category);
            hits.push(Hit { range, category, act, rank: rank(detector) });
        }
        if let Some(patterns) = &self.engine.patterns {
            match patterns.find(text) {
                Ok(matches) => hits.extend(matches.into_iter().filter_map(|(range, pattern)| {
                    let (act, category) = *patterns.acts.get(pattern)?;
                    Some(Hit { range, category, act, rank: 0 })
                })),
                // Closed: text that costs too much to search does not leave.
                Err(_) => hits.extend(patterns.acts.iter().max().map(|(act, _)| Hit {
                    range: 0..text.len(),
                    category: 0,
                    act: *act,
                    rank: 0,
                })),
            }
        }
        if loose && signs.binding() {
            for found in self.engine.keys.loose(&at.place, text) {
                let start = found.value.start + scheme_length(&text[found.value.clone()]);
                let range = start..found.value.end;
                let name = finders::category(&text[range.clone()]).unwrap_or(UNRECOGNIZED);
                hits.push(Hit { range, category: category_id(name), act: found.act, rank: 0 });
            }
        }
        if hits.is_empty() {
            return Vec::new();
        }
        let tokens = tokens(text);
        let apart = |hit: &Hit| {
            !tokens.iter().any(|token| token.start < hit.range.end && hit.range.start < token.end)
        };
        hits.retain(|hit| !hit.range.is_empty() && apart(hit));
        self.engine
            .merged(hits)
            .into_iter()
            .filter_map(|hit| {
                let original = &text[hit.range.clone()];
                if act::is_redacted(original) {
                    return None;
                }
                Some(self.edit(hit.range, original, hit.category, hit.act, true))
            })
            .collect()
    }
}

/// Values that were redacted before.
fn tokens(text: &[u8]) -> Vec<Range<usize>> {
    memchr::memmem::find_iter(text, b"REDACTED-")
        .filter_map(|at| act::token_at(&text[at..]).map(|length| at..at + length))
        .collect()
}
