//! What the kernel side and user space agree on: the records in the rings, the
//! values in the maps, and the names of the read-only globals.
//!
//! `no_std`, plain old data, native endianness. Layouts are frozen by assertions;
//! a change here is a change of [`ABI_VERSION`], since agent and forwarder may be
//! restarted one without the other.
#![no_std]

mod config;
mod loss;
mod process;
mod record;

pub use config::{ABI_VERSION, Config};
pub use loss::{Loss, LossCounter};
pub use process::{ExecEvent, ProcessEvent, ProcessEventKind, Target, tls};
pub use record::{
    AHEAD_OF_EGRESS, BEGINS_RUN, ConnectionInfo, Direction, HoleReason, MAX_HELLO_BYTES, PLAINTEXT,
    RECORD_HEADER_BYTES, RecordHeader, RecordKind, Role,
};

/// Largest payload of one [`RecordKind::Data`] record, in bytes.
pub const MAX_CHUNK_BYTES: usize = 16 * 1024;
