//! From a listening port to conversations: plain, TLS, and tunnels through the proxy.

use std::{
    collections::BTreeSet,
    io,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use rustls::{ClientConfig, server::Acceptor};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::JoinSet,
};
use tokio_rustls::LazyConfigAcceptor;
use weir_replay::{
    message::Message,
    mock::Mocks,
    target::{Target, split_port},
};
use weir_rrpair::{RrPair, Timestamp};

use super::{
    ca::Ca,
    options::Timing,
    wire::{Client, NoRequest, peek},
};
use crate::{
    clock,
    dial::{Stream, dial},
};

/// First byte of a TLS handshake (RFC 8446 §5.1).
const TLS_HANDSHAKE: u8 = 0x16;
/// Pause after a failed accept: mostly "too many open files", which needs time to pass.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What all connections share.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) mocks: Mocks,
    pub(super) ca: Ca,
    /// Where we listen: nothing is passed on to there.
    pub(super) own: BTreeSet<SocketAddr>,
    pub(super) timing: Timing,
    pub(super) passes_through: bool,
    /// For real hosts.
    pub(super) tls: Arc<ClientConfig>,
    pub(super) seen: mpsc::Sender<Seen>,
}

/// How a connection says where its requests go.
#[derive(Clone, Debug)]
pub(super) enum Way {
    /// Each request does, or it asks for a tunnel.
    Proxy,
    /// They all go here.
    Fixed(Target),
    /// The client asked the proxy for this.
    Tunnel(Target),
}

/// What became of a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Outcome {
    Hit,
    Miss,
    PassThrough,
}

/// One request with its answer.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) outcome: Outcome,
    pub(super) at: Timestamp,
    pub(super) took: Duration,
    pub(super) target: Target,
    /// `None` for a tunnel whose inside was not looked at.
    pub(super) request: Option<Message>,
    /// The recorded pair that was given.
    pub(super) recorded: Option<Box<RrPair>>,
    /// The answer of the real host.
    pub(super) response: Option<Message>,
    /// Status that the client got.
    pub(super) status: Option<u16>,
    /// Why no recorded answer was given though there are some of this host.
    pub(super) why: Option<String>,
    /// Why there was no answer.
    pub(super) error: Option<String>,
}

