//! Plaintext, at the functions of TLS libraries.
//!
//! A probe where such a function's arguments are in their registers notes the call for its
//! thread; one where the result is known copies the plaintext. The connection is the one whose
//! socket moved a TLS record on the same thread in between, and is remembered for the library's
//! session, since not every call needs the socket.
//!
//! A library that encrypts in memory never uses the socket itself. But the random number of its
//! client's first message stands in the session, and passed on the wire in the clear: whoever has
//! those 256 bits is that connection's end. Where the library says at which offset they are, they
//! are compared. Where neither tells, the connection is not known, and the plaintext is counted
//! as such.
//!
//! A Go function goes on where its goroutine does, which may be another thread: there the
//! goroutine takes the thread's place. It is in a register that Go reserves for it, also during
//! system calls. One goroutine writes to a connection while another one reads from it, so that
//! the answer may have been read when the write is still on its way out. There a write is told
//! at its beginning, where its bytes are all there, and a read at its end: whatever answers a
//! write is then told after it.
//!
//! Uprobes run with preemption on, so nothing per processor may be used here.

use aya_ebpf::{
    EbpfContext,
    helpers::{bpf_get_current_pid_tgid, generated::bpf_get_attach_cookie},
    macros::map,
    maps::{Array, HashMap, LruHashMap},
};
use weir_abi::{Direction, Loss, Role};

use crate::{
    arch::{self, Registers},
    buffers::{self, Buffer, Walk, read_user},
    maps::{TARGETS, add, lose},
    segment,
    state::State,
};

/// What a function does, as bits.
pub const READ: u32 = 0;
pub const WRITE: u32 = 1;
/// It leaves the number of bytes in memory.
pub const EX: u32 = 2;
/// It moves no plaintext, but may read more than it needs, of which a later call then has the
/// plaintext without the socket.
pub const HANDSHAKE: u32 = 4;

/// Who calls a library: a thread, or a goroutine of a process.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Caller {
    /// Thread's id with its process's, or `struct g`'s address.
    id: u64,
    /// Of a goroutine, else 0.
    tgid: u64,
}

/// A read and a write were seen as a whole, or the connection from its beginning on.
const SETTLED: u8 = 3;

/// No call moves more: libraries count in `int`, and Go programs have no such buffers.
const MAX_CALL_BYTES: i64 = i32::MAX as i64;

/// A library's call under way, or the last one, of a caller.
#[repr(C)]
#[derive(Clone, Copy)]
struct Call {
    /// `SSL *` or the like.
    session: u64,
    buffer: u64,
    /// End of the goroutine's stack if `buffer` is on it: Go moves stacks.
    stack: u64,
    /// Where a function with [`EX`] leaves the number of bytes.
    moved: u64,
    /// 0: not known.
    connection: u64,
    /// 1 when its socket moved during this call.
    proven: u64,
    /// Calls of the session that are under way, one inside the other.
    depth: u32,
    /// [`WRITE`], [`EX`] and [`HANDSHAKE`] as bits.
    kind: u32,
    /// Connection of which this is a counted writer, or 0.
    writes: u64,
    /// The plaintext was told when the call began.
    told: u64,
    walk: Walk,
}

/// What the client of a connection chose, as one end has it.
#[repr(C)]
#[derive(Clone, Copy)]
struct Random {
    bytes: [u8; 32],
    tgid: u64,
}

#[repr(C)]
#[derive(Clone, Copy)]
struct Session {
    session: u64,
    tgid: u64,
}

#[map]
static TLS_CALLS: LruHashMap<Caller, Call> = LruHashMap::with_max_entries(4096, 0);

/// Connection of a library's session.
#[map]
static TLS_SESSIONS: LruHashMap<Session, u64> = LruHashMap::with_max_entries(16_384, 0);

/// Connections by their client's random number; 0 where a process has both ends.
#[map]
static TLS_RANDOMS: LruHashMap<Random, u64> = LruHashMap::with_max_entries(16_384, 0);

const BPF_F_NO_PREALLOC: u32 = 1;

/// Plaintext of each connection that has some. Its own counts: lengths differ from those on the
/// wire.
#[map]
static TLS_STREAMS: HashMap<u64, State> = HashMap::with_max_entries(65_536, BPF_F_NO_PREALLOC);

/// Zeroes to insert, for which there is no room on the stack.
#[map]
static NO_CALL: Array<Call> = Array::with_max_entries(1, 0);
#[map]
static NO_STREAM: Array<State> = Array::with_max_entries(1, 0);

