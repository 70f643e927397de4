//! Real OTLP receivers in the process, which answer as they are told.

use std::{
    collections::VecDeque,
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, Condvar, Mutex},
    thread::JoinHandle,
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use opentelemetry_proto::tonic::collector::logs::v1::{
    ExportLogsPartialSuccess, ExportLogsServiceRequest, ExportLogsServiceResponse,
    logs_service_server::{LogsService, LogsServiceServer},
};
use prost::Message as _;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status, codec::CompressionEncoding};
use tonic_types::{ErrorDetails, StatusExt as _};
use weir_rrpair::otlp::{DecodedRecord, from_request};

use super::PATIENCE;

/// Protocols of a receiver.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Speaks {
    Grpc,
    /// HTTP/1.1 alone.
    Http1,
    /// HTTP/1.1, and HTTP/2 without TLS.
    Http1And2,
}

/// How one request is answered. When nothing is scripted, it is taken.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    Partial(i64, &'static str),
    Http(u16, Option<&'static str>),
    Grpc(Code),
    /// `RESOURCE_EXHAUSTED` with this time to come back.
    GrpcLater(Duration),
    /// Not before [`Receiver::release`]; then it is taken.
    Hold,
}

/// PEM key and certificate of `localhost`, and the authority that vouches for it.
pub(crate) struct Certificates {
    pub(crate) authority: String,
    certificate: String,
    key: String,
}

impl Certificates {
    pub(crate) fn new() -> Self {
        let signed = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let certificate = signed.cert.pem();
        Self {
            authority: certificate.clone(),
            certificate,
            key: signed.signing_key.serialize_pem(),
        }
    }
}

#[derive(Default)]
struct State {
    script: Mutex<VecDeque<Reply>>,
    seen: Mutex<Seen>,
    changed: Condvar,
    release: tokio::sync::Notify,
}

#[derive(Default)]
struct Seen {
    /// Requests, refused ones included.
    requests: u64,
    codings: Vec<Option<String>>,
    tokens: Vec<Option<String>>,
    paths: Vec<String>,
    taken: Vec<DecodedRecord>,
}

