//! One segment: what is known of it, and walking over its frames.

use std::io;

use crate::{
    FileName, Label, Storage, Tally,
    frame::{self, FRAME_HEADER, Header, Kind, Opened, SEGMENT_HEADER, TRAILER},
    labels::Labels,
};

/// Bytes looked at in one go when the next header is searched.
const SEARCH_BYTES: usize = 64 * 1024;

/// What is known of a segment without looking into it.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) id: u64,
    /// Bytes of the file.
    pub(crate) length: u64,
    /// Where its frames end.
    pub(crate) end: u64,
    /// Records of all its frames, for the footer.
    pub(crate) total: Tally,
    /// Records of frames that were not taken yet.
    pub(crate) waiting: Tally,
    /// Records of frames that were taken and not acknowledged.
    pub(crate) taken: Tally,
}

/// A frame as it lies in a segment.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) counts: Tally,
    pub(crate) labels: Vec<Label>,
    pub(crate) payload: Vec<u8>,
    /// Where the body begins in `payload`.
    pub(crate) body: usize,
    /// Where the next frame begins.
    pub(crate) next: u64,
}

/// What lies at a place of a segment.
#[derive(Debug)]
pub(crate) enum Step {
    Frame(Found),
    /// Bytes that hold no frame, up to `next`.
    Damaged {
        next: u64,
    },
    End,
}

/// A segment as an earlier process left it.
#[derive(Debug)]
pub(crate) struct Recovered {
    pub(crate) segment: Segment,
    /// Bytes behind `from` that hold no frame.
    pub(crate) damaged_bytes: u64,
    /// It has a footer, or got one now.
    pub(crate) finished: bool,
}

impl Segment {
    pub(crate) const fn name(&self) -> FileName {
        FileName::Segment(self.id)
    }

    /// A segment that is only a header yet.
    pub(crate) fn new(id: u64) -> Self {
        let length = SEGMENT_HEADER as u64;
        let none = Tally::default();
        Self { id, length, end: length, total: none.clone(), waiting: none.clone(), taken: none }
    }

    /// What lies at `offset`.
    pub(crate) fn step(
        &self,
        storage: &mut dyn Storage,
        labels: &mut Labels,
        offset: u64,
    ) -> io::Result<Step> {
        if offset >= self.end {
            return Ok(Step::End);
        }
        let Some(header) = self.header(storage, offset)? else {
            return Ok(Step::Damaged { next: self.search(storage, offset + 1)? });
        };
        let body_at = offset + FRAME_HEADER as u64;
        let next = body_at + header.length;
        let mut payload = vec![0; usize::try_from(header.length).unwrap_or(usize::MAX)];
        let held = read(storage, self.name(), body_at, &mut payload)?;
        if held < payload.len() {
            return Ok(Step::Damaged { next });
        }
        Ok(match header.open(&payload, labels) {
            Some(Opened { counts, labels, body }) => {
                Step::Frame(Found { counts, labels, payload, body, next })
            }
            None => Step::Damaged { next },
        })
    }

    /// The header of the frame at `offset`; `None` when none holds there.
    pub(crate) fn header(
        &self,
        storage: &mut dyn Storage,
        offset: u64,
    ) -> io::Result<Option<Header>> {
        let mut bytes = [0; FRAME_HEADER];
        let held = read(storage, self.name(), offset, &mut bytes)?;
        let header = Header::decode(bytes.get(..held).unwrap_or_default(), self.id, offset);
        Ok(header.filter(|header| {
            header.kind == Kind::Records
                && header.length <= self.end.saturating_sub(offset + FRAME_HEADER as u64)
        }))
    }

    /// Where the next header holds, from `from` on.
    fn search(&self, storage: &mut dyn Storage, mut from: u64) -> io::Result<u64> {
        let mut window = vec![0; SEARCH_BYTES];
        while from < self.end {
            let held = read(storage, self.name(), from, &mut window)?;
            let bytes = window.get(..held).unwrap_or_default();
            let starts = bytes.windows(FRAME_HEADER).zip(from..self.end);
            for (header, offset) in starts {
                if Header::decode(header, self.id, offset).is_some() {
                    return Ok(offset);
                }
            }
            if held < SEARCH_BYTES {
                break;
            }
            from += (held - FRAME_HEADER + 1) as u64;
        }
        Ok(self.end)
    }

