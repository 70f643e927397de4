//! Is an answer the one that was recorded? Status and body are compared; values that differ
//! from run to run by their nature are learnt, left out and listed.

mod shape;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

use crate::coding;

/// Differences of one answer that are listed.
const MAX_CHANGES: usize = 50;
/// Bytes of a value that are shown.
const MAX_SHOWN: usize = 120;
/// A body that is larger after decoding is compared as it came.
const MAX_DECODED: usize = 16 << 20;

/// The part of an answer that is compared.
#[derive(Clone, Copy)]
pub struct Answer<'a> {
    pub status: u16,
    /// Value of `Content-Encoding`, or empty.
    pub codings: &'a str,
    /// `None` when it is not known whole.
    pub body: Option<&'a [u8]>,
}

/// What kind of difference.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Kind {
    /// Another value of the same type.
    Changed,
    /// A value of another type.
    Type,
    Added,
    Removed,
    /// A body that is no JSON.
    Bytes,
}

impl Kind {
    /// As in the verdict.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Changed => "changed",
            Self::Type => "type",
            Self::Added => "added",
            Self::Removed => "removed",
            Self::Bytes => "bytes",
        }
    }
}

/// One difference of bodies.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Change {
    pub kind: Kind,
    /// `$.items[0].id`, or `body`.
    pub location: String,
    pub baseline: Option<String>,
    pub candidate: Option<String>,
}

/// Differences between two bodies, the first ones.
pub fn changes(recorded: Answer<'_>, observed: Answer<'_>) -> Vec<Change> {
    let (Some(recorded_body), Some(observed_body)) = (recorded.body, observed.body) else {
        return Vec::new();
    };
    if recorded.codings == observed.codings && recorded_body == observed_body {
        return Vec::new();
    }
    let plain = |codings: &str, body| {
        coding::decode(codings, body, MAX_DECODED).unwrap_or(std::borrow::Cow::Borrowed(body))
    };
    let (a, b) = (plain(recorded.codings, recorded_body), plain(observed.codings, observed_body));
    if a == b {
        return Vec::new();
    }
    let json = |body: &[u8]| serde_json::from_slice::<Value>(body).ok();
    let mut found = Vec::new();
    match (json(&a), json(&b)) {
        (Some(a), Some(b)) => differ("$", &a, &b, &mut found),
        _ => found.push(Change {
            kind: Kind::Bytes,
            location: "body".to_owned(),
            baseline: Some(format!("{} bytes", a.len())),
            candidate: Some(format!("{} bytes", b.len())),
        }),
    }
    found
}

fn differ(at: &str, a: &Value, b: &Value, out: &mut Vec<Change>) {
    if out.len() >= MAX_CHANGES {
        return;
    }
    match (a, b) {
        (Value::Object(a), Value::Object(b)) => {
            for (name, value) in a {
                let inner = format!("{at}.{name}");
                match b.get(name) {
                    Some(other) => differ(&inner, value, other, out),
                    None => out.push(change(Kind::Removed, inner, Some(value), None)),
                }
            }
            for (name, value) in b.iter().filter(|(name, _)| !a.contains_key(*name)) {
                out.push(change(Kind::Added, format!("{at}.{name}"), None, Some(value)));
            }
        }
        (Value::Array(a), Value::Array(b)) => {
            for (place, (value, other)) in a.iter().zip(b).enumerate() {
                differ(&format!("{at}[{place}]"), value, other, out);
            }
            for (place, value) in a.iter().enumerate().skip(b.len()) {
                out.push(change(Kind::Removed, format!("{at}[{place}]"), Some(value), None));
            }
            for (place, value) in b.iter().enumerate().skip(a.len()) {
                out.push(change(Kind::Added, format!("{at}[{place}]"), None, Some(value)));
            }
        }
        // 1 and 1.0 are one number.
        (Value::Number(a), Value::Number(b)) if a == b || a.as_f64() == b.as_f64() => {}
        (a, b) if a == b => {}
        (a, b) => {
            let same = std::mem::discriminant(a) == std::mem::discriminant(b);
            let same = same || (a.is_boolean() && b.is_boolean());
            let kind = if same { Kind::Changed } else { Kind::Type };
            out.push(change(kind, at.to_owned(), Some(a), Some(b)));
        }
    }
    out.truncate(MAX_CHANGES);
}

fn change(kind: Kind, location: String, a: Option<&Value>, b: Option<&Value>) -> Change {
    let text = |value: &Value| match value {
        Value::String(text) => shown(text),
        other => shown(&other.to_string()),
    };
    Change { kind, location, baseline: a.map(text), candidate: b.map(text) }
}

fn shown(text: &str) -> String {
    match text.char_indices().nth(MAX_SHOWN) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// Why a value is not compared.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Why {
    /// The same request was answered with different values in this replay.
    Repetition,
    /// The same request was answered with different values in the recording.
    Recording,
    /// Both values are of a kind that is new every time, such as a UUID.
    Shape(&'static str),
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Repetition => f.write_str("differs between repetitions"),
            Self::Recording => f.write_str("differs within the recording"),
            Self::Shape(kind) => write!(f, "{kind}"),
        }
    }
}

/// Values that differ from run to run, by endpoint and location.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Volatile {
    places: BTreeMap<(String, String), Why>,
}

impl Volatile {
    /// Learns from two answers to one request: what differs says nothing.
    pub fn learn(&mut self, endpoint: &str, differing: &[Change], why: Why) {
        for change in differing.iter().filter(|change| change.kind == Kind::Changed) {
            let place = (endpoint.to_owned(), general(&change.location));
            self.places.entry(place).or_insert(why);
        }
    }

    /// Learns the values that look new every time.
    pub fn learn_shapes(&mut self, endpoint: &str, differing: &[Change]) {
        for change in differing.iter().filter(|change| change.kind == Kind::Changed) {
            if let (Some(a), Some(b)) = (&change.baseline, &change.candidate)
                && let Some(kind) = shape::same(a, b)
            {
                self.learn(endpoint, std::slice::from_ref(change), Why::Shape(kind));
            }
        }
    }

    /// Learns what another one has learnt.
    pub fn merge(&mut self, other: Self) {
        for (place, why) in other.places {
            self.places.entry(place).or_insert(why);
        }
    }

    /// Is this difference of no account?
    pub fn holds(&self, endpoint: &str, change: &Change) -> bool {
        change.kind == Kind::Changed
            && self.places.contains_key(&(endpoint.to_owned(), general(&change.location)))
    }

    /// Every endpoint and location, with the reason.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str, Why)> {
        self.places.iter().map(|((endpoint, place), why)| (endpoint.as_str(), place.as_str(), *why))
    }
}

/// `$.items[3].id` → `$.items[].id`
pub fn general(location: &str) -> String {
    let mut out = String::with_capacity(location.len());
    let mut inside = false;
    for char in location.chars() {
        match char {
            '[' => inside = true,
            ']' => inside = false,
            _ if inside => continue,
            _ => {}
        }
        out.push(char);
    }
    out
}
