//! The forwarder of a node in a cluster: it follows the plan and the node's pods, tells the
//! agent which pods to capture, and reads its ring.
//!
//! Nothing here knows the Kubernetes API: plan and pods come as [`News`].

mod directory;
mod link;
mod pod;
mod session;
mod store;
mod view;

#[cfg(test)]
mod tests;

use std::{
    collections::BTreeSet, net::SocketAddr, path::PathBuf, pin::pin, sync::Arc, time::Duration,
};

use tokio::{
    sync::{mpsc, watch},
    task::JoinError,
    time::{MissedTickBehavior, interval, timeout},
};
use tokio_util::task::AbortOnDropHandle;
use weir_link::{Kernel, Targets};
use weir_plan::{Plan, PlanDocument, status::NodeRun};

pub use self::pod::{Owner, Pod};
use self::{
    directory::Directory,
    link::{AgentNews, Here, Link},
    session::Session,
    store::Store,
    view::View,
};
use crate::{
    Completion, Forwarder, ForwarderConfig, LedgerSnapshot, LiveCaptures, Pages, StartError,
};

/// How often it is looked whether a capture is complete.
const LOOK: Duration = Duration::from_secs(1);
/// How long the agent may take to follow before a plan is put in force all the same.
const FOLLOW: Duration = Duration::from_secs(2);

/// What a node's forwarder is started with.
pub struct NodeConfig {
    /// Limits and addresses. Ring, losses and pages are set here.
    pub forwarder: ForwarderConfig,
    pub agent_socket: PathBuf,
    /// Folder for what a restart needs.
    pub state_dir: PathBuf,
    /// Name of the node.
    pub node: String,
    /// Namespace and name of our own pod, which is never captured.
    pub own_pod: Option<(String, String)>,
    /// How long to deliver what is captured when asked to end.
    pub drain_time: Duration,
}

/// What a node hears of the cluster.
#[derive(Debug)]
pub enum News {
    Plan(PlanDocument),
    Pods(PodNews),
}

/// A change in the node's pods.
#[derive(Debug)]
pub enum PodNews {
    /// These and no others.
    All(Vec<Pod>),
    Applied(Pod),
    /// By [`Pod::uid`].
    Gone(String),
}

