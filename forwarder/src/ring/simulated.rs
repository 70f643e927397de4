//! A ring in ordinary memory, laid out as the kernel's, with the producer's side in safe code.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::{
    fs::{MemfdFlags, ftruncate, memfd_create},
    io::{pread, pwrite},
};

use super::{BUSY, DISCARDED, HEADER_BYTES};

/// How a record is committed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Commit {
    Submitted,
    Discarded,
    Busy,
}

/// The kernel's side of a ring. A file has no double mapping, so each byte is written twice.
pub(crate) struct SimulatedRing {
    file: OwnedFd,
    bytes: usize,
    page: usize,
    produced: usize,
}

impl SimulatedRing {
    /// A ring of `bytes` whose positions start at `start`, a multiple of 8.
    pub(crate) fn new(bytes: usize, start: usize) -> Self {
        let file = memfd_create("ring", MemfdFlags::CLOEXEC).unwrap();
        let page = rustix::param::page_size();
        ftruncate(&file, (2 * page + 2 * bytes) as u64).unwrap();
        let ring = Self { file, bytes, page, produced: start };
        ring.write(0, &start.to_ne_bytes());
        ring.write(page, &start.to_ne_bytes());
        ring
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    pub(crate) fn bytes(&self) -> u32 {
        u32::try_from(self.bytes).unwrap()
    }

    /// Position that the reader has given back.
    pub(crate) fn consumed(&self) -> usize {
        let mut word = [0; size_of::<usize>()];
        pread(&self.file, &mut word, 0).unwrap();
        usize::from_ne_bytes(word)
    }

    /// Appends one record; returns its position, `None` when there is no room for it.
    pub(crate) fn push(&mut self, payload: &[u8], commit: Commit) -> Option<usize> {
        let total = (payload.len() + HEADER_BYTES).next_multiple_of(8);
        if self.produced.wrapping_sub(self.consumed()) + total > self.bytes {
            return None;
        }
        let at = self.produced;
        self.data(at.wrapping_add(HEADER_BYTES), payload);
        let flags = match commit {
            Commit::Submitted => 0,
            Commit::Discarded => DISCARDED,
            Commit::Busy => BUSY,
        };
        self.length_word(at, u32::try_from(payload.len()).unwrap() | flags);
        self.produced = self.produced.wrapping_add(total);
        self.write(self.page, &self.produced.to_ne_bytes());
        Some(at)
    }

    /// Overwrites the length word of the record at `position`.
    pub(crate) fn length_word(&self, position: usize, word: u32) {
        self.data(position, &word.to_ne_bytes());
    }

    fn data(&self, position: usize, bytes: &[u8]) {
        let offset = position % self.bytes;
        let (first, wrapped) = bytes.split_at(bytes.len().min(self.bytes - offset));
        for copy in [0, self.bytes] {
            self.write(2 * self.page + copy + offset, first);
            self.write(2 * self.page + copy, wrapped);
        }
    }

    fn write(&self, offset: usize, bytes: &[u8]) {
        assert_eq!(pwrite(&self.file, bytes, offset as u64).unwrap(), bytes.len());
    }
}
