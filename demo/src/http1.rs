//! The little of HTTP that the services share: a body, a server loop, a signal to stop.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io::Write as _;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use anyhow::Context as _;
use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use rustix::process::{Signal, set_parent_process_death_signal};
use tokio::net::TcpListener;

/// A body that is sent piece by piece.
#[derive(Debug, Default)]
pub struct Pieces {
    pieces: VecDeque<Bytes>,
    /// Hide the length, so that HTTP/1.1 uses the chunked transfer coding.
    chunked: bool,
}

impl Pieces {
    /// One piece with a `Content-Length`.
    pub fn whole(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        let pieces = if bytes.is_empty() { VecDeque::new() } else { VecDeque::from([bytes]) };
        Self { pieces, chunked: false }
    }

    /// Chunks of at most `chunk_bytes` each, without a `Content-Length`.
    pub fn chunked(bytes: impl Into<Bytes>, chunk_bytes: usize) -> Self {
        let mut rest = bytes.into();
        let mut pieces = VecDeque::new();
        while !rest.is_empty() {
            pieces.push_back(rest.split_to(chunk_bytes.max(1).min(rest.len())));
        }
        Self { pieces, chunked: true }
    }
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.pieces.pop_front().map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.pieces.is_empty() && !self.chunked
    }

    fn size_hint(&self) -> SizeHint {
        if self.chunked {
            return SizeHint::default();
        }
        SizeHint::with_exact(self.pieces.iter().map(|piece| piece.len() as u64).sum())
    }
}

/// A response with a JSON body.
pub fn json(status: StatusCode, value: &serde_json::Value) -> Response<Pieces> {
    let mut response = Response::new(Pieces::whole(value.to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// The body of a received message, without its transfer coding.
///
/// # Errors
///
/// When the connection breaks or the framing is not valid.
pub async fn collect(body: Incoming) -> anyhow::Result<Bytes> {
    Ok(body.collect().await.context("read body")?.to_bytes())
}

/// Serves `handle` on `address` until SIGTERM, SIGINT or the end of the parent process.
///
/// Prints `NAME ready on ADDRESS` once it accepts connections.
///
/// # Errors
///
/// When the address is taken or signals cannot be watched.
pub async fn serve<H, F>(name: &str, address: SocketAddr, handle: H) -> anyhow::Result<()>
where
    H: Fn(Request<Bytes>) -> F + Clone + Send + 'static,
    F: Future<Output = Response<Pieces>> + Send + 'static,
{
    set_parent_process_death_signal(Some(Signal::TERM)).context("tie to the parent process")?;
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())
        .context("watch SIGTERM")?;
    let listener =
        TcpListener::bind(address).await.with_context(|| format!("listen on {address}"))?;
    let address = listener.local_addr().context("ask for the address")?;
    writeln!(std::io::stdout(), "{name} ready on {address}").context("report readiness")?;
    loop {
        let (stream, _) = tokio::select! {
            accepted = listener.accept() => accepted.context("accept connection")?,
            _ = terminate.recv() => return Ok(()),
            _ = tokio::signal::ctrl_c() => return Ok(()),
        };
        stream.set_nodelay(true).context("set TCP_NODELAY")?;
        let handle = handle.clone();
        let service = service_fn(move |request: Request<Incoming>| {
            let handle = handle.clone();
            async move {
                let (head, body) = request.into_parts();
                let body = collect(body).await?;
                Ok::<_, anyhow::Error>(handle(Request::from_parts(head, body)).await)
            }
        });
        tokio::spawn(async move {
            // A connection that its client breaks is that client's affair.
            drop(
                hyper::server::conn::http1::Builder::new()
                    // The demo's connections wait for the capture to start, however long.
                    .header_read_timeout(None)
                    .serve_connection(TokioIo::new(stream), service)
                    .await,
            );
        });
    }
}

/// The decoded value of one query parameter, if the target carries it.
pub fn query_value(query: Option<&str>, name: &str) -> Option<Vec<u8>> {
    query?.split('&').find_map(|pair| {
        let (key, value) = pair.split_once('=')?;
        (key == name).then(|| percent_encoding::percent_decode_str(value).collect())
    })
}
