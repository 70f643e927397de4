//! What we read of a socket. On the socket way the pointer is typed and its fields are
//! plain loads; on the syscall way every field is a guarded read.

use aya_ebpf::helpers::generated::{bpf_probe_read_kernel, bpf_skc_to_tcp_sock};

use weir_abi::{Direction, Role};

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

/// The kernel's own count of each direction, modulo 2^32: the sequence numbers after the call.
///
/// Plain numbers instead of an `Option`: the verifier refuses copies of undefined payloads.
#[derive(Clone, Copy)]
pub struct Sequences {
    /// False where the socket has none.
    pub known: bool,
    /// `copied_seq`: next byte that the application reads.
    pub ingress: u32,
    /// `write_seq`: next byte that the application writes.
    pub egress: u32,
}

impl Sequences {
    pub const UNKNOWN: Self = Self { known: false, ingress: 0, egress: 0 };
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
        Sequences {
            known: true,
            ingress: core::ptr::read_volatile(tcp.add(config!(copied_seq) as usize).cast()),
            egress: core::ptr::read_volatile(tcp.add(config!(write_seq) as usize).cast()),
        }
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
        Sequences {
            known: true,
            ingress: read(sock + u64::from(config!(copied_seq))),
            egress: read(sock + u64::from(config!(write_seq))),
        }
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
    // SAFETY: plain numbers.
    let (consumed, produced) = unsafe {
        let received: u64 = read(sock + u64::from(config!(bytes_received)));
        let receive_next: u32 = read(sock + u64::from(config!(rcv_nxt)));
        let copied: u32 = read(sock + u64::from(config!(copied_seq)));
        let acked: u64 = read(sock + u64::from(config!(bytes_acked)));
        let unacked: u32 = read(sock + u64::from(config!(snd_una)));
        let written: u32 = read(sock + u64::from(config!(write_seq)));
        (
            received.wrapping_sub(u64::from(receive_next.wrapping_sub(copied))),
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

/// Addresses and ports of a connection.
pub struct Endpoints {
    pub local_address: [u8; 16],
    pub remote_address: [u8; 16],
    pub local_port: u16,
    pub remote_port: u16,
    pub netns: u32,
}

/// # Safety
/// None is asked: unreadable memory reads as zero.
#[inline(always)]
pub unsafe fn endpoints(sock: u64) -> Endpoints {
    // SAFETY: plain numbers and byte arrays.
    unsafe {
        let family: u16 = read(sock + u64::from(config!(skc_family)));
        let (local_address, remote_address) = if family == AF_INET6 {
            (
                read(sock + u64::from(config!(skc_v6_rcv_saddr))),
                read(sock + u64::from(config!(skc_v6_daddr))),
            )
        } else {
            (
                mapped(read(sock + u64::from(config!(skc_rcv_saddr)))),
                mapped(read(sock + u64::from(config!(skc_daddr)))),
            )
        };
        let net: u64 = read(sock + u64::from(config!(skc_net)));
        let remote_port: u16 = read(sock + u64::from(config!(skc_dport)));
        Endpoints {
            local_address,
            remote_address,
            local_port: read(sock + u64::from(config!(skc_num))),
            remote_port: u16::from_be(remote_port),
            netns: read(net + u64::from(config!(net_inum))),
        }
    }
}

/// IPv4 in the IPv4-mapped form (RFC 4291, 2.5.5.2).
#[inline(always)]
fn mapped(v4: [u8; 4]) -> [u8; 16] {
    [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, v4[0], v4[1], v4[2], v4[3]]
}
