//! Takes and gives telemetry: binary, chunked and compressed bodies of any size.

use std::io::Write as _;
use std::net::SocketAddr;

use anyhow::Context as _;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderValue, VARY};
use hyper::{Method, Request, Response, StatusCode};
use serde_json::json;
use weir_demo::http1::{self, Pieces, query_value};
use weir_demo::requests::every_byte;

/// More than any request of the demo asks for.
const LARGEST_READING_BYTES: usize = 1 << 20;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let address: SocketAddr = std::env::args()
        .nth(1)
        .context("usage: telemetry ADDRESS")?
        .parse()
        .context("parse address")?;
    http1::serve("telemetry", address, |request| async move { answer(&request) }).await
}

fn answer(request: &Request<Bytes>) -> Response<Pieces> {
    match (request.method(), request.uri().path()) {
        (&Method::GET, "/api/telemetry") => reading(request.uri().query()),
        (&Method::GET, "/api/telemetry/log") => flight_log(request.uri().query()),
        // An echo: whatever bytes a probe sends come back the same.
        (&Method::POST, "/api/telemetry") => {
            octets(StatusCode::OK, Pieces::whole(request.body().clone()))
        }
        (&Method::PUT, "/api/telemetry") => {
            http1::json(StatusCode::OK, &json!({ "storedBytes": request.body().len() }))
        }
        (&Method::DELETE, "/api/telemetry") => {
            let mut response = Response::new(Pieces::default());
            *response.status_mut() = StatusCode::NO_CONTENT;
            response
        }
        _ => http1::json(StatusCode::NOT_FOUND, &json!({ "error": "no such telemetry" })),
    }
}

/// `bytes` octets in which every byte value occurs, in chunks of `chunk` octets.
fn reading(query: Option<&str>) -> Response<Pieces> {
    let number = |name| {
        query_value(query, name).and_then(|value| String::from_utf8(value).ok()?.parse().ok())
    };
    let size: usize = number("bytes").unwrap_or(1024);
    if size > LARGEST_READING_BYTES {
        return http1::json(StatusCode::BAD_REQUEST, &json!({ "error": "reading too large" }));
    }
    octets(StatusCode::OK, Pieces::chunked(every_byte(size), number("chunk").unwrap_or(1000)))
}

/// `lines` lines of JSON, compressed.
fn flight_log(query: Option<&str>) -> Response<Pieces> {
    let lines: u32 = query_value(query, "lines")
        .and_then(|value| String::from_utf8(value).ok()?.parse().ok())
        .unwrap_or(10)
        .min(10_000);
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    let written = (0..lines).try_for_each(|second| {
        writeln!(encoder, "{}", json!({ "t": second, "altitudeMetres": second * second * 3 }))
    });
    let Ok(body) = written.and_then(|()| encoder.finish()) else {
        return http1::json(StatusCode::INTERNAL_SERVER_ERROR, &json!({ "error": "no log" }));
    };
    let mut response = Response::new(Pieces::whole(body));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
    headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    headers.insert(VARY, HeaderValue::from_static("Accept-Encoding"));
    response
}

fn octets(status: StatusCode, body: Pieces) -> Response<Pieces> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    response
}
