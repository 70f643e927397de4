//! The processes that live, and for a while those that ended.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::{Arc, PoisonError, RwLock},
};

use weir_link::TlsCoverage;

use super::Process;

/// Ended processes that are remembered, so that their last records find them.
const TOMBSTONES: usize = 4096;

/// Shared between the agent's thread, which writes it, and readers of records.
#[derive(Default)]
pub struct ProcessTable(RwLock<Inner>);

#[derive(Default)]
struct Inner {
    processes: HashMap<u32, Entry>,
    /// Ended processes, oldest first.
    buried: VecDeque<(u32, u64)>,
}

struct Entry {
    process: Arc<Process>,
    tls: TlsCoverage,
    ended: bool,
}

impl ProcessTable {
    /// The process with that id, ended or not.
    pub fn get(&self, pid: u32) -> Option<Arc<Process>> {
        let inner = self.0.read().unwrap_or_else(PoisonError::into_inner);
        inner.processes.get(&pid).map(|entry| Arc::clone(&entry.process))
    }

    /// Whether the encrypted connections of that process can be read.
    pub fn tls(&self, pid: u32) -> TlsCoverage {
        let inner = self.0.read().unwrap_or_else(PoisonError::into_inner);
        inner.processes.get(&pid).map_or(TlsCoverage::Unknown, |entry| entry.tls)
    }

    /// True when that is new.
    pub(crate) fn set_tls(&self, pid: u32, tls: TlsCoverage) -> bool {
        let mut inner = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let entry = inner.processes.get_mut(&pid);
        entry.is_some_and(|entry| std::mem::replace(&mut entry.tls, tls) != tls)
    }

    /// Ids of the processes that have not ended.
    pub(crate) fn alive(&self) -> HashSet<u32> {
        let inner = self.0.read().unwrap_or_else(PoisonError::into_inner);
        inner.processes.iter().filter(|(_, entry)| !entry.ended).map(|(&pid, _)| pid).collect()
    }

    /// Every process that lives and that `wanted` accepts, ordered by id.
    pub fn matching(&self, wanted: impl Fn(&Process) -> bool) -> Vec<Arc<Process>> {
        let inner = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let alive = inner.processes.values().filter(|entry| !entry.ended && wanted(&entry.process));
        let mut found: Vec<_> = alive.map(|entry| Arc::clone(&entry.process)).collect();
        found.sort_by_key(|process| process.pid);
        found
    }

    pub(crate) fn insert(&self, process: Process) -> Arc<Process> {
        let process = Arc::new(process);
        let mut inner = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let same = inner.processes.get(&process.pid);
        let same = same.filter(|entry| entry.process.start_ticks == process.start_ticks);
        let tls = same.map_or(TlsCoverage::Unknown, |entry| entry.tls);
        let entry = Entry { process: Arc::clone(&process), tls, ended: false };
        inner.processes.insert(process.pid, entry);
        process
    }

    pub(crate) fn bury(&self, pid: u32) {
        let mut inner = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let Some(entry) = inner.processes.get_mut(&pid) else { return };
        entry.ended = true;
        let started = entry.process.start_ticks;
        inner.buried.push_back((pid, started));
        if inner.buried.len() > TOMBSTONES
            && let Some((oldest, started)) = inner.buried.pop_front()
            && inner
                .processes
                .get(&oldest)
                // The id may have been given to a new process meanwhile.
                .is_some_and(|entry| entry.ended && entry.process.start_ticks == started)
        {
            inner.processes.remove(&oldest);
        }
    }

    pub(crate) fn clear(&self) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Inner::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(pid: u32) -> Process {
        Process { pid, start_ticks: u64::from(pid), ..Process::default() }
    }

    #[test]
    fn an_ended_process_is_still_found_but_not_alive() {
        let table = ProcessTable::default();
        table.insert(process(7));
        table.bury(7);
        assert!(table.get(7).is_some());
        assert!(table.alive().is_empty());
    }

    #[test]
    fn what_is_known_of_encryption_stays_with_the_process() {
        let table = ProcessTable::default();
        table.insert(process(7));
        let probed = TlsCoverage::Probed { since_ns: 1 };
        assert_eq!(table.tls(7), TlsCoverage::Unknown);
        assert!(table.set_tls(7, probed) && !table.set_tls(7, probed));
        table.insert(process(7));
        table.bury(7);
        assert_eq!(table.tls(7), probed);
        table.insert(Process { pid: 7, start_ticks: 99, ..Process::default() });
        assert_eq!(table.tls(7), TlsCoverage::Unknown);
        assert!(!table.set_tls(8, probed));
    }

    #[test]
    fn tombstones_are_bounded_and_the_oldest_goes_first() {
        let table = ProcessTable::default();
        let last = u32::try_from(TOMBSTONES).unwrap();
        for pid in 0..=last {
            table.insert(process(pid));
            table.bury(pid);
        }
        assert!(table.get(0).is_none());
        assert!(table.get(1).is_some());
        assert!(table.get(last).is_some());
    }

    #[test]
    fn a_reused_id_survives_the_burial_of_its_predecessor() {
        let table = ProcessTable::default();
        table.insert(process(5));
        table.bury(5);
        table.insert(Process { pid: 5, start_ticks: 99, ..Process::default() });
        for pid in 100..=100 + u32::try_from(TOMBSTONES).unwrap() {
            table.insert(process(pid));
            table.bury(pid);
        }
        assert_eq!(table.get(5).unwrap().start_ticks, 99);
    }
}