/// A function of a library begins: `(session, buffer, length)`, and with [`EX`] where to leave the
/// number of bytes.
#[inline(always)]
pub fn begins(registers: *const Registers, kind: u32) {
    // SAFETY: the program's own context.
    let ((session, buffer, _), fourth) =
        unsafe { (arch::arguments(registers), arch::fourth(registers)) };
    let _ = enter(Caller::thread(), session, buffer, fourth, 0, kind);
}

/// A method of Go's `tls.Conn` begins: `(session, buffer, length)`.
#[inline(always)]
pub fn go_begins(registers: *const Registers, kind: u32) {
    // SAFETY: the program's own context.
    let (goroutine, session, buffer) = unsafe {
        (arch::goroutine(registers), arch::go_first(registers), arch::go_second(registers))
    };
    let [low, high] = stack_of(goroutine);
    let stack = if buffer >= low && buffer < high { high } else { 0 };
    if kind == HANDSHAKE {
        // A new connection, at an address that another one may have had.
        let tgid = bpf_get_current_pid_tgid() >> 32;
        let _ = TLS_SESSIONS.remove(&Session { session, tgid });
    }
    let call = enter(Caller::goroutine(goroutine), session, buffer, 0, stack, kind);
    if kind == WRITE
        && let Some(call) = call
    {
        // SAFETY: the program's own context.
        go_writes(call, unsafe { arch::go_third(registers) } as i64);
    }
}

/// Tells what a write is about to write: nothing that answers it can have been told before.
#[inline(always)]
fn go_writes(pointer: *mut Call, length: i64) {
    // SAFETY: as in `enter`.
    let call = unsafe { &mut *pointer };
    let Some(stream) = TLS_STREAMS.get_ptr_mut(&call.connection) else { return };
    // SAFETY: map values.
    unsafe {
        if (*stream).ended != 0 {
            // It is over, whatever the session's memory is by now.
            return;
        }
        add(&raw mut (*stream).writers, 1);
        call.writes = call.connection;
        // Each of two that begin at once sees at least itself after its own addition, so one of
        // them sees both.
        if core::ptr::read_volatile(&raw const (*stream).writers) != 1 {
            (*stream).unordered = 1;
        }
        let sound = (*stream).settled == SETTLED && (*stream).unordered == 0;
        if !sound || length <= 0 || length > MAX_CALL_BYTES {
            return;
        }
        call.told = 1;
        let walk = &raw mut (*pointer).walk;
        let tgid = (bpf_get_current_pid_tgid() >> 32) as u32;
        segment::plaintext(
            &mut *stream,
            tgid,
            Direction::Egress,
            Buffer::flat(call.buffer),
            length as u32,
            walk,
        );
    }
}

/// The bounds of a goroutine's stack: `g.stack` is its first field.
#[inline(always)]
fn stack_of(goroutine: u64) -> [u64; 2] {
    // SAFETY: plain numbers.
    unsafe { read_user(goroutine) }
}

impl Caller {
    #[inline(always)]
    fn thread() -> Self {
        Self { id: bpf_get_current_pid_tgid(), tgid: 0 }
    }

    #[inline(always)]
    fn goroutine(goroutine: u64) -> Self {
        Self { id: goroutine, tgid: bpf_get_current_pid_tgid() >> 32 }
    }
}

#[inline(always)]
fn enter(
    caller: Caller,
    session: u64,
    buffer: u64,
    fourth: u64,
    stack: u64,
    kind: u32,
) -> Option<*mut Call> {
    let tgid = (bpf_get_current_pid_tgid() >> 32) as u32;
    // SAFETY: the target's value is copied at once.
    let wanted = unsafe { TARGETS.get(&tgid) }
        .is_some_and(|target| target.undecided == 1 || target.tls != weir_abi::tls::IGNORE);
    if !wanted {
        return None;
    }
    let known = Session { session, tgid: u64::from(tgid) };
    // SAFETY: copied at once.
    let mut connection = unsafe { TLS_SESSIONS.get(&known) }.copied().unwrap_or(0);
    if connection != 0 && TLS_STREAMS.get_ptr(&connection).is_none() {
        // It is over; the session's memory may be another's by now.
        connection = 0;
    }
    let call = match TLS_CALLS.get_ptr_mut(&caller) {
        Some(call) => call,
        None => {
            let none = NO_CALL.get(0)?;
            let _ = TLS_CALLS.insert(&caller, none, 0);
            TLS_CALLS.get_ptr_mut(&caller)?
        }
    };
    // SAFETY: a map value; it is this caller's alone.
    unsafe {
        if kind == HANDSHAKE && (*call).depth > 0 && (*call).session == session {
            // Inside a call of the same session, which goes on afterwards.
            (*call).depth += 1;
            return None;
        }
        (*call).session = session;
        (*call).buffer = buffer;
        (*call).stack = stack;
        (*call).moved = fourth;
        (*call).connection = connection;
        (*call).proven = 0;
        (*call).kind = kind;
        (*call).writes = 0;
        (*call).told = 0;
        (*call).depth = 1;
    }
    Some(call)
}

