//! Which TLS libraries are probed, and for whom.
//!
//! A probe belongs to a file and works in every process that maps it; the kernel side then looks
//! whether the process is a target. So a short-lived process meets a library that is probed
//! already, as long as one before it used the same.

mod files;
mod survey;

pub(crate) use self::survey::survey;

use std::{
    collections::{HashMap, HashSet},
    os::fd::AsRawFd as _,
    path::PathBuf,
    time::{Duration, Instant},
};

use rustix::time::{ClockId, clock_gettime};
use weir_link::{TlsCoverage, TlsOpaque};
use weir_tlsprobe::{Opaque, ProbePlan, examine};

use self::files::{Candidate, FileId};
use crate::kernel::{Kernel, ProbeLink};

/// Probes stay so long after the last process that used their file: the next one is often the
/// same program.
const GRACE: Duration = Duration::from_secs(30);
/// A process whose libraries do not show is looked at again after this time.
const LOOK_AGAIN: Duration = Duration::from_millis(200);
/// What was found at the usual places under a root is believed for so long.
const BELIEVE: Duration = Duration::from_secs(5);
/// Files remembered; past it all of them are forgotten, and examined again.
const MAX_REMEMBERED: usize = 4096;
/// Files probed at once.
const MAX_PROBED: usize = 256;

/// Nothing shows, as yet.
const NOTHING: TlsCoverage = TlsCoverage::Opaque(TlsOpaque::NoSymbols);

/// The libraries of all targets.
#[derive(Default)]
pub(crate) struct Libraries {
    probed: HashMap<FileId, Probed>,
    examined: HashMap<FileId, Result<ProbePlan, TlsOpaque>>,
    processes: HashMap<u32, Known>,
    roots: HashMap<(u64, u64), (Instant, Vec<FileId>)>,
}

struct Probed {
    links: Vec<ProbeLink>,
    since_ns: u64,
    users: HashSet<u32>,
    idle_since: Instant,
}

struct Known {
    coverage: TlsCoverage,
    looked: Instant,
}

impl Libraries {
    /// Looks at the program and the mapped libraries of a process, and probes them. A process
    /// that is new has mapped nothing yet: it gets what lies at the usual places.
    pub(crate) fn look(&mut self, pid: u32, new: bool, kernel: &mut Kernel) -> TlsCoverage {
        let mut coverage = NOTHING;
        if let Some(program) = files::program(pid) {
            coverage = self.take(pid, &program, kernel);
        }
        let maps = files::maps(pid);
        let mut take_all = |libraries: Vec<Candidate>| {
            for library in libraries {
                let found = self.take(pid, &library, kernel);
                if is_probed(found) || coverage == NOTHING {
                    coverage = found;
                }
            }
        };
        take_all(files::named(pid, &maps));
        if !new {
            // A library in another one has no name of its own. What a new process will map is not
            // known yet.
            take_all(files::unnamed(pid, &maps));
        } else if !is_probed(coverage) {
            self.take_usual(pid, kernel);
        }
        self.processes.insert(pid, Known { coverage, looked: Instant::now() });
        coverage
    }

    /// A process that began a TLS connection has mapped its library by now.
    pub(crate) fn look_again(&mut self, pid: u32, kernel: &mut Kernel) -> TlsCoverage {
        match self.processes.get(&pid) {
            Some(Known { coverage, looked })
                if is_probed(*coverage) || looked.elapsed() < LOOK_AGAIN =>
            {
                *coverage
            }
            _ => self.look(pid, false, kernel),
        }
    }

    /// The process has ended or is captured no more.
    pub(crate) fn forget(&mut self, pid: u32) {
        if self.processes.remove(&pid).is_none() {
            return;
        }
        for probed in self.probed.values_mut() {
            if probed.users.remove(&pid) {
                probed.idle_since = Instant::now();
            }
        }
    }

    /// Takes away the probes of files that nobody used for a while. True while there are more
    /// that wait for that.
    pub(crate) fn sweep(&mut self, kernel: &mut Kernel) -> bool {
        let idle = |probed: &Probed| probed.users.is_empty();
        let over = |probed: &Probed| idle(probed) && probed.idle_since.elapsed() >= GRACE;
        let over: Vec<_> =
            self.probed.iter().filter(|(_, probed)| over(probed)).map(|(id, _)| *id).collect();
        for id in over {
            if let Some(probed) = self.probed.remove(&id) {
                kernel.remove_probes(probed.links);
            }
            self.roots.clear();
        }
        self.probed.values().any(idle)
    }

