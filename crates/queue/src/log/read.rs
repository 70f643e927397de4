//! Taking, acknowledging, giving back.

use std::io;

use super::{Ahead, Frame, Log};
use crate::{
    Tally,
    cursor::Position,
    frame::SEGMENT_HEADER,
    segment::{Found, Step},
};

/// A segment whose frames are all done with is deleted once it is this large, so that what was
/// delivered does not stay on disk until a whole segment is full.
const TIDY_BYTES: u64 = 64 << 10;

impl Log {
    /// What [`Log::take`] would give; `None` when nothing waits, or what comes next is damaged.
    ///
    /// # Errors
    ///
    /// Of the storage, and worth another attempt.
    pub fn peek(&mut self) -> io::Result<Option<Ahead>> {
        let at = self.read;
        for segment in self.segments.iter().filter(|segment| segment.id >= at.segment) {
            let offset = if segment.id == at.segment { at.offset } else { 0 };
            let offset = offset.max(SEGMENT_HEADER as u64);
            if offset < segment.end {
                let header = segment.header(&mut *self.storage, offset)?;
                return Ok(header.map(|h| Ahead { records: h.records, bytes: h.length }));
            }
        }
        Ok(None)
    }

    /// Takes the next frame; `None` when nothing waits. Damage is skipped.
    ///
    /// # Errors
    ///
    /// Of the storage, and worth another attempt.
    pub fn take(&mut self) -> io::Result<Option<Frame>> {
        loop {
            let at = self.read;
            let Some(place) = self.segments.iter().position(|segment| segment.id >= at.segment)
            else {
                return Ok(None);
            };
            let is_last = place + 1 == self.segments.len();
            let Some(segment) = self.segments.get_mut(place) else { return Ok(None) };
            let offset = if segment.id == at.segment { at.offset } else { 0 };
            let offset = offset.max(SEGMENT_HEADER as u64);
            let storage = &mut *self.storage;
            match segment.step(storage, &mut self.labels, offset)? {
                Step::Frame(Found { counts, labels, payload, body, next }) => {
                    segment.take(&counts);
                    self.read = Position { segment: segment.id, offset: next };
                    return Ok(Some(Frame { counts, labels, payload, body }));
                }
                Step::Damaged { next } => {
                    self.damage.bytes += next - offset;
                    self.read = Position { segment: segment.id, offset: next };
                }
                Step::End => {
                    self.damage.records.add_all(&segment.missing());
                    if is_last {
                        return Ok(None);
                    }
                    self.read = Position { segment: segment.id + 1, offset: 0 };
                }
            }
        }
    }

    /// Everything that was taken is done with.
    pub fn acknowledge(&mut self) {
        for segment in &mut self.segments {
            segment.taken = Tally::default();
        }
        let mut done = self.read;
        while let Some(segment) = self.segments.front() {
            let is_open = self.is_open && self.segments.len() == 1;
            let is_read = segment.id < done.segment
                || (segment.id == done.segment && done.offset >= segment.end);
            if !is_read || (is_open && segment.end < TIDY_BYTES.min(self.bounds.segment_bytes())) {
                break;
            }
            let id = segment.id;
            if let Some(mut segment) = self.segments.pop_front() {
                self.damage.records.add_all(&segment.missing());
            }
            self.is_open &= !self.segments.is_empty();
            done = done.max(Position { segment: id + 1, offset: 0 });
            self.read = done;
            self.advance(done);
            self.delete(id);
        }
        self.advance(done);
    }

    /// What was taken and not acknowledged waits again; gives its records. Those of segments
    /// that had to be dropped meanwhile are not among them.
    pub fn give_back(&mut self) -> Tally {
        let mut all = Tally::default();
        for segment in &mut self.segments {
            let taken = std::mem::take(&mut segment.taken);
            segment.waiting.add_all(&taken);
            all.add_all(&taken);
        }
        self.read = self.cursor.position;
        all
    }
}
