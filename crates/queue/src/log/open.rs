//! Taking over what an earlier process left.

use std::{
    collections::{BTreeSet, VecDeque},
    io,
};

use super::{Bounds, Damage, Log};
use crate::{
    FileName, Storage, Tally,
    cursor::{self, Cursor},
    frame,
    labels::Labels,
    segment::{Recovered, Segment},
};

impl Log {
    /// Opens the log in `storage`. Appending always begins a new segment, so that bytes of
    /// which nobody knows whether they are durable are never written behind.
    ///
    /// Returns the records that do not fit the bounds any more.
    ///
    /// # Errors
    ///
    /// Of the storage. Damage is no error: it is skipped, see [`Log::take_damage`].
    pub fn open(mut storage: Box<dyn Storage>, bounds: Bounds) -> io::Result<(Self, Tally)> {
        let mut files = storage.list()?;
        files.sort_unstable();
        let mut bytes = [0; cursor::FILE_BYTES];
        let held = match storage.read_at(FileName::Cursor, 0, &mut bytes) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            held => held?,
        };
        let cursor = Cursor::decode(bytes.get(..held).unwrap_or_default()).unwrap_or_default();
        let done = cursor.position;
        let mut log = Self {
            storage,
            labels: Labels::default(),
            bounds,
            segments: VecDeque::new(),
            is_open: false,
            next_id: done.segment + 1,
            read: done,
            cursor,
            unsynced: BTreeSet::new(),
            damage: Damage::default(),
            starved: false,
        };
        for (file, length) in files {
            let FileName::Segment(id) = file else { continue };
            log.next_id = log.next_id.max(id.saturating_add(1));
            if id < done.segment {
                log.delete(id);
            } else {
                log.recover(id, length, if id == done.segment { done.offset } else { 0 })?;
            }
        }
        let dropped = log.set_bounds(bounds);
        Ok((log, dropped))
    }

    fn recover(&mut self, id: u64, length: u64, from: u64) -> io::Result<()> {
        let storage = &mut *self.storage;
        let recovered = Segment::recover(storage, &mut self.labels, (id, length), from)?;
        let Recovered { mut segment, damaged_bytes, finished } = recovered;
        self.damage.bytes += damaged_bytes;
        if segment.waiting.is_empty() {
            self.delete(id);
            return Ok(());
        }
        if !finished {
            self.finish(&mut segment);
        }
        // The process before may have been killed before it made this durable.
        self.note_written(segment.name());
        self.segments.push_back(segment);
        Ok(())
    }

    /// Cuts a segment behind its last frame and writes its footer, so that the next start need
    /// not look into it. Without room or luck it stays as it is.
    pub(super) fn finish(&mut self, segment: &mut Segment) {
        let (id, end) = (segment.id, segment.end);
        let Some(footer) = frame::footer(id, end, &segment.total, &self.labels) else { return };
        if segment.length > end && self.storage.truncate(segment.name(), end).is_err() {
            return;
        }
        segment.length = end;
        if self.storage.write_at(segment.name(), end, &footer).is_ok() {
            segment.length = end + footer.len() as u64;
        } else {
            // Half a footer is as good as none.
            self.storage.truncate(segment.name(), end).ok();
        }
        self.note_written(segment.name());
    }
}
