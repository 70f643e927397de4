//! The agent as a process of its own: it hands its ring to the node's forwarder over a Unix
//! socket, and captures the pods that the forwarder names.
//!
//! A ring belongs to one connection. When the forwarder goes away its successor gets a new ring
//! and newly loaded programs, which announce every connection anew; nothing is captured in
//! between. So a forwarder that restarts needs to know nothing of the one before it.

mod pods;
mod unread;

use std::{
    os::fd::{AsFd as _, OwnedFd},
    path::PathBuf,
    sync::Arc,
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use weir_abi::{ABI_VERSION, Loss};
use weir_link::{
    Connection, FromAgent, FromForwarder, Hello, Kernel, LINK_VERSION, LinkError, Listener,
};

use self::pods::Pods;
use crate::{Agent, AgentConfig, Selector, StartError};

/// How often losses are told, in seconds.
const TELL_SECONDS: i64 = 1;

/// What the daemon is started with.
#[derive(Clone, Debug)]
pub struct DaemonConfig {
    /// Where it listens.
    pub socket: PathBuf,
    /// User that the forwarder runs as. Nobody else gets the ring, except the agent's own user.
    pub forwarder_uid: u32,
    pub agent: AgentConfig,
}

/// Why the daemon ended.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    #[error(transparent)]
    Start(#[from] StartError),
    #[error(transparent)]
    Link(#[from] LinkError),
    #[error("could not {action}")]
    Io {
        action: &'static str,
        #[source]
        source: std::io::Error,
    },
}

/// How the time with one forwarder ended.
enum End {
    /// It closed the link, or spoke nonsense.
    Gone(LinkError),
    /// Another one came: the first is taken for dead.
    Replaced(Connection),
}

/// Serves one forwarder after the other, until something fails for good.
///
/// # Errors
///
/// [`DaemonError`]; its text is meant for the user.
pub fn run(config: &DaemonConfig) -> Result<(), DaemonError> {
    // Loaded before anybody asks, so that a kernel that cannot capture is told at once.
    let mut agent = Some(Agent::start(config.agent.clone())?);
    let listener = Listener::bind(&config.socket)?;
    tracing::info!(socket = %config.socket.display(), "waiting for the forwarder");
    let mut before = Kernel::default();
    let mut next = None;
    loop {
        let connection = match next.take() {
            Some(connection) => connection,
            None => accept(&listener, config.forwarder_uid)?,
        };
        let agent = match agent.take() {
            Some(agent) => agent,
            None => Agent::start(config.agent.clone())?,
        };
        let mut session = Session::open(agent, connection, before)?;
        match session.serve(&listener, config.forwarder_uid)? {
            End::Gone(error) => {
                tracing::warn!("the forwarder is gone, nothing is captured: {error}");
            }
            End::Replaced(connection) => next = Some(connection),
        }
        before = session.close();
    }
}

/// Waits for a forwarder.
fn accept(listener: &Listener, uid: u32) -> Result<Connection, DaemonError> {
    loop {
        wait(&mut [PollFd::new(listener, PollFlags::IN)], None)?;
        if let Some(connection) = accept_now(listener, uid)? {
            return Ok(connection);
        }
    }
}

fn accept_now(listener: &Listener, uid: u32) -> Result<Option<Connection>, DaemonError> {
    let Some((connection, user)) = listener.accept()? else { return Ok(None) };
    if user != uid && user != rustix::process::getuid().as_raw() {
        tracing::warn!(user, "refused a connection of another user");
        return Ok(None);
    }
    Ok(Some(connection))
}

fn wait(fds: &mut [PollFd<'_>], timeout: Option<Timespec>) -> Result<(), DaemonError> {
    match poll(fds, timeout.as_ref()) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(errno) => Err(DaemonError::Io { action: "wait for events", source: errno.into() }),
    }
}

/// The time with one forwarder.
struct Session {
    agent: Agent,
    ring: OwnedFd,
    connection: Arc<Connection>,
    /// What earlier sessions counted.
    before: Kernel,
    /// State of the kernel side without its losses.
    attached: bool,
    error: Option<String>,
    /// Of the targets that it follows.
    revision: u64,
}

impl Session {
    fn open(agent: Agent, connection: Connection, before: Kernel) -> Result<Self, DaemonError> {
        let (ring, _) = agent
            .segment_ring()
            .map_err(|source| DaemonError::Io { action: "hand over the ring", source })?;
        let connection = Arc::new(connection);
        Ok(Self { agent, ring, connection, before, attached: false, error: None, revision: 0 })
    }

    fn serve(&mut self, listener: &Listener, uid: u32) -> Result<End, DaemonError> {
        if let Err(error) = self.greet() {
            return Ok(End::Gone(error));
        }
        let mut told = None;
        loop {
            let kernel = self.kernel();
            if told.as_ref() != Some(&kernel) {
                if let Err(error) = self.connection.send(&FromAgent::Kernel(kernel.clone()), &[]) {
                    return Ok(End::Gone(error));
                }
                told = Some(kernel);
            }
            let mut fds = [
                PollFd::new(&*self.connection, PollFlags::IN),
                PollFd::new(listener, PollFlags::IN),
            ];
            let second = Timespec { tv_sec: TELL_SECONDS, tv_nsec: 0 };
            wait(&mut fds, Some(second))?;
            if let Some(connection) = accept_now(listener, uid)? {
                return Ok(End::Replaced(connection));
            }
            if let Err(error) = self.take_messages() {
                return Ok(End::Gone(error));
            }
        }
    }

    fn greet(&self) -> Result<(), LinkError> {
        let hello = Hello {
            version: LINK_VERSION,
            abi: ABI_VERSION,
            ring_bytes: self.agent.ring_bytes(),
            hook: self.agent.hook().to_string(),
            kernel: rustix::system::uname().release().to_string_lossy().into_owned(),
        };
        self.connection.send(&FromAgent::Hello(hello), &[self.ring.as_fd()])
    }

    fn take_messages(&mut self) -> Result<(), LinkError> {
        while let Some(packet) = self.connection.receive()? {
            let FromForwarder::Targets(targets) = packet.message;
            tracing::info!(pods = targets.pods.len(), "new targets");
            let revision = targets.revision;
            let selector = (!targets.pods.is_empty()).then(|| {
                Arc::new(Pods::new(targets, Arc::clone(&self.connection))) as Arc<dyn Selector>
            });
            let attached = selector.is_some();
            let result = self.agent.set_selector(selector);
            self.attached = attached && result.is_ok();
            self.error = result.err().map(|error| error.to_string());
            self.revision = revision;
        }
        Ok(())
    }

    /// The state to tell: of all sessions, as far as it is counted.
    fn kernel(&self) -> Kernel {
        let mut losses = self.before.losses;
        for (sums, now) in losses.iter_mut().zip(self.agent.losses()) {
            for (sum, now) in sums.iter_mut().zip([now.records, now.bytes, now.exchanges]) {
                *sum = sum.saturating_add(now);
            }
        }
        debug_assert_eq!(losses.len(), Loss::ALL.len());
        let (revision, attached, error) = (self.revision, self.attached, self.error.clone());
        Kernel { revision, attached, error, losses, ..self.before.clone() }
    }

    /// Detaches every hook, and counts what is left in the ring.
    fn close(self) -> Kernel {
        if let Err(error) = self.agent.set_selector(None) {
            tracing::warn!("could not detach in order: {error}");
        }
        let mut kernel = self.kernel();
        (kernel.revision, kernel.attached, kernel.error) = (0, false, None);
        kernel.abandoned_rings += 1;
        match unread::bytes(&self.ring) {
            Ok(bytes) => kernel.abandoned_bytes += bytes,
            Err(error) => tracing::warn!(%error, "what was left in the ring is not counted"),
        }
        kernel
    }
}
