//! HTTP to a store: one base address, credentials, and patience with a store that is busy.

use std::{
    fmt,
    io::Read as _,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::bail;
use backon::{ExponentialBuilder, Retryable as _};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client as Pool, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use percent_encoding::percent_decode_str;
use serde_json::Value;

use crate::{tls, visible::shortened};

/// Largest answer that is read, also after decompression.
const MAX_ANSWER_BYTES: usize = 512 << 20;
/// A store may take this long for one page.
const TIMEOUT: Duration = Duration::from_mins(2);

/// Who asks.
#[derive(Clone, Default)]
pub(super) struct Credentials {
    pub(super) user: Option<String>,
    pub(super) password: Option<String>,
    /// Further header fields, such as keys of a vendor.
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum RequestError {
    /// No HTTP response.
    Connection(anyhow::Error),
    /// A response that is no success.
    Status {
        status: StatusCode,
        body: Bytes,
    },
    TooLarge,
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connection(error) => write!(f, "{error:#}"),
            Self::Status { status, body } => {
                write!(f, "it answers {status}")?;
                match reason(body) {
                    Some(reason) => write!(f, ": {reason}"),
                    None => Ok(()),
                }
            }
            Self::TooLarge => write!(f, "its answer is larger than {} MiB", MAX_ANSWER_BYTES >> 20),
        }
    }
}

impl std::error::Error for RequestError {}

/// What an error document says: Elasticsearch's `error.reason`, others' `message`, or text.
fn reason(body: &[u8]) -> Option<String> {
    let text = match serde_json::from_slice::<Value>(body) {
        Ok(value) => {
            let error = value.get("error").unwrap_or(&value);
            let root = error.get("root_cause").and_then(|causes| causes.get(0)).unwrap_or(error);
            let said = [root.get("reason"), root.get("message"), value.get("errors"), Some(error)];
            match said.into_iter().flatten().next()? {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            }
        }
        Err(_) => String::from_utf8_lossy(body.get(..400).unwrap_or(body)).trim().to_owned(),
    };
    (!text.is_empty()).then(|| shortened(&text, 300))
}

/// One store.
pub(super) struct Client {
    pool: Pool<HttpsConnector<HttpConnector>, Full<Bytes>>,
    base: Base,
    headers: Vec<(HeaderName, HeaderValue)>,
    /// It answered once, so that a failure later may pass.
    answered: Arc<AtomicBool>,
}

/// Where it is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Base {
    scheme: http::uri::Scheme,
    /// Without user and password.
    authority: String,
    /// Without a slash at the end.
    path: String,
}

impl fmt::Display for Base {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.scheme, self.authority, self.path)
    }
}

impl Base {
    /// Takes a URL apart; user and password in it go to `credentials` unless they are set.
    pub(super) fn parse(url: &str, credentials: &mut Credentials) -> anyhow::Result<Self> {
        let with_scheme =
            if url.contains("://") { url.to_owned() } else { format!("http://{url}") };
        let Ok(uri) = with_scheme.parse::<Uri>() else { bail!("it is no URL") };
        let (Some(scheme), Some(authority)) = (uri.scheme().cloned(), uri.authority()) else {
            bail!("it names no host");
        };
        if !matches!(scheme.as_str(), "http" | "https") {
            bail!("its scheme is neither http nor https");
        }
        let authority = match authority.as_str().rsplit_once('@') {
            None => authority.as_str(),
            Some((login, authority)) => {
                let (user, password) = login.split_once(':').unwrap_or((login, ""));
                let decoded = |text| percent_decode_str(text).decode_utf8_lossy().into_owned();
                credentials.user.get_or_insert_with(|| decoded(user));
                credentials.password.get_or_insert_with(|| decoded(password));
                authority
            }
        };
        if authority.is_empty() || authority.starts_with(':') {
            bail!("it names no host");
        }
        let path = uri.path().trim_end_matches('/').to_owned();
        Ok(Self { scheme, authority: authority.to_owned(), path })
    }
}

impl Client {
    /// `ca_file` holds the authorities to trust instead of the system's.
    pub(super) fn new(
        base: Base,
        credentials: Credentials,
        ca_file: Option<&Path>,
    ) -> anyhow::Result<Self> {
        let tls = tls::config(base.scheme == http::uri::Scheme::HTTPS, ca_file)?;
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        http.set_nodelay(true);
        http.set_connect_timeout(Some(Duration::from_secs(10)));
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_http1()
            .wrap_connector(http);
        let pool =
            Pool::builder(TokioExecutor::new()).pool_timer(TokioTimer::new()).build(connector);
        let mut headers = credentials.headers;
        if let Some(user) = &credentials.user {
            let password = credentials.password.as_deref().unwrap_or_default();
            let token = BASE64_STANDARD.encode(format!("{user}:{password}"));
            let mut value = HeaderValue::try_from(format!("Basic {token}"))?;
            value.set_sensitive(true);
            headers.push((header::AUTHORIZATION, value));
        }
        // Compression costs a store on the same machine more than it saves.
        let local = base.authority.starts_with("127.") || base.authority.starts_with("localhost");
        if !local {
            headers.push((header::ACCEPT_ENCODING, HeaderValue::from_static("gzip")));
        }
        Ok(Self { pool, base, headers, answered: Arc::new(AtomicBool::new(false)) })
    }

