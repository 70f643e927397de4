//! From one finished call on a socket to records.

use aya_ebpf::helpers::{
    bpf_get_current_pid_tgid,
    generated::{
        bpf_get_current_cgroup_id, bpf_get_current_task_btf, bpf_get_smp_processor_id,
        bpf_ktime_get_ns, bpf_loop, bpf_task_pt_regs,
    },
};
use weir_abi::{ConnectionInfo, Direction, HoleReason, Loss, RecordHeader, Role};

use crate::{
    arch::{self, Registers},
    buffers::{self, Buffer},
    config::config,
    emit,
    maps::{TARGET_EPOCH, TARGETS, lose, lose_exchanges},
    process,
    socket::{self, Kind, Sequences, Sock},
    state::{ByAddress, InSocket, State, Store},
};

const MSG_OOB: i32 = 0x1;
const MSG_PEEK: i32 = 0x2;
const MSG_TRUNC: i32 = 0x20;
const MSG_ERRQUEUE: i32 = 0x2000;

const TCP_ESTABLISHED: i32 = 1;
const TCP_SYN_SENT: i32 = 2;
const TCP_CLOSE: i32 = 7;
const TCP_LISTEN: i32 = 10;

/// One call, as far as both ways in see it.
struct Call {
    sock: u64,
    sequences: Sequences,
    tgid: u32,
    direction: Direction,
    length: u32,
    buffer: Buffer,
}

#[inline(always)]
fn current_tgid() -> u32 {
    (bpf_get_current_pid_tgid() >> 32) as u32
}

#[inline(always)]
fn target_epoch() -> u32 {
    TARGET_EPOCH.get(0).copied().unwrap_or(0)
}

#[inline(always)]
fn is_target(tgid: u32) -> bool {
    // SAFETY: the value is copied out of nothing: only its presence counts.
    unsafe { TARGETS.get(&tgid) }.is_some()
}

/// State of `sock` when the current process is a target. The verdict is kept in the socket,
/// so that the common case is one look-up.
#[inline(always)]
fn targeted<S: Store>(sock: *const Sock, tgid: u32) -> Option<&'static mut State> {
    let epoch = target_epoch();
    // SAFETY: map values live as long as the program runs; races on them only blur a count.
    unsafe {
        if let Some(state) = S::find(sock)
            && (*state).tgid == tgid
            && (*state).epoch == epoch
        {
            return Some(&mut *state);
        }
        if !is_target(tgid) {
            return None;
        }
        let kind = socket::kind(sock as u64);
        if kind == Kind::Other {
            return None;
        }
        let Some(state) = S::find_or_make(sock) else {
            lose(Loss::ConnectionTable, 0, 0);
            return None;
        };
        (*state).tgid = tgid;
        (*state).epoch = epoch;
        (*state).sequenced = (kind == Kind::Tcp) as u8;
        Some(&mut *state)
    }
}

/// The tracepoints of the socket layer, inside the call.
#[inline(always)]
pub fn in_syscall(sock: *const Sock, result: i32, flags: i32, direction: Direction) {
    // SAFETY: the current task's own registers, typed for the verifier.
    let registers = unsafe { bpf_task_pt_regs(bpf_get_current_task_btf()) } as *const Registers;
    let tgid = current_tgid();
    if result <= 0 {
        // SAFETY: as above.
        if unsafe { buffers::is_message_vector(registers) }
            && let Some(state) = targeted::<InSocket>(sock, tgid)
        {
            state.vector = 0;
        }
        return;
    }
    let ingress = matches!(direction, Direction::Ingress);
    if ingress && flags & (MSG_PEEK | MSG_ERRQUEUE | MSG_OOB) != 0 {
        return;
    }
    let Some(state) = targeted::<InSocket>(sock, tgid) else { return };
    // SAFETY: `sock` is the tracepoint's typed argument.
    let sequences = if state.sequenced == 1 {
        unsafe { socket::typed_sequences(sock) }
    } else {
        Sequences::UNKNOWN
    };
    // SAFETY: as above.
    let buffer = if ingress && flags & MSG_TRUNC != 0 {
        Buffer::UNKNOWN
    } else {
        unsafe { buffers::locate(registers, direction, state) }
    };
    let sock = sock as u64;
    let call = Call { sock, sequences, tgid, direction, length: result as u32, buffer };
    record(state, &call);
}

