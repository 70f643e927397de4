//! Storage that loses what a power cut may take, and fails when it is told.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    sync::{Arc, Mutex},
};

use crate::{FileName, Storage, Syncing};

const PAGE: usize = 64;

#[derive(Default)]
struct Files {
    /// What processes see.
    now: BTreeMap<FileName, Vec<u8>>,
    /// What a power cut leaves for certain.
    durable: BTreeMap<FileName, Vec<u8>>,
    /// Bytes that may still be written until the storage is full.
    room: Option<usize>,
    /// Writes until one fails halfway with an error of the device.
    failing_write: Option<usize>,
    syncs_fail: bool,
}

/// Handle of simulated files; they outlive the log that uses them.
#[derive(Clone, Default)]
pub(crate) struct Simulated(Arc<Mutex<Files>>);

impl Simulated {
    /// Bytes of all files as processes see them.
    pub(crate) fn bytes(&self) -> u64 {
        self.0.lock().unwrap().now.values().map(|file| file.len() as u64).sum()
    }

    /// Lets so many more bytes be written.
    pub(crate) fn set_room(&self, room: Option<usize>) {
        self.0.lock().unwrap().room = room;
    }

    /// Lets a write after so many others fail halfway.
    pub(crate) fn fail_write(&self, after: usize) {
        self.0.lock().unwrap().failing_write = Some(after);
    }

    pub(crate) fn fail_syncs(&self, fail: bool) {
        self.0.lock().unwrap().syncs_fail = fail;
    }

    /// Changes a byte of a file.
    pub(crate) fn damage(&self, file: FileName, at: usize) {
        if let Some(byte) = self.0.lock().unwrap().now.get_mut(&file).and_then(|f| f.get_mut(at)) {
            *byte ^= 0x20;
        }
    }

    /// Cuts a file.
    pub(crate) fn cut(&self, file: FileName, length: usize) {
        self.0.lock().unwrap().now.get_mut(&file).unwrap().truncate(length);
    }

    pub(crate) fn file(&self, file: FileName) -> Option<Vec<u8>> {
        self.0.lock().unwrap().now.get(&file).cloned()
    }

    pub(crate) fn segments(&self) -> Vec<FileName> {
        let files = self.0.lock().unwrap();
        files.now.keys().copied().filter(|name| *name != FileName::Cursor).collect()
    }

    /// Cuts the power: of everything that is not durable, `keep` chooses page by page and name
    /// by name what is there afterwards.
    pub(crate) fn cut_power(&self, mut keep: impl FnMut() -> bool) {
        let mut files = self.0.lock().unwrap();
        let names: BTreeSet<_> = files.now.keys().chain(files.durable.keys()).copied().collect();
        let mut after = BTreeMap::new();
        for name in names {
            let content = match (files.now.get(&name), files.durable.get(&name)) {
                // Made or deleted, and who knows whether the folder's page was written.
                (Some(now), None) => keep().then(|| pages(now, &[], &mut keep)),
                (None, Some(durable)) => keep().then(|| durable.clone()),
                (Some(now), Some(durable)) => Some(pages(now, durable, &mut keep)),
                (None, None) => None,
            };
            after.extend(content.map(|content| (name, content)));
        }
        files.now.clone_from(&after);
        files.durable = after;
        (files.room, files.failing_write, files.syncs_fail) = (None, None, false);
    }
}

/// Pages of the new content or of the old one, or zeros where there was none.
fn pages(now: &[u8], old: &[u8], keep: &mut impl FnMut() -> bool) -> Vec<u8> {
    let length = if keep() { now.len() } else { old.len() };
    let mut content = old.to_vec();
    content.resize(length, 0);
    for (place, page) in content.chunks_mut(PAGE).zip(now.chunks(PAGE)) {
        let length = place.len().min(page.len());
        if place[..length] != page[..length] && keep() {
            place[..length].copy_from_slice(&page[..length]);
        }
    }
    content
}

impl Storage for Simulated {
    fn block_bytes(&self) -> u64 {
        1
    }

    fn list(&mut self) -> io::Result<Vec<(FileName, u64)>> {
        let files = self.0.lock().unwrap();
        Ok(files.now.iter().map(|(name, file)| (*name, file.len() as u64)).collect())
    }

    fn read_at(&mut self, file: FileName, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let files = self.0.lock().unwrap();
        let bytes = files.now.get(&file).ok_or(io::ErrorKind::NotFound)?;
        let bytes = bytes.get(usize::try_from(offset).unwrap()..).unwrap_or_default();
        let length = bytes.len().min(buffer.len());
        buffer[..length].copy_from_slice(&bytes[..length]);
        Ok(length)
    }

    fn write_at(&mut self, file: FileName, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut files = self.0.lock().unwrap();
        let (mut length, mut error) = (bytes.len(), None);
        if let Some(left) = files.failing_write {
            files.failing_write = left.checked_sub(1);
            if left == 0 {
                (length, error) = (length / 2, Some(io::Error::from_raw_os_error(5)));
            }
        }
        let held = files.now.get(&file).map_or(0, Vec::len);
        let start = usize::try_from(offset).unwrap();
        let room = files.room.map(|room| room + held.saturating_sub(start));
        if room.is_some_and(|room| room < length) {
            (length, error) = (room.unwrap_or(0), Some(io::ErrorKind::StorageFull.into()));
        }
        let grown = (start + length).saturating_sub(held);
        files.room = files.room.map(|room| room.saturating_sub(grown));
        let content = files.now.entry(file).or_default();
        content.resize(content.len().max(start + length), 0);
        content[start..start + length].copy_from_slice(&bytes[..length]);
        error.map_or(Ok(()), Err)
    }

    fn truncate(&mut self, file: FileName, bytes: u64) -> io::Result<()> {
        let mut files = self.0.lock().unwrap();
        let content = files.now.get_mut(&file).ok_or(io::ErrorKind::NotFound)?;
        let freed = content.len().saturating_sub(usize::try_from(bytes).unwrap());
        content.truncate(usize::try_from(bytes).unwrap());
        files.room = files.room.map(|room| room + freed);
        Ok(())
    }

    fn remove(&mut self, file: FileName) -> io::Result<()> {
        let mut files = self.0.lock().unwrap();
        let freed = files.now.remove(&file).map_or(0, |content| content.len());
        files.room = files.room.map(|room| room + freed);
        Ok(())
    }

    fn syncing(&mut self, names: &[FileName]) -> io::Result<Syncing> {
        let (shared, names) = (Arc::clone(&self.0), names.to_vec());
        Ok(Box::new(move || {
            let mut files = shared.lock().unwrap();
            if files.syncs_fail {
                return Err(io::Error::from_raw_os_error(5));
            }
            for name in names {
                if let Some(content) = files.now.get(&name).cloned() {
                    files.durable.insert(name, content);
                }
            }
            // The folder is part of it: what is deleted stays deleted.
            let Files { now, durable, .. } = &mut *files;
            durable.retain(|name, _| now.contains_key(name));
            Ok(())
        }))
    }
}
