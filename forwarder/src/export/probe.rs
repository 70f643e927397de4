//! Finding out which protocol an endpoint speaks after a request failed in a way that the
//! wrong transport would explain. Asked by name, the answer is certain; the error alone is not.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use weir_plan::{Endpoint, Scheme, Transport};

use super::failure::{Failure, RetryCause};

/// For connecting and for the answer, each.
const PATIENCE: Duration = Duration::from_secs(2);
/// Client preface and empty SETTINGS (RFC 9113 §3.4). An HTTP/1.1 server answers it with an
/// HTTP/1.1 error, an HTTP/2 server with its own SETTINGS.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
/// Type of a SETTINGS frame, at this offset of a frame header.
const SETTINGS: (usize, u8) = (3, 4);

/// What the endpoint speaks when it is not `ours`, as the failure that says so.
pub(super) async fn wrong_transport(endpoint: &Endpoint, ours: Transport) -> Option<Failure> {
    // Over TLS the protocol is agreed in the handshake, whose failure says it already.
    if endpoint.scheme == Scheme::Https {
        return None;
    }
    let spoken = spoken(endpoint).await?;
    (spoken != ours).then(|| failure(spoken))
}

/// Says that the endpoint speaks `spoken` and what to do.
pub(super) fn failure(spoken: Transport) -> Failure {
    let text = match spoken {
        Transport::Http => "this endpoint speaks OTLP/HTTP; use port 4318 or transport: HTTP",
        Transport::Grpc => "this endpoint speaks OTLP/gRPC; use port 4317 or transport: GRPC",
    };
    // Not a refusal: the records wait until the exporter is corrected.
    Failure::Retry { cause: RetryCause::WrongTransport, text: text.to_owned(), after: None }
}

async fn spoken(endpoint: &Endpoint) -> Option<Transport> {
    // Some HTTP/1.1 servers close on a preface without a word.
    for question in [PREFACE, REQUEST] {
        match first_bytes(endpoint, question).await {
            Some(start) if start == *b"HTTP/" => return Some(Transport::Http),
            Some(start) if start.get(SETTINGS.0) == Some(&SETTINGS.1) => {
                return Some(Transport::Grpc);
            }
            _ => {}
        }
    }
    None
}

async fn first_bytes(endpoint: &Endpoint, question: &[u8]) -> Option<[u8; 5]> {
    let host = endpoint.host.trim_start_matches('[').trim_end_matches(']');
    let connecting = TcpStream::connect((host, endpoint.port));
    let mut stream = tokio::time::timeout(PATIENCE, connecting).await.ok()?.ok()?;
    stream.write_all(question).await.ok()?;
    let mut start = [0; 5];
    tokio::time::timeout(PATIENCE, stream.read_exact(&mut start)).await.ok()?.ok()?;
    Some(start)
}
