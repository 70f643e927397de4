//! What a request says, as facts that can be compared.

use std::collections::{BTreeMap, BTreeSet};

use percent_encoding::percent_decode_str;
use serde_json::Value;
use weir_rrpair::{HttpRequest, RrPair, query};

use crate::route::is_value;

/// Facts of one request at most; a hostile body cannot make it slow.
const MAX_PLACES: usize = 300;
/// Values longer than this are not compared as a whole.
const MAX_VALUE_BYTES: usize = 256;
/// Bytes of a body that are looked at.
const MAX_BODY_BYTES: usize = 1 << 20;

/// Where in a request a value stands.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Place {
    /// Parameter of the query.
    Query(String),
    /// Segment of the path that looks like a value, counted from 1.
    Segment(usize),
    /// Member of a JSON body, such as `order.lines[].sku`.
    Json(String),
    /// Field of a form.
    Form(String),
    /// Text of the operation, for what is not HTTP.
    Statement,
    Header(String),
    /// Body as a whole.
    Body,
    /// When the request came, in seconds.
    Time,
}

/// What is true of a place.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Shape {
    /// The last byte, when it is neither letter nor digit.
    EndsWith(u8),
    StartsWith(u8),
    /// Somewhere, a byte that is no printable ASCII, or one with a meaning in some language.
    Contains(u8),
    NotUtf8,
    Empty,
    /// More than once.
    Repeated,
    /// Kind of a JSON value.
    Kind(&'static str),
    Missing,
    Present,
    Equals(Vec<u8>),
    /// As a number.
    Above(i64),
    Below(i64),
    /// In bytes.
    Longer(i64),
    Shorter(i64),
}

/// One thing that can be true of a request.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Fact {
    pub place: Place,
    pub shape: Shape,
}

impl Fact {
    /// How much a fact asks to be believed; the cheapest of those that tell as much is given.
    fn cost(&self) -> u32 {
        let place = match self.place {
            Place::Query(_) | Place::Segment(_) | Place::Json(_) | Place::Form(_) => 0,
            Place::Statement | Place::Header(_) => 1,
            Place::Body => 3,
            Place::Time => 20,
        };
        let shape = match self.shape {
            Shape::NotUtf8 => 0,
            Shape::EndsWith(_) | Shape::StartsWith(_) | Shape::Empty => 1,
            Shape::Contains(_) | Shape::Repeated | Shape::Missing | Shape::Kind(_) => 3,
            Shape::Equals(_) => 5,
            Shape::Present => 6,
            Shape::Above(_) | Shape::Below(_) => 7,
            Shape::Longer(_) | Shape::Shorter(_) => 9,
        };
        // A control character is rarely meant.
        let odd = match self.shape {
            Shape::EndsWith(byte) | Shape::StartsWith(byte) | Shape::Contains(byte) => {
                u32::from(!byte.is_ascii_control())
            }
            _ => 1,
        };
        place + shape + odd
    }

    /// Order of preference: cheap first, then by name.
    pub(crate) fn rank(&self) -> (u32, &Place, &Shape) {
        (self.cost(), &self.place, &self.shape)
    }
}

impl Ord for Fact {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.rank().cmp(&other.rank())
    }
}

impl PartialOrd for Fact {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// What a request says.
#[derive(Clone, Debug, Default)]
pub(crate) struct Facts {
    /// Facts that are true by themselves.
    pub(crate) plain: BTreeSet<Fact>,
    /// Places that are there.
    pub(crate) places: BTreeSet<Place>,
    /// Numbers and lengths, to be compared with those of others.
    pub(crate) numbers: BTreeMap<(Place, Measure), i64>,
}

/// What is measured of a place.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Measure {
    Value,
    Length,
}

impl Measure {
    pub(crate) fn above(self, limit: i64) -> Shape {
        match self {
            Self::Value => Shape::Above(limit),
            Self::Length => Shape::Longer(limit),
        }
    }

    pub(crate) fn below(self, limit: i64) -> Shape {
        match self {
            Self::Value => Shape::Below(limit),
            Self::Length => Shape::Shorter(limit),
        }
    }
}

/// The facts of a record's request.
pub(crate) fn facts(record: &RrPair) -> Facts {
    let mut facts = Facts::default();
    let seconds = i64::try_from(record.ts.0 / 1_000_000_000).unwrap_or(i64::MAX);
    facts.measure(Place::Time, Measure::Value, seconds);
    match &record.http {
        None => facts.value(Place::Statement, record.location.as_bytes()),
        Some(http) => facts.request(&http.req),
    }
    facts
}

impl Facts {
    fn request(&mut self, request: &HttpRequest) {
        let (path, parameters) = query::split(request.uri.as_bytes());
        let path = if path.is_empty() { request.url.as_bytes() } else { path };
        self.path(path);
        for (name, value) in query::decode(parameters.unwrap_or_default()) {
            self.value(Place::Query(text(&name)), &value);
        }
        for (name, values) in request.headers.iter() {
            for value in values {
                self.value(Place::Header(name.to_owned()), value.as_bytes());
            }
        }
        self.body(request);
    }