    /// Reads what an earlier process left in segment `id`; `from` is where its frames are not
    /// acknowledged. Looks into the frames only when it must.
    pub(crate) fn recover(
        storage: &mut dyn Storage,
        labels: &mut Labels,
        (id, length): (u64, u64),
        from: u64,
    ) -> io::Result<Recovered> {
        let mut segment = Self { length, end: length, ..Self::new(id) };
        let mut start = [0; SEGMENT_HEADER];
        read(storage, segment.name(), 0, &mut start)?;
        let whole_header = frame::begins_segment(&start, id);
        let footer = segment.footer(storage, labels)?;
        let finished = footer.is_some();
        if let Some((total, end)) = footer {
            (segment.total, segment.end) = (total, end);
            if whole_header && from <= SEGMENT_HEADER as u64 {
                segment.waiting = segment.total.clone();
                return Ok(Recovered { segment, damaged_bytes: 0, finished });
            }
        }
        let (mut offset, mut damaged_bytes) = (from.max(SEGMENT_HEADER as u64), 0);
        let mut good = offset.min(segment.end);
        loop {
            match segment.step(storage, labels, offset)? {
                Step::End => break,
                Step::Damaged { next } => {
                    damaged_bytes += next - offset;
                    offset = next;
                }
                Step::Frame(found) => {
                    segment.waiting.add_all(&found.counts);
                    offset = found.next;
                    good = offset;
                }
            }
        }
        if !finished {
            // What lies behind the last frame that holds is a write that did not end.
            segment.end = good;
            segment.total = segment.waiting.clone();
        }
        Ok(Recovered { segment, damaged_bytes, finished })
    }

    /// Reads the footer, if there is one that holds: all records, and where the frames end.
    fn footer(
        &self,
        storage: &mut dyn Storage,
        labels: &mut Labels,
    ) -> io::Result<Option<(Tally, u64)>> {
        let mut trailer = [0; TRAILER];
        let Some(at) = self.length.checked_sub(TRAILER as u64) else { return Ok(None) };
        read(storage, self.name(), at, &mut trailer)?;
        let offset = frame::footer_length(&trailer).and_then(|length| at.checked_sub(length));
        let Some(offset) = offset else { return Ok(None) };
        let mut bytes = vec![0; usize::try_from(at - offset).unwrap_or(0)];
        let held = read(storage, self.name(), offset, &mut bytes)?;
        let bytes = bytes.get(..held).unwrap_or_default();
        let header = Header::decode(bytes, self.id, offset);
        let Some(header) = header.filter(|header| header.kind == Kind::Footer) else {
            return Ok(None);
        };
        let opened = header.open(bytes.get(FRAME_HEADER..).unwrap_or_default(), labels);
        Ok(opened.map(|opened| (opened.counts, offset)))
    }

    /// Counts a frame that was appended and ends at `end`.
    pub(crate) fn grow(&mut self, end: u64, counts: &Tally) {
        (self.end, self.length) = (end, end);
        self.total.add_all(counts);
        self.waiting.add_all(counts);
    }

    /// Moves the records of a taken frame.
    pub(crate) fn take(&mut self, counts: &Tally) {
        self.waiting.remove_all(counts);
        self.taken.add_all(counts);
    }

    /// Everything was read: whose records are missing now.
    pub(crate) fn missing(&mut self) -> Tally {
        std::mem::take(&mut self.waiting)
    }
}

/// Reads like [`Storage::read_at`]; a bad place of the disk, or a file that is gone, reads as
/// if the file ended there: the checksums find what is missing.
fn read(
    storage: &mut dyn Storage,
    file: FileName,
    offset: u64,
    buffer: &mut [u8],
) -> io::Result<usize> {
    /// The number of the error is the same on every Unix.
    const EIO: i32 = 5;
    match storage.read_at(file, offset, buffer) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(error) if error.raw_os_error() == Some(EIO) => Ok(0),
        other => other,
    }
}
