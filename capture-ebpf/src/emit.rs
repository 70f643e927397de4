//! Writing records into the segment ring.
//!
//! A reservation's size must be a constant to the verifier, so there are size classes; the
//! unused tail of a class costs ring space but is never touched.

use aya_ebpf::{
    bindings::{BPF_RB_AVAIL_DATA, BPF_RB_FORCE_WAKEUP, BPF_RB_NO_WAKEUP},
    helpers::generated::bpf_probe_read_user,
};
use weir_abi::{ConnectionInfo, HoleReason, Loss, MAX_CHUNK_BYTES, RecordHeader, RecordKind};

use crate::{
    config::config,
    maps::{SEGMENTS, lose},
};

#[repr(C)]
struct Record<const N: usize> {
    header: RecordHeader,
    payload: [u8; N],
}

/// Submit flags: wake the reader only when enough waits for it, since a wake-up costs more
/// than a record.
#[inline(always)]
fn wake_flags() -> u64 {
    if SEGMENTS.query(u64::from(BPF_RB_AVAIL_DATA)) >= u64::from(config!(wake_bytes)) {
        u64::from(BPF_RB_FORCE_WAKEUP)
    } else {
        u64::from(BPF_RB_NO_WAKEUP)
    }
}

/// Copies `length` (at most [`MAX_CHUNK_BYTES`]) bytes of user memory at `source`. False when
/// the ring was full.
#[inline(always)]
pub fn data(header: &RecordHeader, source: u64, length: u32) -> bool {
    const HEADER: usize = size_of::<RecordHeader>();
    match length as usize {
        0..=208 => sized::<208>(header, source, length),
        209..=464 => sized::<464>(header, source, length),
        465..=976 => sized::<976>(header, source, length),
        977..=1488 => sized::<1488>(header, source, length),
        1489..=2512 => sized::<2512>(header, source, length),
        2513..=4560 => sized::<4560>(header, source, length),
        4561..=8656 => sized::<{ 8696 - HEADER }>(header, source, length),
        _ => sized::<MAX_CHUNK_BYTES>(header, source, length),
    }
}

#[inline(always)]
fn sized<const N: usize>(header: &RecordHeader, source: u64, length: u32) -> bool {
    let Some(mut entry) = SEGMENTS.reserve::<Record<N>>(0) else {
        lose(Loss::RingFull, u64::from(length), 0);
        return false;
    };
    let record = entry.as_mut_ptr();
    // SAFETY: `record` is reserved and ours until it is submitted below. The volatile read
    // hides the value from the optimiser, so that the bound stays where the verifier sees it.
    unsafe {
        let mut bounded = core::ptr::read_volatile(&raw const length);
        if bounded > N as u32 {
            bounded = N as u32;
        }
        (&raw mut (*record).header).write(*header);
        (*record).header.length = bounded;
        (*record).header.kind = RecordKind::Data as u8;
        let payload = (&raw mut (*record).payload).cast();
        if bpf_probe_read_user(payload, bounded, source as *const _) != 0 {
            (*record).header.kind = RecordKind::Hole as u8;
            (*record).header.reason = HoleReason::ReadFault as u8;
            lose(Loss::ReadFault, u64::from(length), 0);
        }
    }
    entry.submit(wake_flags());
    true
}

/// As [`data`], for at most [`MAX_HELLO_BYTES`](weir_abi::MAX_HELLO_BYTES).
#[inline(always)]
pub fn hello(header: &RecordHeader, source: u64, length: u32) -> bool {
    if length <= 976 {
        sized::<976>(header, source, length)
    } else {
        sized::<{ weir_abi::MAX_HELLO_BYTES as usize }>(header, source, length)
    }
}

/// Most buffers that [`gather`] puts together.
pub const GATHER_VECTORS: u64 = 3;
/// Most bytes that [`gather`] puts together.
pub const GATHER_BYTES: u32 = 4096;

/// `iov_base`, `iov_len`
pub type IoVec = [u64; 2];