/// The socket of `state`, on which TLS is spoken, moved the bytes in `buffer`: it is the socket of
/// the call that is under way on this thread or goroutine.
#[inline(always)]
pub fn moved(state: &State, registers: *const Registers, tgid: u32, buffer: Buffer, first: bool) {
    let call = match under_way(Caller::thread()) {
        Some(call) => call,
        None => {
            // SAFETY: the current task's user registers.
            let goroutine = unsafe { arch::goroutine(registers) };
            let Some(call) = under_way(Caller::goroutine(goroutine)) else { return };
            call
        }
    };
    // SAFETY: as in `enter`.
    let call = unsafe { &mut *call };
    let connection = state.connection;
    if connection == 0 {
        return;
    }
    if call.connection == connection {
        call.proven = 1;
        return;
    }
    // A library may look something up elsewhere meanwhile, but not in TLS.
    if !buffers::begins_tls_record(buffer) {
        return;
    }
    let Some(stream) = stream_of(state, tgid, first) else { return };
    // SAFETY: a map value.
    unsafe {
        (*stream).joined = 1;
        // Handshakes are probed last, so whoever sees one from the start sees all that follows.
        if first && call.kind == HANDSHAKE {
            (*stream).settled = SETTLED;
        }
    }
    let session = Session { session: call.session, tgid: u64::from(tgid) };
    let _ = TLS_SESSIONS.insert(&session, &connection, 0);
    call.connection = connection;
    call.proven = 1;
}

/// The plaintext of the connection of `state`, made when there is none. `first` says that these
/// are the connection's first bytes.
///
/// A call that is under way when its probes come is not seen, and the probes of a library come
/// one after the other. So of an older connection nothing is taken until a read and a write were
/// seen as a whole: a request would else be paired with the response to another one.
#[inline(always)]
fn stream_of(state: &State, tgid: u32, first: bool) -> Option<*mut State> {
    let connection = state.connection;
    if let Some(stream) = TLS_STREAMS.get_ptr_mut(&connection) {
        return Some(stream);
    }
    let none = NO_STREAM.get(0)?;
    let _ = TLS_STREAMS.insert(&connection, none, 0);
    let Some(stream) = TLS_STREAMS.get_ptr_mut(&connection) else {
        lose(Loss::ConnectionTable, 0, 0);
        return None;
    };
    // SAFETY: a map value.
    unsafe {
        (*stream).connection = connection;
        (*stream).tgid = tgid;
        (*stream).role = Role::Unknown as u8;
        (*stream).announced = state.announced;
        let probed = TARGETS
            .get(&tgid)
            .is_some_and(|target| target.undecided == 0 && target.tls == weir_abi::tls::PROBED);
        if first && probed {
            (*stream).settled = SETTLED;
        }
    }
    Some(stream)
}

/// The first bytes on a connection where TLS is spoken: keeps what its client chose.
#[inline(always)]
pub fn first_bytes(state: &State, tgid: u32, buffer: Buffer, length: u32, first: bool) {
    let Some(bytes) = buffers::client_random(buffer, length) else { return };
    if stream_of(state, tgid, first).is_none() {
        return;
    }
    let random = Random { bytes, tgid: u64::from(tgid) };
    // SAFETY: copied at once.
    let known = unsafe { TLS_RANDOMS.get(&random) }.is_some();
    let connection = if known { 0 } else { state.connection };
    let _ = TLS_RANDOMS.insert(&random, &connection, 0);
}

/// The connection whose client chose what stands in the session; 0: none, or not known.
#[inline(always)]
fn by_random(session: u64, offset: u64) -> u64 {
    let tgid = bpf_get_current_pid_tgid() >> 32;
    // SAFETY: plain bytes.
    let random = Random { bytes: unsafe { read_user(session + offset) }, tgid };
    // SAFETY: copied at once.
    let connection = unsafe { TLS_RANDOMS.get(&random) }.copied().unwrap_or(0);
    if let Some(stream) = TLS_STREAMS.get_ptr_mut(&connection) {
        // SAFETY: a map value.
        unsafe { (*stream).joined = 1 };
        return connection;
    }
    0
}

#[inline(always)]
fn under_way(caller: Caller) -> Option<*mut Call> {
    let call = TLS_CALLS.get_ptr_mut(&caller)?;
    // SAFETY: as in `enter`.
    (unsafe { (*call).depth } > 0).then_some(call)
}

