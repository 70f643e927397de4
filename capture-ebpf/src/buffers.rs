//! Where the bytes of a finished socket call lie in the caller's memory.

use aya_ebpf::{
    helpers::generated::{bpf_loop, bpf_probe_read_user},
    macros::map,
    maps::PerCpuArray,
};
use weir_abi::{BEGINS_RUN, Direction, HoleReason, MAX_CHUNK_BYTES, MAX_HELLO_BYTES, RecordHeader};

use crate::{
    arch::{self, Registers},
    emit::{self, GATHER_BYTES, GATHER_VECTORS, IoVec},
    state::State,
};

/// A call's memory. Plain numbers instead of an enum: the verifier refuses copies of
/// undefined payloads.
#[derive(Clone, Copy)]
pub struct Buffer {
    /// Of the bytes, or of the `struct iovec` array; 0: none that we can name.
    address: u64,
    /// Length of the array; 0 for one run of bytes.
    vectors: u64,
}

impl Buffer {
    pub const UNKNOWN: Self = Self { address: 0, vectors: 0 };

    #[inline(always)]
    pub const fn flat(address: u64) -> Self {
        Self { address, vectors: 0 }
    }

    #[inline(always)]
    const fn vector(address: u64, vectors: u64) -> Self {
        if vectors == 0 { Self::UNKNOWN } else { Self { address, vectors } }
    }
}

/// Bytes of `struct mmsghdr`.
const MMSGHDR_BYTES: u64 = 64;

/// Offset of `mmsghdr.msg_len`.
const MSG_LEN: u64 = 56;

/// Longest vector that a call may have (`UIO_MAXIOV`), and so most rounds of a walk beside
/// the chunks of long buffers.
const MAX_ROUNDS: u32 = 1024 + 64;

/// Reads the caller's memory; zeroes where it cannot be read.
#[inline(always)]
pub unsafe fn read_user<T: Copy>(address: u64) -> T {
    let mut value = core::mem::MaybeUninit::<T>::zeroed();
    // SAFETY: the helper writes at most size_of::<T>() bytes; zeroed is valid for plain data.
    unsafe {
        bpf_probe_read_user(value.as_mut_ptr().cast(), size_of::<T>() as u32, address as *const _);
        value.assume_init()
    }
}

/// The memory that the call under way in `registers` used. A call of the other direction
/// (or io_uring's, whose registers are of io_uring_enter) has none that we can name.
///
/// # Safety
/// `registers` are the current task's user registers.
#[inline(always)]
pub unsafe fn locate(
    registers: *const Registers,
    direction: Direction,
    state: &mut State,
) -> Buffer {
    // SAFETY: by the caller.
    let (number, (_, second, third)) =
        unsafe { (arch::number(registers), arch::arguments(registers)) };
    let egress = matches!(direction, Direction::Egress);
    match number {
        arch::READ | arch::RECVFROM if !egress => Buffer::flat(second),
        arch::WRITE | arch::SENDTO if egress => Buffer::flat(second),
        arch::READV | arch::PREADV2 if !egress => Buffer::vector(second, third),
        arch::WRITEV | arch::PWRITEV2 if egress => Buffer::vector(second, third),
        arch::RECVMSG if !egress => message(second),
        arch::SENDMSG if egress => message(second),
        arch::RECVMMSG if !egress => nth_message(second, third, state),
        arch::SENDMMSG if egress => nth_message(second, third, state),
        _ => Buffer::UNKNOWN,
    }
}

/// True for the calls that move several messages: a failed one ends its vector.
///
/// # Safety
/// As [`locate`].
#[inline(always)]
pub unsafe fn is_message_vector(registers: *const Registers) -> bool {
    // SAFETY: by the caller.
    matches!(unsafe { arch::number(registers) }, arch::RECVMMSG | arch::SENDMMSG)
}

/// `msg_iov` and `msg_iovlen` of a `struct msghdr`.
#[inline(always)]
fn message(header: u64) -> Buffer {
    // SAFETY: plain numbers.
    let [vector, length]: IoVec = unsafe { read_user(header + 16) };
    Buffer::vector(vector, length)
}

/// Memory and length of one message of a vector whose call is over.
#[inline(always)]
pub fn received(vector: u64, index: u64) -> (Buffer, u32) {
    let header = vector + index * MMSGHDR_BYTES;
    // SAFETY: a plain number.
    let length = unsafe { read_user(header + MSG_LEN) };
    (message(header), length)
}

