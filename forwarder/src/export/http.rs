//! OTLP/HTTP: `POST <endpoint>/v1/logs` with protobuf (OTLP 1.x, "OTLP/HTTP").

use std::time::{Duration, SystemTime};

use ::http::{HeaderMap, Request, StatusCode, Uri, header};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_rustls::{FixedServerNameResolver, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceResponse;
use prost::Message as _;
use rustls::{AlertDescription, pki_types::ServerName};
use weir_plan::{Compression, Endpoint, ExporterPlan, Scheme, TlsPlan, Transport};

use super::{
    BuildClient, compress,
    failure::{Answer, Failure, RetryCause, excerpt},
    headers,
    own::{NotingResolver, OwnEndpoints},
    probe, tls,
};
use crate::queue::RefusalReason;

/// Bytes of an answer that are read.
const ANSWER_BYTES: usize = 64 * 1024;

pub(crate) type Connector = HttpsConnector<HttpConnector<NotingResolver>>;

pub(super) struct HttpClient {
    client: Client<Connector, Full<Bytes>>,
    endpoint: Endpoint,
    uri: Uri,
    headers: HeaderMap,
    compression: Compression,
    timeout: Duration,
}

impl HttpClient {
    pub(super) fn new(plan: &ExporterPlan, own: &OwnEndpoints) -> Result<Self, BuildClient> {
        let endpoint = plan.endpoint.clone();
        let scheme = match endpoint.scheme {
            Scheme::Http => "http",
            Scheme::Https => "https",
        };
        let uri = Uri::builder()
            .scheme(scheme)
            .authority(endpoint.authority())
            .path_and_query(endpoint.logs_path())
            .build()
            .map_err(BuildClient::Url)?;
        let mut headers = headers(plan)?;
        let protobuf = header::HeaderValue::from_static("application/x-protobuf");
        headers.insert(header::CONTENT_TYPE, protobuf);
        let compression = plan.compression;
        if let Some(coding) = compress::coding(compression) {
            let coding = header::HeaderValue::from_static(coding);
            headers.insert(header::CONTENT_ENCODING, coding);
        }
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_mins(1))
            .build(connector(&plan.endpoint, plan.tls.as_ref(), own)?);
        Ok(Self { client, endpoint, uri, headers, compression, timeout: plan.timeout })
    }

    pub(super) async fn send(&self, request: Bytes) -> Result<Answer, Failure> {
        let body = compress::encode(self.compression, request)
            .map_err(|error| Failure::connection(&error))?;
        let mut request = Request::post(self.uri.clone())
            .body(Full::new(body))
            .map_err(|error| Failure::connection(&error))?;
        request.headers_mut().clone_from(&self.headers);
        match tokio::time::timeout(self.timeout, self.exchange(request)).await {
            Ok(answer) => answer,
            Err(_) => Err(Failure::timeout(self.timeout)),
        }
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<Answer, Failure> {
        let response = match self.client.request(request).await {
            Ok(response) => response,
            Err(error) => return Err(self.explain(&error).await),
        };
        let (head, body) = response.into_parts();
        let content_type = head.headers.get(header::CONTENT_TYPE);
        if content_type.is_some_and(|value| value.as_bytes().starts_with(b"application/grpc")) {
            return Err(probe::failure(Transport::Grpc));
        }
        let body = Limited::new(body, ANSWER_BYTES).collect().await;
        // A success whose text is cut off or odd is still a success.
        let body = body.map(http_body_util::Collected::to_bytes).unwrap_or_default();
        if head.status.is_success() {
            return Ok(answer(&body));
        }
        Err(refusal(head.status, &head.headers, &body))
    }

    async fn explain(&self, error: &hyper_util::client::legacy::Error) -> Failure {
        if no_common_protocol(error) {
            return probe::failure(Transport::Grpc);
        }
        // An endpoint that could not be reached cannot be asked either.
        if error.is_connect() {
            return Failure::connection(error);
        }
        let other = probe::wrong_transport(&self.endpoint, Transport::Http).await;
        other.unwrap_or_else(|| Failure::connection(error))
    }
}

/// Connects to `endpoint`, which is noted as one of our own.
pub(crate) fn connector(
    endpoint: &Endpoint,
    tls: Option<&TlsPlan>,
    own: &OwnEndpoints,
) -> Result<Connector, BuildClient> {
    let http = own.connector(endpoint);
    let none = TlsPlan::default();
    let settings = tls.unwrap_or(&none);
    let config = match endpoint.scheme {
        Scheme::Https => tls::config(settings)?,
        // Never used, so the system's certificates need not be there.
        Scheme::Http => rustls::ClientConfig::builder_with_provider(std::sync::Arc::new(
            rustls::crypto::ring::default_provider(),
        ))
        .with_safe_default_protocol_versions()
        .map_err(tls::tls)?
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth(),
    };
    let builder = HttpsConnectorBuilder::new().with_tls_config(config).https_or_http();
    let builder = match &settings.server_name {
        Some(name) => {
            let name = ServerName::try_from(name.clone()).map_err(tls::tls)?;
            builder.with_server_name_resolver(FixedServerNameResolver::new(name))
        }
        None => builder,
    };
    Ok(builder.enable_http1().wrap_connector(http))
}

/// True when a TLS server agreed to no protocol that we speak: it wants HTTP/2.
fn no_common_protocol(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(rustls::Error::AlertReceived(AlertDescription::NoApplicationProtocol)) =
            error.downcast_ref()
        {
            return true;
        }
        // io::Error hides what it wraps from source().
        cause = match error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    false
}

fn answer(body: &[u8]) -> Answer {
    match ExportLogsServiceResponse::decode(body).ok().and_then(|answer| answer.partial_success) {
        Some(partial) => Answer {
            rejected: u64::try_from(partial.rejected_log_records).unwrap_or(0),
            message: excerpt(&partial.error_message),
        },
        None => Answer::default(),
    }
}

fn refusal(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Failure {
    let words = excerpt(&words(headers, body));
    let text =
        if words.is_empty() { format!("HTTP {status}") } else { format!("HTTP {status}: {words}") };
    // Only what blames the records themselves is final; everything else may be mended while
    // they wait.
    let refused = |reason| Failure::Refused { reason, text: text.clone() };
    let cause = match status.as_u16() {
        400 | 422 => return refused(RefusalReason::Invalid),
        413 => return refused(RefusalReason::TooLarge),
        415 => return refused(RefusalReason::Unsupported),
        408 => RetryCause::Timeout,
        429 | 502 | 503 | 504 => RetryCause::Busy,
        401 | 403 | 407 => RetryCause::Unauthorized,
        404 | 405 => RetryCause::NotFound,
        _ => RetryCause::Unexpected,
    };
    let after = headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
    let after = after.and_then(|text| retry_after(text, SystemTime::now()));
    Failure::Retry { cause, text, after }
}

/// The receiver's explanation: a `google.rpc.Status` where it says protobuf, else text.
fn words(headers: &HeaderMap, body: &[u8]) -> String {
    let protobuf = headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes().starts_with(b"application/x-protobuf"));
    if protobuf {
        return tonic_types::pb::Status::decode(body)
            .map(|status| status.message)
            .unwrap_or_default();
    }
    String::from_utf8_lossy(body).trim().to_owned()
}

/// Time to wait by a `Retry-After` field: seconds or an HTTP date (RFC 9110 §10.2.3).
fn retry_after(text: &str, now: SystemTime) -> Option<Duration> {
    if let Ok(seconds) = text.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(text.trim()).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        let check = |text: &str, seconds: Option<u64>| {
            assert_eq!(retry_after(text, now), seconds.map(Duration::from_secs), "{text}");
        };
        check("7", Some(7));
        check(" 0 ", Some(0));
        check("Sun, 06 Nov 1994 08:50:37 GMT", Some(60));
        check("Sun, 06 Nov 1994 08:00:00 GMT", Some(0));
        check("soon", None);
        check("-1", None);
    }

    #[test]
    fn only_answers_that_blame_the_records_are_final() {
        let none = HeaderMap::new();
        for (code, expected) in [
            (401, RetryCause::Unauthorized),
            (403, RetryCause::Unauthorized),
            (407, RetryCause::Unauthorized),
            (404, RetryCause::NotFound),
            (405, RetryCause::NotFound),
            (408, RetryCause::Timeout),
            (429, RetryCause::Busy),
            (502, RetryCause::Busy),
            (503, RetryCause::Busy),
            (504, RetryCause::Busy),
            (302, RetryCause::Unexpected),
            (500, RetryCause::Unexpected),
        ] {
            let failure = refusal(StatusCode::from_u16(code).unwrap(), &none, b"");
            let Failure::Retry { cause, .. } = failure else { panic!("{code} is not final") };
            assert_eq!(cause, expected, "{code}");
        }
        for (code, expected) in [
            (400, RefusalReason::Invalid),
            (422, RefusalReason::Invalid),
            (413, RefusalReason::TooLarge),
            (415, RefusalReason::Unsupported),
        ] {
            let failure = refusal(StatusCode::from_u16(code).unwrap(), &none, b"no\nway");
            let Failure::Refused { reason, text } = failure else { panic!("{code} is final") };
            assert_eq!(reason, expected);
            assert!(text.ends_with("no way"), "{text}");
        }
    }
}
