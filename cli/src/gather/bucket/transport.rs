//! HTTP for object stores, over the same stack as everything else.

use std::{
    path::Path,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use http_body_util::{BodyExt as _, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client as Pool, connect},
    rt::{TokioExecutor, TokioTimer},
};
use object_store::{
    ClientOptions,
    client::{
        HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpRequestBody,
        HttpResponse, HttpResponseBody, HttpService,
    },
};

use crate::tls;

/// Largest object that is read.
const MAX_BYTES: usize = 4 << 30;
/// For one object.
const TIMEOUT: Duration = Duration::from_mins(10);

/// The connections of one store.
#[derive(Clone)]
pub(super) struct Transport {
    pool: Pool<HttpsConnector<connect::HttpConnector>, HttpRequestBody>,
    /// It answered once, so that a failure later may pass.
    answered: Arc<AtomicBool>,
}

impl std::fmt::Debug for Transport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Transport")
    }
}

impl Transport {
    pub(super) fn new(ca_file: Option<&Path>) -> anyhow::Result<Self> {
        let mut http = connect::HttpConnector::new();
        http.enforce_http(false);
        http.set_nodelay(true);
        http.set_connect_timeout(Some(Duration::from_secs(10)));
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls::config(true, ca_file)?)
            .https_or_http()
            .enable_http1()
            .wrap_connector(http);
        let pool =
            Pool::builder(TokioExecutor::new()).pool_timer(TokioTimer::new()).build(connector);
        Ok(Self { pool, answered: Arc::new(AtomicBool::new(false)) })
    }

    async fn exchange(self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let answer = self.pool.request(request).await.map_err(|error| {
            // One that never answered has a wrong address: asking again would only take time.
            let may_pass = self.answered.load(Ordering::Relaxed);
            let kind = if may_pass { HttpErrorKind::Connect } else { HttpErrorKind::Unknown };
            HttpError::new(kind, error)
        })?;
        let (head, body) = answer.into_parts();
        // Whole, so that an answer that breaks off is asked for again.
        let body = Limited::new(body, MAX_BYTES).collect().await;
        let body = body.map_err(|error| HttpError::new_boxed(HttpErrorKind::Interrupted, error))?;
        self.answered.store(true, Ordering::Relaxed);
        let body = Full::new(body.to_bytes()).map_err(|never| match never {});
        Ok(HttpResponse::from_parts(head, HttpResponseBody::new(body)))
    }
}

impl HttpService for Transport {
    fn call<'a, 'b>(
        &'a self,
        request: HttpRequest,
    ) -> Pin<Box<dyn Future<Output = Result<HttpResponse, HttpError>> + Send + 'b>>
    where
        'a: 'b,
        Self: 'b,
    {
        let exchange = self.clone().exchange(request);
        Box::pin(async move {
            let answer = tokio::time::timeout(TIMEOUT, exchange).await;
            answer.unwrap_or_else(|elapsed| Err(HttpError::new(HttpErrorKind::Timeout, elapsed)))
        })
    }
}

impl HttpConnector for Transport {
    fn connect(&self, _options: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}