    /// Where it is, for people.
    pub(super) fn base(&self) -> &Base {
        &self.base
    }

    /// The body of the answer to a request, which may be repeated.
    pub(super) async fn request(
        &self,
        method: Method,
        path_and_query: &str,
        body: Option<&Value>,
    ) -> Result<Bytes, RequestError> {
        let body = Bytes::from(body.map(Value::to_string).unwrap_or_default());
        let once = || self.once(method.clone(), path_and_query, body.clone());
        let patience = ExponentialBuilder::default()
            .with_min_delay(Duration::from_millis(500))
            .with_max_delay(Duration::from_secs(10))
            .with_max_times(6)
            .with_jitter();
        once.retry(patience)
            .when(|error| self.may_pass(error))
            .notify(|error, wait| tracing::warn!(%error, "asking again in {wait:.1?}"))
            .await
    }

    /// Busy stores recover. One that never answered has a wrong address.
    fn may_pass(&self, error: &RequestError) -> bool {
        match error {
            RequestError::Connection(_) => self.answered.load(Ordering::Relaxed),
            RequestError::Status { status, .. } => {
                matches!(status.as_u16(), 429 | 502 | 503 | 504)
            }
            RequestError::TooLarge => false,
        }
    }

    async fn once(
        &self,
        method: Method,
        path_and_query: &str,
        body: Bytes,
    ) -> Result<Bytes, RequestError> {
        let connection = |error: anyhow::Error| RequestError::Connection(error);
        let uri = format!("{}{path_and_query}", self.base);
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        if !body.is_empty() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let request = request.body(Full::new(body)).map_err(|error| connection(error.into()))?;
        let exchange = self.exchange(request);
        let answer = tokio::time::timeout(TIMEOUT, exchange).await;
        answer.unwrap_or_else(|_elapsed| {
            Err(connection(anyhow::anyhow!("no answer within {} s", TIMEOUT.as_secs())))
        })
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<Bytes, RequestError> {
        let response = self.pool.request(request).await;
        let response = response.map_err(|error| RequestError::Connection(error.into()))?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, MAX_ANSWER_BYTES).collect().await;
        let body = body.map_err(|error| match error.downcast::<hyper::Error>() {
            Ok(error) => RequestError::Connection(anyhow::Error::new(*error)),
            Err(_limit) => RequestError::TooLarge,
        })?;
        let gzipped = head.headers.get(header::CONTENT_ENCODING).is_some_and(|v| v == "gzip");
        let body = if gzipped { gunzip(&body.to_bytes())? } else { body.to_bytes() };
        self.answered.store(true, Ordering::Relaxed);
        if head.status.is_success() {
            return Ok(body);
        }
        Err(RequestError::Status { status: head.status, body })
    }
}

fn gunzip(body: &[u8]) -> Result<Bytes, RequestError> {
    let mut plain = Vec::new();
    let mut decoder = flate2::read::MultiGzDecoder::new(body).take(MAX_ANSWER_BYTES as u64 + 1);
    let read = decoder.read_to_end(&mut plain);
    read.map_err(|error| RequestError::Connection(anyhow::Error::new(error)))?;
    if plain.len() > MAX_ANSWER_BYTES {
        return Err(RequestError::TooLarge);
    }
    Ok(plain.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> Result<(String, Credentials), String> {
        let mut credentials = Credentials::default();
        let base = Base::parse(url, &mut credentials).map_err(|error| error.to_string())?;
        Ok((base.to_string(), credentials))
    }

    #[test]
    fn a_login_in_the_address_is_used_and_never_shown() {
        let (shown, credentials) = parse("https://us%40er:p%3Aw@es.example:9200/prefix/").unwrap();
        assert_eq!(shown, "https://es.example:9200/prefix");
        assert_eq!(credentials.user.as_deref(), Some("us@er"));
        assert_eq!(credentials.password.as_deref(), Some("p:w"));
    }

    #[test]
    fn addresses_without_a_scheme_are_http_and_odd_ones_are_refused() {
        assert_eq!(parse("localhost:9200").unwrap().0, "http://localhost:9200");
        for odd in ["", "ftp://h", "http://", "http://:80", "h st"] {
            assert!(parse(odd).is_err(), "{odd}");
        }
    }

    #[test]
    fn the_reason_of_an_error_is_found_and_made_safe() {
        let elastic =
            br#"{"error":{"root_cause":[{"reason":"no such index [x\u001b]"}],"reason":"y"}}"#;
        assert_eq!(reason(elastic).unwrap(), r"no such index [x\x1b]");
        assert_eq!(reason(br#"{"message":"no"}"#).unwrap(), "no");
        assert_eq!(reason(b" plain ").unwrap(), "plain");
        assert_eq!(reason(b""), None);
    }
}
