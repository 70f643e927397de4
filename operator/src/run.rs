//! `weir-operator run`.

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Context as _, ensure};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::Client;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::{Notify, watch},
    task::JoinSet,
    time::{Instant, sleep, timeout},
};
use tracing::Instrument as _;

use crate::{
    deploy::{self, Nodes, PlanSecret},
    health::{self, Counts, Health},
    lease::Leadership,
    memory::Memory,
    node::{self, NodeConfig},
    poll::Poller,
    reconcile::{Reconciler, wait},
    secrets::Secrets,
    status::Round,
    traces,
    watch::Stores,
    write::Writer,
};

/// Changes within this time of the first are carried out together.
const DEBOUNCE: Duration = Duration::from_millis(50);
/// Under many changes a pass is no larger part of the time than this: one in three.
const REST: u32 = 2;
const MAX_REST: Duration = Duration::from_secs(2);
/// A pass happens this often although nothing changed: what others broke is mended.
const TICK: Duration = Duration::from_secs(10);
/// For the pass that is under way when the operator is told to end.
const DRAIN: Duration = Duration::from_secs(10);

/// What the command line says.
#[derive(Clone, Debug)]
pub struct Options {
    /// The operator's own namespace: of the plan, the DaemonSet and the lease.
    pub namespace: String,
    /// Names this operator among its replicas.
    pub identity: String,
    /// Address of health and metrics.
    pub listen: SocketAddr,
    /// The operator's Deployment: what the operator makes goes when it goes.
    pub deployment: Option<String>,
    /// Without a renewal of the lease for so long, another replica takes over.
    pub lease_duration: Duration,
    /// File with the settings of the DaemonSet; none is made without it.
    pub node_config: Option<PathBuf>,
}

/// Runs until SIGTERM or SIGINT.
///
/// # Errors
///
/// When the settings are wrong, there is no way to the API server, the address cannot be had, or
/// the lease is lost.
pub async fn run(options: Options) -> anyhow::Result<()> {
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let node = options.node_config.as_deref().map(read_node_config).transpose()?;
    let client = Client::try_default().await.context("find the API server")?;
    let counts = Counts::default();
    let health = Health::new(&counts);
    let listener = health::listen(options.listen).await?;
    let owner = match &options.deployment {
        Some(name) => Some(deploy::owner(&client, &options.namespace, name).await?),
        None => None,
    };
    let leadership = Leadership::new(client.clone(), &options, owner.clone());
    let (stop, stopped) = watch::channel(false);
    let lead = async {
        leadership.acquire(&health).await;
        tracing::info!(identity = options.identity, "this operator leads");
        tokio::select! {
            // Dropping the loop ends its writes at once: another operator may start soon.
            error = leadership.keep() => Err(error),
            end = reconcile(client.clone(), &options, (node, owner), (counts, &health), stopped) => end,
        }
    };
    tokio::pin!(lead);
    tokio::select! {
        end = &mut lead => return end,
        end = health.clone().serve(listener) => return end,
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
    tracing::info!("told to end");
    stop.send_replace(true);
    if health.leads() {
        // Only when nothing is written any more may another begin.
        timeout(DRAIN, lead).await.context("the last pass did not end in time")??;
        leadership.release().await?;
    }
    Ok(())
}

/// The DaemonSet as YAML that the settings in the file at `path` give, without its owner.
///
/// # Errors
///
/// The file cannot be read, or its settings are refused.
pub fn daemon_set_yaml(path: &std::path::Path, namespace: &str) -> anyhow::Result<String> {
    let set = node::daemon_set(&read_node_config(path)?, namespace, None);
    serde_saphyr::to_string(&set).context("write the DaemonSet as YAML")
}

fn read_node_config(path: &std::path::Path) -> anyhow::Result<NodeConfig> {
    let text = std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
    NodeConfig::parse(&text).with_context(|| format!("read {}", path.display()))
}

async fn reconcile(
    client: Client,
    options: &Options,
    (node, owner): (Option<NodeConfig>, Option<OwnerReference>),
    (counts, health): (Counts, &Health),
    mut stopped: watch::Receiver<bool>,
) -> anyhow::Result<()> {
    health.lead();
    let (wake, hurry) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let mut tasks = JoinSet::new();
    let stores = Stores::start(&client, &options.namespace, &wake, &mut tasks);
    let (rounds, mut round) = watch::channel(Arc::new(Round::default()));
    tokio::select! {
        ready = stores.ready() => ready.context("a watch ended")?,
        _ = stopped.wait_for(|stopped| *stopped) => return Ok(()),
    }
    let poller = Poller {
        pods: stores.pods.clone(),
        daemon_sets: stores.daemon_sets.clone(),
        hurry: Arc::clone(&hurry),
        wake: Arc::clone(&wake),
    };
    tasks.spawn(poller.run(rounds));
    // Before the nodes were asked every capture would seem to be on none of them.
    tokio::select! {
        first = round.changed() => first.context("nobody asks the nodes")?,
        _ = stopped.wait_for(|stopped| *stopped) => return Ok(()),
    }
    health.read();
    let plan = PlanSecret::new(client.clone(), &options.namespace, owner.clone());
    let before = plan.read().await?.unwrap_or_default();
    let mut reconciler = Reconciler {
        namespace: options.namespace.clone(),
        secrets: Secrets::new(client.clone(), Arc::clone(&wake)),
        plan,
        nodes: node
            .map(|node| Nodes::new(client.clone(), &options.namespace, &node, owner.as_ref())),
        writer: Writer::new(client, options.identity.clone(), counts.clone()),
        counts: counts.clone(),
        rounds: round,
        hurry,
        memory: Memory::after(before),
        stores,
    };
    let mut failures = 0;
    while !*stopped.borrow() {
        let (began, now) = (Instant::now(), whole_seconds(Timestamp::now()));
        counts.passes.inc();
        let span = traces::reconcile();
        let again = match reconciler.pass(now).instrument(span.clone()).await {
            Ok(again) => {
                failures = 0;
                traces::succeeded(&span, "done");
                wait(again, now, TICK)
            }
            Err(error) => {
                counts.failures.inc();
                traces::failed(&span, &error);
                failures = (failures + 1).min(6);
                tracing::warn!(parent: &span, error = format!("{error:#}"), "a pass did not get to its end");
                // Whatever wakes it: an API server in trouble is not asked all the time.
                pause(&mut stopped, DEBOUNCE * (1 << failures)).await;
                Duration::from_secs(1 << failures).min(TICK)
            }
        };
        ensure!(tasks.try_join_next().is_none(), "a watch ended");
        let took = began.elapsed();
        tokio::select! {
            () = wake.notified() => {}
            () = sleep(again) => {}
            _ = stopped.wait_for(|stopped| *stopped) => {}
        }
        pause(&mut stopped, DEBOUNCE.max(took * REST).min(MAX_REST)).await;
    }
    Ok(())
}

/// Sleeps, unless the operator is told to end.
async fn pause(stopped: &mut watch::Receiver<bool>, time: Duration) {
    // Either way the loop looks for itself.
    drop(timeout(time, stopped.wait_for(|stopped| *stopped)).await);
}

/// As the API keeps times.
fn whole_seconds(now: Timestamp) -> Timestamp {
    Timestamp::from_second(now.as_second()).unwrap_or(now)
}
