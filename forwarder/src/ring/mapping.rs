//! The memory that a BPF ring buffer shares with its reader. All unsafe code of this crate is
//! here; every access is checked against the mapped sizes first.
#![expect(unsafe_code, reason = "mapping kernel memory has no safe form")]

use std::{
    os::fd::BorrowedFd,
    ptr::{self, NonNull},
    sync::atomic::{AtomicU32, AtomicUsize, Ordering},
};

use rustix::{
    io::Errno,
    mm::{MapFlags, ProtFlags, mmap, munmap},
};

/// Consumer page, producer page, and the data twice in a row, so that a record which wraps
/// around is still one slice (`ringbuf_map_mmap` in `kernel/bpf/ringbuf.c`).
#[derive(Debug)]
pub(super) struct Mapping {
    consumer: NonNull<u8>,
    producer: NonNull<u8>,
    page_bytes: usize,
    data_bytes: usize,
}

// SAFETY: the pointers are owned by the value and reach memory that lives as long as it; all
// accesses are atomic loads and stores or reads of records that the kernel has let go.
unsafe impl Send for Mapping {}

impl Mapping {
    /// Maps the ring behind `fd` with `data_bytes` of data, a power of two that is a multiple
    /// of the page size (the caller has checked).
    pub(super) fn new(fd: BorrowedFd<'_>, data_bytes: usize) -> Result<Self, Errno> {
        let page_bytes = rustix::param::page_size();
        let readable = ProtFlags::READ;
        // SAFETY: a new mapping at an address that the kernel chooses aliases nothing.
        let consumer = unsafe {
            mmap(ptr::null_mut(), page_bytes, readable | ProtFlags::WRITE, MapFlags::SHARED, fd, 0)?
        };
        let length = page_bytes + 2 * data_bytes;
        // SAFETY: as above.
        let producer = unsafe {
            mmap(ptr::null_mut(), length, readable, MapFlags::SHARED, fd, page_bytes as u64)
        };
        let (Some(consumer), producer) = (NonNull::new(consumer.cast()), producer) else {
            return Err(Errno::NOMEM);
        };
        match producer.map(|address| NonNull::new(address.cast())) {
            Ok(Some(producer)) => Ok(Self { consumer, producer, page_bytes, data_bytes }),
            failed => {
                // SAFETY: mapped above with this length, and nothing refers to it.
                unsafe { munmap(consumer.as_ptr().cast(), page_bytes)? };
                Err(failed.err().unwrap_or(Errno::NOMEM))
            }
        }
    }

    /// Bytes of the data area.
    pub(super) const fn data_bytes(&self) -> usize {
        self.data_bytes
    }

    /// How far the reader has come, in bytes since the ring was made.
    pub(super) fn consumed(&self) -> usize {
        self.consumer_word().load(Ordering::Acquire)
    }

    /// Gives everything before `position` back to the kernel.
    pub(super) fn publish(&self, position: usize) {
        self.consumer_word().store(position, Ordering::Release);
    }

    /// How far the kernel has reserved, in bytes since the ring was made.
    pub(super) fn produced(&self) -> usize {
        // SAFETY: the first word of the producer page, mapped and aligned; the kernel writes
        // it concurrently, hence atomic.
        unsafe { self.producer.cast::<AtomicUsize>().as_ref() }.load(Ordering::Acquire)
    }

    /// First word of the record header at `offset` in the data area.
    ///
    /// `offset` is taken modulo the size and rounded down to a record boundary (8), so no
    /// value leaves the mapping.
    pub(super) fn header(&self, offset: usize) -> u32 {
        let offset = offset & (self.data_bytes - 1) & !7;
        // SAFETY: offset < data_bytes and is aligned; the area starts page_bytes behind the
        // producer page. The kernel clears the busy bit concurrently, hence atomic.
        let word = unsafe { self.producer.add(self.page_bytes + offset).cast::<AtomicU32>() };
        // SAFETY: as above; the reference does not leave this function.
        unsafe { word.as_ref() }.load(Ordering::Acquire)
    }

    /// `length` bytes from `offset` (modulo the size) in the data area, `None` when they would
    /// leave the mapping.
    ///
    /// The kernel does not write to a record between the clearing of its busy bit and
    /// [`Mapping::publish`], which takes the borrow's end for granted: callers publish only
    /// what they no longer look at.
    pub(super) fn bytes(&self, offset: usize, length: usize) -> Option<&[u8]> {
        if length > self.data_bytes {
            return None;
        }
        let offset = offset & (self.data_bytes - 1);
        // SAFETY: offset < data_bytes and length <= data_bytes, and the area is mapped twice.
        Some(unsafe {
            std::slice::from_raw_parts(
                self.producer.add(self.page_bytes + offset).as_ptr().cast_const(),
                length,
            )
        })
    }

    fn consumer_word(&self) -> &AtomicUsize {
        // SAFETY: the first word of the consumer page, mapped and aligned; the kernel reads it
        // concurrently, hence atomic.
        unsafe { self.consumer.cast::<AtomicUsize>().as_ref() }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        let producer_bytes = self.page_bytes + 2 * self.data_bytes;
        // SAFETY: mapped by `new` with this length; `bytes` borrows from `self`.
        let consumer = unsafe { munmap(self.consumer.as_ptr().cast(), self.page_bytes) };
        // SAFETY: as above.
        let producer = unsafe { munmap(self.producer.as_ptr().cast(), producer_bytes) };
        let unmapped = consumer.and(producer);
        debug_assert!(unmapped.is_ok(), "both areas were mapped by new");
    }
}
