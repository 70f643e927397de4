//! Encoded records side by side in one allocation.

use super::Route;

/// Consecutive encoded records, the unit that queue and batches move around.
///
/// A record per allocation would cost an allocation and a free on another thread for each.
#[derive(Debug, Default)]
pub struct Chunk {
    bytes: Vec<u8>,
    records: Vec<Entry>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    end: usize,
    route: Route,
}

impl Chunk {
    /// Records in it.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// True without any record.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Encoded bytes of all its records.
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Appends what `encode` writes as one record; returns its bytes.
    pub fn push(&mut self, route: Route, encode: impl FnOnce(&mut Vec<u8>)) -> &[u8] {
        let start = self.bytes.len();
        encode(&mut self.bytes);
        self.records.push(Entry { end: self.bytes.len(), route });
        self.bytes.get(start..).unwrap_or_default()
    }

    /// The records' bytes, oldest first.
    pub fn records(&self) -> impl Iterator<Item = &[u8]> + Clone {
        let starts = std::iter::once(0).chain(self.records.iter().map(|entry| entry.end));
        starts
            .zip(&self.records)
            .map(|(start, entry)| self.bytes.get(start..entry.end).unwrap_or_default())
    }

    /// The records' routes, oldest first.
    pub fn routes(&self) -> impl Iterator<Item = Route> + '_ {
        self.records.iter().map(|entry| entry.route)
    }

    /// Takes the last record out into a chunk of its own; `None` when it is alone already.
    pub fn split_last(&mut self) -> Option<Self> {
        let [.., before, last] = *self.records else { return None };
        let bytes = self.bytes.split_off(before.end);
        self.records.pop();
        let entry = Entry { end: bytes.len(), route: last.route };
        Some(Self { bytes, records: vec![entry] })
    }

    /// Gives room back that no record takes.
    pub fn shrink(&mut self) {
        if self.bytes.capacity() > self.bytes.len() + self.bytes.len() / 4 {
            self.bytes.shrink_to_fit();
        }
    }
}