/// The hook runs once for every message of the vector, in order.
#[inline(always)]
fn nth_message(vector: u64, length: u64, state: &mut State) -> Buffer {
    let index = if state.vector == vector { u64::from(state.vector_next) } else { 0 };
    let next = index + 1;
    if next >= length {
        state.vector = 0;
        state.vector_next = 0;
    } else {
        state.vector = vector;
        state.vector_next = next as u32;
    }
    message(vector + index * MMSGHDR_BYTES)
}

/// Progress of a walk over a call's memory.
///
/// It lies in a map, not on the stack: the verifier tracks each number on the stack over the
/// rounds of a loop and would never come to an end.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Walk {
    header: RecordHeader,
    /// Next `struct iovec`.
    vector: u64,
    vectors_left: u64,
    /// What is left of the current buffer.
    base: u64,
    base_left: u64,
    /// What is left of the call.
    left: u64,
    submitted: u32,
    reserved: u32,
}

#[map]
static WALKS: PerCpuArray<Walk> = PerCpuArray::with_max_entries(1, 0);

/// Room for the walk of a program that runs with preemption off, as tracepoints do.
#[inline(always)]
pub fn processor_walk() -> Option<*mut Walk> {
    WALKS.get_ptr_mut(0)
}

/// Where the first `length` bytes of `buffer` are, if they are in one piece.
#[inline(always)]
pub fn beginning(buffer: Buffer, length: u64) -> Option<u64> {
    if buffer.address == 0 {
        return None;
    }
    if buffer.vectors == 0 {
        return Some(buffer.address);
    }
    // SAFETY: plain numbers.
    let [base, found]: IoVec = unsafe { read_user(buffer.address) };
    if found < length { None } else { Some(base) }
}

/// Bytes before the random number of a ClientHello that begins a TLS record, and its own
/// (RFC 8446 §4.1.2).
const BEFORE_RANDOM: u64 = 11;
const CLIENT_HELLO_BYTES: u32 = 11 + 32;

/// The random number of the ClientHello that `length` bytes of `buffer` begin with.
#[inline(always)]
pub fn client_random(buffer: Buffer, length: u32) -> Option<[u8; 32]> {
    if length < CLIENT_HELLO_BYTES {
        return None;
    }
    let address = beginning(buffer, u64::from(CLIENT_HELLO_BYTES))?;
    // SAFETY: plain numbers.
    let [kind, _, _, _, _, message]: [u8; 6] = unsafe { read_user(address) };
    if kind != 22 || message != 1 {
        return None;
    }
    // SAFETY: as above.
    Some(unsafe { read_user(address + BEFORE_RANDOM) })
}

/// True when the `length` bytes of `buffer` are the ClientHello with which TLS begins, or the
/// header of its record: those who read first ask for that alone.
#[inline(always)]
pub fn begins_tls(buffer: Buffer, length: u32) -> bool {
    let Some((minor, record)) = handshake_header(buffer) else { return false };
    minor <= 3 && (length == TLS_HEADER_BYTES || length == record)
}

const TLS_HEADER_BYTES: u32 = 5;

/// Minor version, and length with its header, of the TLS record of a handshake that `buffer`
/// begins with.
#[inline(always)]
fn handshake_header(buffer: Buffer) -> Option<(u8, u32)> {
    let address = beginning(buffer, u64::from(TLS_HEADER_BYTES))?;
    // SAFETY: plain numbers.
    let [kind, major, minor, high, low]: [u8; 5] = unsafe { read_user(address) };
    let record = TLS_HEADER_BYTES + (u32::from(high) << 8 | u32::from(low));
    if kind == 22 && major == 3 { Some((minor, record)) } else { None }
}

/// With these eight bytes a Postgres client asks for TLS, or for GSSAPI (PostgreSQL: Message
/// Formats, SSLRequest and GSSENCRequest).
#[inline(always)]
pub fn asks_for_encryption(buffer: Buffer, length: u32) -> bool {
    if length != 8 {
        return false;
    }
    let Some(address) = beginning(buffer, 8) else { return false };
    // SAFETY: plain numbers.
    let asked: [u8; 8] = unsafe { read_user(address) };
    matches!(asked, [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f | 0x30])
}

/// Bytes of the TLS record of a handshake that `length` bytes of `buffer` begin with, or of what of
/// it is of use; 0: they begin with none.
#[inline(always)]
pub fn handshake_record(buffer: Buffer, length: u32) -> u16 {
    if length < TLS_HEADER_BYTES {
        return 0;
    }
    let Some((_, record)) = handshake_header(buffer) else { return 0 };
    if record > u32::from(MAX_HELLO_BYTES) { MAX_HELLO_BYTES } else { record as u16 }
}

