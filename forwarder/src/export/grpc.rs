//! OTLP/gRPC: `LogsService/Export` with bytes that are encoded already.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use ::http::{HeaderMap, Request, Response, header, uri::PathAndQuery};
use bytes::{Buf as _, BufMut as _, Bytes};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceResponse;
use prost::Message as _;
use tonic::{
    Code, Status,
    body::Body,
    client::Grpc,
    codec::{Codec, CompressionEncoding, DecodeBuf, Decoder, EncodeBuf, Encoder},
    metadata::MetadataMap,
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity},
};
use tonic_types::StatusExt as _;
use weir_plan::{Compression, ExporterPlan, Scheme, TlsPlan, Transport};

use super::{
    BuildClient,
    failure::{Answer, Failure, RetryCause, chain, excerpt},
    headers,
    own::OwnEndpoints,
    probe, tls,
};
use crate::queue::RefusalReason;

const EXPORT: PathAndQuery =
    PathAndQuery::from_static("/opentelemetry.proto.collector.logs.v1.LogsService/Export");

pub(super) struct GrpcClient {
    channel: Channel,
    endpoint: weir_plan::Endpoint,
    metadata: MetadataMap,
    compression: Option<CompressionEncoding>,
    timeout: Duration,
}

impl GrpcClient {
    /// Must be called within a tokio runtime. Connects with the first request, and again,
    /// with a new name look-up, whenever the connection is gone.
    pub(super) fn new(plan: &ExporterPlan, own: &OwnEndpoints) -> Result<Self, BuildClient> {
        Ok(Self {
            channel: channel(&plan.endpoint, plan.tls.as_ref(), plan.timeout, own)?,
            endpoint: plan.endpoint.clone(),
            metadata: MetadataMap::from_headers(headers(plan)?),
            compression: match plan.compression {
                Compression::None => None,
                Compression::Gzip => Some(CompressionEncoding::Gzip),
                Compression::Zstd => Some(CompressionEncoding::Zstd),
            },
            timeout: plan.timeout,
        })
    }

    pub(super) async fn send(&self, request: Bytes) -> Result<Answer, Failure> {
        match tokio::time::timeout(self.timeout, self.exchange(request)).await {
            Ok(answer) => answer,
            Err(_) => Err(Failure::timeout(self.timeout)),
        }
    }

    async fn exchange(&self, request: Bytes) -> Result<Answer, Failure> {
        let watched = Watched { inner: self.channel.clone(), foreign: Arc::default() };
        let foreign = Arc::clone(&watched.foreign);
        let mut client = Grpc::new(watched);
        if let Some(coding) = self.compression {
            client = client.send_compressed(coding);
        }
        if let Err(error) = client.ready().await {
            return Err(self.explain(Failure::connection(&error)).await);
        }
        let mut message = tonic::Request::new(request);
        message.metadata_mut().clone_from(&self.metadata);
        let answered = client.unary(message, EXPORT, PassThrough).await;
        if foreign.load(Ordering::Relaxed) {
            return Err(probe::failure(Transport::Http));
        }
        match answered {
            Ok(response) => Ok(answer(response.into_inner())),
            Err(status) => {
                let failure = failure(&status);
                // Without an answer's status line it may not be a gRPC server at all.
                if std::error::Error::source(&status).is_some() {
                    return Err(self.explain(failure).await);
                }
                Err(failure)
            }
        }
    }

    async fn explain(&self, failure: Failure) -> Failure {
        probe::wrong_transport(&self.endpoint, Transport::Grpc).await.unwrap_or(failure)
    }
}

