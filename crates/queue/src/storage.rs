//! What a log keeps its files in.

use std::io;

/// A file of a log.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum FileName {
    /// How far the log was acknowledged.
    Cursor,
    Segment(u64),
}

/// Makes files durable; may take long, and is meant for a thread that may wait.
pub type Syncing = Box<dyn FnOnce() -> io::Result<()> + Send>;

/// Named files. What was written is seen by every later read, also of a new process when this
/// one is killed; a power cut may take back everything since the last [`Syncing`].
pub trait Storage: Send {
    /// Bytes of which a file takes a multiple; a power of two.
    fn block_bytes(&self) -> u64;

    /// All files with their lengths, in any order.
    ///
    /// # Errors
    ///
    /// Of the file system.
    fn list(&mut self) -> io::Result<Vec<(FileName, u64)>>;

    /// Fills `buffer` from `offset` on, up to the end of the file; returns how much it was.
    ///
    /// # Errors
    ///
    /// Of the file system; [`io::ErrorKind::NotFound`] without the file.
    fn read_at(&mut self, file: FileName, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;

    /// Writes all of `bytes`, and makes the file when it is not there. After an error any part
    /// of them may be written.
    ///
    /// # Errors
    ///
    /// Of the file system; [`io::ErrorKind::StorageFull`] or
    /// [`io::ErrorKind::QuotaExceeded`] when it is full.
    fn write_at(&mut self, file: FileName, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Cuts the file to `bytes`.
    ///
    /// # Errors
    ///
    /// Of the file system.
    fn truncate(&mut self, file: FileName, bytes: u64) -> io::Result<()>;

    /// Deletes the file; it is no error when it is not there.
    ///
    /// # Errors
    ///
    /// Of the file system.
    fn remove(&mut self, file: FileName) -> io::Result<()>;

    /// What makes these files, and what was made and deleted, durable. Files that are gone are
    /// left out.
    ///
    /// # Errors
    ///
    /// Of the file system.
    fn syncing(&mut self, files: &[FileName]) -> io::Result<Syncing>;
}