/// Copies the first `length` (at most [`GATHER_BYTES`]) bytes that `vectors` describe into one
/// record: servers write head and body as two buffers, and one record costs less than two.
/// False when the ring was full.
#[inline(always)]
pub fn gather(
    header: &RecordHeader,
    vectors: &[IoVec; GATHER_VECTORS as usize],
    length: u32,
) -> bool {
    // Twice the bytes that may come: the verifier bounds a piece's place and its length
    // apart, not their sum.
    match length {
        0..=512 => gather_sized::<512, 1024>(header, vectors, length),
        513..=1536 => gather_sized::<1536, 3072>(header, vectors, length),
        _ => gather_sized::<4096, 8192>(header, vectors, length),
    }
}

#[inline(always)]
fn gather_sized<const N: u32, const ROOM: usize>(
    header: &RecordHeader,
    vectors: &[IoVec; GATHER_VECTORS as usize],
    length: u32,
) -> bool {
    let Some(mut entry) = SEGMENTS.reserve::<Record<ROOM>>(0) else {
        lose(Loss::RingFull, u64::from(length), 0);
        return false;
    };
    let record = entry.as_mut_ptr();
    let mut filled = 0u32;
    let mut unreadable = false;
    // SAFETY: as in `sized`.
    unsafe {
        (&raw mut (*record).header).write(*header);
        (*record).header.length = length;
        (*record).header.kind = RecordKind::Data as u8;
        for &[base, available] in vectors {
            let left = length - filled;
            let piece = if available < u64::from(left) { available as u32 } else { left };
            let mut bounded = core::ptr::read_volatile(&raw const piece);
            if bounded > N {
                bounded = N;
            }
            let mut place = core::ptr::read_volatile(&raw const filled);
            if place > N {
                place = N;
            }
            let payload = (&raw mut (*record).payload).cast::<u8>().add(place as usize);
            if bounded > 0 && bpf_probe_read_user(payload.cast(), bounded, base as *const _) != 0 {
                unreadable = true;
            }
            filled += bounded;
        }
        if unreadable || filled != length {
            (*record).header.kind = RecordKind::Hole as u8;
            (*record).header.reason = HoleReason::ReadFault as u8;
            lose(Loss::ReadFault, u64::from(length), 0);
        }
    }
    entry.submit(wake_flags());
    true
}

/// Reports `header.length` bytes that were not copied. False when the ring was full.
#[inline(always)]
pub fn hole(header: &RecordHeader, reason: HoleReason) -> bool {
    let Some(mut entry) = SEGMENTS.reserve::<RecordHeader>(0) else {
        lose(Loss::RingFull, u64::from(header.length), 0);
        return false;
    };
    let record = entry.as_mut_ptr();
    // SAFETY: reserved and ours until submitted.
    unsafe {
        record.write(*header);
        (*record).kind = RecordKind::Hole as u8;
        (*record).reason = reason as u8;
    }
    entry.submit(wake_flags());
    true
}

#[repr(C)]
struct Opening {
    header: RecordHeader,
    info: ConnectionInfo,
}

/// Announces a connection, of which `fill` writes what is known. False when the ring was full.
#[inline(always)]
pub fn open(header: &RecordHeader, fill: impl FnOnce(*mut ConnectionInfo)) -> bool {
    let Some(mut entry) = SEGMENTS.reserve::<Opening>(0) else {
        lose(Loss::RingFull, 0, 0);
        return false;
    };
    let record = entry.as_mut_ptr();
    // SAFETY: reserved and ours until submitted.
    unsafe {
        (&raw mut (*record).header).write(*header);
        (*record).header.kind = RecordKind::Open as u8;
        (*record).header.length = size_of::<ConnectionInfo>() as u32;
        (*record).header.flags = 0;
        fill(&raw mut (*record).info);
    }
    entry.submit(u64::from(BPF_RB_NO_WAKEUP));
    true
}

#[repr(C)]
struct Closing {
    header: RecordHeader,
    ingress_position: u64,
}

/// Reports the end of a connection. False when the ring was full.
#[inline(always)]
pub fn close(header: &RecordHeader, ingress_position: u64) -> bool {
    let Some(mut entry) = SEGMENTS.reserve::<Closing>(0) else {
        return false;
    };
    let record = entry.as_mut_ptr();
    // SAFETY: reserved and ours until submitted.
    unsafe {
        (&raw mut (*record).header).write(*header);
        (*record).header.kind = RecordKind::Close as u8;
        (*record).ingress_position = ingress_position;
    }
    entry.submit(wake_flags());
    true
}