/// The function that is under way on this thread comes to its end with this result.
#[inline(always)]
pub fn returns(context: &impl EbpfContext) {
    // SAFETY: the program's own context.
    let (result, offset) =
        unsafe { (arch::result(context.as_ptr().cast()), bpf_get_attach_cookie(context.as_ptr())) };
    leave(Caller::thread(), result as i32 as i64, offset);
}

/// The method that is under way on this goroutine comes to its end.
#[inline(always)]
pub fn go_returns(registers: *const Registers) {
    // SAFETY: the program's own context.
    let (goroutine, result) = unsafe { (arch::goroutine(registers), arch::go_first(registers)) };
    leave(Caller::goroutine(goroutine), result as i64, 0);
}

/// `random_offset` is where a session has what its client chose, or 0.
#[inline(always)]
fn leave(caller: Caller, result: i64, random_offset: u64) {
    let Some(pointer) = TLS_CALLS.get_ptr_mut(&caller) else { return };
    // SAFETY: as in `enter`.
    let call = unsafe { &mut *pointer };
    if call.depth == 0 {
        return;
    }
    call.depth -= 1;
    if call.depth > 0 {
        return;
    }
    let mut connection = call.connection;
    if call.proven == 0 && random_offset != 0 {
        let found = by_random(call.session, random_offset);
        if found != 0 {
            connection = found;
        }
    }
    if call.kind == HANDSHAKE {
        return;
    }
    let stream = TLS_STREAMS.get_ptr_mut(&connection);
    let mut was_settled = false;
    if let Some(stream) = stream {
        // SAFETY: a map value.
        unsafe {
            was_settled = (*stream).settled == SETTLED;
            (*stream).settled |= if call.kind & WRITE != 0 { 2 } else { 1 };
        }
    }
    if call.writes != 0
        && let Some(stream) = TLS_STREAMS.get_ptr_mut(&call.writes)
    {
        // SAFETY: a map value; minus one.
        unsafe { add(&raw mut (*stream).writers, u64::MAX) };
    }
    if call.told == 1 {
        return;
    }
    let length = if call.kind & EX == 0 {
        result
    } else if result == 1 {
        // SAFETY: a plain number.
        unsafe { read_user::<u64>(call.moved) as i64 }
    } else {
        0
    };
    if length <= 0 || length > MAX_CALL_BYTES {
        return;
    }
    let mut buffer = call.buffer;
    if call.stack != 0 {
        let [_, high] = stack_of(caller.id);
        buffer = high - (call.stack - buffer);
    }
    let Some(stream) = stream else {
        lose(Loss::TlsUnjoined, length as u64, 0);
        return;
    };
    let mut buffer = Buffer::flat(buffer);
    if caller.tgid != 0 && call.kind & WRITE != 0 {
        // Too late for a write's bytes, since what answers them may have been told. Where its
        // connection is read they are a gap.
        if !was_settled {
            lose(Loss::TlsLate, length as u64, 0);
            return;
        }
        buffer = Buffer::UNKNOWN;
    }
    // SAFETY: a map value.
    let (settled, unordered) = unsafe { ((*stream).settled, (*stream).unordered) };
    if unordered != 0 {
        lose(Loss::TlsUnordered, length as u64, 0);
        return;
    }
    if settled != SETTLED {
        lose(Loss::TlsLate, length as u64, 0);
        return;
    }
    let direction = if call.kind & WRITE != 0 { Direction::Egress } else { Direction::Ingress };
    // SAFETY: map values; a session is used by one thread at a time.
    unsafe {
        let walk = &raw mut (*pointer).walk;
        let tgid = (bpf_get_current_pid_tgid() >> 32) as u32;
        segment::plaintext(&mut *stream, tgid, direction, buffer, length as u32, walk);
    }
}

/// The process has ended its direction of a connection on which TLS is spoken.
#[inline(always)]
pub fn ends_writing(connection: u64) {
    if let Some(stream) = TLS_STREAMS.get_ptr_mut(&connection) {
        // SAFETY: a map value.
        unsafe { (*stream).ended = 1 };
    }
}

/// A connection on which TLS is spoken ends.
#[inline(always)]
pub fn ends(connection: u64) {
    if let Some(stream) = TLS_STREAMS.get_ptr_mut(&connection) {
        // SAFETY: a map value.
        unsafe {
            if (*stream).joined == 1 && (*stream).settled == SETTLED {
                segment::plaintext_ends(&mut *stream);
            }
        }
        let _ = TLS_STREAMS.remove(&connection);
    }
}
