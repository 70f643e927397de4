//! A bounded first-in first-out log of frames that survives crashes.
//!
//! Frames are appended to segment files and taken in order; what was acknowledged is deleted by
//! whole segments. Each frame says how many records of which label it holds, so that the log
//! knows, by label and without keeping the frames in memory, what waits, what it had to drop to
//! stay within its limit, and what a damaged file has cost.
//!
//! The log knows no file: it works on a [`Storage`]. [`Disk`] is a folder, [`Memory`] is none.
//!
//! # On disk
//!
//! ```text
//! segment-<id>   "weirlog1" id crc | frame … | footer when the segment is finished
//! frame          magic length records crc(payload) crc(segment, offset, the fields before)
//!                payload: labels with their records, then the body
//! cursor         two slots, written in turn: sequence, segment, offset, crc
//! ```
//!
//! Integers are little-endian, checksums CRC-32C. A frame whose checksum fails is skipped; a
//! frame whose header fails is skipped up to the next header that holds. A start reads footers,
//! and frames only of segments that have none: those that were written to when a process died.

mod cursor;
mod disk;
mod frame;
mod labels;
mod log;
mod memory;
mod segment;
#[cfg(test)]
mod simulated;
mod storage;
mod tally;

pub use disk::{Disk, OpenDisk};
pub use labels::Label;
pub use log::{Ahead, Appended, Bounds, Damage, Frame, Log, Refusal, SyncJob, WhenFull};
pub use memory::Memory;
pub use storage::{FileName, Storage, Syncing};
pub use tally::Tally;
