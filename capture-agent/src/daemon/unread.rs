//! How much of a ring nobody has read.

use std::{io, os::fd::OwnedFd, ptr};

use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

/// Bytes between the reader's position and the writers'. A ring's first page holds the former,
/// its second the latter (`kernel/bpf/ringbuf.c`).
///
/// # Errors
///
/// When the ring cannot be mapped.
#[expect(unsafe_code, reason = "the positions are in memory that is shared with the kernel")]
pub(super) fn bytes(ring: &OwnedFd) -> io::Result<u64> {
    let page = rustix::param::page_size();
    let read = |offset: u64| -> io::Result<u64> {
        // SAFETY: a fresh read-only mapping of one page, unmapped before anything else sees it;
        // the position is its first, aligned word.
        unsafe {
            let at = mmap(ptr::null_mut(), page, ProtFlags::READ, MapFlags::SHARED, ring, offset)?;
            let position = at.cast::<u64>().read_volatile();
            munmap(at, page)?;
            Ok(position)
        }
    };
    let (consumer, producer) = (read(0)?, read(page as u64)?);
    Ok(producer.saturating_sub(consumer))
}