/// Connects to `endpoint` when it is used, which is noted as one of our own.
pub(crate) fn channel(
    endpoint: &weir_plan::Endpoint,
    tls: Option<&TlsPlan>,
    connect_timeout: Duration,
    own: &OwnEndpoints,
) -> Result<Channel, BuildClient> {
    let scheme = match endpoint.scheme {
        Scheme::Http => "http",
        Scheme::Https => "https",
    };
    let uri = ::http::Uri::builder()
        .scheme(scheme)
        .authority(endpoint.authority())
        .path_and_query("/")
        .build()
        .map_err(BuildClient::Url)?;
    let mut builder = Endpoint::from(uri)
        .connect_timeout(connect_timeout)
        // A dead peer is noticed while a request waits for it.
        .http2_keep_alive_interval(Duration::from_secs(20))
        .keep_alive_timeout(Duration::from_secs(10));
    if endpoint.scheme == Scheme::Https {
        let none = TlsPlan::default();
        let config = tls_config(tls.unwrap_or(&none));
        builder = builder.tls_config(config).map_err(tls::tls)?;
    }
    Ok(builder.connect_with_connector_lazy(own.connector(endpoint)))
}

fn tls_config(plan: &TlsPlan) -> ClientTlsConfig {
    let mut config = ClientTlsConfig::new();
    config = match &plan.ca_pem {
        Some(pem) => config.ca_certificate(Certificate::from_pem(pem.expose())),
        None => config.with_native_roots(),
    };
    if let Some((chain, key)) = &plan.client_pem {
        config = config.identity(Identity::from_pem(chain.expose(), key.expose()));
    }
    match &plan.server_name {
        Some(name) => config.domain_name(name),
        None => config,
    }
}

fn answer(response: ExportLogsServiceResponse) -> Answer {
    response.partial_success.map_or_else(Answer::default, |partial| Answer {
        rejected: u64::try_from(partial.rejected_log_records).unwrap_or(0),
        message: excerpt(&partial.error_message),
    })
}

/// What a status means (OTLP 1.x, "Failures").
fn failure(status: &Status) -> Failure {
    let source = std::error::Error::source(status).map(chain);
    let text = match source {
        Some(cause) => excerpt(&cause),
        None => excerpt(&format!("{:?}: {}", status.code(), status.message())),
    };
    let retry_info = status.get_details_retry_info().and_then(|info| info.retry_delay);
    let refused = |reason| Failure::Refused { reason, text: text.clone() };
    let cause = match status.code() {
        Code::OutOfRange | Code::ResourceExhausted if is_too_large(status.message()) => {
            return refused(RefusalReason::TooLarge);
        }
        Code::InvalidArgument => return refused(RefusalReason::Invalid),
        Code::DeadlineExceeded => RetryCause::Timeout,
        // Unknown and internal are the client's own words for a broken HTTP/2 connection.
        Code::Unavailable | Code::Unknown | Code::Internal
            if std::error::Error::source(status).is_some() =>
        {
            RetryCause::Connection
        }
        Code::Cancelled
        | Code::ResourceExhausted
        | Code::Aborted
        | Code::OutOfRange
        | Code::Unavailable
        | Code::DataLoss => RetryCause::Busy,
        Code::Unauthenticated | Code::PermissionDenied => RetryCause::Unauthorized,
        Code::Unimplemented | Code::NotFound => RetryCause::NotFound,
        Code::Ok
        | Code::Unknown
        | Code::Internal
        | Code::AlreadyExists
        | Code::FailedPrecondition => RetryCause::Unexpected,
    };
    Failure::Retry { cause, text, after: retry_info }
}

/// Whether a server's words say that the message is over its limit. They share a code with "come
/// back later", and none of them says it otherwise (Go, Python and C++; Java and .NET; Rust).
fn is_too_large(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    ["larger than max", "exceeds maximum", "exceeds the maximum", "too large"]
        .iter()
        .any(|words| message.contains(words))
}

/// A channel that notes when an answer is not gRPC's: a plain HTTP/2 server answers too, and
/// by its status code alone it would look like a gRPC server without this service, or even
/// like a success.
struct Watched {
    inner: Channel,
    foreign: Arc<AtomicBool>,
}

