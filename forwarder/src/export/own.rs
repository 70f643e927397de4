//! Where our own exporters send to: their traffic is never captured, even if it is seen.

use std::{
    collections::HashSet,
    io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::{Arc, PoisonError, RwLock},
    task::{Context, Poll},
};

use hyper_util::client::legacy::connect::{
    HttpConnector,
    dns::{GaiResolver, Name},
};
use tower_service::Service;
use weir_dissect::Exchange;
use weir_plan::Endpoint;

/// Field of each of our requests. A receiver that is captured on another node is known by its
/// address to that node's forwarder alone, and records of records would never end.
pub(crate) const MARK: &str = "x-weir-export";

/// True for a request of some forwarder of Weir.
pub(crate) fn is_marked(exchange: &Exchange) -> bool {
    exchange.request.as_ref().is_some_and(|request| {
        let target = request.head.target();
        let to_a_receiver =
            [&b"/v1/logs"[..], b"/v1/metrics", b"/Export"].iter().any(|end| target.ends_with(end));
        to_a_receiver && request.head.lines.first(MARK).is_some()
    })
}

/// Addresses of all exporters' endpoints, as the connections' name look-ups gave them, and of
/// this pod.
#[derive(Clone, Debug, Default)]
pub struct OwnEndpoints {
    endpoints: Arc<RwLock<HashSet<(IpAddr, u16)>>>,
    address: Option<IpAddr>,
}

impl OwnEndpoints {
    /// Of a pod with this address: a receiver that is captured has connections with it, too,
    /// whatever the port.
    pub fn of(address: Option<IpAddr>) -> Self {
        let address = address.map(|address| address.to_canonical());
        Self { address, ..Self::default() }
    }

    /// True when an exporter sends to this server, or the address is our own.
    pub fn contains(&self, address: IpAddr, port: u16) -> bool {
        let address = address.to_canonical();
        let known = self.endpoints.read().unwrap_or_else(PoisonError::into_inner);
        self.address == Some(address) || known.contains(&(address, port))
    }

    /// A connector that notes every address before it connects to it.
    pub(super) fn connector(&self, endpoint: &Endpoint) -> HttpConnector<NotingResolver> {
        let literal = endpoint.host.trim_start_matches('[').trim_end_matches(']').parse();
        if let Ok(address) = literal {
            self.note(address, endpoint.port);
        }
        let resolver =
            NotingResolver { inner: GaiResolver::new(), own: self.clone(), port: endpoint.port };
        let mut connector = HttpConnector::new_with_resolver(resolver);
        connector.enforce_http(false);
        connector.set_nodelay(true);
        connector.set_keepalive(Some(std::time::Duration::from_secs(30)));
        connector
    }

    fn note(&self, address: IpAddr, port: u16) {
        let mut known = self.endpoints.write().unwrap_or_else(PoisonError::into_inner);
        known.insert((address.to_canonical(), port));
    }
}

/// The system's resolver, asked again for each new connection.
#[derive(Clone)]
pub(crate) struct NotingResolver {
    inner: GaiResolver,
    own: OwnEndpoints,
    port: u16,
}

impl Service<Name> for NotingResolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, io::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), io::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let resolving = self.inner.call(name);
        let (own, port) = (self.own.clone(), self.port);
        Box::pin(async move {
            let addresses: Vec<_> = resolving.await?.collect();
            for address in &addresses {
                own.note(address.ip(), port);
            }
            Ok(addresses.into_iter())
        })
    }
}