/// The end of any syscall: which socket, if any, did it move bytes on?
#[inline(always)]
pub fn after_syscall(registers: *const Registers, result: i64) {
    if result <= 0 {
        return;
    }
    // SAFETY: the tracepoint's typed argument.
    let (number, (first, second, third)) =
        unsafe { (arch::number(registers), arch::arguments(registers)) };
    let direction = match number {
        arch::READ
        | arch::READV
        | arch::PREADV2
        | arch::RECVFROM
        | arch::RECVMSG
        | arch::RECVMMSG => Direction::Ingress,
        arch::WRITE
        | arch::WRITEV
        | arch::PWRITEV2
        | arch::SENDTO
        | arch::SENDMSG
        | arch::SENDMMSG
        | arch::SENDFILE
        | arch::SPLICE => Direction::Egress,
        _ => return,
    };
    let tgid = current_tgid();
    if !is_target(tgid) {
        return;
    }
    let descriptor = if number == arch::SPLICE { third } else { first };
    // SAFETY: guarded reads; a stale answer is possible only for a descriptor that another
    // thread closes at this moment.
    let sock = unsafe { process::socket_of(descriptor) };
    if sock == 0 {
        return;
    }
    let Some(state) = targeted::<ByAddress>(sock as *const Sock, tgid) else { return };
    // SAFETY: guarded reads.
    let sequences = if state.sequenced == 1 {
        unsafe { socket::walked_sequences(sock) }
    } else {
        Sequences::UNKNOWN
    };
    if matches!(number, arch::RECVMMSG | arch::SENDMMSG) {
        let messages = Messages { state, sock, vector: second, tgid, length: 0, direction };
        each_message(messages, result as u32, sequences);
        return;
    }
    if matches!(direction, Direction::Ingress) {
        let flags = match number {
            arch::RECVMSG => third as i32,
            // recvfrom's flags are its fourth argument; a peek shows as bytes that did not move.
            _ => 0,
        };
        if flags & (MSG_PEEK | MSG_ERRQUEUE | MSG_OOB) != 0 {
            return;
        }
        if state.connection != 0 && sequences.known && moved(state, sequences, direction) == 0 {
            return;
        }
    }
    // SAFETY: as above.
    let buffer = unsafe { buffers::locate(registers, direction, state) };
    let call = Call { sock, sequences, tgid, direction, length: result as u32, buffer };
    record(state, &call);
}

/// The vector of a finished recvmmsg or sendmmsg.
#[repr(C)]
struct Messages {
    state: *mut State,
    sock: u64,
    vector: u64,
    tgid: u32,
    /// Bytes of all messages, once they are added up.
    length: u32,
    direction: Direction,
}

/// Most messages of one call that are looked at (`UIO_MAXIOV`).
const MAX_MESSAGES: u32 = 1024;

/// The result counts messages; their own lengths are in the vector.
#[inline(always)]
fn each_message(mut messages: Messages, count: u32, sequences: Sequences) {
    let count = if count > MAX_MESSAGES { MAX_MESSAGES } else { count };
    // SAFETY: `messages` outlives the loop; the state is a map value.
    unsafe {
        let first = (*messages.state).connection == 0;
        if first && sequences.known && (*messages.state).role == Role::Unknown as u8 {
            bpf_loop(count, add_length as *mut core::ffi::c_void, (&raw mut messages).cast(), 0);
            let Messages { sock, direction, length, .. } = messages;
            (*messages.state).role = socket::role_at_first_bytes(sock, direction, length) as u8;
        }
        bpf_loop(count, one_message as *mut core::ffi::c_void, (&raw mut messages).cast(), 0);
        if sequences.known {
            let ingress = matches!(messages.direction, Direction::Ingress);
            if first || ingress {
                (*messages.state).ingress_seq = sequences.ingress;
            }
            if first || !ingress {
                (*messages.state).egress_seq = sequences.egress;
            }
        }
    }
}

#[inline(never)]
extern "C" fn add_length(index: u64, messages: *mut Messages) -> i64 {
    // SAFETY: `each_message` lends its own `Messages`, alone.
    let messages = unsafe { &mut *messages };
    let (_, length) = buffers::received(messages.vector, index);
    messages.length += length;
    0
}

#[inline(never)]
extern "C" fn one_message(index: u64, messages: *mut Messages) -> i64 {
    // SAFETY: `each_message` lends its own `Messages`, alone.
    let (messages, state) = unsafe { (&*messages, &mut *(*messages).state) };
    let (buffer, length) = buffers::received(messages.vector, index);
    if length > 0 {
        let call = Call {
            sock: messages.sock,
            sequences: Sequences::UNKNOWN,
            tgid: messages.tgid,
            direction: messages.direction,
            length,
            buffer,
        };
        record(state, &call);
    }
    0
}

/// Bytes of `direction` since the last record, by the kernel's own count.
#[inline(always)]
fn moved(state: &State, now: Sequences, direction: Direction) -> u32 {
    match direction {
        Direction::Ingress => now.ingress.wrapping_sub(state.ingress_seq),
        Direction::Egress => now.egress.wrapping_sub(state.egress_seq),
    }
}

