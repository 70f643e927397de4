//! What is kept in memory of each pair: enough for lists, charts and plain words. The document
//! itself stays in its file.

use std::collections::HashMap;

use serde::Serialize;
use serde_json::{Map, Value};

use super::marks::{self, Marks};
use crate::{
    snapshot::read::Place,
    view::{View, Way},
};

/// Longest target kept, in bytes: the list shows no more, and words look no further.
const LONGEST_TARGET: usize = 1024;

/// One pair.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    /// Microseconds since the epoch; 0 when the document has no time.
    pub time_us: u64,
    pub duration_ms: u64,
    pub way: Way,
    pub service: Name,
    pub command: Name,
    pub status: Name,
    pub host: Name,
    /// URI as sent, or the text of the operation.
    pub target: Box<str>,
    pub sent: usize,
    pub received: usize,
    pub failed: bool,
    pub marks: Marks,
    pub place: Place,
}

/// Number of a text that many rows share.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub(crate) struct Name(u32);

#[derive(Debug, Default)]
struct Names {
    numbers: HashMap<Box<str>, Name>,
    texts: Vec<Box<str>>,
}

impl Names {
    fn of(&mut self, text: &str) -> Name {
        if let Some(name) = self.numbers.get(text) {
            return *name;
        }
        let name = Name(u32::try_from(self.texts.len()).unwrap_or(u32::MAX));
        self.numbers.insert(text.into(), name);
        self.texts.push(text.into());
        name
    }
}

/// All pairs of the directory, in the order in which they were read.
#[derive(Debug, Default)]
pub(crate) struct Index {
    rows: Vec<Row>,
    names: Names,
    /// Row numbers by time, then by reading.
    by_time: Vec<u32>,
    /// Files that are no RRPairs, or could not be read.
    pub others: usize,
    /// Whether the first reading is done.
    pub loaded: bool,
    /// Grows with every change.
    pub version: u64,
}

impl Index {
    /// Adds the pairs of these files. A document without `direction` is none.
    pub(crate) fn add(&mut self, documents: Vec<(Place, Option<Map<String, Value>>)>) {
        for (place, body) in documents {
            match body {
                Some(body) if body.contains_key("direction") => {
                    let row = self.row(place, &body);
                    self.by_time.push(u32::try_from(self.rows.len()).unwrap_or(u32::MAX));
                    self.rows.push(row);
                }
                _ => self.others += 1,
            }
        }
        let rows = &self.rows;
        // Nearly sorted already after the first time.
        self.by_time.sort_by_key(|&number| rows.get(number as usize).map(|row| row.time_us));
        self.version += 1;
    }

    fn row(&mut self, place: Place, body: &Map<String, Value>) -> Row {
        let view = View::new(body);
        let (host, target) = view.target();
        let (sent, received) = view.sizes();
        let time = view.time().map_or(0, jiff::Timestamp::as_microsecond);
        let end = target.floor_char_boundary(LONGEST_TARGET);
        Row {
            time_us: u64::try_from(time).unwrap_or(0),
            duration_ms: view.duration_ms(),
            way: view.way(),
            service: self.names.of(view.service()),
            command: self.names.of(view.command()),
            status: self.names.of(view.status()),
            host: self.names.of(host),
            target: target.get(..end).unwrap_or_default().into(),
            sent,
            received,
            failed: view.failed(),
            marks: marks::of(body),
            place,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(crate) fn get(&self, number: u32) -> Option<&Row> {
        self.rows.get(number as usize)
    }

    /// Row numbers by time.
    pub(crate) fn by_time(&self) -> &[u32] {
        &self.by_time
    }

    pub(crate) fn text(&self, name: Name) -> &str {
        self.names.texts.get(name.0 as usize).map_or("", |text| text)
    }

    /// First and last time in microseconds, of pairs that have one.
    pub(crate) fn range(&self) -> Option<(u64, u64)> {
        let mut times = self.by_time.iter().filter_map(|&number| self.get(number));
        let first = times.find(|row| row.time_us > 0)?.time_us;
        let last = self.by_time.last().and_then(|&number| self.get(number))?.time_us;
        Some((first, last))
    }
}
