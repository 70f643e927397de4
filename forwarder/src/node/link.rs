//! Keeps a session with the agent: connects, takes its ring over, and connects again when it
//! goes away.

use std::{
    os::fd::{AsFd, AsRawFd, OwnedFd, RawFd},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use tokio::{
    io::unix::AsyncFd,
    sync::{mpsc, watch},
};
use weir_abi::ABI_VERSION;
use weir_link::{Connection, FromAgent, Hello, Kernel, LINK_VERSION};

use super::{directory::Directory, session::Session};
use crate::{Forwarder, RingInput, chain};

/// Between two attempts to connect; local and cheap.
const AGAIN: Duration = Duration::from_millis(200);
/// For the agent's first message: it loads its programs before.
const HELLO: Duration = Duration::from_secs(30);

/// What the node's task hears of the agent.
#[derive(Debug)]
pub(super) enum AgentNews {
    /// Its ring is read now; it waits for targets.
    Here(Box<Here>),
    /// It is gone.
    Gone(String),
}

#[derive(Debug)]
pub(super) struct Here {
    pub(super) hello: Hello,
    pub(super) session: Arc<Session>,
    /// What the agent said last of the kernel side.
    pub(super) kernel: watch::Receiver<Kernel>,
}

pub(super) struct Link {
    pub(super) socket: PathBuf,
    pub(super) forwarder: Arc<Forwarder>,
    pub(super) directory: Arc<Directory>,
    pub(super) news: mpsc::Sender<AgentNews>,
}

impl Link {
    /// Until nobody listens any more.
    pub(super) async fn run(self) {
        let mut said = None;
        loop {
            let why = match self.serve().await {
                Ok(()) => return,
                Err(why) => why,
            };
            // While there is no agent each attempt fails alike.
            if said.as_ref() != Some(&why)
                && self.news.send(AgentNews::Gone(why.clone())).await.is_err()
            {
                return;
            }
            said = Some(why);
            tokio::time::sleep(AGAIN).await;
        }
    }

    /// One session. `Ok` when nobody listens any more.
    async fn serve(&self) -> Result<(), String> {
        let connection = Connection::open(&self.socket).map_err(|error| chain(&error))?;
        let (hello, ring, connection) = greeted(connection).await?;
        let session = Arc::new(Session::new(connection, Arc::clone(&self.directory)));
        let input = RingInput {
            descriptor: ring,
            bytes: hello.ring_bytes,
            attribution: Arc::clone(&session) as Arc<dyn crate::Attribution>,
        };
        self.forwarder.replace_ring(input).map_err(|error| chain(&error))?;
        let (tell, kernel) = watch::channel(Kernel::default());
        let here = Here { hello, session: Arc::clone(&session), kernel };
        if self.news.send(AgentNews::Here(Box::new(here))).await.is_err() {
            return Ok(());
        }
        let waiting = watched(session)?;
        loop {
            let kernel = waiting.get_ref().0.pump()?;
            tell.send_if_modified(|known| {
                let changed = *known != kernel;
                *known = kernel;
                changed
            });
            // What comes after the look above makes it ready again, unless the reader of the ring
            // takes it first: then the kernel has nothing to tell of.
            tokio::select! {
                ready = waiting.readable() => {
                    ready.map_err(|error| error.to_string())?.clear_ready();
                }
                () = waiting.get_ref().0.taken() => {}
            }
        }
    }
}

/// Owns a connection that the runtime watches.
struct Watched<T>(T);

impl<T: AsFd> AsRawFd for Watched<T> {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

/// Of a connection or a session with one.
#[expect(unsafe_code, reason = "the runtime goes by the number of the descriptor")]
fn watched<T: AsFd>(connection: T) -> Result<AsyncFd<Watched<T>>, String> {
    // SAFETY: both kinds own one socket from beginning to end, and give its descriptor alone.
    let watched = unsafe { AsyncFd::register(Watched(connection)) };
    watched.map_err(|error| error.to_string())
}

/// Waits for the agent's first message.
async fn greeted(connection: Connection) -> Result<(Hello, OwnedFd, Connection), String> {
    let waiting = watched(connection)?;
    let packet = loop {
        let received = waiting.get_ref().0.receive::<FromAgent>();
        if let Some(packet) = received.map_err(|error| chain(&error))? {
            break packet;
        }
        let ready = tokio::time::timeout(HELLO, waiting.readable()).await;
        let ready = ready.map_err(|_elapsed| "the agent does not say hello".to_owned())?;
        ready.map_err(|error| error.to_string())?.clear_ready();
    };
    let FromAgent::Hello(hello) = packet.message else {
        return Err("the agent does not begin with hello".to_owned());
    };
    let Hello { version, abi, .. } = hello;
    if (version, abi) != (LINK_VERSION, ABI_VERSION) {
        return Err(format!(
            "the agent speaks version {version} with records of version {abi}, this forwarder \
             {LINK_VERSION} and {ABI_VERSION}: run both from one image"
        ));
    }
    let ring = packet.descriptors.into_iter().next().ok_or("the agent's hello has no ring")?;
    Ok((hello, ring, waiting.into_inner().0))
}
