//! Storage in a folder. The one place of this crate that knows files.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io,
    os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{FileName, Storage, Syncing};

const LOCK: &str = "lock";
/// What a file of usual file systems takes at least.
const BLOCK_BYTES: u64 = 4096;

/// A folder that this process alone uses.
#[derive(Debug)]
pub struct Disk {
    folder: PathBuf,
    /// To make names durable.
    directory: Arc<File>,
    /// The files last used: one that is written, one that is read, the cursor.
    open: Vec<(FileName, Arc<File>)>,
    /// Held as long as the folder is in use; the kernel frees it with the process.
    _lock: File,
}

/// Why a folder cannot be used.
#[derive(Debug)]
pub enum OpenDisk {
    /// Another process, or another log of this one, uses it.
    InUse,
    Io(io::Error),
}

impl std::fmt::Display for OpenDisk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::InUse => "the folder is used by another process",
            Self::Io(_) => "could not use the folder",
        })
    }
}

impl std::error::Error for OpenDisk {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::InUse => None,
            Self::Io(error) => Some(error),
        }
    }
}

impl From<io::Error> for OpenDisk {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl Disk {
    /// Uses `folder`, which is made when it is not there; only this user may look into it.
    ///
    /// # Errors
    ///
    /// [`OpenDisk`].
    pub fn open(folder: &Path) -> Result<Self, OpenDisk> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let lock = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(folder.join(LOCK))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(OpenDisk::InUse),
            Err(TryLockError::Error(error)) => return Err(OpenDisk::Io(error)),
        }
        let directory = Arc::new(File::open(folder)?);
        Ok(Self { folder: folder.to_owned(), directory, open: Vec::new(), _lock: lock })
    }

    fn path(&self, file: FileName) -> PathBuf {
        self.folder.join(match file {
            FileName::Cursor => "cursor".to_owned(),
            FileName::Segment(id) => format!("segment-{id:020}"),
        })
    }

    fn file(&mut self, file: FileName, create: bool) -> io::Result<Arc<File>> {
        /// Kept open.
        const MOST: usize = 3;
        if let Some(place) = self.open.iter().position(|(name, _)| *name == file) {
            let used = self.open.remove(place);
            self.open.push(used);
        } else {
            let path = self.path(file);
            let opened = OpenOptions::new()
                .read(true)
                .write(true)
                .create(create)
                .truncate(false)
                .mode(0o600)
                .open(path)?;
            if self.open.len() >= MOST {
                self.open.remove(0);
            }
            self.open.push((file, Arc::new(opened)));
        }
        let last = self.open.last().map(|(_, file)| Arc::clone(file));
        last.ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

fn parse(name: &str) -> Option<FileName> {
    match name {
        "cursor" => Some(FileName::Cursor),
        _ => name.strip_prefix("segment-")?.parse().ok().map(FileName::Segment),
    }
}

impl Storage for Disk {
    fn block_bytes(&self) -> u64 {
        BLOCK_BYTES
    }

    fn list(&mut self) -> io::Result<Vec<(FileName, u64)>> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            if let Some(file) = entry.file_name().to_str().and_then(parse) {
                files.push((file, entry.metadata()?.len()));
            }
        }
        Ok(files)
    }

    fn read_at(&mut self, file: FileName, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let file = self.file(file, false)?;
        let mut done = 0;
        while let Some(rest) = buffer.get_mut(done..).filter(|rest| !rest.is_empty()) {
            match file.read_at(rest, offset + done as u64) {
                Ok(0) => break,
                Ok(bytes) => done += bytes,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    fn write_at(&mut self, file: FileName, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.file(file, true)?.write_all_at(bytes, offset)
    }

    fn truncate(&mut self, file: FileName, bytes: u64) -> io::Result<()> {
        self.file(file, false)?.set_len(bytes)
    }

    fn remove(&mut self, file: FileName) -> io::Result<()> {
        self.open.retain(|(name, _)| *name != file);
        match fs::remove_file(self.path(file)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn syncing(&mut self, files: &[FileName]) -> io::Result<Syncing> {
        let paths: Vec<_> = files.iter().map(|file| self.path(*file)).collect();
        let directory = Arc::clone(&self.directory);
        // Opened one after the other, since a start has many; any descriptor syncs the file.
        Ok(Box::new(move || {
            for path in paths {
                match File::open(path) {
                    Ok(file) => file.sync_data()?,
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => return Err(error),
                }
            }
            directory.sync_all()
        }))
    }
}
