//! Captures the processes of chosen pods, and tells the forwarder which they are.

use std::{
    collections::{BTreeSet, HashSet},
    sync::{Arc, Mutex, PoisonError},
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use weir_link::{Connection, FromAgent, LinkError, ProcessNews, Targets, TlsCoverage};

use crate::{Process, Selector};

/// How long the forwarder may let a full socket stand before it is taken for dead, in seconds.
const PATIENCE_SECONDS: i64 = 5;

/// Selects by pod. Each news goes out before the kernel side hears of the process.
pub(super) struct Pods {
    uids: BTreeSet<String>,
    undisclosed: BTreeSet<String>,
    connection: Arc<Connection>,
    told: Mutex<HashSet<u32>>,
}

impl Pods {
    pub(super) fn new(targets: Targets, connection: Arc<Connection>) -> Self {
        let Targets { revision: _, pods: uids, undisclosed } = targets;
        Self { uids, undisclosed, connection, told: Mutex::default() }
    }

    fn told(&self) -> std::sync::MutexGuard<'_, HashSet<u32>> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A failure shows again at the session's next look at the connection, which ends it.
    fn tell(&self, news: ProcessNews) {
        let message = FromAgent::Processes(vec![news]);
        let mut sent = self.connection.send(&message, &[]);
        if matches!(sent, Err(LinkError::Stuck)) {
            let patience = Timespec { tv_sec: PATIENCE_SECONDS, tv_nsec: 0 };
            let mut fds = [PollFd::new(&*self.connection, PollFlags::OUT)];
            sent = match poll(&mut fds, Some(&patience)) {
                Ok(ready) if ready > 0 => self.connection.send(&message, &[]),
                _ => Err(LinkError::Stuck),
            };
        }
        if let Err(error) = sent {
            tracing::warn!("a process could not be told to the forwarder: {error}");
            self.connection.close();
        }
    }
}

impl Selector for Pods {
    fn selects(&self, process: &Process) -> bool {
        let Some(container) = &process.container else { return false };
        if !self.uids.contains(&container.pod_uid) {
            return false;
        }
        if self.told().insert(process.pid) {
            let (pid, container) = (process.pid, container.clone());
            self.tell(ProcessNews::Captured { pid, container });
        }
        true
    }

    fn decrypts(&self, process: &Process) -> bool {
        let container = process.container.as_ref();
        container.is_some_and(|container| !self.undisclosed.contains(&container.pod_uid))
    }

    fn covered(&self, pid: u32, coverage: TlsCoverage) {
        self.tell(ProcessNews::Tls { pid, coverage });
    }

    fn released(&self, pid: u32) {
        if self.told().remove(&pid) {
            self.tell(ProcessNews::Ended { pid });
        }
    }
}
