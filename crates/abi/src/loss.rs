//! Losses that the kernel side counts, one per-CPU slot each.

/// Why the kernel side gave up on something. The number is the slot in the map `LOSSES`.
#[repr(u32)]
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Loss {
    /// The segment ring had no room: the reader is too slow. `exchanges` has those after the
    /// last record of each connection that is still open; a later record takes them out again,
    /// since its run ordinal tells of them.
    RingFull = 0,
    /// A buffer could not be read.
    ReadFault = 1,
    /// No state could be kept for a connection.
    ConnectionTable = 2,
    /// A connection ended while the ring was full, so that its last exchanges were
    /// never reported; `exchanges` has their number.
    CloseUnreported = 3,
    /// The process ring had no room: the agent scans again.
    ProcessRingFull = 4,
    /// Plaintext of a TLS library whose connection is not known: it did not read or write the
    /// socket itself.
    TlsUnjoined = 5,
    /// Plaintext of a connection that is older than its probes, before both directions were seen
    /// from a call's beginning to its end: something between may have been missed.
    TlsLate = 6,
    /// Plaintext of a connection to which two writes went at once: nothing tells which came first.
    TlsUnordered = 7,
}

impl Loss {
    /// Number of slots.
    pub const COUNT: u32 = 8;

    /// Every reason, in slot order.
    pub const ALL: [Self; Self::COUNT as usize] = [
        Self::RingFull,
        Self::ReadFault,
        Self::ConnectionTable,
        Self::CloseUnreported,
        Self::ProcessRingFull,
        Self::TlsUnjoined,
        Self::TlsLate,
        Self::TlsUnordered,
    ];

    /// Name for metrics and messages.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RingFull => "ring_full",
            Self::ReadFault => "read_fault",
            Self::ConnectionTable => "connection_table",
            Self::CloseUnreported => "close_unreported",
            Self::ProcessRingFull => "process_ring_full",
            Self::TlsUnjoined => "tls_unjoined",
            Self::TlsLate => "tls_late",
            Self::TlsUnordered => "tls_unordered",
        }
    }
}

/// What one slot holds.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct LossCounter {
    pub records: u64,
    pub bytes: u64,
    /// Request/response exchanges that no reader will learn of in another way.
    pub exchanges: u64,
}

const _: () = assert!(size_of::<LossCounter>() == 24);
