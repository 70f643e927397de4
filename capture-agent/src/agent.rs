//! The agent's thread: process events in, the kernel's target list out.

use std::{
    collections::HashSet,
    io,
    os::fd::{AsFd as _, OwnedFd},
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread::JoinHandle,
};

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use weir_abi::{Loss, LossCounter, ProcessEventKind, tls};
use weir_link::TlsCoverage;

use crate::{
    error::StartError,
    events::{Event, Events},
    kernel::{Hook, Kernel, Losses},
    privileges,
    process::{Born, Process, ProcessTable, scan},
    tls::{Libraries, is_probed},
};

/// How to capture.
#[derive(Clone, Debug)]
pub struct AgentConfig {
    /// Size of the segment ring in bytes, a power of two.
    pub ring_bytes: u32,
    /// The reader is woken when so many bytes wait for it.
    pub wake_bytes: u32,
    pub hook: Hook,
    /// Processes that are never captured, beside the agent itself.
    pub exclude: Vec<u32>,
}

impl Default for AgentConfig {
    fn default() -> Self {
        Self { ring_bytes: 8 << 20, wake_bytes: 1 << 20, hook: Hook::Auto, exclude: Vec::new() }
    }
}

/// Decides which processes are captured.
pub trait Selector: Send + Sync {
    /// True when some capture wants this process. The kernel side captures it only after this
    /// returns, but a fork of a captured process is captured from its first instruction.
    fn selects(&self, process: &Process) -> bool;

    /// True when plaintext is wanted of the process, if it is selected. A selector that does not
    /// say is asked by the forwarder's routes alone.
    fn decrypts(&self, _process: &Process) -> bool {
        true
    }

    /// What is known of the encrypted connections of a selected process has changed.
    fn covered(&self, _pid: u32, _coverage: TlsCoverage) {}

    /// A process that was selected has ended, or is selected no more.
    fn released(&self, _pid: u32) {}
}

/// How often libraries that nobody uses are looked for, while there are some.
const SWEEP: Timespec = Timespec { tv_sec: 5, tv_nsec: 0 };

/// What the kernel side shall know of a process.
const fn state(coverage: TlsCoverage) -> u32 {
    if is_probed(coverage) { tls::PROBED } else { tls::WANTED }
}

/// Smallest and largest segment ring.
const RING_BYTES: std::ops::RangeInclusive<u32> = 4096..=1 << 30;

/// A running agent. Dropping it detaches every hook.
pub struct Agent {
    commands: SyncSender<Command>,
    wake: Arc<OwnedFd>,
    thread: Option<JoinHandle<()>>,
    processes: Arc<ProcessTable>,
    losses: Losses,
    hook: Hook,
    ring: OwnedFd,
    ring_bytes: u32,
}

enum Command {
    Select(Option<Arc<dyn Selector>>, SyncSender<Result<(), StartError>>),
    Stop,
}

impl Agent {
    /// Loads the programs. Nothing is attached before the first selector is set.
    ///
    /// # Errors
    /// See [`StartError`]; its text is meant for the user.
    pub fn start(config: AgentConfig) -> Result<Self, StartError> {
        let missing = privileges::missing();
        if !missing.is_empty() {
            return Err(StartError::NotPermitted { missing: missing.join(", ") });
        }
        if !privileges::counts_processes_as_the_kernel() {
            return Err(StartError::ProcessNamespace);
        }
        let ring_bytes = config.ring_bytes;
        if !ring_bytes.is_power_of_two() || !RING_BYTES.contains(&ring_bytes) {
            return Err(StartError::RingSize { bytes: ring_bytes });
        }
        let (kernel, losses) = Kernel::load(&config)?;
        let hook = kernel.hook();
        let ring = kernel
            .segment_ring()
            .map_err(|source| StartError::Io { action: "keep the ring's descriptor", source })?;
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
            .map_err(|error| StartError::Io { action: "make an eventfd", source: error.into() })?;
        let wake = Arc::new(wake);
        let processes = Arc::new(ProcessTable::default());
        let (commands, inbox) = sync_channel(16);
        let worker = Worker {
            kernel,
            losses: losses.clone(),
            process_losses: 0,
            processes: Arc::clone(&processes),
            exclude: config.exclude.into_iter().chain([std::process::id()]).collect(),
            targets: HashSet::new(),
            selector: None,
            libraries: Libraries::default(),
            idle_libraries: false,
            events: Events::default(),
            inbox,
            wake: Arc::clone(&wake),
        };
        let thread = std::thread::Builder::new()
            .name("capture-agent".to_owned())
            .spawn(move || worker.run())
            .map_err(|source| StartError::Io { action: "start the agent's thread", source })?;
        let thread = Some(thread);
        Ok(Self { commands, wake, thread, processes, losses, hook, ring, ring_bytes })
    }

