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
pub static PROCESSES: RingBuf = RingBuf::with_byte_size(256 << 10, 0);

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
        unsafe { (*slot).exchanges = (*slot).exchanges.wrapping_add(change as u64) };
    }
}

/// Counts one lost record.
#[inline(always)]
pub fn lose(reason: Loss, bytes: u64, exchanges: u64) {
    if let Some(slot) = LOSSES.get_ptr_mut(reason as u32) {
        // SAFETY: a per-CPU slot; nothing else on this CPU writes it while we run.
        unsafe {
            (*slot).records += 1;
            (*slot).bytes += bytes;
            (*slot).exchanges += exchanges;
        }
    }
}
