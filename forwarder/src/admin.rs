//! The admin address: `/metrics` for Prometheus, `/ledger` as JSON, `/healthz`; on a node of a
//! cluster `/status` and `/readyz` too.

use std::{convert::Infallible, io, net::SocketAddr};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::Serialize;
use tokio::{net::TcpListener, task::JoinSet};
use weir_plan::NodeStatus;

use crate::{
    LedgerSnapshot,
    metrics::{self, Source},
    senders::Senders,
};

/// What the embedder says beside the ledger.
pub trait Pages: Send + Sync {
    /// `/status`: of this node, with the counts of `ledger`.
    fn status(&self, ledger: &LedgerSnapshot) -> NodeStatus;

    /// `/readyz`.
    ///
    /// # Errors
    ///
    /// What is missing, for people.
    fn ready(&self) -> Result<(), String>;
}

/// Connections served at once; more wait in the listener's backlog.
const MAX_CONNECTIONS: usize = 16;

/// Listens on `address` and serves on the senders' thread; returns the bound address.
pub(crate) fn serve(
    address: SocketAddr,
    source: Source,
    senders: &Senders,
) -> io::Result<SocketAddr> {
    let listener = std::net::TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    let bound = listener.local_addr()?;
    let listener = {
        let _inside = senders.handle().enter();
        TcpListener::from_std(listener)?
    };
    senders.spawn(accept(listener, source));
    Ok(bound)
}

async fn accept(listener: TcpListener, source: Source) {
    let mut connections = JoinSet::new();
    loop {
        while connections.len() >= MAX_CONNECTIONS {
            connections.join_next().await;
        }
        let Ok((stream, _)) = listener.accept().await else {
            // Descriptors are short; the next attempt would fail at once as well.
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            continue;
        };
        let source = source.clone();
        let service = service_fn(move |request| {
            let answer = answer(&request, &source);
            async move { Ok::<_, Infallible>(answer) }
        });
        connections.spawn(async move {
            let served = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(std::time::Duration::from_secs(10))
                .serve_connection(TokioIo::new(stream), service)
                .await;
            if let Err(error) = served {
                tracing::debug!(%error, "admin connection ended");
            }
        });
    }
}

fn answer(request: &Request<Incoming>, source: &Source) -> Response<Full<Bytes>> {
    if request.method() != Method::GET {
        return text(StatusCode::METHOD_NOT_ALLOWED, "text/plain", "only GET\n".to_owned());
    }
    let Source { ledger, pages } = source;
    match (request.uri().path(), pages) {
        ("/metrics", _) => match source.encode() {
            Ok(body) => text(StatusCode::OK, metrics::CONTENT_TYPE, body),
            Err(error) => failed(&error),
        },
        ("/ledger", _) => json(&ledger.read()),
        ("/status", Some(pages)) => json(&pages.status(&ledger.read())),
        ("/healthz", _) if !ledger.is_reading() => unavailable("the ring is not read\n"),
        ("/readyz", Some(pages)) => match pages.ready() {
            Ok(()) => text(StatusCode::OK, "text/plain", "ok\n".to_owned()),
            Err(missing) => unavailable(&format!("{missing}\n")),
        },
        ("/healthz", _) => text(StatusCode::OK, "text/plain", "ok\n".to_owned()),
        _ => text(StatusCode::NOT_FOUND, "text/plain", "not found\n".to_owned()),
    }
}

fn json(document: &impl Serialize) -> Response<Full<Bytes>> {
    match serde_json::to_string(document) {
        Ok(body) => text(StatusCode::OK, "application/json", body),
        Err(error) => failed(&error),
    }
}

fn failed(error: &dyn std::error::Error) -> Response<Full<Bytes>> {
    text(StatusCode::INTERNAL_SERVER_ERROR, "text/plain", format!("{error}\n"))
}

fn unavailable(why: &str) -> Response<Full<Bytes>> {
    text(StatusCode::SERVICE_UNAVAILABLE, "text/plain", why.to_owned())
}

fn text(status: StatusCode, content_type: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = status;
    let content_type = header::HeaderValue::from_static(content_type);
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    response
}
