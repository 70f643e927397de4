//! HTTP on loopback: the page, its data, and what keeps other pages out.

use std::{
    path::PathBuf,
    sync::{Arc, RwLock},
};

use axum::{
    Router,
    extract::{Request, State},
    http::{HeaderValue, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse as _, Response},
    routing::get,
};

use super::{api, assets::ASSETS};
use crate::browse::{index::Index, question::Answers};

/// Shared by all requests.
#[derive(Debug)]
pub(super) struct Server {
    pub index: Arc<RwLock<Index>>,
    pub answers: Answers,
    pub directory: PathBuf,
    pub follow: bool,
    port: u16,
}

impl Server {
    pub(super) fn new(
        index: Arc<RwLock<Index>>,
        directory: PathBuf,
        port: u16,
        follow: bool,
    ) -> Arc<Self> {
        Arc::new(Self { index, answers: Answers::default(), directory, follow, port })
    }

    pub(super) fn router(self: Arc<Self>) -> Router {
        let mut router = Router::new();
        for (path, media_type, content) in ASSETS {
            router = router.route(
                path,
                get(move || async move { ([(header::CONTENT_TYPE, media_type)], content) }),
            );
        }
        router
            .route("/api/state", get(api::state))
            .route("/api/rows", get(api::rows))
            .route("/api/timeline", get(api::timeline))
            .route("/api/charts", get(api::charts))
            .route("/api/pairs/{number}", get(api::pair))
            .layer(middleware::from_fn_with_state(Arc::clone(&self), guard))
            .with_state(self)
    }

    /// Whether a `Host` is one of our own names. A name of somebody else's that resolves to
    /// loopback is how a foreign page would read us (DNS rebinding).
    fn is_own(&self, host: Option<&HeaderValue>) -> bool {
        let Some(host) = host.and_then(|host| host.to_str().ok()) else { return false };
        ["localhost", "127.0.0.1", "[::1]"]
            .iter()
            .any(|name| *host == format!("{name}:{}", self.port))
    }
}

const HEADERS: [(header::HeaderName, HeaderValue); 6] = [
    (
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
             base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'",
        ),
    ),
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    (
        header::HeaderName::from_static("cross-origin-resource-policy"),
        HeaderValue::from_static("same-origin"),
    ),
    (
        header::HeaderName::from_static("cross-origin-opener-policy"),
        HeaderValue::from_static("same-origin"),
    ),
];

async fn guard(State(server): State<Arc<Server>>, request: Request, next: Next) -> Response {
    let mut response = if server.is_own(request.headers().get(header::HOST)) {
        next.run(request).await
    } else {
        (StatusCode::MISDIRECTED_REQUEST, "weir web answers to localhost only\n").into_response()
    };
    response.headers_mut().extend(HEADERS);
    response
}
