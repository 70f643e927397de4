//! OTLP/HTTP: `POST /v1/logs` in protobuf or JSON, plain or gzip.
//!
//! Source: the OTLP specification, "OTLP/HTTP Request" and "OTLP/HTTP Response".

use std::{io::Read as _, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    response::{IntoResponse as _, Response},
    routing::post,
};
use bytes::Bytes;
use flate2::bufread::MultiGzDecoder;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use prost::Message as _;

use super::intake::Intake;

/// How long a request's body may take to arrive.
const BODY_PATIENCE: Duration = Duration::from_secs(30);

/// Encoding of a request, and so of its answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Format {
    Protobuf,
    Json,
}

impl Format {
    /// By the request's `Content-Type`; `None` when it is neither.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let value = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
        let media_type = value.split(';').next().unwrap_or_default().trim();
        match media_type.to_ascii_lowercase().as_str() {
            "application/x-protobuf" | "application/protobuf" => Some(Self::Protobuf),
            "application/json" => Some(Self::Json),
            _ => None,
        }
    }
}

/// `google.rpc.Status`, the body of every refusal over OTLP/HTTP.
#[derive(Clone, PartialEq, prost::Message)]
struct RpcStatus {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
}

/// A request that is not taken.
#[derive(Debug)]
struct Refused {
    status: StatusCode,
    message: String,
}

impl Refused {
    fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }
}

#[derive(Clone)]
struct Endpoint {
    intake: Intake,
    max_bytes: usize,
}

/// The endpoint as a router. `max_bytes` bounds a body before and after decompression.
pub(super) fn router(intake: Intake, max_bytes: usize) -> Router {
    Router::new()
        .route(
            "/v1/logs",
            post(export).fallback(async |headers: HeaderMap| {
                refusal(StatusCode::METHOD_NOT_ALLOWED, Format::of(&headers), "send it with POST")
            }),
        )
        .fallback(async |headers: HeaderMap| {
            let message = "this receiver takes logs only: POST /v1/logs";
            refusal(StatusCode::NOT_FOUND, Format::of(&headers), message)
        })
        .with_state(Endpoint { intake, max_bytes })
}

async fn export(State(endpoint): State<Endpoint>, request: Request) -> Response {
    let Some(format) = Format::of(request.headers()) else {
        let message = "content-type must be application/x-protobuf or application/json";
        return refusal(StatusCode::UNSUPPORTED_MEDIA_TYPE, None, message);
    };
    match endpoint.take(format, request).await {
        Ok(answer) => answered(StatusCode::OK, Some(format), answer),
        Err(Refused { status, message }) => refusal(status, Some(format), &message),
    }
}

impl Endpoint {
    async fn take(&self, format: Format, request: Request) -> Result<Vec<u8>, Refused> {
        let gzip = is_gzip(request.headers())?;
        let body = self.body(request).await?;
        let body = if gzip { self.unzip(&body)?.into() } else { body };
        let request = decode(format, body)?;
        let response = self.intake.take(request).await.map_err(|not_stored| {
            Refused::new(StatusCode::SERVICE_UNAVAILABLE, not_stored.to_string())
        })?;
        match format {
            Format::Protobuf => Ok(response.encode_to_vec()),
            Format::Json => serde_json::to_vec(&response).map_err(|_cause| {
                Refused::new(StatusCode::INTERNAL_SERVER_ERROR, "encode the answer")
            }),
        }
    }

    async fn body(&self, request: Request) -> Result<Bytes, Refused> {
        let body = Limited::new(request.into_body(), self.max_bytes).collect();
        match tokio::time::timeout(BODY_PATIENCE, body).await {
            Ok(Ok(body)) => Ok(body.to_bytes()),
            Ok(Err(error)) if error.is::<LengthLimitError>() => Err(self.too_large()),
            Ok(Err(_)) => Err(Refused::new(StatusCode::BAD_REQUEST, "the body broke off")),
            Err(_) => Err(Refused::new(StatusCode::REQUEST_TIMEOUT, "the body took too long")),
        }
    }

    fn unzip(&self, body: &[u8]) -> Result<Vec<u8>, Refused> {
        // One byte more than allowed tells "exactly full" from "cut".
        let allowed = u64::try_from(self.max_bytes).unwrap_or(u64::MAX);
        let mut plain = Vec::new();
        MultiGzDecoder::new(body).take(allowed.saturating_add(1)).read_to_end(&mut plain).map_err(
            |_cause| Refused::new(StatusCode::BAD_REQUEST, "the body is not valid gzip"),
        )?;
        if plain.len() > self.max_bytes { Err(self.too_large()) } else { Ok(plain) }
    }

    fn too_large(&self) -> Refused {
        let message = format!("the request is larger than {} bytes", self.max_bytes);
        Refused::new(StatusCode::PAYLOAD_TOO_LARGE, message)
    }
}

fn is_gzip(headers: &HeaderMap) -> Result<bool, Refused> {
    match headers.get(header::CONTENT_ENCODING).map(HeaderValue::as_bytes) {
        None | Some(b"" | b"identity") => Ok(false),
        Some(b"gzip") => Ok(true),
        Some(_) => Err(Refused::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "content-encoding must be gzip or identity",
        )),
    }
}

/// Decoder errors may quote the input, so the answer says only which format it is not.
fn decode(format: Format, body: Bytes) -> Result<ExportLogsServiceRequest, Refused> {
    let (decoded, name) = match format {
        Format::Protobuf => (ExportLogsServiceRequest::decode(body).ok(), "protobuf"),
        Format::Json => (serde_json::from_slice(&body).ok(), "JSON"),
    };
    decoded.ok_or_else(|| {
        let message = format!("the body is not an OTLP logs request in {name}");
        Refused::new(StatusCode::BAD_REQUEST, message)
    })
}

/// An answer that says why, in the encoding of the request, or as text for anything else.
pub(super) fn refusal(status: StatusCode, format: Option<Format>, message: &str) -> Response {
    let code = rpc_code(status);
    let body = match format {
        Some(Format::Protobuf) => RpcStatus { code, message: message.to_owned() }.encode_to_vec(),
        Some(Format::Json) => {
            serde_json::json!({ "code": code, "message": message }).to_string().into_bytes()
        }
        None => format!("{message}\n").into_bytes(),
    };
    answered(status, format, body)
}

fn answered(status: StatusCode, format: Option<Format>, body: Vec<u8>) -> Response {
    let content_type = match format {
        Some(Format::Protobuf) => "application/x-protobuf",
        Some(Format::Json) => "application/json",
        None => "text/plain; charset=utf-8",
    };
    (status, [(header::CONTENT_TYPE, content_type)], Body::from(body)).into_response()
}

/// The gRPC code that stands for an HTTP status (`google/rpc/code.proto`).
fn rpc_code(status: StatusCode) -> i32 {
    let code = match status {
        StatusCode::SERVICE_UNAVAILABLE => tonic::Code::Unavailable,
        StatusCode::PAYLOAD_TOO_LARGE => tonic::Code::ResourceExhausted,
        StatusCode::REQUEST_TIMEOUT => tonic::Code::DeadlineExceeded,
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => tonic::Code::Unimplemented,
        StatusCode::INTERNAL_SERVER_ERROR => tonic::Code::Internal,
        _ => tonic::Code::InvalidArgument,
    };
    code.into()
}
