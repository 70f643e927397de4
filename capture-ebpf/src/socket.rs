//! What we read of a socket. On the socket way the pointer is typed and its fields are
//! plain loads; on the syscall way every field is a guarded read.

use aya_ebpf::helpers::generated::{bpf_probe_read_kernel, bpf_skc_to_tcp_sock};

use weir_abi::{ConnectionInfo, Direction, Role};

use crate::config::config;

/// `struct sock`
#[repr(C)]
pub struct Sock {
    _opaque: [u8; 0],
}

const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;
const IPPROTO_TCP: u16 = 6;
const IPPROTO_MPTCP: u16 = 262;

/// Reads kernel memory; zeroes where it cannot be read.
///
/// # Safety
/// `T` is plain old data.
#[inline(always)]
pub unsafe fn read<T: Copy>(address: u64) -> T {
    let mut value = core::mem::MaybeUninit::<T>::zeroed();
    // SAFETY: the helper writes at most size_of::<T>() bytes; zeroed is valid for plain data.
    unsafe {
        bpf_probe_read_kernel(
            value.as_mut_ptr().cast(),
            size_of::<T>() as u32,
            address as *const _,
        );
        value.assume_init()
    }
}

/// The kernel's own count of each direction, modulo 2^32: the sequence numbers after the call,
/// without the one that a FIN takes.
///
/// Plain numbers instead of an `Option`: the verifier refuses copies of undefined payloads.
#[derive(Clone, Copy)]
pub struct Sequences {
    /// False where the socket has none that count.
    pub known: bool,
    /// The connection is over (a reset); what it had received can still be read.
    pub closed: bool,
    /// `copied_seq`: next byte that the application reads.
    pub ingress: u32,
    /// `write_seq`: next byte that the application writes.
    pub egress: u32,
}

const TCP_FIN_WAIT1: u8 = 4;
const TCP_FIN_WAIT2: u8 = 5;
const TCP_TIME_WAIT: u8 = 6;
const TCP_CLOSE: u8 = 7;
const TCP_CLOSE_WAIT: u8 = 8;
const TCP_LAST_ACK: u8 = 9;
const TCP_CLOSING: u8 = 11;

impl Sequences {
    pub const UNKNOWN: Self = Self { known: false, closed: false, ingress: 0, egress: 0 };

    #[inline(always)]
    fn of(state: u8, copied: u32, received: u32, written: u32) -> Self {
        if state == TCP_CLOSE {
            // Nothing tells any more whether a FIN is counted in them.
            return Self { closed: true, ..Self::UNKNOWN };
        }
        let sent_end = matches!(
            state,
            TCP_FIN_WAIT1 | TCP_FIN_WAIT2 | TCP_TIME_WAIT | TCP_LAST_ACK | TCP_CLOSING
        );
        Self {
            known: true,
            closed: false,
            ingress: copied.wrapping_sub(u32::from(has_read_end(state, copied, received))),
            egress: written.wrapping_sub(u32::from(sent_end)),
        }
    }
}

/// The peer's FIN is its last byte; reading up to it counts it as read.
#[inline(always)]
fn has_read_end(state: u8, copied: u32, received: u32) -> bool {
    copied == received
        && matches!(state, TCP_CLOSE_WAIT | TCP_TIME_WAIT | TCP_LAST_ACK | TCP_CLOSING)
}

/// Sequence numbers of a typed socket.
///
/// # Safety
/// `sock` came as a typed argument of a tracepoint.
#[inline(always)]
pub unsafe fn typed_sequences(sock: *const Sock) -> Sequences {
    // SAFETY: the helper checks what the socket is; the offsets are constants to the verifier.
    unsafe {
        let tcp = bpf_skc_to_tcp_sock(sock.cast_mut().cast()).cast::<u8>();
        if tcp.is_null() {
            return Sequences::UNKNOWN;
        }
        let written = core::ptr::read_volatile(tcp.add(config!(write_seq) as usize).cast());
        let state = core::ptr::read_volatile(tcp.add(config!(skc_state) as usize));
        let copied = core::ptr::read_volatile(tcp.add(config!(copied_seq) as usize).cast());
        let received = core::ptr::read_volatile(tcp.add(config!(rcv_nxt) as usize).cast());
        Sequences::of(state, copied, received, written)
    }
}

/// As [`typed_sequences`], for a pointer that was walked to.
///
/// # Safety
/// None is asked: unreadable memory reads as zero.
#[inline(always)]
pub unsafe fn walked_sequences(sock: u64) -> Sequences {
    // SAFETY: plain numbers.
    unsafe {
        let written = read(sock + u64::from(config!(write_seq)));
        let state = read(sock + u64::from(config!(skc_state)));
        let copied = read(sock + u64::from(config!(copied_seq)));
        let received = read(sock + u64::from(config!(rcv_nxt)));
        Sequences::of(state, copied, received, written)
    }
}

