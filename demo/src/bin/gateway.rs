//! The public API: answers a few requests itself, hands the others to the services behind it.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use bytes::Bytes;
use hyper::header::{CONTENT_LENGTH, HeaderName, TRANSFER_ENCODING};
use hyper::{Method, Request, Response, StatusCode, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use weir_demo::exchange::{self, Exchange, HOP_HEADER, ID_HEADER, Journal};
use weir_demo::http1::{self, Pieces};

/// Headers of one connection only: never passed on.
const HOP_BY_HOP: [HeaderName; 4] =
    [CONTENT_LENGTH, TRANSFER_ENCODING, hyper::header::EXPECT, hyper::header::CONNECTION];
const CHUNK_BYTES: usize = 4096;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, outerspace, telemetry, journal] = arguments.as_slice() else {
        anyhow::bail!("usage: gateway ADDRESS OUTERSPACE-SERVER TELEMETRY JOURNAL");
    };
    let address: SocketAddr = address.parse().context("parse address")?;
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let gateway = Arc::new(Gateway {
        // Connections outlive the pause between warm-up and drive.
        client: Client::builder(TokioExecutor::new()).pool_idle_timeout(None).build(connector),
        outerspace: ("outerspace-server", outerspace.clone()),
        telemetry: ("telemetry", telemetry.clone()),
        journal: Journal::create(Path::new(journal))?,
    });
    http1::serve("gateway", address, move |request| {
        let gateway = Arc::clone(&gateway);
        async move { gateway.answer(request).await }
    })
    .await
}

struct Gateway {
    client: Client<HttpConnector, Pieces>,
    outerspace: (&'static str, String),
    telemetry: (&'static str, String),
    /// What was sent to the services: the demo's verifier reads it.
    journal: Journal,
}

impl Gateway {
    async fn answer(&self, request: Request<Bytes>) -> Response<Pieces> {
        let path = request.uri().path();
        let answered = match (request.method(), path) {
            (&Method::GET, "/healthz") => Ok(http1::json(StatusCode::OK, &json!({ "ok": true }))),
            (&Method::GET, "/api/ping") => {
                Ok(http1::json(StatusCode::OK, &json!({ "pong": "ground control" })))
            }
            (&Method::GET, "/api/mission") => self.mission(&request).await,
            _ if path.starts_with("/api/telemetry") => self.relay(&self.telemetry, request).await,
            _ if path.starts_with("/api/rocket") || path == "/api/launch" => {
                self.relay(&self.outerspace, request).await
            }
            _ => Ok(http1::json(StatusCode::NOT_FOUND, &json!({ "error": "no such page" }))),
        };
        answered.unwrap_or_else(|error| {
            let error = json!({ "error": format!("{error:#}") });
            http1::json(StatusCode::BAD_GATEWAY, &error)
        })
    }

    /// One request to one service, and its answer.
    async fn relay(
        &self,
        service: &(&'static str, String),
        request: Request<Bytes>,
    ) -> anyhow::Result<Response<Pieces>> {
        let (head, body) = self.call(service, 1, request).await?.into_parts();
        let chunked = head.headers.contains_key(TRANSFER_ENCODING);
        let body = if chunked { Pieces::chunked(body, CHUNK_BYTES) } else { Pieces::whole(body) };
        let mut response = Response::from_parts(head, body);
        // The length of the answer to HEAD is that of a body which is not there.
        let length = response.headers().get(CONTENT_LENGTH).cloned();
        for name in HOP_BY_HOP {
            response.headers_mut().remove(name);
        }
        if let Some(length) = length {
            response.headers_mut().insert(CONTENT_LENGTH, length);
        }
        Ok(response)
    }

    /// A rocket with its telemetry: a call to each service.
    async fn mission(&self, request: &Request<Bytes>) -> anyhow::Result<Response<Pieces>> {
        let query = request.uri().query().unwrap_or_default();
        let rocket = derived(request, &format!("/api/rocket?{query}"))?;
        let rocket = self.call(&self.outerspace, 1, rocket).await?;
        if rocket.status() != StatusCode::OK {
            let status = rocket.status();
            return Ok(http1::json(status, &json!({ "error": "no rocket, no mission" })));
        }
        let reading = derived(request, "/api/telemetry?bytes=300&chunk=100")?;
        let reading = self.call(&self.telemetry, 2, reading).await?;
        let rocket: Value = serde_json::from_slice(rocket.body()).context("decode the rocket")?;
        let mission = json!({ "rocket": rocket, "telemetryBytes": reading.body().len() });
        Ok(http1::json(StatusCode::OK, &mission))
    }

    /// Sends one request, waits for the whole answer and notes both.
    async fn call(
        &self,
        (server, address): &(&'static str, String),
        hop: u32,
        request: Request<Bytes>,
    ) -> anyhow::Result<Response<Bytes>> {
        let (mut head, body) = request.into_parts();
        let chunked = head.headers.contains_key(TRANSFER_ENCODING);
        let target = head.uri.path_and_query().map_or("/", |target| target.as_str()).to_owned();
        head.uri = Uri::builder()
            .scheme("http")
            .authority(address.as_str())
            .path_and_query(target.as_str())
            .build()
            .context("make the service's address")?;
        head.headers.remove(hyper::header::HOST);
        for name in HOP_BY_HOP {
            head.headers.remove(name);
        }
        head.headers.insert(HOP_HEADER, hop.into());
        let id = head.headers.get(ID_HEADER).and_then(|id| id.to_str().ok());
        let id = id.unwrap_or_default().to_owned();
        let method = head.method.to_string();
        let sent = body.clone();
        let body = if chunked { Pieces::chunked(body, CHUNK_BYTES) } else { Pieces::whole(body) };
        let answer = self.client.request(Request::from_parts(head, body)).await;
        let (head, body) = answer.with_context(|| format!("call {server}"))?.into_parts();
        let body = http1::collect(body).await.with_context(|| format!("call {server}"))?;
        self.journal.write(&Exchange {
            id,
            hop,
            server: (*server).to_owned(),
            method,
            target,
            request_body: exchange::Bytes(sent.to_vec()),
            status: head.status.as_u16(),
            response_body: exchange::Bytes(body.to_vec()),
            probe: false,
        })?;
        Ok(Response::from_parts(head, body))
    }
}

/// A GET for the sake of `request`, with its id.
fn derived(request: &Request<Bytes>, target: &str) -> anyhow::Result<Request<Bytes>> {
    let mut derived = Request::get(target).body(Bytes::new()).context("make request")?;
    if let Some(id) = request.headers().get(ID_HEADER) {
        derived.headers_mut().insert(ID_HEADER, id.clone());
    }
    derived
        .headers_mut()
        .insert(hyper::header::ACCEPT, hyper::header::HeaderValue::from_static("*/*"));
    Ok(derived)
}

#[cfg(test)]
mod tests {
    use hyper::header::CONTENT_TYPE;

    use super::*;

    #[test]
    fn a_derived_request_keeps_the_id_and_nothing_else() {
        let request = Request::get("/api/mission?id=vega-c")
            .header(ID_HEADER, "req-7")
            .header(CONTENT_TYPE, "text/plain")
            .body(Bytes::new())
            .unwrap();
        let derived = derived(&request, "/api/rocket?id=vega-c").unwrap();
        assert_eq!(derived.headers()[ID_HEADER], "req-7");
        assert!(!derived.headers().contains_key(CONTENT_TYPE));
        assert_eq!(derived.uri().query(), Some("id=vega-c"));
    }
}
