//! Agent and forwarder in one process.

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use anyhow::Context as _;
use weir_capture_agent::{Agent, AgentConfig, Process, Selector};
use weir_forwarder::{Completion, Forwarder, ForwarderConfig, LedgerSnapshot, MetricsPush};
use weir_plan::Plan;

use super::workloads::{Active, Workloads};

/// Both halves of the data path, and what they have in common.
pub(super) struct Machine {
    agent: Arc<Agent>,
    forwarder: Forwarder,
    workloads: Arc<Workloads>,
    plan: Plan,
    completion: Completion,
    active: Arc<Active>,
}

/// Selects what both select.
struct Both(Arc<Active>, Arc<Active>);

impl Selector for Both {
    fn selects(&self, process: &Process) -> bool {
        self.0.selects(process) && self.1.selects(process)
    }

    fn decrypts(&self, process: &Process) -> bool {
        self.0.decrypts(process) && self.1.decrypts(process)
    }
}

impl Machine {
    /// Loads the programs and maps the ring. Nothing is attached before a plan is in force.
    pub(super) fn start(
        config: AgentConfig,
        cluster: &str,
        metrics: Option<SocketAddr>,
        queues: PathBuf,
    ) -> anyhow::Result<Self> {
        // Its texts say what to do and are meant for the user as they are.
        let agent = Arc::new(Agent::start(config)?);
        let processes = agent.processes();
        let workloads = Workloads::new(Box::new(move |pid| processes.get(pid)));
        let processes = agent.processes();
        let workloads = Arc::new(workloads.with_tls(move |pid| processes.tls(pid)));
        let ring = agent.segment_ring().context("take the segment ring")?;
        let attribution = Arc::clone(&workloads);
        let version = concat!("v", env!("CARGO_PKG_VERSION"));
        let losses = Arc::clone(&agent);
        let forwarder = Forwarder::start(ForwarderConfig {
            kernel_losses: Some(Arc::new(move || losses.losses())),
            admin: metrics,
            queue_dir: Some(queues),
            metrics_push: MetricsPush::from_env("weir", None).context("push metrics")?,
            ..ForwarderConfig::new(ring, attribution, cluster, version)
        })
        .context("start the forwarder")?;
        let (plan, completion) = (Plan::default(), Completion::default());
        Ok(Self { agent, forwarder, workloads, plan, completion, active: Arc::default() })
    }

    /// Puts a plan in force, and returns when the kernel side follows it. On an error the plan
    /// before it is in force as far as the kernel lets it.
    pub(super) fn apply(&mut self, plan: Plan) -> anyhow::Result<()> {
        self.completion.follow(&self.plan, &plan);
        // First whoever is not captured any more is let go, so that what the ring holds of it
        // is read while the plan before still says whose it is.
        if self.is_active() {
            let next = Active(self.completion.live(&plan));
            let both = Both(Arc::clone(&self.active), Arc::new(next));
            self.agent.set_selector(Some(Arc::new(both)))?;
        }
        self.forwarder.apply(plan.clone());
        let before = std::mem::replace(&mut self.plan, plan);
        if let Err(error) = self.follow() {
            self.plan = before.clone();
            self.forwarder.apply(before);
            self.follow().context("put the plan before it back")?;
            return Err(error);
        }
        Ok(())
    }

    /// Takes completed captures out of the kernel's work: with none left, its hooks are
    /// detached.
    pub(super) fn release_completed(&mut self) {
        let changed = self.completion.update(&self.plan, || self.forwarder.ledger());
        if changed && let Err(error) = self.follow() {
            tracing::error!("{error:#}");
        }
    }

    /// Makes attribution and kernel side follow the plan.
    fn follow(&mut self) -> anyhow::Result<()> {
        let active = Arc::new(Active(self.completion.live(&self.plan)));
        self.workloads.set(Arc::clone(&active));
        self.active = Arc::clone(&active);
        let selector = (!active.0.is_empty()).then_some(active as Arc<dyn Selector>);
        self.agent.set_selector(selector)?;
        Ok(())
    }

    /// True when some capture lives.
    pub(super) fn is_active(&self) -> bool {
        !self.active.0.is_empty()
    }

    /// The processes that are captured now.
    pub(super) fn targets(&self) -> Vec<Arc<Process>> {
        self.agent
            .processes()
            .matching(|process| process.pid != std::process::id() && self.active.selects(process))
    }

    pub(super) fn metrics_address(&self) -> Option<SocketAddr> {
        self.forwarder.admin_address()
    }

    pub(super) fn ledger(&self) -> LedgerSnapshot {
        self.forwarder.ledger()
    }

    /// False when nothing is read any more, though nobody asked for the end.
    pub(super) fn is_reading(&self) -> bool {
        self.forwarder.is_reading()
    }

    /// Ends the capture and delivers for at most `patience`. Also says whether everything was
    /// delivered.
    pub(super) fn end(self, patience: Duration) -> (LedgerSnapshot, bool) {
        // Nobody is selected any more, so nothing new comes. The hooks stay until the ring is
        // read: without them the agent forgets the processes that its records are about.
        if let Err(error) = self.agent.set_selector(Some(Arc::new(Active::default()))) {
            tracing::warn!(%error, "the capture goes on until the end of the process");
        }
        let delivered = self.forwarder.drain(patience);
        (self.forwarder.stop(), delivered)
    }
}
