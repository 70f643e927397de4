//! The log: segments in order, a place to read at, a place up to which all is done.

mod open;
mod read;
mod write;

#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, VecDeque};

use crate::{
    FileName, Label, Storage, Syncing, Tally,
    cursor::{self, Cursor, Position},
    frame,
    labels::Labels,
    segment::Segment,
};

/// What gives way when a log is full.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum WhenFull {
    /// The oldest segment.
    DropOldest,
    /// The frame that comes.
    DropNewest,
}

/// How large a log may become.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Bounds {
    /// Bytes of all files together, in whole blocks of the storage.
    pub bytes: u64,
    pub when_full: WhenFull,
}

impl Bounds {
    /// Size at which a segment is finished: the log gives way by whole segments, so a small
    /// part of it, and yet never more than about a thousand of them.
    fn segment_bytes(self) -> u64 {
        const MIN: u64 = 4 << 10;
        const USUAL_MAX: u64 = 16 << 20;
        (self.bytes / 16).clamp(MIN, USUAL_MAX.max(self.bytes / 1024))
    }
}

/// What became of a frame.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[must_use]
pub struct Appended {
    /// Records that were dropped to make room.
    pub dropped: Tally,
    /// Records that were dropped since the storage was full before the log was.
    pub displaced: Tally,
    /// Why the frame itself is not in the log.
    pub refused: Option<Refusal>,
}

/// Why a frame was not taken.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Refusal {
    /// It is larger than the log may be.
    TooLarge,
    /// The log is full, and keeps what it has.
    Full,
    /// The storage is full, though the log is not.
    NoSpace,
    /// The storage fails.
    Failed(std::io::ErrorKind),
}

/// A frame that was taken.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Frame {
    pub counts: Tally,
    /// The labels of `counts`, in the order in which they were when the frame was appended.
    pub labels: Vec<Label>,
    payload: Vec<u8>,
    body: usize,
}

/// The frame that comes next, as far as its header tells.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Ahead {
    pub records: u32,
    /// Of the body and what the frame says of its labels.
    pub bytes: u64,
}

/// What was found damaged.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Damage {
    /// Records that had been counted as waiting, and cannot be read.
    pub records: Tally,
    /// Bytes that hold no frame, those of a write that a crash cut off included.
    pub bytes: u64,
}

/// Work that makes everything durable that the log holds at this moment.
pub struct SyncJob(Syncing);

/// See the crate.
pub struct Log {
    storage: Box<dyn Storage>,
    labels: Labels,
    bounds: Bounds,
    segments: VecDeque<Segment>,
    /// The last segment takes frames; otherwise the next frame begins a new one.
    is_open: bool,
    next_id: u64,
    /// The next frame to be taken.
    read: Position,
    cursor: Cursor,
    /// Written since the last sync.
    unsynced: BTreeSet<FileName>,
    damage: Damage,
    /// The storage was full, and deleting a segment did not help.
    starved: bool,
}

impl Frame {
    /// What was appended.
    pub fn body(&self) -> &[u8] {
        self.payload.get(self.body..).unwrap_or_default()
    }
}

impl SyncJob {
    /// Does it; may take long.
    ///
    /// # Errors
    ///
    /// Of the storage; then [`Log::sync_failed`] is to be called.
    pub fn run(self) -> std::io::Result<()> {
        (self.0)()
    }
}

impl Log {
    /// The label with this text.
    pub fn label(&mut self, text: &str) -> Label {
        self.labels.intern(text)
    }

    /// The text of a label.
    pub fn text(&self, label: Label) -> &str {
        self.labels.text(label)
    }

    /// Labels that the log has met, by their indices.
    pub fn labels(&self) -> impl ExactSizeIterator<Item = (Label, &str)> {
        self.labels.iter()
    }

    /// Records that wait to be taken.
    pub fn waiting(&self) -> Tally {
        let mut all = Tally::default();
        self.segments.iter().for_each(|segment| all.add_all(&segment.waiting));
        all
    }

    /// True when there is nothing to take.
    pub fn is_empty(&self) -> bool {
        self.segments.iter().all(|segment| segment.waiting.is_empty())
    }

