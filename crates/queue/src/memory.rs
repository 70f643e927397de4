//! Storage that ends with the process.

use std::{collections::BTreeMap, io};

use crate::{FileName, Storage, Syncing};

/// Files in memory.
#[derive(Debug, Default)]
pub struct Memory(BTreeMap<FileName, Vec<u8>>);

impl Memory {
    fn file(&mut self, file: FileName) -> io::Result<&mut Vec<u8>> {
        self.0.get_mut(&file).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl Storage for Memory {
    fn block_bytes(&self) -> u64 {
        1
    }

    fn list(&mut self) -> io::Result<Vec<(FileName, u64)>> {
        Ok(self.0.iter().map(|(file, bytes)| (*file, bytes.len() as u64)).collect())
    }

    fn read_at(&mut self, file: FileName, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        let bytes = self.file(file)?.get(offset..).unwrap_or_default();
        let length = bytes.len().min(buffer.len());
        if let (Some(to), Some(from)) = (buffer.get_mut(..length), bytes.get(..length)) {
            to.copy_from_slice(from);
        }
        Ok(length)
    }

    fn write_at(&mut self, file: FileName, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let held = self.0.entry(file).or_default();
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        let end = offset.saturating_add(bytes.len());
        if held.len() == offset {
            held.extend_from_slice(bytes);
            return Ok(());
        }
        if held.len() < end {
            held.resize(end, 0);
        }
        if let Some(place) = held.get_mut(offset..end) {
            place.copy_from_slice(bytes);
        }
        Ok(())
    }

    fn truncate(&mut self, file: FileName, bytes: u64) -> io::Result<()> {
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        self.file(file)?.truncate(bytes);
        Ok(())
    }

    fn remove(&mut self, file: FileName) -> io::Result<()> {
        self.0.remove(&file);
        Ok(())
    }

    fn syncing(&mut self, _: &[FileName]) -> io::Result<Syncing> {
        Ok(Box::new(|| Ok(())))
    }
}
