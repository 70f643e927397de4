//! Records of the segment ring, in the order in which the kernel saw them.

/// Bytes before the payload of every record.
pub const RECORD_HEADER_BYTES: usize = size_of::<RecordHeader>();

/// Which record follows a [`RecordHeader`].
#[repr(u8)]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RecordKind {
    /// First sight of a connection; a [`ConnectionInfo`] follows.
    Open = 1,
    /// `length` bytes of one direction follow.
    Data = 2,
    /// `length` bytes of one direction passed without a copy; nothing follows.
    Hole = 3,
    /// The socket is gone. `position` is the final egress position; the final ingress
    /// position follows as a `u64`, and `length` is 8.
    Close = 4,
}

impl RecordKind {
    /// The kind for its number, `None` for one that this version does not know.
    #[must_use]
    pub const fn from_u8(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::Open),
            2 => Some(Self::Data),
            3 => Some(Self::Hole),
            4 => Some(Self::Close),
            _ => None,
        }
    }
}

/// Direction of bytes as the captured process sees them.
#[repr(u8)]
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Direction {
    /// Read by the process.
    Ingress = 0,
    /// Written by the process.
    Egress = 1,
}

impl Direction {
    /// The direction for the header's number; every odd one is egress.
    #[must_use]
    pub const fn from_u8(number: u8) -> Self {
        if number & 1 == 1 { Self::Egress } else { Self::Ingress }
    }

    /// The other direction of the same connection.
    #[must_use]
    pub const fn opposite(self) -> Self {
        match self {
            Self::Ingress => Self::Egress,
            Self::Egress => Self::Ingress,
        }
    }
}

/// Which end of the connection the captured process holds.
#[repr(u8)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Role {
    /// The connection is older than the capture, so the handshake was not seen.
    #[default]
    Unknown = 0,
    /// It accepted the connection.
    Server = 1,
    /// It opened the connection.
    Client = 2,
}

impl Role {
    /// The role for its number; an unknown number is [`Role::Unknown`].
    #[must_use]
    pub const fn from_u8(number: u8) -> Self {
        match number {
            1 => Self::Server,
            2 => Self::Client,
            _ => Self::Unknown,
        }
    }
}

/// Why bytes passed without a copy.
#[repr(u8)]
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum HoleReason {
    /// sendfile, splice, io_uring: the bytes never were in a buffer that we can name.
    NoUserBuffer = 1,
    /// The buffer's page was not resident or not readable.
    ReadFault = 2,
    /// More than the per-call limit.
    CallLimit = 3,
    /// The kernel's own sequence number moved past bytes that no hook saw: another
    /// process wrote or read them, or they were discarded unread.
    Unseen = 4,
    /// Positions show a jump that no record explains: the ring was full.
    RingFull = 5,
}

impl HoleReason {
    /// The reason for its number; an unknown number is [`HoleReason::Unseen`].
    #[must_use]
    pub const fn from_u8(number: u8) -> Self {
        match number {
            1 => Self::NoUserBuffer,
            2 => Self::ReadFault,
            3 => Self::CallLimit,
            5 => Self::RingFull,
            _ => Self::Unseen,
        }
    }
}

/// Head of every record in the segment ring.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct RecordHeader {
    /// Connection number: unique while the programs are loaded, never reused.
    pub connection: u64,
    /// `CLOCK_MONOTONIC` in nanoseconds at the end of the call.
    pub time_ns: u64,
    /// Bytes of this direction before this record since the connection was first seen.
    pub position: u64,
    /// Bytes that this record stands for: of the payload, or of the hole.
    pub length: u32,
    /// Ordinal of the run of same-direction calls that this record belongs to; it grows
    /// by one each time the direction turns, so a reader can count the exchanges that
    /// lie in a gap.
    pub run: u32,
    /// Process (thread group) that made the call.
    pub tgid: u32,
    /// [`RecordKind`] as its number.
    pub kind: u8,
    /// [`Direction`] as its number.
    pub direction: u8,
    /// [`HoleReason`] as its number, for holes; else 0.
    pub reason: u8,
    /// [`BEGINS_RUN`], [`AHEAD_OF_EGRESS`] and [`PLAINTEXT`].
    pub flags: u8,
}

/// Flag of a record: its bytes are the first of their run. When that record is lost, the
/// others of the run do not carry it, so a reader never takes the middle of a run for its
/// beginning.
pub const BEGINS_RUN: u8 = 1;

/// Flag of an ingress record: bytes were written before these were read, but their own record
/// comes later, since another thread is still on its way out of that call. A reader takes this
/// record after the next egress one.
pub const AHEAD_OF_EGRESS: u8 = 2;

/// Flag of a record: it tells of the plaintext inside a TLS connection, as a library read or
/// wrote it. Position, run and the end (a close record with this flag) are of the plaintext, which
/// counts for itself.
pub const PLAINTEXT: u8 = 4;

/// Most bytes of each direction's hello (RFC 8446 §4.1) that are copied: keys that withstand quantum
/// computers take more than a thousand.
pub const MAX_HELLO_BYTES: u16 = 4056;

/// What is known of a connection at first sight.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct ConnectionInfo {
    /// IPv6 address, or an IPv4 address in the IPv4-mapped form; network byte order.
    pub local_address: [u8; 16],
    /// As `local_address`, of the peer.
    pub remote_address: [u8; 16],
    /// `CLOCK_MONOTONIC` nanoseconds of the end of the handshake, 0 when it was not seen.
    pub established_ns: u64,
    /// Cgroup v2 id of the calling process: the inode of its cgroup folder.
    pub cgroup_id: u64,
    /// Inode number of the socket's network namespace.
    pub netns: u32,
    /// Host byte order.
    pub local_port: u16,
    /// Host byte order.
    pub remote_port: u16,
    /// [`Role`] as its number.
    pub role: u8,
    /// [`Direction`] of run 0 as its number.
    pub first_direction: u8,
    /// 1 while the agent has not yet said whether the process is captured (see
    /// [`Target`](crate::Target)).
    pub undecided: u8,
    /// 1 when its first bytes are a TLS record. Then its bytes are not copied, but for those of the
    /// record that begins the handshake of each direction, at most [`MAX_HELLO_BYTES`]: other
    /// records are those with [`PLAINTEXT`], and the close, whose positions count all bytes.
    pub encrypted: u8,
    pub reserved: [u8; 4],
}

const _: () = assert!(size_of::<RecordHeader>() == 40);
const _: () = assert!(align_of::<RecordHeader>() == 8);
const _: () = assert!(size_of::<ConnectionInfo>() == 64);
const _: () = assert!(align_of::<ConnectionInfo>() == 8);
