//! Appending, within the bounds.

use std::io;

use super::{Appended, Log, Refusal, WhenFull};
use crate::{
    FileName, Tally,
    frame::{self, Kind, SEGMENT_HEADER},
    segment::Segment,
};

impl Log {
    /// Appends one frame that holds these records. When this returns without a refusal, the
    /// frame outlives this process; it outlives a power cut after the next [`Log::sync_job`].
    pub fn append(&mut self, counts: &Tally, body: &[u8]) -> Appended {
        self.append_parts(counts, &[body])
    }

    /// The same for a body that lies in several places.
    pub fn append_parts(&mut self, counts: &Tally, body: &[&[u8]]) -> Appended {
        let mut done = Appended::default();
        let length = body.iter().map(|part| part.len()).sum();
        let bytes = frame::frame_bytes(counts, &self.labels, length) as u64;
        done.refused = self.make_room(counts, bytes, &mut done.dropped);
        if done.refused.is_some() {
            return done;
        }
        match self.write(counts, body, bytes) {
            Ok(()) => self.starved = false,
            Err(error) if is_full(&error) => self.without_space(counts, body, bytes, &mut done),
            Err(error) => done.refused = Some(Refusal::Failed(error.kind())),
        }
        done
    }

    /// Drops segments until a frame of `bytes` fits.
    fn make_room(&mut self, counts: &Tally, bytes: u64, dropped: &mut Tally) -> Option<Refusal> {
        loop {
            if self.stored_with(counts, bytes) <= self.bounds.bytes {
                return None;
            }
            if self.segments.is_empty() || u32::try_from(bytes).is_err() {
                return Some(Refusal::TooLarge);
            }
            if self.stored_alone(counts, bytes) > self.bounds.bytes {
                return Some(Refusal::TooLarge);
            }
            if self.bounds.when_full == WhenFull::DropNewest {
                return Some(Refusal::Full);
            }
            dropped.add_all(&self.drop_oldest());
        }
    }

    /// Bytes of all files with one more frame.
    fn stored_with(&self, counts: &Tally, bytes: u64) -> u64 {
        let stored = self.stored_bytes();
        match self.segments.back().filter(|segment| self.takes(segment, bytes)) {
            Some(segment) => {
                let mut total = segment.total.clone();
                total.add_all(counts);
                let footer = frame::footer_bytes(&total, &self.labels) as u64;
                stored - self.charge(segment) + self.blocks(segment.end + bytes + footer)
            }
            None => stored + self.segment_with(counts, bytes),
        }
    }

    /// Bytes of all files if there were only this frame.
    fn stored_alone(&self, counts: &Tally, bytes: u64) -> u64 {
        self.blocks(crate::cursor::FILE_BYTES as u64) + self.segment_with(counts, bytes)
    }

    fn segment_with(&self, counts: &Tally, bytes: u64) -> u64 {
        let footer = frame::footer_bytes(counts, &self.labels) as u64;
        self.blocks(SEGMENT_HEADER as u64 + bytes + footer)
    }

    /// Whether the last segment takes a frame of `bytes`.
    fn takes(&self, segment: &Segment, bytes: u64) -> bool {
        self.is_open && segment.end + bytes <= self.bounds.segment_bytes()
    }

    /// The storage is full before the log is: one segment gives way, as if the log were full.
    /// If that does not help, somebody else takes the room, and nothing more gives way until
    /// there is some.
    fn without_space(&mut self, counts: &Tally, body: &[&[u8]], bytes: u64, done: &mut Appended) {
        let gives_way = self.bounds.when_full == WhenFull::DropOldest && !self.starved;
        if gives_way && !self.segments.is_empty() {
            done.displaced.add_all(&self.drop_oldest());
            match self.write(counts, body, bytes) {
                Ok(()) => return,
                Err(error) if is_full(&error) => self.starved = true,
                Err(error) => {
                    done.refused = Some(Refusal::Failed(error.kind()));
                    return;
                }
            }
        }
        done.refused = Some(Refusal::NoSpace);
    }

    fn write(&mut self, counts: &Tally, body: &[&[u8]], bytes: u64) -> io::Result<()> {
        if !self.segments.back().is_some_and(|segment| self.takes(segment, bytes)) {
            self.roll();
        }
        let open = self.segments.back().filter(|_| self.is_open);
        let (id, at) = open.map_or((self.next_id, 0), |segment| (segment.id, segment.end));
        let file = FileName::Segment(id);
        let mut out = if at == 0 { frame::segment_header(id) } else { Vec::new() };
        out.reserve_exact(usize::try_from(bytes).unwrap_or(0));
        let place = (id, at + out.len() as u64);
        frame::encode(&mut out, Kind::Records, place, (counts, &self.labels), body)
            .ok_or(io::ErrorKind::FileTooLarge)?;
        if let Err(error) = self.storage.write_at(file, at, &out) {
            self.undo(file, at);
            return Err(error);
        }
        if at == 0 {
            self.segments.push_back(Segment::new(id));
            (self.is_open, self.next_id) = (true, id + 1);
        }
        if let Some(segment) = self.segments.back_mut() {
            segment.grow(at + out.len() as u64, counts);
        }
        self.note_written(file);
        Ok(())
    }

    /// Takes back a write that failed halfway. Where even that fails, the log goes on in a new
    /// segment.
    fn undo(&mut self, file: FileName, at: u64) {
        if at == 0 {
            // The next attempt begins this file anew, so it may stay if it must.
            self.storage.remove(file).ok();
        } else if self.storage.truncate(file, at).is_err() {
            self.is_open = false;
        }
    }

    /// Finishes the last segment.
    fn roll(&mut self) {
        if std::mem::take(&mut self.is_open)
            && let Some(mut segment) = self.segments.pop_back()
        {
            self.finish(&mut segment);
            self.segments.push_back(segment);
        }
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
