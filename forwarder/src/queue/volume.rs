//! A bound on what all queues of a node take together: the volume that they lie on must never be
//! full, since whoever lent it may then end the whole pod.
//!
//! Half of the room is everybody's. The other half is divided among the namespaces that have
//! queues, and each part among the queues of its namespace: so much a queue can always have,
//! whatever the others do.

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde::Serialize;
use weir_plan::ObjectKey;
use weir_queue::{FileName, Storage, Syncing};

/// Room for the queues of all exporters.
#[derive(Debug)]
pub(crate) struct Volume {
    limit: u64,
    used: Mutex<BTreeMap<ObjectKey, u64>>,
}

/// What all queues on disk take.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VolumeReading {
    pub used_bytes: u64,
    pub limit_bytes: u64,
}

/// One queue's account with the volume.
#[derive(Clone, Debug)]
pub(crate) struct Account {
    volume: Arc<Volume>,
    key: ObjectKey,
}

impl Volume {
    pub(crate) fn new(limit: u64) -> Arc<Self> {
        Arc::new(Self { limit, used: Mutex::default() })
    }

    /// The account of this exporter's queue.
    pub(crate) fn account(self: &Arc<Self>, key: &ObjectKey) -> Account {
        Account { volume: Arc::clone(self), key: key.clone() }
    }

