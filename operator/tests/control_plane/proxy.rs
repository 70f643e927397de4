//! Passes requests on to the API server, and counts those that write.

use std::sync::{Arc, Mutex};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{Request, State},
    response::{IntoResponse as _, Response},
};
use kube::Client;
use tokio::{net::TcpListener, sync::Notify};

#[derive(Clone)]
pub(crate) struct Proxy {
    client: Client,
    writes: Arc<Mutex<Vec<String>>>,
    limit: Arc<Mutex<Option<usize>>>,
    /// Told once when the limit is reached.
    pub(crate) reached: Arc<Notify>,
    pub(crate) url: String,
}

impl Proxy {
    pub(crate) async fn start(client: Client) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let proxy = Self {
            client,
            writes: Arc::default(),
            limit: Arc::default(),
            reached: Arc::default(),
            url,
        };
        let routes = Router::new().fallback(pass).with_state(proxy.clone());
        tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        proxy
    }

    /// Method and path of every write since the last call of `forget`, without leases.
    pub(crate) fn writes(&self) -> Vec<String> {
        self.writes.lock().unwrap().clone()
    }

    pub(crate) fn forget(&self) {
        self.writes.lock().unwrap().clear();
    }

    /// From now on the `count`-th write is carried out but never answered, nor is any later one.
    pub(crate) fn limit(&self, count: Option<usize>) {
        self.forget();
        *self.limit.lock().unwrap() = count;
    }
}

async fn pass(State(proxy): State<Proxy>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let is_write = parts.method != "GET" && !parts.uri.path().contains("/leases");
    let limit = *proxy.limit.lock().unwrap();
    let mut number = 0;
    if is_write {
        let mut writes = proxy.writes.lock().unwrap();
        writes.push(format!("{} {}", parts.method, parts.uri.path()));
        number = writes.len();
    }
    if is_write && limit.is_some_and(|limit| number > limit) {
        std::future::pending::<()>().await;
    }
    let body = to_bytes(body, usize::MAX).await.unwrap();
    let request = axum::http::Request::from_parts(parts, kube::client::Body::from(body.to_vec()));
    let answer = proxy.client.send(request).await;
    if is_write && limit == Some(number) {
        proxy.reached.notify_one();
        std::future::pending::<()>().await;
    }
    match answer {
        Ok(answer) => answer.map(Body::new).into_response(),
        Err(error) => (axum::http::StatusCode::BAD_GATEWAY, error.to_string()).into_response(),
    }
}