/// A receiver on a thread of its own.
pub(crate) struct Receiver {
    pub(crate) port: u16,
    state: Arc<State>,
    stop: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

/// A port on which nobody listens.
pub(crate) fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl Receiver {
    pub(crate) fn start(speaks: Speaks) -> Self {
        Self::start_on(0, speaks, None)
    }

    pub(crate) fn start_on(port: u16, speaks: Speaks, tls: Option<&Certificates>) -> Self {
        let listener = std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        let (state, stop) = (Arc::new(State::default()), CancellationToken::new());
        let (serving, stopped) = (Arc::clone(&state), stop.clone());
        let tls = tls.map(|tls| (tls.certificate.clone(), tls.key.clone()));
        let thread = std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = TcpListener::from_std(listener).unwrap();
                let serving: std::pin::Pin<Box<dyn Future<Output = ()>>> = match speaks {
                    Speaks::Grpc => Box::pin(grpc(listener, serving, tls)),
                    Speaks::Http1 => Box::pin(http(listener, serving, true, tls)),
                    Speaks::Http1And2 => Box::pin(http(listener, serving, false, tls)),
                };
                tokio::select! {
                    () = stopped.cancelled() => {}
                    () = serving => {}
                }
            });
        });
        Self { port, state, stop, thread: Some(thread) }
    }

    /// Answers the next requests so.
    pub(crate) fn script(&self, replies: impl IntoIterator<Item = Reply>) {
        self.state.script.lock().unwrap().extend(replies);
    }

    /// Lets a held request go on.
    pub(crate) fn release(&self) {
        self.state.release.notify_one();
    }

    /// Waits until so many requests have come.
    pub(crate) fn wait_for_requests(&self, requests: u64) {
        let seen = self.state.seen.lock().unwrap();
        let enough = |seen: &mut Seen| seen.requests < requests;
        let (seen, wait) = self.state.changed.wait_timeout_while(seen, PATIENCE, enough).unwrap();
        assert!(!wait.timed_out(), "only {} requests came", seen.requests);
    }

    pub(crate) fn requests(&self) -> u64 {
        self.state.seen.lock().unwrap().requests
    }

    /// Content codings, authorization and paths of all requests.
    pub(crate) fn codings(&self) -> Vec<Option<String>> {
        self.state.seen.lock().unwrap().codings.clone()
    }

    pub(crate) fn tokens(&self) -> Vec<Option<String>> {
        self.state.seen.lock().unwrap().tokens.clone()
    }

    pub(crate) fn paths(&self) -> Vec<String> {
        self.state.seen.lock().unwrap().paths.clone()
    }

    /// Records that were taken so far, in order.
    pub(crate) fn taken(&self) -> Vec<DecodedRecord> {
        self.state.seen.lock().unwrap().taken.clone()
    }

    /// `location` of the records taken so far.
    pub(crate) fn locations(&self) -> Vec<String> {
        let location = |record: DecodedRecord| record.body["location"].as_str().unwrap().to_owned();
        self.taken().into_iter().map(location).collect()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

impl State {
    /// Notes a request and says how it is answered.
    async fn reply(
        &self,
        coding: Option<String>,
        token: Option<String>,
        path: &str,
    ) -> Option<Reply> {
        self.note(coding, token, path);
        let reply = self.script.lock().unwrap().pop_front();
        if let Some(Reply::Hold) = reply {
            self.release.notified().await;
            return None;
        }
        reply
    }

    fn note(&self, coding: Option<String>, token: Option<String>, path: &str) {
        let mut seen = self.seen.lock().unwrap();
        seen.requests += 1;
        seen.codings.push(coding);
        seen.tokens.push(token);
        seen.paths.push(path.to_owned());
        self.changed.notify_all();
    }

    fn take(
        &self,
        request: ExportLogsServiceRequest,
        reply: Option<&Reply>,
    ) -> ExportLogsServiceResponse {
        let records = from_request(request).records;
        let mut response = ExportLogsServiceResponse::default();
        let mut rejected = 0;
        if let Some(Reply::Partial(count, message)) = reply {
            rejected = usize::try_from(*count).unwrap();
            let error_message = (*message).to_owned();
            response.partial_success =
                Some(ExportLogsPartialSuccess { rejected_log_records: *count, error_message });
        }
        self.seen.lock().unwrap().taken.extend(records.into_iter().skip(rejected));
        response
    }
}

struct Service(Arc<State>);

#[tonic::async_trait]
impl LogsService for Service {
    async fn export(
        &self,
        request: tonic::Request<ExportLogsServiceRequest>,
    ) -> Result<tonic::Response<ExportLogsServiceResponse>, Status> {
        let text = |name| {
            let value = request.metadata().get(name);
            value.map(|value| value.to_str().unwrap().to_owned())
        };
        if text("x-weir-export").is_none() {
            return Err(Status::unimplemented("not marked as our own"));
        }
        let reply = self.0.reply(text("grpc-encoding"), text("authorization"), "").await;
        match reply {
            Some(Reply::Grpc(code)) => Err(Status::new(code, "as the test says")),
            Some(Reply::GrpcLater(delay)) => Err(Status::with_error_details(
                Code::ResourceExhausted,
                "later",
                ErrorDetails::with_retry_info(Some(delay)),
            )),
            reply => Ok(tonic::Response::new(self.0.take(request.into_inner(), reply.as_ref()))),
        }
    }
}

async fn grpc(listener: TcpListener, state: Arc<State>, tls: Option<(String, String)>) {
    let service = LogsServiceServer::new(Service(state))
        .accept_compressed(CompressionEncoding::Gzip)
        .accept_compressed(CompressionEncoding::Zstd);
    let mut server = tonic::transport::Server::builder();
    if let Some((certificate, key)) = tls {
        let identity = tonic::transport::Identity::from_pem(certificate, key);
        let config = tonic::transport::ServerTlsConfig::new().identity(identity);
        server = server.tls_config(config).unwrap();
    }
    let incoming = tonic::transport::server::TcpIncoming::from(listener);
    server.add_service(service).serve_with_incoming(incoming).await.unwrap();
}

async fn http(
    listener: TcpListener,
    state: Arc<State>,
    only_1: bool,
    tls: Option<(String, String)>,
) {
    let acceptor = tls.map(|(certificate, key)| acceptor(&certificate, &key));
    loop {
        let (stream, _): (_, SocketAddr) = listener.accept().await.unwrap();
        let (state, acceptor) = (Arc::clone(&state), acceptor.clone());
        tokio::spawn(async move {
            let service = service_fn(move |request| answer(request, Arc::clone(&state)));
            let mut builder = auto::Builder::new(TokioExecutor::new());
            if only_1 {
                builder = builder.http1_only();
            }
            // Clients that speak another protocol end in an error here; that is the test.
            match acceptor {
                None => drop(builder.serve_connection(TokioIo::new(stream), service).await),
                Some(acceptor) => {
                    if let Ok(stream) = acceptor.accept(stream).await {
                        drop(builder.serve_connection(TokioIo::new(stream), service).await);
                    }
                }
            }
        });
    }
}

fn acceptor(certificate: &str, key: &str) -> tokio_rustls::TlsAcceptor {
    use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()],
            PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap(),
        )
        .unwrap();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Arc::new(config).into()
}

async fn answer(
    request: Request<Incoming>,
    state: Arc<State>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let text = |name| head.headers.get(name).map(|value| value.to_str().unwrap().to_owned());
    let coding = text("content-encoding");
    let body = body.collect().await.unwrap().to_bytes();
    let mut response = Response::new(Full::default());
    let ours = text("x-weir-export").is_some();
    if !ours || text("content-type").as_deref() != Some("application/x-protobuf") {
        *response.status_mut() = http::StatusCode::UNSUPPORTED_MEDIA_TYPE;
        return Ok(response);
    }
    let reply = state.reply(coding.clone(), text("authorization"), head.uri.path()).await;
    if let Some(Reply::Http(status, retry_after)) = reply {
        *response.status_mut() = http::StatusCode::from_u16(status).unwrap();
        if let Some(text) = retry_after {
            response.headers_mut().insert("retry-after", text.parse().unwrap());
        }
        return Ok(response);
    }
    let body = decompressed(coding.as_deref(), &body);
    let request = ExportLogsServiceRequest::decode(&*body).unwrap();
    let taken = state.take(request, reply.as_ref());
    *response.body_mut() = Full::from(taken.encode_to_vec());
    response.headers_mut().insert("content-type", "application/x-protobuf".parse().unwrap());
    Ok(response)
}

fn decompressed(coding: Option<&str>, body: &[u8]) -> Vec<u8> {
    use std::io::Read as _;
    match coding {
        None => body.to_vec(),
        Some("gzip") => {
            let mut out = Vec::new();
            flate2::read::GzDecoder::new(body).read_to_end(&mut out).unwrap();
            out
        }
        Some("zstd") => zstd::stream::decode_all(body).unwrap(),
        Some(other) => panic!("unexpected coding {other}"),
    }
}
