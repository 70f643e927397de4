//! Values of the payload that stand in other fields of the record as well.

use std::collections::HashMap;

use aho_corasick::{AhoCorasick, AhoCorasickBuilder, MatchKind};
use serde_json::{Map, Value};
use weir_rrpair::RrPair;

/// A shorter value is replaced where it is the whole field: inside of a longer text it may
/// well be chance.
const SHORTEST_PART: usize = 8;
/// Bytes of values that are searched for in one record.
const MOST_BYTES: usize = 256 << 10;

/// What was replaced, to find it again.
pub(super) struct Copies<'o> {
    whole: HashMap<&'o [u8], &'o [u8]>,
    parts: Option<(AhoCorasick, Vec<&'o [u8]>)>,
}

impl<'o> Copies<'o> {
    pub(super) fn new(originals: &'o [(Vec<u8>, Vec<u8>)]) -> Self {
        let whole: HashMap<&[u8], &[u8]> =
            originals.iter().map(|(value, with)| (value.as_slice(), with.as_slice())).collect();
        let mut room = MOST_BYTES;
        let long: Vec<(&[u8], &[u8])> = whole
            .iter()
            .filter(|(value, _)| value.len() >= SHORTEST_PART)
            .take_while(|(value, _)| {
                let fits = room.checked_sub(value.len());
                room = fits.unwrap_or(0);
                fits.is_some()
            })
            .map(|(value, with)| (*value, *with))
            .collect();
        let parts = (!long.is_empty())
            .then(|| {
                AhoCorasickBuilder::new()
                    .match_kind(MatchKind::LeftmostLongest)
                    .build(long.iter().map(|(value, _)| value))
                    .ok()
            })
            .flatten();
        let replacements = long.into_iter().map(|(_, with)| with).collect();
        Self { whole, parts: parts.map(|parts| (parts, replacements)) }
    }

    /// True when the text held a value, which is gone now.
    pub(super) fn replace(&self, text: &mut String) -> bool {
        if let Some(with) = self.whole.get(text.as_bytes()) {
            *text = String::from_utf8_lossy(with).into_owned();
            return true;
        }
        let Some((parts, replacements)) = &self.parts else { return false };
        if text.len() < SHORTEST_PART || !parts.is_match(text.as_bytes()) {
            return false;
        }
        let changed = parts.replace_all_bytes(text.as_bytes(), replacements);
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
