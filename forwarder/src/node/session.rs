//! The time with one agent: its ring's processes, and what it says of the kernel side.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    os::fd::{AsFd, BorrowedFd},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;
use weir_link::{
    Connection, FromAgent, FromForwarder, Hello, Kernel, LinkError, ProcessNews, Targets,
    TlsCoverage,
};

use super::directory::Directory;
use crate::{Attribution, Workload};

/// Ended processes that are remembered, since records of them may still wait to be read.
const REMEMBERED: usize = 4096;

/// Pids and pods of one ring. The agent tells of a process before the kernel side captures it;
/// so whoever misses one reads what waits on the link, and then knows it or it is not there.
#[derive(Debug)]
pub(super) struct Session {
    connection: Connection,
    directory: Arc<Directory>,
    heard: Mutex<Heard>,
    /// The reader of the ring took what waited on the link.
    taken: Notify,
}

#[derive(Debug, Default)]
struct Heard {
    processes: HashMap<u32, Process>,
    /// Processes that ended, the oldest first.
    ended: VecDeque<u32>,
    kernel: Kernel,
    /// The link is of no use any more.
    broken: Option<String>,
}

/// What was said of a process.
#[derive(Debug)]
struct Process {
    /// Uid of its pod.
    pod: Arc<str>,
    tls: TlsCoverage,
}

impl Session {
    pub(super) fn new(connection: Connection, directory: Arc<Directory>) -> Self {
        Self { connection, directory, heard: Mutex::default(), taken: Notify::new() }
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes every message that waits.
    ///
    /// # Errors
    ///
    /// Why the link is of no use any more, each time from then on.
    pub(super) fn pump(&self) -> Result<Kernel, String> {
        let mut heard = self.heard();
        self.drain(&mut heard);
        heard.broken.clone().map_or_else(|| Ok(heard.kernel.clone()), Err)
    }

    /// True when something came.
    fn drain(&self, heard: &mut Heard) -> bool {
        let mut came = false;
        while heard.broken.is_none() {
            match self.connection.receive::<FromAgent>() {
                Ok(Some(packet)) => heard.take(packet.message),
                Ok(None) => break,
                Err(error) => heard.broken = Some(error.to_string()),
            }
            came = true;
        }
        came
    }

    /// Waits until the reader of the ring took messages, which [`Self::pump`] then tells of.
    pub(super) async fn taken(&self) {
        self.taken.notified().await;
    }

    /// Says what to capture from now on.
    ///
    /// # Errors
    ///
    /// The link is of no use any more, and closed.
    pub(super) fn capture(&self, targets: Targets) -> Result<(), LinkError> {
        self.heard().forget_others(&targets.pods);
        let sent = self.connection.send(&FromForwarder::Targets(targets), &[]);
        if sent.is_err() {
            self.connection.close();
        }
        sent
    }
}

impl AsFd for Session {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.connection.as_fd()
    }
}

impl Attribution for Session {
    fn workload(&self, tgid: u32, _cgroup_id: u64) -> Option<Arc<Workload>> {
        let known = || self.heard().processes.get(&tgid).map(|process| Arc::clone(&process.pod));
        let uid = known().or_else(|| {
            if self.drain(&mut self.heard()) {
                self.taken.notify_one();
            }
            known()
        })?;
        self.directory.workload(&uid)
    }

    fn tls(&self, tgid: u32) -> TlsCoverage {
        // What was said last may wait still; a broken link ends the session elsewhere.
        self.pump().ok();
        self.heard().processes.get(&tgid).map_or(TlsCoverage::Unknown, |process| process.tls)
    }
}

impl Heard {
    fn take(&mut self, message: FromAgent) {
        match message {
            FromAgent::Processes(news) => news.into_iter().for_each(|news| self.note(news)),
            FromAgent::Kernel(kernel) => self.kernel = kernel,
            FromAgent::Hello(Hello { .. }) => {
                self.broken = Some("the agent said hello twice".to_owned());
            }
        }
    }

    fn note(&mut self, news: ProcessNews) {
        match news {
            ProcessNews::Captured { pid, container } => {
                let before = self.processes.get(&pid).map_or(TlsCoverage::Unknown, |p| p.tls);
                // A number that is used again is another process.
                let again = self.ended.contains(&pid);
                self.ended.retain(|ended| *ended != pid);
                let tls = if again { TlsCoverage::Unknown } else { before };
                self.processes.insert(pid, Process { pod: container.pod_uid.into(), tls });
            }
            ProcessNews::Tls { pid, coverage } => {
                if let Some(process) = self.processes.get_mut(&pid) {
                    process.tls = coverage;
                }
            }
            ProcessNews::Ended { pid } => self.end(pid),
        }
    }

    fn end(&mut self, pid: u32) {
        if !self.processes.contains_key(&pid) || self.ended.contains(&pid) {
            return;
        }
        self.ended.push_back(pid);
        if self.ended.len() > REMEMBERED
            && let Some(oldest) = self.ended.pop_front()
        {
            self.processes.remove(&oldest);
        }
    }

    /// Of processes whose pods are not captured any more no end is told.
    fn forget_others(&mut self, pods: &BTreeSet<String>) {
        let others = self.processes.iter().filter(|(_, process)| !pods.contains(&*process.pod));
        let others: Vec<_> = others.map(|(pid, _)| *pid).collect();
        for pid in others {
            self.end(pid);
        }
    }
}

#[cfg(test)]
mod tests;
