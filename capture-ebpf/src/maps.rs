//! The maps. Sizes of the rings and of `CONNECTIONS` are set by the loader.

use aya_ebpf::{
    macros::map,
    maps::{Array, HashMap, PerCpuArray, RingBuf},
};
use weir_abi::{Loss, LossCounter, Target};

/// Segments, for the forwarder.
#[map]
pub static SEGMENTS: RingBuf = RingBuf::with_byte_size(8 << 20, 0);

/// Process life, for the agent.
#[map]
pub static PROCESSES: RingBuf = RingBuf::with_byte_size(512 << 10, 0);

/// Thread group id → what to do with it. Only listed processes are captured.
#[map]
pub static TARGETS: HashMap<u32, Target> = HashMap::with_max_entries(16_384, 0);

/// Grows whenever a target is taken away, so that verdicts cached in sockets end.
#[map]
pub static TARGET_EPOCH: Array<u32> = Array::with_max_entries(1, 0);

/// Losses by [`Loss`].
#[map]
pub static LOSSES: PerCpuArray<LossCounter> = PerCpuArray::with_max_entries(Loss::COUNT, 0);

/// Corrects the exchanges that are lost for `reason`. The change may be negative, and so may
/// one processor's share: only the sum over all of them means something.
#[inline(always)]
pub fn lose_exchanges(reason: Loss, change: i64) {
    if let Some(slot) = LOSSES.get_ptr_mut(reason as u32) {
        // SAFETY: as in `lose`.
        unsafe { add(&raw mut (*slot).exchanges, change as u64) };
    }
}

/// Counts one lost record.
#[inline(always)]
pub fn lose(reason: Loss, bytes: u64, exchanges: u64) {
    if let Some(slot) = LOSSES.get_ptr_mut(reason as u32) {
        // SAFETY: a per-CPU slot.
        unsafe {
            add(&raw mut (*slot).records, 1);
            add(&raw mut (*slot).bytes, bytes);
            add(&raw mut (*slot).exchanges, exchanges);
        }
    }
}

/// Adds at once: the end of one connection may interrupt a call on another.
///
/// # Safety
/// `counter` lies in a map value.
#[inline(always)]
pub unsafe fn add(counter: *mut u64, count: u64) {
    // Not `AtomicU64`: the target is said to have loads and stores only, but every kernel knows
    // this instruction.
    // SAFETY: by the caller.
    unsafe {
        core::arch::asm!(
            "lock *(u64 *)({counter} + 0) += {count}",
            counter = in(reg) counter,
            count = in(reg) count,
        );
    }
}