/// Why a node's forwarder ended.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    #[error(transparent)]
    Start(#[from] StartError),
    #[error("the reader of the ring failed, see the log")]
    Reader,
    #[error("a task failed")]
    Task(#[from] JoinError),
}

/// A node's forwarder.
pub struct Node {
    agent_socket: PathBuf,
    drain_time: Duration,
    forwarder: Arc<Forwarder>,
    directory: Arc<Directory>,
    view: Arc<View>,
    store: Store,
    /// In force here.
    plan: Arc<PlanDocument>,
    completion: Completion,
    agent: Option<Agent>,
    /// What the agent was told last, and the number of that.
    targets: BTreeSet<String>,
    /// Those of them whose encrypted connections nobody wants read.
    undisclosed: BTreeSet<String>,
    revision: u64,
    /// The pods on disk are not those that are here.
    pods_changed: bool,
    /// As the disk has them.
    runs: Vec<NodeRun>,
}

struct Agent {
    session: Arc<Session>,
    kernel: watch::Receiver<Kernel>,
}

impl Node {
    /// Serves the admin pages; nothing is captured before [`Node::run`].
    ///
    /// # Errors
    ///
    /// [`NodeError::Start`].
    pub fn start(config: NodeConfig) -> Result<Self, NodeError> {
        let NodeConfig { forwarder, agent_socket, state_dir, node, own_pod, drain_time } = config;
        let directory = Arc::new(Directory::new(own_pod));
        let version = forwarder.version.to_string();
        let view = Arc::new(View::new(Arc::clone(&directory), node, version));
        let losses = Arc::clone(&view);
        let forwarder = Forwarder::start(ForwarderConfig {
            ring: None,
            queue_dir: Some(state_dir.join("queues")),
            kernel_losses: Some(Arc::new(move || losses.losses())),
            pages: Some(Arc::clone(&view) as Arc<dyn Pages>),
            ..forwarder
        })?;
        Ok(Self {
            agent_socket,
            drain_time,
            forwarder: Arc::new(forwarder),
            directory,
            view,
            store: Store::new(state_dir),
            plan: Arc::new(PlanDocument::new(Plan::default())),
            completion: Completion::default(),
            agent: None,
            targets: BTreeSet::new(),
            undisclosed: BTreeSet::new(),
            revision: 0,
            pods_changed: false,
            runs: Vec::new(),
        })
    }

    /// Where the admin pages are served.
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.forwarder.admin_address()
    }

    /// Begins with what the last run left in the state folder and follows `news` until `stop`,
    /// then delivers what is captured. Gives the last ledger.
    ///
    /// # Errors
    ///
    /// [`NodeError`].
    pub async fn run(
        mut self,
        mut news: mpsc::Receiver<News>,
        stop: impl Future<Output = ()>,
    ) -> Result<LedgerSnapshot, NodeError> {
        let (tell, mut agents) = mpsc::channel(4);
        let link = Link {
            socket: self.agent_socket.clone(),
            forwarder: Arc::clone(&self.forwarder),
            directory: Arc::clone(&self.directory),
            news: tell,
        };
        // A task of its own, so that the agent is heard while we wait for it to follow.
        let link = AbortOnDropHandle::new(tokio::spawn(link.run()));
        self.recall().await?;
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut stop = pin!(stop);
        loop {
            tokio::select! {
                () = &mut stop => break,
                Some(news) = news.recv() => self.take(news).await?,
                Some(news) = agents.recv() => self.agent(news),
                Some(()) = kernel_changed(self.agent.as_mut()) => self.kernel(),
                _ = look.tick() => self.look()?,
            }
        }
        self.end(link).await
    }

    async fn recall(&mut self) -> Result<(), NodeError> {
        self.view.remember(self.store.runs());
        if let Some(pods) = self.store.pods() {
            tracing::info!(pods = pods.len(), "pods of the last run");
            self.directory.take(PodNews::All(pods));
            self.view.pods_are_known();
        }
        if let Some(plan) = self.store.plan() {
            tracing::info!(revision = plan.revision(), "plan of the last run");
            self.put_in_force(plan).await?;
        }
        Ok(())
    }

    async fn take(&mut self, news: News) -> Result<(), NodeError> {
        match news {
            News::Plan(plan) if self.view.has_plan(plan.revision()) => {}
            News::Plan(plan) => {
                self.store.keep_plan(&plan);
                self.put_in_force(plan).await?;
            }
            News::Pods(news) => {
                if matches!(news, PodNews::All(_)) {
                    self.view.pods_are_known();
                }
                if self.directory.take(news) {
                    self.forwarder.ask_again();
                }
                self.pods_changed = true;
                self.retarget();
            }
        }
        Ok(())
    }

    async fn put_in_force(&mut self, plan: PlanDocument) -> Result<(), NodeError> {
        let plan = Arc::new(plan);
        self.view.plan(&plan, || self.forwarder.ledger());
        self.completion.follow(self.plan.plan(), plan.plan());
        let live = self.completion.live(plan.plan());
        // First whoever is not captured any more is let go, so that what the ring holds of it
        // is read while the plan before still says whose it is.
        let wanted = self.directory.targets_of(&live);
        let staying: BTreeSet<_> = self.targets.intersection(&wanted).cloned().collect();
        if staying != self.targets {
            self.capture(staying);
            self.followed().await;
        }
        let (forwarder, new) = (Arc::clone(&self.forwarder), plan.plan().clone());
        tokio::task::spawn_blocking(move || forwarder.apply(new)).await?;
        let (captures, exporters) = (plan.plan().captures.len(), plan.plan().exporters.len());
        tracing::info!(revision = plan.revision(), captures, exporters, "a new plan is in force");
        self.plan = plan;
        self.go_by(live);
        Ok(())
    }

    /// Goes by other captures of the plan in force.
    fn go_by(&mut self, live: LiveCaptures) {
        if self.directory.follow(live) {
            self.forwarder.ask_again();
        }
        self.retarget();
    }

    fn retarget(&mut self) {
        let targets = self.directory.targets();
        let same = self.directory.undisclosed(&targets) == self.undisclosed;
        if !same || targets != self.targets {
            self.capture(targets);
        }
        self.note_force();
    }

    fn capture(&mut self, targets: BTreeSet<String>) {
        self.revision += 1;
        self.undisclosed = self.directory.undisclosed(&targets);
        self.targets = targets;
        let targets = Targets {
            revision: self.revision,
            pods: self.targets.clone(),
            undisclosed: self.undisclosed.clone(),
        };
        if let Some(agent) = &self.agent
            && let Err(error) = agent.session.capture(targets)
        {
            tracing::warn!("the agent could not be told what to capture: {error}");
        }
    }

    /// Waits until the agent follows what it was told last.
    async fn followed(&mut self) {
        let revision = self.revision;
        let Some(agent) = &mut self.agent else { return };
        let follows = agent.kernel.wait_for(|kernel| kernel.revision >= revision);
        // One that is gone captures nothing; the link tells of it.
        if timeout(FOLLOW, follows).await.is_err() {
            tracing::warn!(revision, "the agent is slow to follow");
        }
        self.kernel();
    }

    fn agent(&mut self, news: AgentNews) {
        match news {
            AgentNews::Here(here) => {
                let Here { hello, session, kernel } = *here;
                tracing::info!(hook = %hello.hook, kernel = %hello.kernel, "reading the agent's ring");
                self.view.agent_is_here(&hello);
                self.agent = Some(Agent { session, kernel });
                self.capture(self.directory.targets());
            }
            AgentNews::Gone(why) => {
                tracing::warn!("no capture agent: {why}");
                self.view.agent_is_gone(&why);
                self.agent = None;
            }
        }
    }

    fn kernel(&mut self) {
        let Some(agent) = &mut self.agent else { return };
        let kernel = agent.kernel.borrow_and_update().clone();
        if let Some(error) = &kernel.error {
            tracing::error!("the agent cannot capture as asked: {error}");
        }
        self.view.kernel(kernel);
        self.note_force();
    }

    /// A plan is in force when the kernel side follows it.
    fn note_force(&self) {
        if let Some(agent) = &self.agent
            && agent.kernel.borrow().revision == self.revision
        {
            self.view.in_force(self.plan.revision());
        }
    }

    fn look(&mut self) -> Result<(), NodeError> {
        if !self.forwarder.is_reading() {
            return Err(NodeError::Reader);
        }
        let ledger = self.forwarder.ledger();
        self.view.note_growth(&ledger);
        // Not before there is a plan, and with it something to tell of.
        let runs = self.view.runs(&ledger);
        if runs != self.runs && !self.plan.plan().captures.is_empty() {
            self.store.keep_runs(&runs);
            self.runs = runs;
        }
        if self.completion.update(self.plan.plan(), || ledger) {
            self.go_by(self.completion.live(self.plan.plan()));
        }
        if std::mem::take(&mut self.pods_changed) {
            self.store.keep_pods(&self.directory.pods());
        }
        Ok(())
    }

    /// Detaches every hook and delivers.
    async fn end(mut self, link: AbortOnDropHandle<()>) -> Result<LedgerSnapshot, NodeError> {
        self.capture(BTreeSet::new());
        self.followed().await;
        // From here the reader alone hears the agent, when it misses a process.
        link.abort();
        link.await.ok();
        let Self { forwarder, drain_time, view, store, .. } = self;
        let ended = tokio::task::spawn_blocking(move || {
            let delivered = forwarder.drain(drain_time);
            let ledger = forwarder.ledger();
            (delivered, Arc::into_inner(forwarder).map_or(ledger, Forwarder::stop))
        });
        let (delivered, ledger) = ended.await?;
        store.keep_runs(&view.runs(&ledger));
        if !delivered {
            tracing::warn!(?drain_time, "not everything could be delivered in time");
        }
        Ok(ledger)
    }
}

/// Never without an agent.
async fn kernel_changed(agent: Option<&mut Agent>) -> Option<()> {
    agent?.kernel.changed().await.ok()
}
