//! What we keep per socket: in the socket itself where the kernel lets us, else in a
//! table by address.

use aya_ebpf::{
    btf_maps::SkStorage,
    helpers::generated::bpf_sk_storage_get,
    macros::{btf_map, map},
    maps::HashMap,
};
use weir_abi::Role;

use crate::socket::{self, Sequences, Sock};

/// No bytes were seen yet.
pub const UNJUDGED: u8 = 0;
/// The first bytes were no TLS record.
pub const PLAIN: u8 = 1;
/// The first bytes were a TLS record.
pub const ENCRYPTED: u8 = 2;
/// A Postgres client asked whether TLS may begin.
pub const ASKED: u8 = 3;

/// State of one connection. All zero is "never seen".
#[repr(C)]
#[derive(Clone, Copy)]
pub struct State {
    /// 0: no data seen yet.
    pub connection: u64,
    /// Bytes so far, by [`Direction`].
    pub ingress: u64,
    pub egress: u64,
    /// `CLOCK_MONOTONIC`; 0 when the handshake was not seen.
    pub established_ns: u64,
    /// The kernel's sequence number after the last byte that is accounted for.
    pub ingress_seq: u32,
    pub egress_seq: u32,
    /// Up to this sequence number written bytes have a run.
    pub egress_in_runs: u32,
    /// Ordinal of the current run of calls in one direction; even ones have the first
    /// direction.
    pub run: u32,
    /// Exchanges up to the last record that the reader can see.
    pub told: u32,
    /// Exchanges after it, as they stand in the loss counters.
    pub untold: u32,
    /// Process last found to be a target, at epoch `epoch`.
    pub tgid: u32,
    pub epoch: u32,
    /// Vector of a recvmmsg or sendmmsg under way, and its next message.
    pub vector: u64,
    pub vector_next: u32,
    pub first_direction: u8,
    pub role: u8,
    /// The reader has the connection's [`weir_abi::ConnectionInfo`].
    pub announced: u8,
    /// The kernel's own sequence numbers count (plain TCP).
    pub sequenced: u8,
    /// Both sequence numbers are known, from the handshake or the first call.
    pub anchored: u8,
    /// The run before the current one began with written bytes whose record is still to come.
    pub egress_awaited: u8,
    /// [`UNJUDGED`], [`PLAIN`], [`ENCRYPTED`] or [`ASKED`].
    pub content: u8,
    /// Of plaintext: a library's session was found to be this connection's.
    pub joined: u8,
    /// Of plaintext: bit 0 when a read was seen from its beginning to its end, bit 1 a write.
    pub settled: u8,
    /// Of plaintext: the process has ended its direction of the connection.
    pub ended: u8,
    /// Of plaintext: two writes were under way at once, so that nothing tells their order.
    pub unordered: u8,
    pub reserved: u8,
    /// Where the first TLS record of each direction ends; 0: none that begins a handshake.
    pub ingress_hello_end: u16,
    pub egress_hello_end: u16,
    /// Of plaintext: writes that have begun and not ended, where they are told at their beginning.
    pub writers: u64,
}

impl State {
    pub const EMPTY: Self = Self {
        connection: 0,
        ingress: 0,
        egress: 0,
        established_ns: 0,
        ingress_seq: 0,
        egress_seq: 0,
        egress_in_runs: 0,
        run: 0,
        told: 0,
        untold: 0,
        tgid: 0,
        epoch: 0,
        vector: 0,
        vector_next: 0,
        first_direction: 0,
        role: Role::Unknown as u8,
        announced: 0,
        sequenced: 0,
        anchored: 0,
        egress_awaited: 0,
        content: UNJUDGED,
        joined: 0,
        settled: 0,
        ended: 0,
        unordered: 0,
        reserved: 0,
        ingress_hello_end: 0,
        egress_hello_end: 0,
        writers: 0,
    };
}

#[btf_map]
static IN_SOCKETS: SkStorage<State> = SkStorage::new();

#[map]
static CONNECTIONS: HashMap<u64, State> = HashMap::with_max_entries(65_536, 0);

/// Where connection state lives.
pub trait Store {
    /// State of a socket that has one.
    fn find(sock: *const Sock) -> Option<*mut State>;
    /// State of a socket, made when it has none.
    fn find_or_make(sock: *const Sock) -> Option<*mut State>;
    /// The socket ends.
    fn forget(sock: *const Sock);
    /// Its sequence numbers, when it is plain TCP.
    fn sequences(sock: *const Sock) -> Sequences;
}

/// Socket-local storage: no look-up by key, freed with the socket. Needs a typed pointer.
pub enum InSocket {}

impl InSocket {
    #[inline(always)]
    fn storage(sock: *const Sock, create: u64) -> Option<*mut State> {
        // SAFETY: a typed socket pointer and our own map.
        let state = unsafe {
            bpf_sk_storage_get(
                (&raw const IN_SOCKETS).cast_mut().cast(),
                sock.cast_mut().cast(),
                core::ptr::null_mut(),
                create,
            )
        };
        (!state.is_null()).then_some(state.cast())
    }
}

impl Store for InSocket {
    #[inline(always)]
    fn find(sock: *const Sock) -> Option<*mut State> {
        Self::storage(sock, 0)
    }

    #[inline(always)]
    fn find_or_make(sock: *const Sock) -> Option<*mut State> {
        const CREATE: u64 = aya_ebpf::bindings::BPF_SK_STORAGE_GET_F_CREATE as u64;
        Self::storage(sock, CREATE)
    }

    #[inline(always)]
    fn forget(_: *const Sock) {}

    #[inline(always)]
    fn sequences(sock: *const Sock) -> Sequences {
        // SAFETY: a typed socket pointer.
        unsafe { socket::typed_sequences(sock) }
    }
}

/// A hash table by the socket's address, cleared when the socket closes.
pub enum ByAddress {}

impl Store for ByAddress {
    #[inline(always)]
    fn find(sock: *const Sock) -> Option<*mut State> {
        CONNECTIONS.get_ptr_mut(&(sock as u64))
    }

    #[inline(always)]
    fn find_or_make(sock: *const Sock) -> Option<*mut State> {
        let key = sock as u64;
        if let Some(state) = CONNECTIONS.get_ptr_mut(&key) {
            return Some(state);
        }
        CONNECTIONS.insert(&key, &State::EMPTY, 0).ok()?;
        CONNECTIONS.get_ptr_mut(&key)
    }

    #[inline(always)]
    fn forget(sock: *const Sock) {
        let _ = CONNECTIONS.remove(&(sock as u64));
    }

    #[inline(always)]
    fn sequences(sock: *const Sock) -> Sequences {
        // SAFETY: guarded reads.
        unsafe { socket::walked_sequences(sock as u64) }
    }
}