    /// A descriptor of the segment ring, and the ring's size in bytes.
    ///
    /// # Errors
    /// When the descriptor cannot be duplicated.
    pub fn segment_ring(&self) -> io::Result<(OwnedFd, u32)> {
        Ok((self.ring.try_clone()?, self.ring_bytes))
    }

    /// Size of the segment ring in bytes.
    pub fn ring_bytes(&self) -> u32 {
        self.ring_bytes
    }

    /// Says which processes to capture. With `None` no capture lives: every hook is
    /// detached and the machine pays nothing. Returns when the kernel side is in step.
    ///
    /// # Errors
    /// [`StartError::Kernel`] when a hook cannot be attached or detached.
    pub fn set_selector(&self, selector: Option<Arc<dyn Selector>>) -> Result<(), StartError> {
        let (reply, answer) = sync_channel(1);
        let gone = || StartError::Io {
            action: "reach the agent's thread",
            source: io::ErrorKind::BrokenPipe.into(),
        };
        self.commands.send(Command::Select(selector, reply)).ok().ok_or_else(gone)?;
        self.notify();
        answer.recv().ok().ok_or_else(gone)?
    }

    /// The processes that the agent knows of while a capture lives.
    pub fn processes(&self) -> Arc<ProcessTable> {
        Arc::clone(&self.processes)
    }

    /// Kernel-side losses since the start, in the order of [`Loss::ALL`].
    pub fn losses(&self) -> [LossCounter; Loss::COUNT as usize] {
        self.losses.read()
    }

    /// The hook in use, never [`Hook::Auto`].
    pub fn hook(&self) -> Hook {
        self.hook
    }

    fn notify(&self) {
        if let Err(error) = rustix::io::write(&self.wake, &1u64.to_ne_bytes()) {
            tracing::warn!(%error, "could not wake the agent's thread");
        }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        if self.commands.send(Command::Stop).is_ok() {
            self.notify();
        }
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the agent's thread panicked");
        }
    }
}

struct Worker {
    kernel: Kernel,
    losses: Losses,
    /// Process events lost when we last looked.
    process_losses: u64,
    processes: Arc<ProcessTable>,
    exclude: HashSet<u32>,
    targets: HashSet<u32>,
    selector: Option<Arc<dyn Selector>>,
    libraries: Libraries,
    /// Some of them wait to be let go.
    idle_libraries: bool,
    /// Process events that are read and not handled.
    events: Events,
    inbox: Receiver<Command>,
    wake: Arc<OwnedFd>,
}

impl Worker {
    fn run(mut self) {
        loop {
            if let Err(error) = self.wait() {
                tracing::error!(%error, "the agent stops: it cannot wait for events");
                return;
            }
            while let Ok(command) = self.inbox.try_recv() {
                match command {
                    Command::Select(selector, reply) => {
                        let result = self.select(selector);
                        if reply.send(result).is_err() {
                            tracing::debug!("nobody waits for the selector any more");
                        }
                    }
                    Command::Stop => return,
                }
            }
            self.take_events();
            self.idle_libraries = self.libraries.sweep(&mut self.kernel);
        }
    }

