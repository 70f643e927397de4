//! Process life as the agent hears of it, and what it tells the kernel side.

/// What happened to a process.
#[repr(u32)]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ProcessEventKind {
    /// A new program runs in `tgid`.
    Exec = 1,
    /// `parent` made `tgid`.
    Fork = 2,
    /// The last thread of `tgid` ended.
    Exit = 3,
    /// `tgid` listens on `port`.
    Listen = 4,
    /// `tgid` began a TLS connection, and none of its libraries is probed as far as its
    /// [`Target`] says.
    Tls = 5,
}

impl ProcessEventKind {
    /// The kind for its number, `None` for one that this version does not know.
    #[must_use]
    pub const fn from_u32(number: u32) -> Option<Self> {
        match number {
            1 => Some(Self::Exec),
            2 => Some(Self::Fork),
            3 => Some(Self::Exit),
            4 => Some(Self::Listen),
            5 => Some(Self::Tls),
            _ => None,
        }
    }
}

/// One record of the process ring.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct ProcessEvent {
    /// `CLOCK_MONOTONIC` nanoseconds.
    pub time_ns: u64,
    /// [`ProcessEventKind`] as its number.
    pub kind: u32,
    pub tgid: u32,
    /// Parent process of a fork or of who runs a new program, else 0.
    pub parent: u32,
    /// Local port of a listen, else 0; host byte order.
    pub port: u32,
}

/// What an exec tells, of which the first part is as with all events: a short program is over before
/// anybody looks at it, and nothing else says then what it was.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct ExecEvent {
    pub event: ProcessEvent,
    /// `CLOCK_BOOTTIME` nanoseconds of the process's start.
    pub start_ns: u64,
    /// 1 when it is in the control groups that its parent is in.
    pub in_parents_groups: u32,
    /// Name of the program's file without its folder, ended by a zero; cut when it is longer.
    pub name: [u8; 60],
}

/// Value of the map `TARGETS`, keyed by thread group id: its presence means "capture".
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Target {
    /// 1 from a process's beginning (its exec, or its fork by a target) until the agent says
    /// whether it is one: what it does in its first moments is not missed.
    pub undecided: u32,
    /// One of [`tls`]; counts once the process is decided about.
    pub tls: u32,
}

/// What to do with plaintext of a target's TLS libraries.
pub mod tls {
    /// Nobody wants it.
    pub const IGNORE: u32 = 0;
    /// It is wanted, but no library of the process is probed: tell when it uses TLS.
    pub const WANTED: u32 = 1;
    /// It is wanted, and the process's libraries are known.
    pub const PROBED: u32 = 2;
}

const _: () = assert!(size_of::<Target>() == 8);

const _: () = assert!(size_of::<ProcessEvent>() == 24);
const _: () = assert!(size_of::<ExecEvent>() == 96);