    fn path(&mut self, path: &[u8]) {
        let path = text(path);
        for (number, segment) in path.split('/').enumerate() {
            let decoded: Vec<u8> = percent_decode_str(segment).collect();
            if is_value(&text(&decoded)) && !segment.is_empty() {
                self.value(Place::Segment(number), &decoded);
            }
        }
    }

    fn body(&mut self, request: &HttpRequest) {
        let raw = request.body.0.as_slice();
        if raw.is_empty() {
            return;
        }
        self.places.insert(Place::Body);
        self.measure(Place::Body, Measure::Length, i64::try_from(raw.len()).unwrap_or(i64::MAX));
        let codings = request.headers.first("Content-Encoding").unwrap_or_default();
        let Ok(body) = weir_replay::coding::decode(codings, raw, MAX_BODY_BYTES) else { return };
        let media_type = request.headers.first("Content-Type").unwrap_or_default();
        if media_type.starts_with("application/x-www-form-urlencoded") {
            for (name, value) in query::decode(&body) {
                self.value(Place::Form(text(&name)), &value);
            }
        } else if let Ok(json) = serde_json::from_slice::<Value>(&body) {
            self.json("", &json, 0);
        } else if std::str::from_utf8(&body).is_err() {
            self.plain.insert(Fact { place: Place::Body, shape: Shape::NotUtf8 });
        }
    }

    fn json(&mut self, path: &str, value: &Value, depth: usize) {
        if depth > 16 || self.places.len() >= MAX_PLACES {
            return;
        }
        let place = || Place::Json(path.to_owned());
        match value {
            Value::Object(members) => {
                self.kind(place(), "an object");
                for (name, member) in members {
                    let inner =
                        if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                    self.json(&inner, member, depth + 1);
                }
            }
            Value::Array(elements) => {
                self.kind(place(), "an array");
                let length = i64::try_from(elements.len()).unwrap_or(i64::MAX);
                self.measure(place(), Measure::Length, length);
                if elements.is_empty() {
                    self.plain.insert(Fact { place: place(), shape: Shape::Empty });
                }
                for element in elements.iter().take(50) {
                    self.json(&format!("{path}[]"), element, depth + 1);
                }
            }
            Value::String(text) => {
                self.kind(place(), "a string");
                self.content(place(), text.as_bytes());
            }
            Value::Number(number) => {
                self.kind(place(), "a number");
                self.content(place(), number.to_string().as_bytes());
            }
            Value::Bool(bool) => {
                self.kind(place(), "true or false");
                self.content(place(), bool.to_string().as_bytes());
            }
            Value::Null => self.kind(place(), "null"),
        }
    }

    fn kind(&mut self, place: Place, kind: &'static str) {
        self.plain.insert(Fact { place: place.clone(), shape: Shape::Kind(kind) });
        self.places.insert(place);
    }

    fn value(&mut self, place: Place, value: &[u8]) {
        if self.places.len() >= MAX_PLACES {
            return;
        }
        if !self.places.insert(place.clone()) {
            self.plain.insert(Fact { place: place.clone(), shape: Shape::Repeated });
        }
        self.content(place, value);
    }

    fn content(&mut self, place: Place, value: &[u8]) {
        self.places.insert(place.clone());
        let mut say = |shape| self.plain.insert(Fact { place: place.clone(), shape });
        if value.is_empty() {
            say(Shape::Empty);
        }
        if std::str::from_utf8(value).is_err() {
            say(Shape::NotUtf8);
        }
        if value.len() <= MAX_VALUE_BYTES {
            say(Shape::Equals(value.to_vec()));
        }
        for byte in value.iter().copied().filter(|byte| is_odd(*byte)) {
            say(Shape::Contains(byte));
        }
        if let Some(&last) = value.last().filter(|byte| !byte.is_ascii_alphanumeric()) {
            say(Shape::EndsWith(last));
        }
        if let Some(&first) = value.first().filter(|byte| !byte.is_ascii_alphanumeric()) {
            say(Shape::StartsWith(first));
        }
        let length = i64::try_from(value.len()).unwrap_or(i64::MAX);
        self.measure(place.clone(), Measure::Length, length);
        let number = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
        if let Some(number) = number {
            self.measure(place, Measure::Value, number);
        }
    }

    /// The largest of a place is kept.
    fn measure(&mut self, place: Place, measure: Measure, value: i64) {
        let kept = self.numbers.entry((place, measure)).or_insert(value);
        *kept = (*kept).max(value);
    }
}

/// Bytes that programs stumble over: control characters, those above ASCII, quotes and marks.
fn is_odd(byte: u8) -> bool {
    byte.is_ascii_control() || !byte.is_ascii() || b"'\"<>;%\\`|&+ #{}$".contains(&byte)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
