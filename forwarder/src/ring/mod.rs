//! Reader of a BPF ring buffer by its file descriptor alone, so that a process without any
//! capability can read what the agent hands it. Records are read in place.
//!
//! # Source
//!
//! `kernel/bpf/ringbuf.c` and `tools/lib/bpf/ringbuf.c` (v6.6): consumer page, producer page,
//! data mapped twice; records of an 8-byte header and a payload, padded to 8 bytes.

mod mapping;
mod wait;

#[cfg(test)]
pub(crate) mod simulated;
#[cfg(test)]
mod tests;

use std::{io, os::fd::BorrowedFd};

use self::mapping::Mapping;
pub use self::wait::{Waiter, Waker};

/// `BPF_RINGBUF_BUSY_BIT`: reserved, not yet committed.
const BUSY: u32 = 1 << 31;
/// `BPF_RINGBUF_DISCARD_BIT`: committed without content.
const DISCARDED: u32 = 1 << 30;
/// `BPF_RINGBUF_HDR_SZ`
const HEADER_BYTES: usize = 8;
/// The reader's position is given to the kernel at least this often during a drain, so that
/// a long one does not starve the producer; per record it would bounce a cache line.
const PUBLISH_BYTES: usize = 64 * 1024;

/// Why a ring could not be mapped.
#[derive(Debug, thiserror::Error)]
pub enum RingError {
    /// The size is not a power of two that is a multiple of the page size.
    #[error("a ring of {bytes} bytes is not a power of two of whole pages")]
    Size {
        /// As it was given.
        bytes: u32,
    },
    /// The descriptor is not that of a ring buffer of this size, or memory is short.
    #[error("could not map the ring buffer")]
    Map(#[source] io::Error),
    /// No epoll instance or event descriptor.
    #[error("could not make a descriptor to wait on")]
    Wait(#[source] io::Error),
}

/// Why [`Ring::drain`] returned.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum DrainEnd {
    /// Everything committed has been read.
    Empty,
    /// The next record is reserved but not committed yet.
    Busy,
    /// The limit of this drain is used up; there is more.
    Limit,
    /// A record length that cannot be; all that waited was skipped.
    Corrupt,
}

/// What one drain did.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Drained {
    /// Records handed over; discarded ones are not counted.
    pub records: u64,
    /// Ring bytes freed, headers and padding included.
    pub bytes: usize,
    /// Why it ended.
    pub end: DrainEnd,
}

/// A mapped ring buffer with its only reader.
#[derive(Debug)]
pub struct Ring {
    mapping: Mapping,
    position: usize,
}

impl Ring {
    /// Maps the ring behind `fd`, whose map was made with `max_entries` = `bytes`. Reading goes
    /// on where an earlier reader stopped.
    ///
    /// # Errors
    ///
    /// [`RingError::Size`] and [`RingError::Map`].
    pub fn map(fd: BorrowedFd<'_>, bytes: u32) -> Result<Self, RingError> {
        let size = RingError::Size { bytes };
        let Ok(data_bytes) = usize::try_from(bytes) else { return Err(size) };
        if !data_bytes.is_power_of_two() || data_bytes < rustix::param::page_size() {
            return Err(size);
        }
        let mapping = Mapping::new(fd, data_bytes).map_err(|errno| RingError::Map(errno.into()))?;
        let position = mapping.consumed();
        Ok(Self { mapping, position })
    }

    /// Hands committed records to `sink`, in order and without a copy, until nothing is left,
    /// a record is not committed yet, or `limit_bytes` of the ring have been read.
    pub fn drain(&mut self, limit_bytes: usize, sink: &mut impl FnMut(&[u8])) -> Drained {
        let start = self.position;
        let mut published = start;
        let mut records = 0;
        let end = loop {
            if self.position.wrapping_sub(published) >= PUBLISH_BYTES {
                self.mapping.publish(self.position);
                published = self.position;
            }
            if self.position.wrapping_sub(start) >= limit_bytes {
                break DrainEnd::Limit;
            }
            match self.next(sink) {
                Ok(handed_over) => records += u64::from(handed_over),
                Err(end) => break end,
            }
        };
        if self.position != published {
            self.mapping.publish(self.position);
        }
        Drained { records, bytes: self.position.wrapping_sub(start), end }
    }

    /// Bytes that wait to be read, uncommitted records included.
    pub fn waiting_bytes(&self) -> usize {
        self.mapping.produced().wrapping_sub(self.position)
    }

    /// Reads one record and moves on; true when it had content.
    fn next(&mut self, sink: &mut impl FnMut(&[u8])) -> Result<bool, DrainEnd> {
        let waiting = self.waiting_bytes();
        if waiting == 0 {
            return Err(DrainEnd::Empty);
        }
        let word = self.mapping.header(self.position);
        if word & BUSY != 0 {
            return Err(DrainEnd::Busy);
        }
        let length = (word & !DISCARDED) as usize;
        let total = (length + HEADER_BYTES).next_multiple_of(8);
        // The producer's position is believed no more than the lengths are.
        if total > waiting || waiting > self.mapping.data_bytes() {
            return Err(self.skip_all(waiting));
        }
        let discarded = word & DISCARDED != 0;
        if !discarded {
            let payload = self.position.wrapping_add(HEADER_BYTES);
            let Some(record) = self.mapping.bytes(payload, length) else {
                return Err(self.skip_all(waiting));
            };
            sink(record);
        }
        self.position = self.position.wrapping_add(total);
        Ok(!discarded)
    }

    fn skip_all(&mut self, waiting: usize) -> DrainEnd {
        self.position = self.position.wrapping_add(waiting);
        DrainEnd::Corrupt
    }
}