    /// What all queues take now, and may take.
    pub(crate) fn reading(&self) -> VolumeReading {
        VolumeReading { used_bytes: self.lock().values().sum(), limit_bytes: self.limit }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<ObjectKey, u64>> {
        // Every change is one step.
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether `key` may take `more`.
    fn has_room(&self, used: &BTreeMap<ObjectKey, u64>, key: &ObjectKey, more: u64) -> bool {
        let total: u64 = used.values().sum();
        if total.saturating_add(more) > self.limit {
            return false;
        }
        let everybodys = self.limit - self.limit / 2;
        if total.saturating_add(more) <= everybodys {
            return true;
        }
        let part = own_parts(self.limit / 2, used);
        let mine = used.get(key).copied().unwrap_or(0) + more;
        if mine <= part(key) {
            return true;
        }
        let over = |(other, bytes): (&ObjectKey, &u64)| {
            let bytes = if other == key { mine } else { *bytes };
            bytes.saturating_sub(part(other))
        };
        used.iter().map(over).sum::<u64>() <= everybodys
    }
}

/// What of `bytes` is each queue's own.
fn own_parts(bytes: u64, used: &BTreeMap<ObjectKey, u64>) -> impl Fn(&ObjectKey) -> u64 {
    let mut queues = BTreeMap::<&str, u64>::new();
    for key in used.keys() {
        *queues.entry(&key.namespace).or_default() += 1;
    }
    let of_namespace = bytes / (queues.len() as u64).max(1);
    move |key| queues.get(&*key.namespace).map_or(0, |count| of_namespace / count)
}

impl Account {
    /// What all queues of the volume may take.
    pub(crate) fn limit(&self) -> u64 {
        self.volume.limit
    }

    /// Notes that the queue takes so much more; false, and nothing noted, when there is no room
    /// for what need not be.
    fn take(&self, more: u64, must: bool) -> bool {
        let mut used = self.volume.lock();
        let fits = must || self.volume.has_room(&used, &self.key, more);
        if fits {
            *used.entry(self.key.clone()).or_default() += more;
        }
        fits
    }

    /// Notes what is there already, whether there is room or not.
    fn set(&self, bytes: u64) {
        *self.volume.lock().entry(self.key.clone()).or_default() = bytes;
    }

    /// The queue lies here no more.
    fn close(&self) {
        self.volume.lock().remove(&self.key);
    }

    fn give_back(&self, bytes: u64) {
        if let Some(used) = self.volume.lock().get_mut(&self.key) {
            *used = used.saturating_sub(bytes);
        }
    }
}

/// Files that keep to an account: what has no room is refused as a full disk refuses it, so that
/// the log gives way by its own policy.
pub(crate) struct Bounded<S> {
    files: S,
    account: Account,
    /// Length of each file, in whole blocks.
    lengths: BTreeMap<FileName, u64>,
}

impl<S: Storage> Bounded<S> {
    /// # Errors
    ///
    /// When the files cannot be listed.
    pub(crate) fn new(mut files: S, account: Account) -> io::Result<Self> {
        let block = files.block_bytes();
        let listed = files.list()?;
        let lengths: BTreeMap<_, _> =
            listed.into_iter().map(|(file, bytes)| (file, bytes.next_multiple_of(block))).collect();
        account.set(lengths.values().sum());
        Ok(Self { files, account, lengths })
    }

    fn shrink(&mut self, file: FileName, to: u64) {
        let to = to.next_multiple_of(self.files.block_bytes());
        if let Some(length) = self.lengths.get_mut(&file)
            && *length > to
        {
            self.account.give_back(*length - to);
            *length = to;
        }
    }
}

impl<S> Drop for Bounded<S> {
    fn drop(&mut self) {
        self.account.close();
    }
}

impl<S: Storage> Storage for Bounded<S> {
    fn block_bytes(&self) -> u64 {
        self.files.block_bytes()
    }

    fn list(&mut self) -> io::Result<Vec<(FileName, u64)>> {
        self.files.list()
    }

    fn read_at(&mut self, file: FileName, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.files.read_at(file, offset, buffer)
    }

    fn write_at(&mut self, file: FileName, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let end = (offset + bytes.len() as u64).next_multiple_of(self.files.block_bytes());
        let length = self.lengths.get(&file).copied().unwrap_or(0);
        if let Some(more) = end.checked_sub(length).filter(|more| *more > 0) {
            // A block, without which nothing could be acknowledged and so given back.
            let must = file == FileName::Cursor;
            if !self.account.take(more, must) {
                return Err(io::ErrorKind::QuotaExceeded.into());
            }
            self.lengths.insert(file, end);
        }
        // After an error the log cuts or removes what there is of it.
        self.files.write_at(file, offset, bytes)
    }

    fn truncate(&mut self, file: FileName, bytes: u64) -> io::Result<()> {
        self.files.truncate(file, bytes)?;
        self.shrink(file, bytes);
        Ok(())
    }

    fn remove(&mut self, file: FileName) -> io::Result<()> {
        self.files.remove(file)?;
        self.shrink(file, 0);
        self.lengths.remove(&file);
        Ok(())
    }

    fn syncing(&mut self, files: &[FileName]) -> io::Result<Syncing> {
        self.files.syncing(files)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use weir_queue::{Bounds, Log, Memory, Tally, WhenFull};

    use super::*;

    fn key(namespace: &str, name: &str) -> ObjectKey {
        ObjectKey { namespace: namespace.to_owned(), name: name.to_owned() }
    }

    fn log(volume: &Arc<Volume>, key: &ObjectKey, when_full: WhenFull) -> Log {
        let files = Bounded::new(Memory::default(), volume.account(key)).unwrap();
        let bounds = Bounds { bytes: volume.limit, when_full };
        Log::open(Box::new(files), bounds).unwrap().0
    }

    fn used(volume: &Volume) -> u64 {
        volume.reading().used_bytes
    }

    /// Appends a record of 1000 bytes; true when it was taken.
    fn append(log: &mut Log) -> bool {
        let mut records = Tally::default();
        records.add(log.label("c"), 1);
        log.append(&records, &[7; 1000]).refused.is_none()
    }

    #[test]
    fn a_queue_that_waits_for_good_leaves_the_others_their_part() {
        let volume = Volume::new(1 << 20);
        let keys = [key("gold", "a"), key("tin", "a"), key("tin", "b")];
        let mut logs = keys.each_ref().map(|key| log(&volume, key, WhenFull::DropNewest));
        let fill = |log: &mut Log| (0..2000).take_while(|_| append(log)).count();
        // Everybody's half and its own quarter.
        let first = fill(&mut logs[0]);
        assert!((700..800).contains(&first), "{first}");
        // The two of the other namespace have an eighth each.
        for log in &mut logs[1..] {
            let other = fill(log);
            assert!((110..132).contains(&other), "{other}");
        }
        let taken = used(&volume);
        assert!(taken <= 1 << 20 && taken > (1 << 20) * 95 / 100, "{taken}");
        // What one gives back any may have.
        logs[0].clear();
        assert!(fill(&mut logs[2]) > 400);
    }

    #[test]
    fn where_the_oldest_gives_way_the_newest_are_kept() {
        let volume = Volume::new(1 << 20);
        let mut newest = log(&volume, &key("gold", "a"), WhenFull::DropOldest);
        let mut other = log(&volume, &key("tin", "a"), WhenFull::DropNewest);
        while append(&mut other) {}
        let mut records = Tally::default();
        records.add(newest.label("c"), 1);
        let mut displaced = 0;
        for number in 0..2000_u32 {
            let appended =
                newest.append(&records, &[&[7; 996][..], &number.to_le_bytes()].concat());
            assert_eq!(appended.refused, None);
            displaced += appended.displaced.total();
            assert!(used(&volume) <= 1 << 20);
        }
        let mut last = Vec::new();
        while let Some(frame) = newest.take().unwrap() {
            last.push(u32::from_le_bytes(frame.body()[996..].try_into().unwrap()));
        }
        assert_eq!(displaced + last.len() as u64, 2000);
        assert!(last.len() > 150 && last.ends_with(&[1998, 1999]), "{}", last.len());
    }

    #[test]
    fn what_lies_there_from_before_is_counted_and_a_log_that_ends_gives_all_back() {
        let volume = Volume::new(10_000);
        let mut files = Memory::default();
        files.write_at(FileName::Segment(3), 0, &[0; 9000]).unwrap();
        let mut files = Bounded::new(files, volume.account(&key("a", "a"))).unwrap();
        assert_eq!(used(&volume), 9000);
        let mut write =
            |at, bytes: usize| files.write_at(FileName::Segment(3), at, &vec![0; bytes]);
        assert_eq!(write(9000, 1001).unwrap_err().kind(), io::ErrorKind::QuotaExceeded);
        write(9000, 1000).unwrap();
        write(100, 100).unwrap();
        files.write_at(FileName::Cursor, 0, &[0; 32]).unwrap();
        files.truncate(FileName::Segment(3), 500).unwrap();
        assert_eq!(used(&volume), 532);
        drop(files);
        assert_eq!(used(&volume), 0);
    }

    proptest! {
        #[test]
        fn no_order_of_writes_goes_over_the_volume_or_takes_anybodys_own_part(
            writes in prop::collection::vec((0_usize..5, 1_u64..400, any::<bool>()), 1..300),
        ) {
            let volume = Volume::new(4000);
            let keys = [key("a", "1"), key("a", "2"), key("a", "3"), key("b", "1"), key("c", "1")];
            let accounts = keys.each_ref().map(|key| volume.account(key));
            for account in &accounts {
                account.set(0);
            }
            let own = |index: usize| if index < 3 { 4000 / 2 / 3 / 3 } else { 4000 / 2 / 3 };
            let mut held = [0_u64; 5];
            for (index, bytes, back) in writes {
                if back {
                    let bytes = bytes.min(held[index]);
                    accounts[index].give_back(bytes);
                    held[index] -= bytes;
                } else if accounts[index].take(bytes, false) {
                    held[index] += bytes;
                } else {
                    prop_assert!(held[index] + bytes > own(index), "refused its own part");
                }
                prop_assert_eq!(used(&volume), held.iter().sum::<u64>());
                prop_assert!(used(&volume) <= 4000);
            }
        }
    }
}
