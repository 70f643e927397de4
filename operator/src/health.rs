//! `/healthz`, `/readyz` and `/metrics`.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use anyhow::Context as _;
use axum::{Router, extract::State, http::StatusCode, routing::get};
use prometheus_client::{
    encoding::text::encode,
    metrics::{counter::Counter, gauge::Gauge},
    registry::Registry,
};
use tokio::net::TcpListener;

/// What the operator counts.
#[derive(Clone, Default)]
pub(crate) struct Counts {
    pub(crate) passes: Counter,
    pub(crate) failures: Counter,
    pub(crate) plan_writes: Counter,
    pub(crate) status_writes: Counter,
}

/// Shared with whoever asks.
#[derive(Clone)]
pub(crate) struct Health {
    /// The API server answers. A replica that waits for its turn is ready too.
    ready: Arc<AtomicBool>,
    leads: Arc<AtomicBool>,
    leader: Gauge,
    registry: Arc<Registry>,
}

impl Health {
    pub(crate) fn new(counts: &Counts) -> Self {
        let mut registry = Registry::with_prefix("weir_operator");
        for (name, help, counter) in [
            ("reconciles", "Passes over all objects", &counts.passes),
            ("reconcile_failures", "Passes that did not get to their end", &counts.failures),
            ("plan_writes", "Plans written", &counts.plan_writes),
            ("status_writes", "Statuses written", &counts.status_writes),
        ] {
            registry.register(name, help, counter.clone());
        }
        let leader = Gauge::default();
        registry.register("leader", "1 when this replica leads", leader.clone());
        let registry = Arc::new(registry);
        Self { ready: Arc::default(), leads: Arc::default(), leader, registry }
    }

    /// This replica waits for its turn, and the API server answered.
    pub(crate) fn stand_by(&self) {
        self.ready.store(true, Ordering::Relaxed);
    }

    /// This replica leads, and has not read everything yet.
    pub(crate) fn lead(&self) {
        self.leads.store(true, Ordering::Relaxed);
        self.ready.store(false, Ordering::Relaxed);
        self.leader.set(1);
    }

    /// Everything was read once.
    pub(crate) fn read(&self) {
        self.ready.store(true, Ordering::Relaxed);
    }

    pub(crate) fn leads(&self) -> bool {
        self.leads.load(Ordering::Relaxed)
    }

    /// Serves until it is dropped.
    pub(crate) async fn serve(self, listener: TcpListener) -> anyhow::Result<()> {
        let routes = Router::new()
            .route("/healthz", get(async || "ok"))
            .route("/readyz", get(readyz))
            .route("/metrics", get(metrics))
            .with_state(self);
        axum::serve(listener, routes).await.context("serve health and metrics")
    }
}

/// # Errors
///
/// When the address cannot be had.
pub(crate) async fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| format!("listen on {address}"))
}

async fn readyz(State(health): State<Health>) -> (StatusCode, &'static str) {
    if health.ready.load(Ordering::Relaxed) {
        (StatusCode::OK, "ok")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "the API server was not read yet")
    }
}

async fn metrics(State(health): State<Health>) -> Result<String, StatusCode> {
    let mut text = String::new();
    encode(&mut text, &health.registry).map_err(|_fmt| StatusCode::INTERNAL_SERVER_ERROR)?;
    Ok(text)
}
