//! Plaintext, at the functions of TLS libraries.
//!
//! A probe where such a function's arguments are in their registers notes the call for its
//! thread; one where the result is known copies the plaintext. The connection is the one whose
//! socket moved a TLS record on the same thread in between, and is remembered for the library's
//! session, since not every call needs the socket. Where no socket moved, it is not known, and
//! the plaintext is counted as such.
//!
//! Uprobes run with preemption on, so nothing per processor may be used here.

use aya_ebpf::{
    helpers::bpf_get_current_pid_tgid,
    macros::map,
    maps::{Array, HashMap, LruHashMap},
};
use weir_abi::{Direction, Loss, Role};

use crate::{
    arch::{self, Registers},
    buffers::{self, Buffer, Walk, read_user},
    maps::{TARGETS, lose},
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

/// A library's call under way, or the last one, of a thread.
#[repr(C)]
#[derive(Clone, Copy)]
struct Call {
    /// `SSL *` or the like.
    session: u64,
    buffer: u64,
    /// Where a function with [`EX`] leaves the number of bytes.
    moved: u64,
    /// 0: not known.
    connection: u64,
    /// Calls of the session that are under way, one inside the other.
    depth: u32,
    /// [`WRITE`], [`EX`] and [`HANDSHAKE`] as bits.
    kind: u32,
    walk: Walk,
}

#[repr(C)]
#[derive(Clone, Copy)]
struct Session {
    session: u64,
    tgid: u64,
}

/// By thread.
#[map]
static TLS_CALLS: LruHashMap<u64, Call> = LruHashMap::with_max_entries(4096, 0);

/// Connection of a library's session.
#[map]
static TLS_SESSIONS: LruHashMap<Session, u64> = LruHashMap::with_max_entries(16_384, 0);

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
    let thread = bpf_get_current_pid_tgid();
    let tgid = (thread >> 32) as u32;
    // SAFETY: the target's value is copied at once.
    let wanted = unsafe { TARGETS.get(&tgid) }
        .is_some_and(|target| target.undecided == 1 || target.tls != weir_abi::tls::IGNORE);
    if !wanted {
        return;
    }
    // SAFETY: the program's own context.
    let ((session, buffer, _), fourth) =
        unsafe { (arch::arguments(registers), arch::fourth(registers)) };
    let known = Session { session, tgid: u64::from(tgid) };
    // SAFETY: copied at once.
    let mut connection = unsafe { TLS_SESSIONS.get(&known) }.copied().unwrap_or(0);
    if connection != 0 && TLS_STREAMS.get_ptr(&connection).is_none() {
        // It is over; the session's memory may be another's by now.
        connection = 0;
    }
    let call = match TLS_CALLS.get_ptr_mut(&thread) {
        Some(call) => call,
        None => {
            let Some(none) = NO_CALL.get(0) else { return };
            let _ = TLS_CALLS.insert(&thread, none, 0);
            let Some(call) = TLS_CALLS.get_ptr_mut(&thread) else { return };
            call
        }
    };
    // SAFETY: a map value; it is this thread's alone.
    unsafe {
        if kind == HANDSHAKE && (*call).depth > 0 && (*call).session == session {
            // Inside a call of the same session, which goes on afterwards.
            (*call).depth += 1;
            return;
        }
        (*call).session = session;
        (*call).buffer = buffer;
        (*call).moved = fourth;
        (*call).connection = connection;
        (*call).kind = kind;
        (*call).depth = 1;
    }
}

/// The socket of `state`, on which TLS is spoken, moved the bytes in `buffer`: it is the socket of
/// the call that is under way on this thread.
#[inline(always)]
pub fn moved(state: &State, tgid: u32, buffer: Buffer) {
    let thread = bpf_get_current_pid_tgid();
    let Some(call) = TLS_CALLS.get_ptr_mut(&thread) else { return };
    // SAFETY: as in `begins`.
    let call = unsafe { &mut *call };
    let connection = state.connection;
    if call.depth == 0 || call.connection == connection || connection == 0 {
        return;
    }
    // A library may look something up elsewhere meanwhile, but not in TLS.
    if !buffers::begins_tls_record(buffer) {
        return;
    }
    if TLS_STREAMS.get_ptr(&connection).is_none() {
        let Some(none) = NO_STREAM.get(0) else { return };
        let _ = TLS_STREAMS.insert(&connection, none, 0);
        let Some(stream) = TLS_STREAMS.get_ptr_mut(&connection) else {
            lose(Loss::ConnectionTable, 0, 0);
            return;
        };
        // SAFETY: a map value.
        unsafe {
            (*stream).connection = connection;
            (*stream).tgid = tgid;
            (*stream).role = Role::Unknown as u8;
            (*stream).announced = state.announced;
        }
    }
    let session = Session { session: call.session, tgid: u64::from(tgid) };
    let _ = TLS_SESSIONS.insert(&session, &connection, 0);
    call.connection = connection;
}

/// The function that is under way on this thread comes to its end with this result.
#[inline(always)]
pub fn returns(result: u64) {
    let thread = bpf_get_current_pid_tgid();
    let Some(pointer) = TLS_CALLS.get_ptr_mut(&thread) else { return };
    // SAFETY: as in `begins`.
    let call = unsafe { &mut *pointer };
    if call.depth == 0 {
        return;
    }
    call.depth -= 1;
    if call.depth > 0 || call.kind == HANDSHAKE {
        return;
    }
    let result = result as i32;
    let length = if call.kind & EX == 0 {
        result
    } else if result == 1 {
        // SAFETY: a plain number.
        unsafe { read_user::<u64>(call.moved) as i32 }
    } else {
        0
    };
    if length <= 0 {
        return;
    }
    let connection = call.connection;
    let Some(stream) = TLS_STREAMS.get_ptr_mut(&connection) else {
        lose(Loss::TlsUnjoined, length as u64, 0);
        return;
    };
    let direction = if call.kind & WRITE != 0 { Direction::Egress } else { Direction::Ingress };
    // SAFETY: map values; a session is used by one thread at a time.
    unsafe {
        let walk = &raw mut (*pointer).walk;
        let tgid = (thread >> 32) as u32;
        segment::plaintext(&mut *stream, tgid, direction, call.buffer, length as u32, walk);
    }
}

/// A connection on which TLS is spoken ends.
#[inline(always)]
pub fn ends(connection: u64) {
    if let Some(stream) = TLS_STREAMS.get_ptr_mut(&connection) {
        // SAFETY: a map value.
        segment::plaintext_ends(unsafe { &mut *stream });
        let _ = TLS_STREAMS.remove(&connection);
    }
}
