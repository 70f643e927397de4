//! From one finished call on a socket to records.

use aya_ebpf::{
    helpers::{
        bpf_get_current_pid_tgid,
        generated::{
            bpf_get_current_cgroup_id, bpf_get_current_task_btf, bpf_get_smp_processor_id,
            bpf_ktime_get_ns, bpf_loop, bpf_task_pt_regs,
        },
    },
    macros::map,
    maps::PerCpuArray,
};
use weir_abi::{
    AHEAD_OF_EGRESS, BEGINS_RUN, ConnectionInfo, Direction, HoleReason, Loss, PLAINTEXT,
    RecordHeader, Role,
};

use crate::{
    arch::{self, Registers},
    buffers::{self, Buffer, Walk},
    config::config,
    emit,
    maps::{TARGET_EPOCH, TARGETS, lose, lose_exchanges},
    process,
    socket::{self, Kind, Sequences, Sock},
    state::{ASKED, ByAddress, ENCRYPTED, InSocket, PLAIN, State, Store, UNJUDGED},
    tls,
};

const MSG_OOB: i32 = 0x1;
const MSG_PEEK: i32 = 0x2;
const MSG_TRUNC: i32 = 0x20;
const MSG_ERRQUEUE: i32 = 0x2000;

const TCP_ESTABLISHED: i32 = 1;
const TCP_SYN_SENT: i32 = 2;
const TCP_FIN_WAIT1: i32 = 4;
const TCP_CLOSE: i32 = 7;
const TCP_LAST_ACK: i32 = 9;
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

