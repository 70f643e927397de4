//! Values of the payload that stand in other fields of the record as well.

use std::cell::OnceCell;
use std::collections::HashMap;

use aho_corasick::{AhoCorasick, AhoCorasickBuilder, AhoCorasickKind, MatchKind};
use serde_json::{Map, Value};
use weir_rrpair::RrPair;

/// A shorter value is replaced where it is the whole field: inside of a longer text it may
/// well be chance.
const SHORTEST_PART: usize = 8;
/// Bytes of values that are searched for in one record.
const MOST_BYTES: usize = 256 << 10;
/// So few values are looked for one by one: an automaton of them costs more than the few short
/// fields that a record has.
const FEW: usize = 32;

/// What was replaced, to find it again.
pub(super) struct Copies<'o> {
    whole: HashMap<&'o [u8], &'o [u8]>,
    parts: Vec<(&'o [u8], &'o [u8])>,
    searcher: OnceCell<Option<AhoCorasick>>,
}

impl<'o> Copies<'o> {
    pub(super) fn new(originals: &'o [(Vec<u8>, Vec<u8>)]) -> Self {
        let whole: HashMap<&[u8], &[u8]> =
            originals.iter().map(|(value, with)| (value.as_slice(), with.as_slice())).collect();
        let mut room = MOST_BYTES;
        let parts = whole
            .iter()
            .filter(|(value, _)| value.len() >= SHORTEST_PART)
            .take_while(|(value, _)| {
                let fits = room.checked_sub(value.len());
                room = fits.unwrap_or(0);
                fits.is_some()
            })
            .map(|(value, with)| (*value, *with))
            .collect();
        Self { whole, parts, searcher: OnceCell::new() }
    }

    /// Made when the first text calls for it.
    fn searcher(&self) -> Option<&AhoCorasick> {
        let make = || {
            AhoCorasickBuilder::new()
                .match_kind(MatchKind::LeftmostLongest)
                .kind(Some(AhoCorasickKind::NoncontiguousNFA))
                .build(self.parts.iter().map(|(value, _)| value))
                .ok()
        };
        self.searcher.get_or_init(make).as_ref()
    }

    fn holds_one(&self, text: &[u8]) -> bool {
        if self.parts.len() > FEW {
            return self.searcher().is_some_and(|searcher| searcher.is_match(text));
        }
        self.parts.iter().any(|(value, _)| memchr::memmem::find(text, value).is_some())
    }

    /// True when the text held a value, which is gone now.
    pub(super) fn replace(&self, text: &mut String) -> bool {
        if let Some(with) = self.whole.get(text.as_bytes()) {
            *text = String::from_utf8_lossy(with).into_owned();
            return true;
        }
        if text.len() < SHORTEST_PART || !self.holds_one(text.as_bytes()) {
            return false;
        }
        let Some(searcher) = self.searcher() else { return false };
        let replacements: Vec<&[u8]> = self.parts.iter().map(|(_, with)| *with).collect();
        let changed = searcher.replace_all_bytes(text.as_bytes(), &replacements);
        *text = String::from_utf8_lossy(&changed).into_owned();
        true
    }

    /// Replaces in every field that may repeat the payload.
    pub(super) fn replace_in(&self, record: &mut RrPair) -> bool {
        if self.whole.is_empty() {
            return false;
        }
        let mut changed = self.replace(&mut record.location);
        if let Some(address) = &mut record.network_address {
            changed |= self.replace(address);
        }
        if let Some(info) = &mut record.netinfo {
            for peer in [&mut info.downstream, &mut info.upstream] {
                changed |= peer.hostname.as_mut().is_some_and(|name| self.replace(name));
            }
        }
        for (name, value) in &mut record.tags.0 {
            if !(name.starts_with("k8s") || name.starts_with("proxy") || name.starts_with("dlp")) {
                let mut text = value.clone().into_owned();
                if self.replace(&mut text) {
                    *value = text.into();
                    changed = true;
                }
            }
        }
        for name in ["tokenList", "tokens", "events", "mutableSignature"] {
            changed |= record.extra.get_mut(name).is_some_and(|value| self.replace_below(value));
        }
        changed
    }

    fn replace_below(&self, value: &mut Value) -> bool {
        match value {
            Value::String(text) => self.replace(text),
            Value::Array(values) => {
                values.iter_mut().fold(false, |changed, value| self.replace_below(value) | changed)
            }
            Value::Object(members) => {
                let mut changed = false;
                let renamed: Map<String, Value> = std::mem::take(members)
                    .into_iter()
                    .map(|(mut name, mut value)| {
                        changed |= self.replace(&mut name);
                        changed |= self.replace_below(&mut value);
                        (name, value)
                    })
                    .collect();
                *members = renamed;
                changed
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => false,
        }
    }
}