    fn wait(&self) -> io::Result<()> {
        let ring = self.kernel.process_ring();
        let mut fds = [
            PollFd::new(&ring, PollFlags::IN),
            PollFd::from_borrowed_fd(self.wake.as_fd(), PollFlags::IN),
        ];
        let timeout = self.idle_libraries.then_some(SWEEP);
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let mut count = [0u8; 8];
        match rustix::io::read(&self.wake, &mut count) {
            Ok(_) | Err(rustix::io::Errno::AGAIN) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn select(&mut self, selector: Option<Arc<dyn Selector>>) -> Result<(), StartError> {
        let attached = self.selector.is_some();
        self.selector = selector;
        match (attached, self.selector.is_some()) {
            (false, true) => {
                if let Err(error) = self.kernel.attach() {
                    self.selector = None;
                    self.kernel.detach()?;
                    return Err(error);
                }
                self.process_losses = self.lost_process_events();
                self.scan();
            }
            (true, true) => {
                self.reconsider();
                self.scan();
            }
            (true, false) => {
                self.targets.clear();
                self.libraries.clear(&mut self.kernel);
                self.kernel.detach()?;
                self.processes.clear();
            }
            (false, false) => {}
        }
        Ok(())
    }

    /// Reads the processes that are not known: forks of others than targets are not told. Twice:
    /// whoever was forked while the first pass ran, by a process that it had not come to yet, is
    /// found by the second; children of targets are targets in the kernel already.
    fn scan(&mut self) {
        for _ in 0..2 {
            let known: HashSet<u32> = self.processes.alive();
            for process in scan::all(&known) {
                self.consider(process);
            }
        }
    }

    fn reconsider(&mut self) {
        for pid in self.processes.alive() {
            if let Some(process) = self.processes.get(pid) {
                let known = self.targets.contains(&pid);
                self.decide(&process);
                if known && self.targets.contains(&pid) {
                    // What is wanted of it may be another thing than before.
                    self.add_target(&process, false);
                }
            }
        }
    }

    fn consider(&mut self, process: Process) {
        let process = self.processes.insert(process);
        self.decide(&process);
    }

    /// A process that the kernel side made a target by itself until we decide.
    fn consider_new(&mut self, process: Process) {
        let process = self.processes.insert(process);
        if self.wants(&process) {
            self.targets.insert(process.pid);
            self.add_target(&process, true);
            tracing::debug!(pid = process.pid, service = %process.service, "capturing");
        } else {
            self.release(process.pid);
        }
    }

    fn wants(&self, process: &Process) -> bool {
        !self.exclude.contains(&process.pid)
            && self.selector.as_ref().is_some_and(|selector| selector.selects(process))
    }

    fn decide(&mut self, process: &Process) {
        let wanted = self.wants(process);
        if wanted && self.targets.insert(process.pid) {
            self.add_target(process, false);
            tracing::debug!(pid = process.pid, service = %process.service, "capturing");
        } else if !wanted {
            self.release(process.pid);
        }
    }

    /// Captures a process, and what its TLS libraries see if that is wanted. Until the probes are
    /// there it is undecided for the kernel side: captured, and withheld by the reader.
    fn add_target(&mut self, process: &Process, new: bool) {
        self.kernel.hold_target(process.pid);
        let decrypts = self.selector.as_ref().is_some_and(|selector| selector.decrypts(process));
        let tls = if decrypts {
            let coverage = self.libraries.look(process.pid, new, &mut self.kernel);
            self.tell_coverage(process.pid, coverage);
            state(coverage)
        } else {
            tls::IGNORE
        };
        self.kernel.add_target(process.pid, tls);
    }

    /// A target began a TLS connection, and nothing of it is probed as far as the kernel side
    /// knows.
    fn look_again(&mut self, pid: u32) {
        let Some(process) = self.processes.get(pid) else { return };
        let decrypts = self.selector.as_ref().is_some_and(|selector| selector.decrypts(&process));
        if decrypts && self.targets.contains(&pid) {
            let coverage = self.libraries.look_again(pid, &mut self.kernel);
            self.tell_coverage(pid, coverage);
            if is_probed(coverage) {
                self.kernel.add_target(pid, tls::PROBED);
            }
        }
    }

    fn tell_coverage(&self, pid: u32, coverage: TlsCoverage) {
        if self.processes.set_tls(pid, coverage)
            && let Some(selector) = &self.selector
        {
            selector.covered(pid, coverage);
        }
    }

    fn take_events(&mut self) {
        while let Some(event) = self.next_event() {
            if self.selector.is_some() {
                self.handle(&event);
            }
        }
        if self.selector.is_some() && self.lost_process_events() != self.process_losses {
            tracing::warn!("process events were lost: scanning all processes again");
            self.process_losses = self.lost_process_events();
            self.processes.clear();
            self.scan();
            // Some may run another program than before.
            self.reconsider();
            // Among them may be beginnings of processes that nobody wants.
            self.kernel.retain_targets(&self.targets);
        }
    }

    fn next_event(&mut self) -> Option<Event> {
        self.events.read(&mut self.kernel.processes);
        self.events.next()
    }

    /// Whether the process has gone on since: the decision then belongs to a later event.
    fn is_outdated(&mut self, pid: u32) -> bool {
        self.events.read(&mut self.kernel.processes);
        self.events.goes_on(pid)
    }

    fn handle(&mut self, event: &Event) {
        let Event { head: event, born } = event;
        let pid = event.tgid;
        match ProcessEventKind::from_u32(event.kind) {
            Some(ProcessEventKind::Exec) => {
                let gone = || born.as_deref().and_then(|born| self.is_gone(born));
                match scan::one(pid).or_else(gone) {
                    Some(process) => self.consider_new(process),
                    None => self.forget(pid),
                }
            }
            // Its parent's name is not its own any more.
            Some(ProcessEventKind::Fork) if self.is_outdated(pid) => {}
            Some(ProcessEventKind::Fork) => {
                let process = self
                    .processes
                    .get(event.parent)
                    .map(|parent| parent.child(pid))
                    .or_else(|| scan::one(pid));
                match process {
                    Some(process) => self.consider_new(process),
                    None => self.forget(pid),
                }
            }
            Some(ProcessEventKind::Listen) => {
                let known = self.processes.get(pid).map(|process| (*process).clone());
                if let Some(process) = known.or_else(|| scan::one(pid)) {
                    let port = u16::try_from(event.port).unwrap_or(0);
                    self.consider(process.listening_on(port));
                }
            }
            Some(ProcessEventKind::Exit) => self.forget(pid),
            Some(ProcessEventKind::Tls) => self.look_again(pid),
            None => tracing::warn!(kind = event.kind, "unknown process event"),
        }
    }

    /// A process that was over before it could be looked at.
    fn is_gone(&self, born: &Born) -> Option<Process> {
        let known = self.processes.get(born.parent).map(|parent| (*parent).clone());
        let parent = born.in_parents_groups.then(|| known.or_else(|| scan::one(born.parent)));
        born.process(parent.flatten().as_ref())
    }

    fn forget(&mut self, pid: u32) {
        self.processes.bury(pid);
        self.release(pid);
    }

    fn release(&mut self, pid: u32) {
        // Always: since its exec the kernel side may hold it for one, without our saying so. But
        // what it became since is decided about by itself.
        if !self.is_outdated(pid) {
            self.kernel.remove_target(pid);
            if self.is_outdated(pid) {
                // Just now.
                self.kernel.hold_target(pid);
            }
        }
        self.libraries.forget(pid);
        if self.targets.remove(&pid)
            && let Some(selector) = &self.selector
        {
            selector.released(pid);
        }
    }

    fn lost_process_events(&self) -> u64 {
        self.losses.read()[Loss::ProcessRingFull as usize].records
    }
}
