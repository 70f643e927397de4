//! The admin address: `/metrics` for Prometheus, `/ledger` as JSON, `/healthz`.

use std::{convert::Infallible, io, net::SocketAddr};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{net::TcpListener, task::JoinSet};

use crate::{exporters::Ledger, metrics, senders::Senders};

/// Connections served at once; more wait in the listener's backlog.
const MAX_CONNECTIONS: usize = 16;

/// Listens on `address` and serves on the senders' thread; returns the bound address.
pub(crate) fn serve(
    address: SocketAddr,
    ledger: Ledger,
    senders: &Senders,
) -> io::Result<SocketAddr> {
    let listener = std::net::TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    let bound = listener.local_addr()?;
    let listener = {
        let _inside = senders.handle().enter();
        TcpListener::from_std(listener)?
    };
    senders.spawn(accept(listener, ledger));
    Ok(bound)
}

async fn accept(listener: TcpListener, ledger: Ledger) {
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
        let ledger = ledger.clone();
        let service = service_fn(move |request| {
            let answer = answer(&request, &ledger);
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

fn answer(request: &Request<Incoming>, ledger: &Ledger) -> Response<Full<Bytes>> {
    if request.method() != Method::GET {
        return text(StatusCode::METHOD_NOT_ALLOWED, "text/plain", "only GET\n".to_owned());
    }
    match request.uri().path() {
        "/metrics" => match metrics::encode(&ledger.read()) {
            Ok(body) => text(StatusCode::OK, metrics::CONTENT_TYPE, body),
            Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, "text/plain", error.to_string()),
        },
        "/ledger" => match serde_json::to_string(&ledger.read()) {
            Ok(body) => text(StatusCode::OK, "application/json", body),
            Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, "text/plain", error.to_string()),
        },
        "/healthz" if ledger.is_reading() => text(StatusCode::OK, "text/plain", "ok\n".to_owned()),
        "/healthz" => {
            let body = "the ring is not read\n".to_owned();
            text(StatusCode::SERVICE_UNAVAILABLE, "text/plain", body)
        }
        _ => text(StatusCode::NOT_FOUND, "text/plain", "not found\n".to_owned()),
    }
}

fn text(status: StatusCode, content_type: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = status;
    let content_type = header::HeaderValue::from_static(content_type);
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    response
}
