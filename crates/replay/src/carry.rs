//! Values that a server mints and its clients send back: login tokens, cookies, ids. In a replay
//! the server mints others, so later requests must carry those.

#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::hash::BuildHasher;

use serde_json::Value;

use crate::coding;
use crate::head::Head;
use crate::wire::Outgoing;

/// Shorter values are too likely to be something else.
const MIN_BYTES: usize = 4;
/// Values that one session may mint.
const MAX_VALUES: usize = 100_000;
const MAX_DECODED: usize = 4 << 20;

/// Every value that some recorded request sends.
#[derive(Clone, Debug, Default)]
pub struct Sent(HashSet<Vec<u8>>);

impl Sent {
    /// Notes the values of a request.
    pub fn note(&mut self, request: &Outgoing) {
        for bytes in [&request.head.to_bytes(), &request.body] {
            self.0.extend(runs(bytes).map(|(_, run)| run.to_vec()));
        }
    }

    /// Those of these values that a recorded answer mints.
    pub fn minted_by(&self, answer: Minting<'_>) -> impl Iterator<Item = Vec<u8>> {
        minted(answer).into_values().filter(move |value| self.0.contains(value))
    }
}

/// Does a request send any of these values?
pub fn sends_any(request: &Outgoing, values: &HashSet<Vec<u8>, impl BuildHasher>) -> bool {
    let in_bytes = |bytes: &[u8]| runs(bytes).any(|(_, run)| values.contains(run));
    !values.is_empty() && (in_bytes(&request.head.to_bytes()) || in_bytes(&request.body))
}

/// An answer that may mint values.
#[derive(Clone, Copy)]
pub struct Minting<'a> {
    pub head: &'a Head,
    pub body: &'a [u8],
}

/// Recorded values with those that the server gave in their place.
#[derive(Clone, Debug, Default)]
pub struct Carried(HashMap<Vec<u8>, Vec<u8>>);

impl Carried {
    /// Nothing was minted anew so far.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Compares the recorded answer with the one that came, place by place. Only values that a
    /// recorded request sends are kept.
    pub fn learn(&mut self, sent: &Sent, recorded: Minting<'_>, observed: Minting<'_>) {
        let (recorded, observed) = (minted(recorded), minted(observed));
        let has = |found: &HashMap<Place, Vec<u8>>| found.values().cloned().collect();
        let (mut in_recorded, mut in_observed) = (None, None);
        // A list that grew or shrank shows known values in other places: none of them is new.
        let mut has_moved = |old: &Vec<u8>, new: &Vec<u8>| {
            let recorded: &HashSet<_> = in_recorded.get_or_insert_with(|| has(&recorded));
            let observed: &HashSet<_> = in_observed.get_or_insert_with(|| has(&observed));
            observed.contains(old) || recorded.contains(new)
        };
        for (place, old) in &recorded {
            if !sent.0.contains(old) || self.0.len() >= MAX_VALUES {
                continue;
            }
            match observed.get(place) {
                Some(new) if new != old && place.is_in_list() && has_moved(old, new) => continue,
                Some(new) if new != old => self.0.insert(old.clone(), new.clone()),
                Some(_) => self.0.remove(old), // minted as recorded
                None => continue,
            };
        }
    }

    /// Puts new values into a request, and says how many.
    pub fn apply(&self, request: &mut Outgoing) -> usize {
        if self.0.is_empty() {
            return 0;
        }
        let mut count = 0;
        if let Some(head) = self.replaced(&request.head.to_bytes(), &mut count) {
            request.head = Head::from_raw(&head);
        }
        if let Some(body) = self.replaced(&request.body, &mut count) {
            request.set_body(body);
        }
        count
    }

    fn replaced(&self, bytes: &[u8], count: &mut usize) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        let mut done = 0;
        for (at, run) in runs(bytes) {
            if let Some(new) = self.0.get(run) {
                out.extend_from_slice(bytes.get(done..at)?);
                out.extend_from_slice(new);
                done = at + run.len();
                *count += 1;
            }
        }
        if done == 0 {
            return None;
        }
        out.extend_from_slice(bytes.get(done..)?);
        Some(out)
    }
}

/// Stretches of the characters that tokens and ids are made of, with their places.
fn runs(bytes: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let mut at = 0;
    bytes.split(|byte| !is_token(*byte)).filter_map(move |run| {
        let start = at;
        at += run.len() + 1;
        (run.len() >= MIN_BYTES).then_some((start, run))
    })
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte)
}

/// Where in an answer a value stands.
#[derive(Eq, Hash, PartialEq)]
enum Place {
    Json(String),
    Cookie(Vec<u8>),
    Field(Vec<u8>),
}

impl Place {
    fn is_in_list(&self) -> bool {
        matches!(self, Self::Json(at) if at.contains('['))
    }
}

fn minted(answer: Minting<'_>) -> HashMap<Place, Vec<u8>> {
    let mut found = HashMap::new();
    let mut put = |place, value: &[u8]| {
        if value.len() >= MIN_BYTES && value.iter().all(|byte| is_token(*byte)) {
            found.insert(place, value.to_vec());
        }
    };
    for (name, value) in answer.head.fields() {
        let name = name.to_ascii_lowercase();
        if name == b"set-cookie" {
            let pair = value.split(|&byte| byte == b';').next().unwrap_or_default();
            if let Some(equals) = memchr::memchr(b'=', pair) {
                let (name, value) = pair.split_at(equals);
                put(Place::Cookie(name.to_vec()), value.get(1..).unwrap_or_default());
            }
        } else if !matches!(name.as_slice(), b"content-length" | b"date" | b"server") {
            put(Place::Field(name), value);
        }
    }
    let codings = answer.head.first("content-encoding").unwrap_or_default();
    let codings = std::str::from_utf8(codings).unwrap_or_default();
    if let Ok(body) = coding::decode(codings, answer.body, MAX_DECODED)
        && let Ok(document) = serde_json::from_slice::<Value>(&body)
    {
        leaves("$", &document, &mut |place, value| put(Place::Json(place), value));
    }
    found
}

fn leaves(at: &str, value: &Value, put: &mut impl FnMut(String, &[u8])) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                leaves(&format!("{at}.{name}"), member, put);
            }
        }
        Value::Array(elements) => {
            for (place, element) in elements.iter().enumerate() {
                leaves(&format!("{at}[{place}]"), element, put);
            }
        }
        Value::String(text) => put(at.to_owned(), text.as_bytes()),
        Value::Number(number) => put(at.to_owned(), number.to_string().as_bytes()),
        Value::Null | Value::Bool(_) => {}
    }
}