    /// Takes all probes away.
    pub(crate) fn clear(&mut self, kernel: &mut Kernel) {
        for (_, probed) in self.probed.drain() {
            kernel.remove_probes(probed.links);
        }
        *self = Self::default();
    }

    fn take_usual(&mut self, pid: u32, kernel: &mut Kernel) {
        let Some(root) = files::root(pid) else { return };
        if let Some((looked, found)) = self.roots.get(&root)
            && looked.elapsed() < BELIEVE
        {
            for id in found {
                if let Some(probed) = self.probed.get_mut(id) {
                    probed.users.insert(pid);
                }
            }
            return;
        }
        let mut found = Vec::new();
        for library in files::usual(pid) {
            if is_probed(self.take(pid, &library, kernel)) {
                found.push(library.id);
            }
        }
        if self.roots.len() >= MAX_REMEMBERED {
            self.roots.clear();
        }
        self.roots.insert(root, (Instant::now(), found));
    }

    fn take(&mut self, pid: u32, candidate: &Candidate, kernel: &mut Kernel) -> TlsCoverage {
        if let Some(probed) = self.probed.get_mut(&candidate.id) {
            probed.users.insert(pid);
            return TlsCoverage::Probed { since_ns: probed.since_ns };
        }
        let plan = match self.examine(candidate) {
            Ok(plan) => plan.clone(),
            Err(why) => return TlsCoverage::Opaque(*why),
        };
        if self.probed.len() >= MAX_PROBED {
            tracing::warn!(pid, "too many TLS libraries: another one is not probed");
            return TlsCoverage::Opaque(TlsOpaque::ProbeRefused);
        }
        // By our own descriptor: the file may have another path here, or none.
        let path = PathBuf::from(format!("/proc/self/fd/{}", candidate.file.as_raw_fd()));
        match kernel.probe(&path, &plan) {
            Ok(links) => {
                tracing::debug!(pid, library = ?plan.library, version = ?plan.version,
                    probes = links.len(), "probing a TLS library");
                let (users, since_ns) = (HashSet::from([pid]), monotonic_ns());
                let probed = Probed { links, since_ns, users, idle_since: Instant::now() };
                self.probed.insert(candidate.id, probed);
                TlsCoverage::Probed { since_ns }
            }
            Err(error) => {
                // The cause is an errno: EACCES is a missing CAP_SYS_ADMIN.
                tracing::warn!(pid, ?error, "could not probe a TLS library");
                self.examined.insert(candidate.id, Err(TlsOpaque::ProbeRefused));
                TlsCoverage::Opaque(TlsOpaque::ProbeRefused)
            }
        }
    }

    fn examine(&mut self, candidate: &Candidate) -> &Result<ProbePlan, TlsOpaque> {
        if self.examined.len() >= MAX_REMEMBERED {
            self.examined.clear();
        }
        self.examined.entry(candidate.id).or_insert_with(|| {
            let bytes = candidate.read().ok_or(TlsOpaque::NotExamined)?;
            examine(&bytes).map_err(why)
        })
    }
}

pub(crate) const fn is_probed(coverage: TlsCoverage) -> bool {
    matches!(coverage, TlsCoverage::Probed { .. })
}

const fn why(opaque: Opaque) -> TlsOpaque {
    match opaque {
        Opaque::NoTlsFunctions | Opaque::ImportsOnly => TlsOpaque::NoSymbols,
        Opaque::UnsupportedLibrary => TlsOpaque::UnsupportedLibrary,
        Opaque::Go => TlsOpaque::Go,
        Opaque::Java => TlsOpaque::Java,
        Opaque::StaticStripped => TlsOpaque::StaticStripped,
        Opaque::UnsupportedMachine => TlsOpaque::UnsupportedMachine,
        Opaque::TooLarge | Opaque::Malformed => TlsOpaque::NotExamined,
    }
}

fn monotonic_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    seconds.saturating_mul(1_000_000_000).saturating_add(u64::try_from(now.tv_nsec).unwrap_or(0))
}
