//! One listening port: takes connections and notices those that speak another protocol.
//!
//! A gRPC client that talks to an HTTP receiver often "succeeds" while nothing arrives
//! (PITFALLS 23). Here the sender gets an answer that names the right port, and the log too.

use std::{
    convert::Infallible,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    response::{IntoResponse as _, Response},
};
use http::{HeaderMap, Request, StatusCode, Version, header};
use hyper::body::Incoming;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto, graceful::GracefulShutdown},
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;
use tower_service::Service as _;

use super::{
    http::{Format, refusal},
    intake::Counters,
};

/// Connections that one port serves at a time; more wait in the listen queue.
const MAX_CONNECTIONS: usize = 512;
/// Requests that one port decodes at a time, which bounds its memory; more wait.
const MAX_REQUESTS: usize = 32;
/// How long a request may take, its wait for the disk included.
const REQUEST_PATIENCE: Duration = Duration::from_mins(1);
/// How long a connection may take to send its first byte, or a request's head.
const HEAD_PATIENCE: Duration = Duration::from_secs(10);
/// Pause after a failed accept: mostly "too many open files", which needs time to pass.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// First byte of a TLS record with a handshake message (RFC 8446 §5.1).
const TLS_HANDSHAKE: u8 = 0x16;

/// Which of the two transports a port speaks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Port {
    Grpc,
    Http,
}

impl Port {
    pub(super) fn transport(self) -> &'static str {
        match self {
            Self::Grpc => "OTLP/gRPC",
            Self::Http => "OTLP/HTTP",
        }
    }

    /// The option of `weir collect` that moves it.
    pub(super) fn flag(self) -> &'static str {
        match self {
            Self::Grpc => "--listen-grpc",
            Self::Http => "--listen-http",
        }
    }

    fn other(self) -> Self {
        match self {
            Self::Grpc => Self::Http,
            Self::Http => Self::Grpc,
        }
    }
}

/// What a port serves.
#[derive(Clone)]
pub(super) struct Served {
    pub(super) port: Port,
    /// Where the other transport is.
    pub(super) other: SocketAddr,
    pub(super) router: Router,
    pub(super) counters: Arc<Counters>,
    /// A place for each request that is decoded.
    pub(super) requests: Arc<Semaphore>,
}

impl Served {
    /// Serves until `stop`, then gives open requests `grace` to end.
    pub(super) async fn serve(
        self,
        listener: TcpListener,
        stop: CancellationToken,
        grace: Duration,
    ) {
        let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let graceful = GracefulShutdown::new();
        let mut connections = JoinSet::new();
        loop {
            while connections.try_join_next().is_some() {}
            let accepted = tokio::select! {
                () = stop.cancelled() => break,
                accepted = accept(&listener, &places) => accepted,
            };
            let Some((stream, peer, place)) = accepted else { continue };
            let served = self.clone();
            let watcher = graceful.watcher();
            let stop = stop.clone();
            connections.spawn(async move {
                tokio::select! {
                    // Nothing of a request has come yet, so nothing is cut off.
                    () = stop.cancelled() => {}
                    speaks_http = served.speaks_http(&stream, peer.ip()) => {
                        if speaks_http {
                            served.connection(stream, peer.ip(), watcher).await;
                        }
                    }
                }
                drop(place);
            });
        }
        drop(listener);
        if tokio::time::timeout(grace, graceful.shutdown()).await.is_err() {
            tracing::warn!(transport = self.port.transport(), "connections cut off at shutdown");
        }
        connections.shutdown().await;
    }

    async fn connection(
        self,
        stream: TcpStream,
        peer: IpAddr,
        watcher: hyper_util::server::graceful::Watcher,
    ) {
        let transport = self.port.transport();
        let service = hyper::service::service_fn(move |request| self.clone().answer(request, peer));
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_PATIENCE);
        builder.http2().timer(TokioTimer::new());
        let connection = builder.serve_connection(TokioIo::new(stream), service).into_owned();
        if let Err(error) = watcher.watch(connection).await {
            tracing::debug!(%peer, transport, %error, "connection ended early");
        }
    }

    async fn answer(
        mut self,
        request: Request<Incoming>,
        peer: IpAddr,
    ) -> Result<Response, Infallible> {
        if let Some(refused) = self.misdirection(request.version(), request.headers(), peer) {
            return Ok(refused);
        }
        let format = Format::of(request.headers());
        let answer = async {
            let _place = self.requests.acquire().await;
            self.router.call(request.map(Body::new)).await
        };
        tokio::time::timeout(REQUEST_PATIENCE, answer)
            .await
            .unwrap_or_else(|_elapsed| Ok(too_slow(self.port, format)))
    }

    /// The answer to a request of the other transport.
    fn misdirection(
        &self,
        version: Version,
        headers: &HeaderMap,
        peer: IpAddr,
    ) -> Option<Response> {
        // gRPC needs HTTP/2: with anything older the content type is a mistake.
        let grpc = version == Version::HTTP_2 && is_grpc(headers);
        let came = if grpc { Port::Grpc } else { Port::Http };
        if came == self.port {
            return None;
        }
        let message = format!(
            "this port speaks {}, the request is {}: {} is at {}",
            self.port.transport(),
            came.transport(),
            self.port.other().transport(),
            self.other
        );
        if self.counters.misdirected() {
            tracing::warn!(%peer, "{message}");
        }
        Some(match came {
            Port::Grpc => tonic::Status::unimplemented(message).into_http::<Body>().into_response(),
            Port::Http => refusal(StatusCode::MISDIRECTED_REQUEST, Format::of(headers), &message),
        })
    }

    /// Looks at the first byte without taking it: a TLS hello cannot be answered in words.
    async fn speaks_http(&self, stream: &TcpStream, peer: IpAddr) -> bool {
        let mut first = [0];
        match tokio::time::timeout(HEAD_PATIENCE, stream.peek(&mut first)).await {
            Ok(Ok(1..)) if first == [TLS_HANDSHAKE] => {
                if self.counters.misdirected() {
                    let transport = self.port.transport();
                    tracing::warn!(
                        %peer,
                        "a TLS handshake arrived, this port speaks plain {transport}: \
                         use an http:// endpoint"
                    );
                }
                false
            }
            Ok(Ok(1..)) => true,
            _ => false,
        }
    }
}

/// Asks the sender to try again.
fn too_slow(port: Port, format: Option<Format>) -> Response {
    let message = "the request took too long; try again";
    match port {
        Port::Grpc => tonic::Status::unavailable(message).into_http::<Body>().into_response(),
        Port::Http => refusal(StatusCode::SERVICE_UNAVAILABLE, format, message),
    }
}

/// Places for the requests of one port.
pub(super) fn request_places() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(MAX_REQUESTS))
}

fn is_grpc(headers: &HeaderMap) -> bool {
    headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"))
}

async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> Option<(TcpStream, SocketAddr, tokio::sync::OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, peer)) => {
            // Answers are single small writes; a failure costs latency only.
            stream.set_nodelay(true).ok();
            Some((stream, peer, place))
        }
        Err(error) => {
            tracing::warn!(%error, "accept a connection");
            tokio::time::sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}