impl tower_service::Service<Request<Body>> for Watched {
    type Response = Response<Body>;
    type Error = tonic::transport::Error;
    type Future = std::pin::Pin<
        Box<dyn Future<Output = Result<Response<Body>, tonic::transport::Error>> + Send>,
    >;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let answering = self.inner.call(request);
        let foreign = Arc::clone(&self.foreign);
        Box::pin(async move {
            let response = answering.await?;
            // A gateway between us may answer for a receiver that is away.
            let gateway = matches!(response.status().as_u16(), 429 | 502 | 503 | 504);
            if !gateway && !is_grpc(response.headers()) {
                foreign.store(true, Ordering::Relaxed);
            }
            Ok(response)
        })
    }
}

/// Every gRPC answer says its content type (gRPC over HTTP/2, "Responses").
fn is_grpc(headers: &HeaderMap) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE);
    content_type.is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"))
        || headers.contains_key("grpc-status")
}

/// Sends bytes as they are and decodes the answer.
#[derive(Debug)]
struct PassThrough;

impl Codec for PassThrough {
    type Encode = Bytes;
    type Decode = ExportLogsServiceResponse;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for PassThrough {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        out.reserve(item.len());
        out.put(item);
        Ok(())
    }
}

impl Decoder for PassThrough {
    type Item = ExportLogsServiceResponse;
    type Error = Status;

    fn decode(&mut self, bytes: &mut DecodeBuf<'_>) -> Result<Option<Self::Item>, Status> {
        if !bytes.has_remaining() {
            return Ok(Some(ExportLogsServiceResponse::default()));
        }
        let message = ExportLogsServiceResponse::decode(bytes);
        message.map(Some).map_err(|error| Status::internal(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use tonic_types::ErrorDetails;

    use super::*;

    /// Why and when to come back, or why not.
    fn retried(status: &Status) -> Result<(RetryCause, Option<Duration>), RefusalReason> {
        match failure(status) {
            Failure::Retry { cause, after, .. } => Ok((cause, after)),
            Failure::Refused { reason, .. } => Err(reason),
        }
    }

    #[test]
    fn only_codes_that_blame_the_records_are_final() {
        for (code, expected) in [
            (Code::Cancelled, RetryCause::Busy),
            (Code::DeadlineExceeded, RetryCause::Timeout),
            (Code::Aborted, RetryCause::Busy),
            (Code::OutOfRange, RetryCause::Busy),
            (Code::Unavailable, RetryCause::Busy),
            (Code::DataLoss, RetryCause::Busy),
            (Code::ResourceExhausted, RetryCause::Busy),
            (Code::Unauthenticated, RetryCause::Unauthorized),
            (Code::PermissionDenied, RetryCause::Unauthorized),
            (Code::Unimplemented, RetryCause::NotFound),
            (Code::Unknown, RetryCause::Unexpected),
            (Code::Internal, RetryCause::Unexpected),
        ] {
            assert_eq!(retried(&Status::new(code, "")), Ok((expected, None)), "{code:?}");
        }
        let invalid = Status::new(Code::InvalidArgument, "");
        assert_eq!(retried(&invalid), Err(RefusalReason::Invalid));
    }

    #[test]
    fn exhausted_is_final_only_when_the_message_is_too_large() {
        for text in [
            "grpc: received message larger than max (5000000 vs. 4194304)",
            "gRPC message exceeds maximum size 4194304: 5000000",
            "Received message exceeds the maximum configured message size.",
        ] {
            let status = Status::new(Code::ResourceExhausted, text);
            assert_eq!(retried(&status), Err(RefusalReason::TooLarge), "{text}");
        }
        let text = "Error, decoded message length too large: found 5000000 bytes";
        let status = Status::new(Code::OutOfRange, text);
        assert_eq!(retried(&status), Err(RefusalReason::TooLarge));
        let delay = Duration::from_millis(1500);
        let details = ErrorDetails::with_retry_info(Some(delay));
        let status = Status::with_error_details(Code::ResourceExhausted, "later", details);
        assert_eq!(retried(&status), Ok((RetryCause::Busy, Some(delay))));
    }
}