impl Server {
    /// Takes connections until the task is ended, and they end with it.
    pub(super) async fn accept(self: Arc<Self>, listener: TcpListener, way: Way) {
        let mut connections = JoinSet::new();
        loop {
            while connections.try_join_next().is_some() {}
            match listener.accept().await {
                Ok((stream, peer)) => {
                    let (server, way) = (Arc::clone(&self), way.clone());
                    connections.spawn(async move {
                        if let Err(error) = server.connection(stream, way).await {
                            tracing::debug!(%peer, error = format!("{error:#}"), "connection ended early");
                        }
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    async fn connection(&self, stream: TcpStream, way: Way) -> anyhow::Result<()> {
        stream.set_nodelay(true).ok(); // only slower without
        let Some((stream, tls)) = self.layer(Box::new(stream), &way).await? else { return Ok(()) };
        // Within a tunnel nobody asks for another one.
        let Some((tunnel, target)) = self.converse(stream, &way, tls).await? else { return Ok(()) };
        let is_known = self.mocks.knows(&target.host) || !self.passes_through;
        if !is_known {
            return self.pipe(tunnel, target).await;
        }
        let way = Way::Tunnel(target);
        let Some((stream, tls)) = self.layer(tunnel, &way).await? else { return Ok(()) };
        self.converse(stream, &way, tls).await?;
        Ok(())
    }

    /// The connection without TLS, and whether it had it. `None` when nothing came.
    async fn layer(
        &self,
        stream: Box<dyn Stream>,
        way: &Way,
    ) -> anyhow::Result<Option<(Box<dyn Stream>, bool)>> {
        let Some((first, stream)) = peek(stream).await? else { return Ok(None) };
        if first != TLS_HANDSHAKE {
            return Ok(Some((stream, false)));
        }
        let hello = LazyConfigAcceptor::new(Acceptor::default(), stream).await?;
        let asked = hello.client_hello().server_name().map(str::to_owned);
        let host = match (asked, way) {
            (Some(name), _) => name,
            (None, Way::Fixed(target) | Way::Tunnel(target)) => target.host.clone(),
            (None, Way::Proxy) => "localhost".to_owned(),
        };
        let config = self.ca.config(&host)?;
        let stream = hello.into_stream(config).await.inspect_err(|error| {
            let file = self.ca.certificate();
            tracing::warn!(
                %host, %error,
                "the TLS handshake failed: does the client trust {}?", file.display()
            );
        });
        Ok(Some((Box::new(stream.context("TLS handshake")?), true)))
    }

    /// Answers requests until the connection ends or becomes a tunnel.
    async fn converse(
        &self,
        stream: Box<dyn Stream>,
        way: &Way,
        tls: bool,
    ) -> anyhow::Result<Option<(Box<dyn Stream>, Target)>> {
        let mut client = Client::new(stream);
        loop {
            let request = match client.request().await {
                Ok(Some(request)) => request,
                Ok(None) => return Ok(None),
                Err(NoRequest::Io(error)) => return Err(error.into()),
                Err(error @ NoRequest::TooLarge) => {
                    client.send(&refusal("413 Content Too Large", &error.to_string())).await?;
                    return Ok(None);
                }
                Err(error) => {
                    client.send(&refusal("400 Bad Request", &error.to_string())).await?;
                    return Ok(None);
                }
            };
            if let (Way::Proxy, Some(target)) = (way, tunnel(&request)) {
                client.send(b"HTTP/1.1 200 Connection established\r\n\r\n").await?;
                return Ok(Some((client.into_stream(), target)));
            }
            if !self.answer(&mut client, way, tls, request).await? {
                return Ok(None);
            }
        }
    }

    /// A tunnel to a host of which nothing is recorded: its inside is nobody's business.
    async fn pipe(&self, mut client: Box<dyn Stream>, target: Target) -> anyhow::Result<()> {
        let (at, started) = (clock::now(), Instant::now());
        let plain = Target { tls: false, ..target.clone() };
        let error = match self.reach(&plain).await {
            Ok(mut real) => {
                // Either side may end a tunnel as it likes: no error of ours.
                tokio::io::copy_bidirectional(&mut client, &mut real).await.ok();
                None
            }
            Err(error) => Some(format!("cannot connect: {error}")),
        };
        self.tell(Seen {
            outcome: Outcome::PassThrough,
            at,
            took: started.elapsed(),
            target,
            request: None,
            recorded: None,
            response: None,
            status: None,
            why: None,
            error,
        })
        .await;
        Ok(())
    }

    /// A connection to a real host.
    pub(super) async fn reach(&self, target: &Target) -> io::Result<Box<dyn Stream>> {
        let found = tokio::net::lookup_host((target.host.as_str(), target.port)).await?;
        let itself = |address: SocketAddr| {
            let any = |own: &SocketAddr| own.ip().is_unspecified() && address.ip().is_loopback();
            self.own
                .iter()
                .any(|own| own.port() == address.port() && (own.ip() == address.ip() || any(own)))
        };
        if found.into_iter().any(itself) {
            return Err(io::Error::other("this is the mock itself: no host is named"));
        }
        dial(target, &self.tls).await
    }

    pub(super) async fn tell(&self, seen: Seen) {
        self.seen.send(seen).await.ok(); // nobody listens any more: the command is ending
    }
}

/// Where a `CONNECT` goes.
fn tunnel(request: &Message) -> Option<Target> {
    let line = request.request_line().filter(|line| line.method == b"CONNECT")?;
    let (host, port) = split_port(std::str::from_utf8(line.target).ok()?);
    let port = port.map_or(Some(443), |port| port.parse().ok())?;
    Some(Target { tls: true, host: host.to_owned(), port })
}

/// An answer of our own, after which the connection ends.
pub(super) fn refusal(status: &str, message: &str) -> Vec<u8> {
    let body = format!("weir mock: {message}\n");
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}