/// The kernel's own count of the bytes of `sock`.
#[inline(always)]
fn sequences<S: Store>(sock: *const Sock, state: &State) -> Sequences {
    if state.sequenced == 1 { S::sequences(sock) } else { Sequences::UNKNOWN }
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
    let sequences = sequences::<InSocket>(sock, state);
    // SAFETY: as above.
    let buffer = if ingress && flags & MSG_TRUNC != 0 {
        Buffer::UNKNOWN
    } else {
        unsafe { buffers::locate(registers, direction, state) }
    };
    let sock = sock as u64;
    let call = Call { sock, sequences, tgid, direction, length: result as u32, buffer };
    let first = record(state, &call);
    if state.content == ENCRYPTED {
        tls::moved(state, registers, tgid, buffer, first);
    }
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
    let sequences = sequences::<ByAddress>(sock as *const Sock, state);
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
    let first = record(state, &call);
    if state.content == ENCRYPTED {
        tls::moved(state, registers, tgid, buffer, first);
    }
    if sequences.closed {
        ByAddress::forget(sock as *const Sock);
    }
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

/// Place of the next message of the vector at hand; on the stack there is no room for it.
#[map]
static NEXT_MESSAGE: PerCpuArray<Place> = PerCpuArray::with_max_entries(1, 0);

/// Most messages of one call that are looked at (`UIO_MAXIOV`).
const MAX_MESSAGES: u32 = 1024;

/// The result counts messages; their own lengths are in the vector.
#[inline(always)]
fn each_message(mut messages: Messages, count: u32, sequences: Sequences) {
    let count = if count > MAX_MESSAGES { MAX_MESSAGES } else { count };
    // SAFETY: `messages` outlives the loops; the state is a map value; a helper without
    // arguments.
    unsafe {
        bpf_loop(count, add_length as *mut core::ffi::c_void, (&raw mut messages).cast(), 0);
        let Messages { sock, direction, length, .. } = messages;
        let buffer = Buffer::UNKNOWN;
        let call = Call { sock, sequences, tgid: messages.tgid, direction, length, buffer };
        let Some(place) = NEXT_MESSAGE.get_ptr_mut(0) else { return };
        place.write(arrive(&mut *messages.state, &call, bpf_ktime_get_ns()));
        bpf_loop(count, one_message as *mut core::ffi::c_void, (&raw mut messages).cast(), 0);
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
        let Some(place) = NEXT_MESSAGE.get_ptr_mut(0) else { return 1 };
        // SAFETY: a per-CPU slot; tracepoints run with preemption off.
        let place = unsafe { &mut *place };
        report(state, &call, place, buffers::processor_walk);
        place.unseen = 0;
        place.flags &= !BEGINS_RUN;
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

/// Where a call lies in the conversation.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Place {
    time_ns: u64,
    run: u32,
    /// Bytes of its direction right before it that no hook saw.
    unseen: u32,
    flags: u8,
    reserved: [u8; 7],
}

/// Reports one call and moves the connection's position past it.
#[inline(always)]
fn record(state: &mut State, call: &Call) -> bool {
    let closed = call.sequences.closed;
    if closed && matches!(call.direction, Direction::Egress) {
        // The end of the connection was told of already: nobody gets these bytes.
        return false;
    }
    if negotiates(state, call) {
        return false;
    }
    // SAFETY: a helper without arguments.
    let time_ns = unsafe { bpf_ktime_get_ns() };
    let place = arrive(state, call, time_ns);
    let judge = state.content == UNJUDGED;
    // The role is known from the first bytes alone.
    let first = judge && state.role != Role::Unknown as u8;
    if judge {
        let encrypted = call.length >= 3 && buffers::begins_tls_record(call.buffer);
        state.content = if encrypted { ENCRYPTED } else { PLAIN };
    }
    if state.content == ENCRYPTED {
        pass(state, call, &place);
        if judge {
            tls::first_bytes(state, call.tgid, call.buffer, call.length, first);
        }
    } else {
        report(state, call, &place, buffers::processor_walk);
    }
    if closed {
        // What is read after a reset is a connection of its own, since the other was ended.
        end(state);
    }
    first
}

/// TLS may begin on a connection that is under way: by Postgres's question and its answer, of
/// one byte, which are passed over, or anyhow (STARTTLS, a proxy's tunnel). What went before is
/// then a connection of its own that has ended. True when the call is told by this.
#[inline(always)]
fn negotiates(state: &mut State, call: &Call) -> bool {
    match state.content {
        UNJUDGED if state.connection == 0 => {
            if !buffers::asks_for_encryption(call.buffer, call.length) {
                return false;
            }
            state.content = ASKED;
        }
        ASKED => {
            state.content = UNJUDGED;
            // Anything else is an error message.
            if call.length != 1 {
                return false;
            }
        }
        PLAIN => {
            if state.run < NEGOTIATING_RUNS
                && !runs_in(state, call.direction)
                && buffers::begins_tls(call.buffer, call.length)
            {
                end(state);
            }
            return false;
        }
        _ => return false,
    }
    let now = call.sequences;
    if now.known {
        if state.role == Role::Unknown as u8 {
            // SAFETY: the socket has sequence numbers, so it is TCP.
            let role =
                unsafe { socket::role_at_first_bytes(call.sock, call.direction, call.length) };
            state.role = role as u8;
        }
        state.ingress_seq = now.ingress;
        state.egress_seq = now.egress;
        state.egress_in_runs = now.egress;
        state.anchored = 1;
    }
    true
}

/// TLS begins before so many runs, or never.
const NEGOTIATING_RUNS: u32 = 16;

/// Takes note of a call: the connection's first one, a turn of it, bytes that went before.
#[inline(always)]
fn arrive(state: &mut State, call: &Call, time_ns: u64) -> Place {
    let now = call.sequences;
    let ingress = matches!(call.direction, Direction::Ingress);
    let first = state.connection == 0;
    if first {
        if state.role == Role::Unknown as u8 && now.known {
            // SAFETY: the socket has sequence numbers, so it is TCP.
            let role =
                unsafe { socket::role_at_first_bytes(call.sock, call.direction, call.length) };
            state.role = role as u8;
        }
        if now.known && state.anchored == 0 {
            let (read, written) = if ingress { (call.length, 0) } else { (0, call.length) };
            state.ingress_seq = now.ingress.wrapping_sub(read);
            state.egress_seq = now.egress.wrapping_sub(written);
            state.egress_in_runs = state.egress_seq;
            state.anchored = 1;
        }
        let ahead = ingress && now.known && is_after(now.egress, state.egress_seq);
        let first_direction = if ahead { Direction::Egress } else { call.direction };
        begin(state, first_direction as u8, time_ns);
    }
    let mut place = turn(state, call.direction, now, first);
    place.time_ns = time_ns;
    if now.known {
        let gap = moved(state, now, call.direction).wrapping_sub(call.length);
        if (gap as i32) > 0 {
            place.unseen = gap;
        }
        if ingress {
            state.ingress_seq = now.ingress;
        } else {
            state.egress_seq = now.egress;
        }
    }
    place
}

/// Sequence number `a` lies after `b`.
#[inline(always)]
fn is_after(a: u32, b: u32) -> bool {
    (a.wrapping_sub(b) as i32) > 0
}

/// Gives a call its run. The order of the bytes counts, not that of the hooks: while a thread
/// is still on its way out of a write, another one may have read the answer already. Then the
/// written bytes get their run first, and their record takes it when it comes.
#[inline(always)]
fn turn(state: &mut State, direction: Direction, now: Sequences, first: bool) -> Place {
    let before = state.run;
    let mut place = Place::default();
    let new_egress = now.known && is_after(now.egress, state.egress_in_runs);
    if matches!(direction, Direction::Egress) {
        if now.known && !new_egress && !first {
            let passed = u32::from(!runs_in(state, direction));
            place.run = state.run.wrapping_sub(passed);
            if state.egress_awaited == 1 {
                place.flags = BEGINS_RUN;
                state.egress_awaited = 0;
            }
            return place;
        }
    } else if now.known && is_after(now.egress, state.egress_seq) {
        place.flags = AHEAD_OF_EGRESS;
        if new_egress {
            turn_to(state, Direction::Egress);
            state.egress_awaited = u8::from(first || state.run != before);
        }
    }
    if now.known {
        state.egress_in_runs = now.egress;
    }
    let turned = state.run;
    turn_to(state, direction);
    if state.run != turned || (first && state.run == 0) {
        place.flags |= BEGINS_RUN;
    }
    place.run = state.run;
    place
}

/// The current run has this direction.
#[inline(always)]
fn runs_in(state: &State, direction: Direction) -> bool {
    (state.run & 1) == u32::from((direction as u8 ^ state.first_direction) & 1)
}

#[inline(always)]
fn turn_to(state: &mut State, direction: Direction) {
    if !runs_in(state, direction) {
        state.run += 1;
    }
}

/// Takes note of encrypted bytes, which nobody can read: they are counted. Of each direction the
/// record that begins the handshake is copied: it is in the clear.
#[inline(always)]
fn pass(state: &mut State, call: &Call, place: &Place) {
    let header = header(state, call, place);
    announce(state, call, &header);
    if state.announced != 0 && place.unseen == 0 {
        hello(state, call, &header);
    }
    let bytes = u64::from(place.unseen) + u64::from(call.length);
    if matches!(call.direction, Direction::Ingress) {
        state.ingress += bytes;
    } else {
        state.egress += bytes;
    }
}

/// Copies what of a call is in the first record of its direction.
#[inline(always)]
fn hello(state: &mut State, call: &Call, header: &RecordHeader) {
    let ingress = matches!(call.direction, Direction::Ingress);
    if header.position == 0 {
        let end = buffers::handshake_record(call.buffer, call.length);
        if ingress {
            state.ingress_hello_end = end;
        } else {
            state.egress_hello_end = end;
        }
    }
    let end = u64::from(if ingress { state.ingress_hello_end } else { state.egress_hello_end });
    if header.position >= end {
        return;
    }
    let left = (end - header.position) as u32;
    let length = if call.length < left { call.length } else { left };
    if let Some(address) = buffers::beginning(call.buffer, u64::from(length)) {
        emit::hello(&RecordHeader { flags: 0, ..*header }, address, length);
    }
}

/// Tells of a connection on which TLS is spoken.
#[inline(always)]
fn announce(state: &mut State, call: &Call, header: &RecordHeader) {
    if state.announced != 0 {
        return;
    }
    if emit::open(header, |info| fill_info(info, state, call)) {
        state.announced = 1;
    } else {
        lose(Loss::RingFull, u64::from(call.length), 0);
    }
    // SAFETY: the target's value is copied at once.
    let probed = unsafe { TARGETS.get(&call.tgid) }
        .is_some_and(|target| target.undecided == 0 && target.tls != weir_abi::tls::WANTED);
    if !probed {
        process::encrypts(call.tgid);
    }
}

/// What a library read or wrote in the clear on the connection of `stream`, which counts its
/// plaintext.
#[inline(always)]
pub fn plaintext(
    stream: &mut State,
    tgid: u32,
    direction: Direction,
    buffer: Buffer,
    length: u32,
    walk: *mut Walk,
) {
    if stream.announced == 0 {
        lose(Loss::RingFull, u64::from(length), 0);
        return;
    }
    let first = stream.content == UNJUDGED;
    if first {
        stream.content = PLAIN;
        stream.first_direction = direction as u8;
    }
    let sequences = Sequences::UNKNOWN;
    let call = Call { sock: 0, sequences, tgid, direction, length, buffer };
    let mut place = turn(stream, direction, sequences, first);
    // SAFETY: a helper without arguments.
    place.time_ns = unsafe { bpf_ktime_get_ns() };
    place.flags |= PLAINTEXT;
    report(stream, &call, &place, || Some(walk));
}

/// The end of the plaintext that `stream` counts.
#[inline(always)]
pub fn plaintext_ends(stream: &mut State) {
    end_with(stream, PLAINTEXT);
}

#[inline(always)]
fn header(state: &State, call: &Call, place: &Place) -> RecordHeader {
    let position =
        if matches!(call.direction, Direction::Ingress) { state.ingress } else { state.egress };
    RecordHeader {
        connection: state.connection,
        time_ns: place.time_ns,
        position,
        length: call.length,
        run: place.run,
        tgid: call.tgid,
        kind: 0,
        direction: call.direction as u8,
        reason: 0,
        flags: place.flags,
    }
}

/// Writes the records of a call.
#[inline(always)]
fn report(state: &mut State, call: &Call, place: &Place, walk: impl FnOnce() -> Option<*mut Walk>) {
    let unseen = place.unseen;
    let mut header = header(state, call, place);
    let end = header.position + u64::from(unseen) + u64::from(call.length);
    if matches!(call.direction, Direction::Ingress) {
        state.ingress = end;
    } else {
        state.egress = end;
    }
    if state.announced == 0 {
        if !emit::open(&header, |info| fill_info(info, state, call)) {
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
        header.flags &= !BEGINS_RUN;
    }
    if buffers::copy(&header, call.buffer, call.length, config!(call_limit_bytes), walk) || seen {
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
fn begin(state: &mut State, first_direction: u8, time_ns: u64) {
    // SAFETY: a helper without arguments.
    let processor = unsafe { bpf_get_smp_processor_id() };
    state.connection = time_ns << 6 | u64::from(processor & 63);
    state.first_direction = first_direction;
}

#[inline(always)]
fn fill_info(info: *mut ConnectionInfo, state: &State, call: &Call) {
    // SAFETY: `info` is room in the ring; guarded reads and a helper without arguments; the
    // target's value is copied at once.
    unsafe {
        socket::endpoints(call.sock, info);
        (*info).established_ns = state.established_ns;
        (*info).cgroup_id = bpf_get_current_cgroup_id();
        (*info).role = state.role;
        (*info).first_direction = state.first_direction;
        let target = TARGETS.get(&call.tgid);
        (*info).undecided = target.map_or(0, |target| target.undecided as u8);
        (*info).encrypted = u8::from(state.content == ENCRYPTED);
        (*info).reserved = [0; 4];
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
                let state = unsafe {
                    (*state).established_ns = bpf_ktime_get_ns();
                    &mut *state
                };
                let now = sequences::<S>(sock, state);
                if now.known && state.connection == 0 {
                    state.ingress_seq = now.ingress;
                    state.egress_seq = now.egress;
                    state.egress_in_runs = now.egress;
                    state.anchored = 1;
                }
            }
        }
        TCP_LISTEN => {
            // SAFETY: a guarded read.
            let port: u16 = unsafe { socket::read(sock as u64 + u64::from(config!(skc_num))) };
            process::listen(current_tgid(), port);
        }
        TCP_FIN_WAIT1 | TCP_LAST_ACK => {
            if let Some(state) = S::find(sock) {
                // SAFETY: a map value.
                let state = unsafe { &*state };
                if state.content == ENCRYPTED {
                    tls::ends_writing(state.connection);
                }
            }
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
    if state.content == ENCRYPTED {
        tls::ends(state.connection);
    }
    end_with(state, 0);
}

#[inline(always)]
fn end_with(state: &mut State, flags: u8) {
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
        flags,
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
    // The socket may still be read, or connected anew.
    let (role, tgid, epoch, sequenced) = (state.role, state.tgid, state.epoch, state.sequenced);
    *state = State { role, tgid, epoch, sequenced, ..State::EMPTY };
}
