//! A head on its way in.

use crate::{
    event::UndecodableReason,
    exchange::{Defect, Defects},
    head::{
        kind::{HeadKind, Raw, Start},
        scan::EndScanner,
    },
};

/// What was read of a head. One that comes in one piece is never copied here.
#[derive(Default)]
pub(super) struct HeadBuffer {
    bytes: Vec<u8>,
    scanner: EndScanner,
    first_byte_ns: u64,
    start_checked: bool,
    line_checked: bool,
    tentative: bool,
}

/// Bytes used, the head, its defects.
type Complete<Head> = (usize, Head, Defects);

impl HeadBuffer {
    pub(super) fn new(first_byte_ns: u64, tentative: bool) -> Self {
        Self { first_byte_ns, tentative, ..Self::default() }
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn is_tentative(&self) -> bool {
        self.tentative
    }

    pub(super) fn first_byte_ns(&self) -> u64 {
        self.first_byte_ns
    }

    /// Reads on; `None` when the head is not complete and all bytes were used.
    ///
    /// # Errors
    /// Why this is no head.
    pub(super) fn advance<Head: HeadKind>(
        &mut self,
        bytes: &[u8],
        max_head_bytes: usize,
    ) -> Result<Option<Complete<Head>>, UndecodableReason> {
        let end = self.scanner.find(bytes);
        let taken = end.unwrap_or(bytes.len());
        // What lies beyond the limit is not looked at, however it is cut.
        let room = max_head_bytes.saturating_sub(self.bytes.len());
        let piece = bytes.get(..taken.min(room)).unwrap_or_default();
        self.check_start::<Head>(piece)?;
        if end.is_none() || taken > room {
            self.check_line::<Head>(piece)?;
        }
        if taken > room {
            return Err(UndecodableReason::HeadTooLarge);
        }
        if end.is_none() {
            self.bytes.extend_from_slice(piece);
            return Ok(None);
        }
        let mut defects = Defects::default();
        let raw = if self.bytes.is_empty() {
            Raw::InPlace(piece)
        } else {
            self.bytes.extend_from_slice(piece);
            Raw::Gathered(std::mem::take(&mut self.bytes))
        };
        let head = Head::parse(raw, &mut defects)?;
        if self.scanner.saw_bare_lf() {
            defects.insert(Defect::BareLf);
        }
        Ok(Some((taken, head, defects)))
    }

    /// Refuses what cannot begin a head as soon as that is certain.
    fn check_start<Head: HeadKind>(&mut self, piece: &[u8]) -> Result<(), UndecodableReason> {
        if self.start_checked {
            return Ok(());
        }
        let start = if self.bytes.is_empty() {
            Head::start(piece)
        } else {
            let more = piece.get(..Self::START_BYTES).unwrap_or(piece);
            Head::start(&[self.bytes.as_slice(), more].concat())
        };
        match start {
            Start::Possible => self.start_checked = true,
            Start::Undecided => {}
            Start::Impossible(reason) => return Err(reason),
        }
        Ok(())
    }

    /// As [`Self::check_start`], once the start line is complete.
    fn check_line<Head: HeadKind>(&mut self, piece: &[u8]) -> Result<(), UndecodableReason> {
        if !self.line_checked
            && let Some(end) = memchr::memchr(b'\n', piece)
        {
            self.line_checked = true;
            let line = [&self.bytes, piece.get(..end).unwrap_or_default()].concat();
            Head::check_line(line.strip_suffix(b"\r").unwrap_or(&line))?;
        }
        Ok(())
    }

    /// More than any [`HeadKind::start`] needs to decide.
    const START_BYTES: usize = 40;
}

impl std::fmt::Debug for HeadBuffer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "HeadBuffer({} bytes)", self.bytes.len())
    }
}