/// True when `buffer` begins as every TLS record does (RFC 8446 §5.1).
#[inline(always)]
pub fn begins_tls_record(buffer: Buffer) -> bool {
    let Some(address) = beginning(buffer, 3) else { return false };
    // SAFETY: plain numbers.
    let [kind, major, minor]: [u8; 3] = unsafe { read_user(address) };
    kind >= 20 && kind <= 23 && major == 3 && minor <= 4
}

/// Copies `length` bytes from `buffer` in chunks, by `walk` where it takes several, and reports as a hole what cannot be
/// copied. True when the reader can see at least one record of the call.
#[inline(always)]
pub fn copy(
    header: &RecordHeader,
    buffer: Buffer,
    length: u32,
    limit: u32,
    walk: impl FnOnce() -> Option<*mut Walk>,
) -> bool {
    let wanted = if length > limit { limit } else { length };
    if buffer.address == 0 {
        return rest(header, 0, length, HoleReason::NoUserBuffer);
    }
    if buffer.vectors == 0 && wanted <= MAX_CHUNK_BYTES as u32 {
        let seen = emit::data(header, buffer.address, wanted);
        return rest(header, wanted, length, HoleReason::CallLimit) || seen;
    }
    let flat = buffer.vectors == 0;
    if !flat && buffer.vectors <= GATHER_VECTORS && length <= GATHER_BYTES {
        let mut vectors = [[0; 2]; GATHER_VECTORS as usize];
        // SAFETY: reads at most the array's own bytes.
        unsafe {
            bpf_probe_read_user(
                vectors.as_mut_ptr().cast(),
                buffer.vectors as u32 * size_of::<IoVec>() as u32,
                buffer.address as *const _,
            );
        }
        return emit::gather(header, &vectors, length);
    }
    let Some(mut walk) = walk() else { return false };
    // SAFETY: a map value that nobody else uses meanwhile; it outlives the loop, which runs to
    // its end before this returns.
    let (left, submitted) = unsafe {
        walk.write(Walk {
            header: *header,
            vector: buffer.address,
            vectors_left: buffer.vectors,
            base: buffer.address,
            base_left: if flat { u64::from(wanted) } else { 0 },
            left: u64::from(wanted),
            submitted: 0,
            reserved: 0,
        });
        bpf_loop(MAX_ROUNDS, step as *mut core::ffi::c_void, (&raw mut walk).cast(), 0);
        ((*walk).left as u32, (*walk).submitted)
    };
    let reason = if left == 0 { HoleReason::CallLimit } else { HoleReason::ReadFault };
    rest(header, wanted - left, length, reason) || submitted != 0
}

/// Reports the bytes from `copied` to `length` as a hole, when there are any.
#[inline(always)]
fn rest(header: &RecordHeader, copied: u32, length: u32, reason: HoleReason) -> bool {
    if copied >= length {
        return false;
    }
    let mut hole = *header;
    hole.position += u64::from(copied);
    hole.length = length - copied;
    if copied > 0 {
        hole.flags &= !BEGINS_RUN;
    }
    emit::hole(&hole, reason)
}

/// One round: takes the next buffer, or copies the next chunk of the current one.
#[inline(never)]
extern "C" fn step(_: u64, walk: *mut *mut Walk) -> i64 {
    // SAFETY: `copy` lends its own `Walk`, alone.
    let walk = unsafe { &mut **walk };
    if walk.left == 0 {
        return 1;
    }
    if walk.base_left == 0 {
        if walk.vectors_left == 0 {
            return 1;
        }
        // SAFETY: plain numbers.
        let [base, length]: IoVec = unsafe { read_user(walk.vector) };
        walk.vector += size_of::<IoVec>() as u64;
        walk.vectors_left -= 1;
        walk.base = base;
        walk.base_left = length;
        if length == 0 {
            return 0;
        }
    }
    let mut chunk = walk.left;
    if chunk > walk.base_left {
        chunk = walk.base_left;
    }
    if chunk > MAX_CHUNK_BYTES as u64 {
        chunk = MAX_CHUNK_BYTES as u64;
    }
    if emit::data(&walk.header, walk.base, chunk as u32) {
        walk.submitted = 1;
    }
    walk.header.flags &= !BEGINS_RUN;
    walk.header.position += chunk;
    walk.base += chunk;
    walk.base_left -= chunk;
    walk.left -= chunk;
    0
}