/// Reports one call and moves the connection's position past it.
#[inline(always)]
fn record(state: &mut State, call: &Call) {
    // SAFETY: a helper without arguments.
    let time_ns = unsafe { bpf_ktime_get_ns() };
    let direction = call.direction as u8;
    let mut unseen = 0;
    if state.connection == 0 {
        if state.role == Role::Unknown as u8 && call.sequences.known {
            // SAFETY: the socket has sequence numbers, so it is TCP.
            let role =
                unsafe { socket::role_at_first_bytes(call.sock, call.direction, call.length) };
            state.role = role as u8;
        }
        begin(state, direction, time_ns);
    } else {
        if call.sequences.known {
            let gap = moved(state, call.sequences, call.direction).wrapping_sub(call.length);
            if (gap as i32) > 0 {
                unseen = gap;
            }
        }
        if state.direction != direction {
            state.direction = direction;
            state.run += 1;
        }
    }
    if call.sequences.known {
        let now = call.sequences;
        // The first call fixes both; afterwards each direction keeps its own.
        if state.announced == 0 || matches!(call.direction, Direction::Ingress) {
            state.ingress_seq = now.ingress;
        }
        if state.announced == 0 || matches!(call.direction, Direction::Egress) {
            state.egress_seq = now.egress;
        }
    }
    let position =
        if matches!(call.direction, Direction::Ingress) { state.ingress } else { state.egress };
    let mut header = RecordHeader {
        connection: state.connection,
        time_ns,
        position,
        length: call.length,
        run: state.run,
        tgid: call.tgid,
        kind: 0,
        direction,
        reason: 0,
        reserved: 0,
    };
    let end = position + u64::from(unseen) + u64::from(call.length);
    if matches!(call.direction, Direction::Ingress) {
        state.ingress = end;
    } else {
        state.egress = end;
    }
    if state.announced == 0 {
        if !emit::open(&header, info(state, call)) {
            lose(Loss::RingFull, u64::from(call.length), 0);
            count_untold(state);
            return;
        }
        state.announced = 1;
    }
    let mut seen = false;
    if unseen > 0 {
        header.length = unseen;
        seen = emit::hole(&header, HoleReason::Unseen);
        header.length = call.length;
        header.position += u64::from(unseen);
    }
    if buffers::copy(&header, call.buffer, call.length, config!(call_limit_bytes)) || seen {
        state.told = exchanges(state);
    }
    count_untold(state);
}

/// Exchanges so far: runs alternate, and run 0 asks, so every even one begins an exchange.
#[inline(always)]
fn exchanges(state: &State) -> u32 {
    state.run / 2 + 1
}

/// Keeps the loss counters in step with what the reader cannot know yet. The next record that
/// it sees tells it of all before.
#[inline(always)]
fn count_untold(state: &mut State) {
    let untold = exchanges(state) - state.told;
    if untold != state.untold {
        lose_exchanges(Loss::RingFull, i64::from(untold) - i64::from(state.untold));
        state.untold = untold;
    }
}

/// Numbers a connection by the time and the processor of its first call: unique also over
/// restarts of the agent, and no counter is shared between processors.
#[inline(always)]
fn begin(state: &mut State, direction: u8, time_ns: u64) {
    // SAFETY: a helper without arguments.
    let processor = unsafe { bpf_get_smp_processor_id() };
    state.connection = time_ns << 6 | u64::from(processor & 63);
    state.direction = direction;
    state.first_direction = direction;
}

#[inline(always)]
fn info(state: &State, call: &Call) -> ConnectionInfo {
    // SAFETY: guarded reads and a helper without arguments.
    let (ends, cgroup_id) = unsafe { (socket::endpoints(call.sock), bpf_get_current_cgroup_id()) };
    ConnectionInfo {
        local_address: ends.local_address,
        remote_address: ends.remote_address,
        established_ns: state.established_ns,
        cgroup_id,
        netns: ends.netns,
        local_port: ends.local_port,
        remote_port: ends.remote_port,
        role: state.role,
        first_direction: state.first_direction,
        reserved: [0; 6],
    }
}

/// A socket's TCP state changed.
#[inline(always)]
pub fn state_change<S: Store>(sock: *const Sock, new_state: i32) {
    match new_state {
        // Still inside connect(2) of the process that calls.
        TCP_SYN_SENT => {
            let tgid = current_tgid();
            if let Some(state) = targeted::<S>(sock, tgid) {
                state.role = Role::Client as u8;
            }
        }
        TCP_ESTABLISHED => {
            if let Some(state) = S::find(sock) {
                // SAFETY: a map value; a helper without arguments.
                unsafe { (*state).established_ns = bpf_ktime_get_ns() };
            }
        }
        TCP_LISTEN => {
            // SAFETY: a guarded read.
            let port: u16 = unsafe { socket::read(sock as u64 + u64::from(config!(skc_num))) };
            process::listen(current_tgid(), port);
        }
        TCP_CLOSE => {
            if let Some(state) = S::find(sock) {
                // SAFETY: a map value.
                end(unsafe { &mut *state });
                S::forget(sock);
            }
        }
        _ => {}
    }
}

#[inline(always)]
fn end(state: &mut State) {
    if state.connection == 0 {
        return;
    }
    let header = RecordHeader {
        connection: state.connection,
        // SAFETY: a helper without arguments.
        time_ns: unsafe { bpf_ktime_get_ns() },
        position: state.egress,
        length: 8,
        run: state.run,
        tgid: state.tgid,
        kind: 0,
        direction: Direction::Egress as u8,
        reason: 0,
        reserved: 0,
    };
    let reported = state.announced != 0 && emit::close(&header, state.ingress);
    let untold = state.untold;
    if untold != 0 {
        lose_exchanges(Loss::RingFull, -i64::from(untold));
        state.untold = 0;
    }
    if !reported {
        lose(Loss::CloseUnreported, 0, u64::from(untold));
    }
}