/// Who opened the connection, when the call that moved these bytes was the first on it:
/// then nothing before them is missing, and order alone pairs requests with responses. Needs
/// no hook at the handshake, so untargeted connections pay nothing. [`Role::Unknown`] when
/// bytes went before.
///
/// # Safety
/// `sock` is a TCP socket; unreadable memory reads as zero.
#[inline(always)]
pub unsafe fn role_at_first_bytes(sock: u64, direction: Direction, length: u32) -> Role {
    // The numbers are read without the socket's lock, so a packet may arrive between two of
    // them: look again before believing that bytes went before.
    let mut looks = 0;
    while looks < 4 {
        // SAFETY: by the caller.
        let role = unsafe { role_now(sock, direction, length) };
        if !matches!(role, Role::Unknown) {
            return role;
        }
        looks += 1;
    }
    Role::Unknown
}

#[inline(always)]
unsafe fn role_now(sock: u64, direction: Direction, length: u32) -> Role {
    // SAFETY: plain numbers.
    let (consumed, produced) = unsafe {
        let received: u64 = read(sock + u64::from(config!(bytes_received)));
        let receive_next: u32 = read(sock + u64::from(config!(rcv_nxt)));
        let copied: u32 = read(sock + u64::from(config!(copied_seq)));
        let state: u8 = read(sock + u64::from(config!(skc_state)));
        let acked: u64 = read(sock + u64::from(config!(bytes_acked)));
        let unacked: u32 = read(sock + u64::from(config!(snd_una)));
        let written: u32 = read(sock + u64::from(config!(write_seq)));
        let end = u64::from(has_read_end(state, copied, receive_next));
        (
            received.wrapping_sub(u64::from(receive_next.wrapping_sub(copied))).wrapping_sub(end),
            acked.wrapping_add(u64::from(written.wrapping_sub(unacked))),
        )
    };
    let (ingress, egress) = match direction {
        Direction::Ingress => (u64::from(length), 0),
        Direction::Egress => (0, u64::from(length)),
    };
    if consumed != ingress {
        return Role::Unknown;
    }
    // The acknowledgement of one's own SYN counts as a byte (tcp_snd_una_update).
    match produced.wrapping_sub(egress) {
        0 => Role::Server,
        1 => Role::Client,
        _ => Role::Unknown,
    }
}

/// What a stream socket is, as far as we follow it.
#[derive(Clone, Copy, Eq, PartialEq)]
pub enum Kind {
    Tcp,
    /// No sequence numbers of its own: positions are counted only.
    MultipathTcp,
    Other,
}

/// Tells TCP over IPv4 or IPv6 from everything else.
///
/// # Safety
/// None is asked: unreadable memory reads as zero.
#[inline(always)]
pub unsafe fn kind(sock: u64) -> Kind {
    // SAFETY: plain numbers.
    let (family, protocol): (u16, u16) = unsafe {
        (read(sock + u64::from(config!(skc_family))), read(sock + u64::from(config!(sk_protocol))))
    };
    if family != AF_INET && family != AF_INET6 {
        return Kind::Other;
    }
    match protocol {
        IPPROTO_TCP => Kind::Tcp,
        IPPROTO_MPTCP => Kind::MultipathTcp,
        _ => Kind::Other,
    }
}

/// Writes addresses and ports of a connection to where the reader gets them: there is no room
/// for them on the stack.
///
/// # Safety
/// `info` is writable; unreadable memory of the socket reads as zero.
#[inline(always)]
pub unsafe fn endpoints(sock: u64, info: *mut ConnectionInfo) {
    // SAFETY: plain numbers and byte arrays.
    unsafe {
        let family: u16 = read(sock + u64::from(config!(skc_family)));
        let local = &raw mut (*info).local_address;
        let remote = &raw mut (*info).remote_address;
        if family == AF_INET6 {
            read_into(sock + u64::from(config!(skc_v6_rcv_saddr)), local.cast(), 16);
            read_into(sock + u64::from(config!(skc_v6_daddr)), remote.cast(), 16);
        } else {
            local.write(MAPPED);
            remote.write(MAPPED);
            read_into(sock + u64::from(config!(skc_rcv_saddr)), local.cast::<u8>().add(12), 4);
            read_into(sock + u64::from(config!(skc_daddr)), remote.cast::<u8>().add(12), 4);
        }
        let net: u64 = read(sock + u64::from(config!(skc_net)));
        let remote_port: u16 = read(sock + u64::from(config!(skc_dport)));
        (*info).local_port = read(sock + u64::from(config!(skc_num)));
        (*info).remote_port = u16::from_be(remote_port);
        (*info).netns = read(net + u64::from(config!(net_inum)));
    }
}

/// # Safety
/// `to` has room for `length` bytes, which are zeroed where `address` cannot be read.
#[inline(always)]
unsafe fn read_into(address: u64, to: *mut u8, length: u32) {
    // SAFETY: by the caller.
    unsafe { bpf_probe_read_kernel(to.cast(), length, address as *const _) };
}

/// The IPv4-mapped form (RFC 4291, 2.5.5.2) of no address.
const MAPPED: [u8; 16] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0];