    /// Bytes of frames that are not acknowledged.
    pub fn waiting_bytes(&self) -> u64 {
        let done = self.cursor.position;
        self.segments
            .iter()
            .map(|segment| {
                let start = if segment.id == done.segment { done.offset } else { 0 };
                segment.end.saturating_sub(start.max(frame::SEGMENT_HEADER as u64))
            })
            .sum()
    }

    /// Bytes that all files take, in whole blocks.
    pub fn stored_bytes(&self) -> u64 {
        let segments = self.segments.iter().map(|segment| self.charge(segment)).sum::<u64>();
        segments + self.blocks(cursor::FILE_BYTES as u64)
    }

    /// Number of segments.
    pub fn segment_count(&self) -> usize {
        self.segments.len()
    }

    /// The bounds in force.
    pub const fn bounds(&self) -> Bounds {
        self.bounds
    }

    /// Changes the bounds; gives the records that were dropped to keep to them.
    pub fn set_bounds(&mut self, bounds: Bounds) -> Tally {
        self.bounds = bounds;
        let mut dropped = Tally::default();
        while self.stored_bytes() > bounds.bytes && !self.segments.is_empty() {
            dropped.add_all(&self.drop_oldest());
        }
        dropped
    }

    /// What was found damaged since this was last asked.
    pub fn take_damage(&mut self) -> Damage {
        std::mem::take(&mut self.damage)
    }

    /// Deletes everything; gives the records that had waited.
    pub fn clear(&mut self) -> Tally {
        let mut dropped = Tally::default();
        while !self.segments.is_empty() {
            dropped.add_all(&self.drop_oldest());
        }
        dropped
    }

    /// The work that makes durable what is not; `None` when everything is.
    ///
    /// # Errors
    ///
    /// Of the storage.
    pub fn sync_job(&mut self) -> std::io::Result<Option<SyncJob>> {
        if self.unsynced.is_empty() {
            return Ok(None);
        }
        let files: Vec<_> = self.unsynced.iter().copied().collect();
        let job = self.storage.syncing(&files)?;
        self.unsynced.clear();
        Ok(Some(SyncJob(job)))
    }

    /// A sync failed: what it was about may never become durable, and asking again would only
    /// seem to help. The log goes on in a new segment.
    pub fn sync_failed(&mut self) {
        self.is_open = false;
    }

    fn blocks(&self, bytes: u64) -> u64 {
        bytes.next_multiple_of(self.storage.block_bytes())
    }

    /// What a segment takes, with room for its footer.
    fn charge(&self, segment: &Segment) -> u64 {
        let footer = frame::footer_bytes(&segment.total, &self.labels) as u64;
        self.blocks(segment.length.max(segment.end + footer))
    }

    fn note_written(&mut self, file: FileName) {
        self.unsynced.insert(file);
    }

    /// Deletes the oldest segment; gives its records that had waited.
    fn drop_oldest(&mut self) -> Tally {
        let Some(segment) = self.segments.pop_front() else { return Tally::default() };
        self.is_open &= !self.segments.is_empty();
        let next = Position { segment: segment.id + 1, offset: 0 };
        self.read = self.read.max(next);
        self.advance(self.cursor.position.max(next));
        self.delete(segment.id);
        segment.waiting
    }

    /// Deletes a file. One that stays is deleted by the next start: the cursor is past it.
    fn delete(&mut self, id: u64) {
        let file = FileName::Segment(id);
        self.storage.remove(file).ok();
        self.unsynced.remove(&file);
        self.note_written(FileName::Cursor);
    }

    /// Notes that everything before `position` is done with. If that cannot be written, frames
    /// may be delivered a second time after the next start, and none is lost.
    fn advance(&mut self, position: Position) {
        if position == self.cursor.position {
            return;
        }
        self.cursor = Cursor { sequence: self.cursor.sequence + 1, position };
        let (offset, slot) = self.cursor.encode();
        if self.storage.write_at(FileName::Cursor, offset, &slot).is_ok() {
            self.note_written(FileName::Cursor);
        }
    }
}

impl std::fmt::Debug for Log {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Log")
            .field("bounds", &self.bounds)
            .field("segments", &self.segments.len())
            .finish_non_exhaustive()
    }
}
