//! Encoded records side by side in one allocation, and as one frame of a log.

use weir_queue::{Frame, Label};

use super::Route;

/// First bytes of a frame's body; another layout gets another mark.
const MARK: [u8; 2] = *b"c1";
/// Number of records.
const COUNT_BYTES: usize = 4;
/// End of a record, and the place of its label among the frame's.
const ENTRY_BYTES: usize = 6;

/// Consecutive encoded records, the unit that goes to the queue.
///
/// A record per allocation would cost an allocation and a free for each.
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

    /// All records' bytes.
    pub(super) fn encoded(&self) -> &[u8] {
        &self.bytes
    }

    /// What a frame holds before the records' bytes; `place` says where a route's label is
    /// among the frame's.
    pub(super) fn head(&self, place: impl Fn(Route) -> u16) -> Vec<u8> {
        let mut head = MARK.to_vec();
        head.reserve_exact(COUNT_BYTES + ENTRY_BYTES * self.records.len());
        let number = |value: usize| u32::try_from(value).unwrap_or(u32::MAX).to_le_bytes();
        head.extend(number(self.records.len()));
        for Entry { end, route } in &self.records {
            head.extend(number(*end));
            head.extend(place(*route).to_le_bytes());
        }
        head
    }
}

/// A frame of a log, as the records that it holds.
#[derive(Debug)]
pub(super) struct Records {
    frame: Frame,
    /// Where in the body each one ends, and its label.
    ends: Vec<(usize, Label)>,
    /// Where in the body the first one begins.
    start: usize,
}

impl Records {
    /// `None` for a body of another layout.
    pub(super) fn read(frame: Frame) -> Option<Self> {
        let rest = frame.body().strip_prefix(&MARK)?;
        let (count, rest) = rest.split_first_chunk::<COUNT_BYTES>()?;
        let count = usize::try_from(u32::from_le_bytes(*count)).ok()?;
        let (entries, bytes) = rest.split_at_checked(count.checked_mul(ENTRY_BYTES)?)?;
        let start = frame.body().len() - bytes.len();
        let mut before = 0;
        let mut ends = Vec::with_capacity(count);
        for entry in entries.chunks_exact(ENTRY_BYTES) {
            let (end, place) = entry.split_first_chunk::<4>()?;
            let end = usize::try_from(u32::from_le_bytes(*end)).ok()?;
            let place = usize::from(u16::from_le_bytes(place.try_into().ok()?));
            if end < before || end > bytes.len() {
                return None;
            }
            ends.push((start + end, *frame.labels.get(place)?));
            before = end;
        }
        let all = before == bytes.len() && frame.counts.total() == count as u64;
        all.then_some(Self { frame, ends, start })
    }

    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The records' bytes, oldest first.
    pub(super) fn bytes(&self) -> impl Iterator<Item = &[u8]> + Clone {
        let starts = std::iter::once(self.start).chain(self.ends.iter().map(|(end, _)| *end));
        starts
            .zip(&self.ends)
            .map(|(start, (end, _))| self.frame.body().get(start..*end).unwrap_or_default())
    }

    /// The records' labels, oldest first.
    pub(super) fn labels(&self) -> impl Iterator<Item = Label> + '_ {
        self.ends.iter().map(|(_, label)| *label)
    }
}
