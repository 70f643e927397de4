//! The server as a browser meets it, in process.

use std::{fs, path::Path, sync::Arc};

use axum::{
    body::Body,
    http::{Request, StatusCode, header},
    response::Response,
};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tower_service::Service as _;

use super::*;

const PORT: u16 = 9470;

fn pair(second: u32, service: &str, status: &str, uri: &str) -> Value {
    json!({
        "direction": "IN", "service": service, "status": status, "command": "GET",
        "ts": format!("2026-09-01T10:00:{second:02}.000000000Z"), "duration": second,
        "http": { "req": { "host": "h", "uri": uri, "method": "GET" }, "res": { "statusCode": 200 } },
    })
}

fn server(folder: &Path, pairs: &[Value]) -> Arc<Server> {
    for (number, pair) in pairs.iter().enumerate() {
        fs::write(folder.join(format!("{number}.json")), pair.to_string()).unwrap();
    }
    let index = Arc::new(RwLock::new(Index::default()));
    load::Loader::new(folder.to_owned(), Arc::clone(&index)).unwrap().run(false);
    Server::new(index, folder.to_owned(), PORT, false)
}

async fn get(server: &Arc<Server>, path: &str, host: &str) -> Response {
    let request = Request::get(path).header(header::HOST, host).body(Body::empty()).unwrap();
    Arc::clone(server).router().call(request).await.unwrap()
}

async fn json_of(server: &Arc<Server>, path: &str) -> Value {
    let response = get(server, path, "127.0.0.1:9470").await;
    assert_eq!(response.status(), StatusCode::OK, "{path}");
    serde_json::from_slice(&response.into_body().collect().await.unwrap().to_bytes()).unwrap()
}

#[tokio::test]
async fn rows_come_by_time_filtered_and_in_pages() {
    let folder = tempfile::tempdir().unwrap();
    let pairs = [
        pair(3, "rocket", "500", "/api/rocket?id=a%7F"),
        pair(1, "rocket", "200", "/api/rocket?id=a"),
        pair(2, "auth", "404", "/login"),
    ];
    let server = server(folder.path(), &pairs);
    let all = json_of(&server, "/api/rows?offset=1&limit=1").await;
    assert_eq!((&all["total"], &all["failed"]), (&json!(3), &json!(1)));
    assert_eq!(all["rows"][0]["target"], "/login");
    let failing = json_of(&server, "/api/rows?filter=status:5xx").await;
    assert_eq!(failing["rows"][0]["marks"], json!(["control"]));
    let slowest = json_of(&server, "/api/rows?sort=duration&descending=true").await;
    assert_eq!(slowest["rows"][0]["duration"], 3);
    let next = json_of(&server, "/api/rows?failed_after=0&limit=1").await;
    assert_eq!(next["offset"], 2);
}

#[tokio::test]
async fn an_expression_sees_the_whole_document() {
    let folder = tempfile::tempdir().unwrap();
    let pairs = [pair(1, "a", "500", "/x"), pair(2, "a", "200", "/y")];
    let server = server(folder.path(), &pairs);
    let found = json_of(&server, "/api/rows?filter=status%20==%20'500'").await;
    assert_eq!((&found["mode"], &found["total"]), (&json!("cel"), &json!(1)));
    let wrong = json_of(&server, "/api/rows?filter=a%20==%20b").await;
    assert!(wrong["fault"].as_str().unwrap().contains('a'), "{wrong}");
}

#[tokio::test]
async fn charts_and_time_line_count_every_pair_once() {
    let folder = tempfile::tempdir().unwrap();
    let pairs: Vec<_> =
        (0..50).map(|second| pair(second, "a", "200", &format!("/o/{second}"))).collect();
    let server = server(folder.path(), &pairs);
    let charts = json_of(&server, "/api/charts").await;
    assert_eq!(charts["endpoints"][0]["name"], "/o/:id");
    assert_eq!(charts["services"][0]["count"], 50);
    let line = json_of(&server, "/api/timeline?columns=7").await;
    let cells = line["lanes"][0]["cells"].as_array().unwrap();
    let counted: u64 = cells.iter().map(|cell| cell[1].as_u64().unwrap()).sum();
    assert_eq!((counted, cells.len()), (50, 7));
}

#[tokio::test]
async fn another_sites_name_is_refused_and_every_answer_has_its_policy() {
    let folder = tempfile::tempdir().unwrap();
    let server = server(folder.path(), &[pair(1, "a", "200", "/")]);
    for host in ["evil.example:9470", "127.0.0.1", "127.0.0.1:9471", "localhost.evil.example:9470"]
    {
        let response = get(&server, "/api/rows", host).await;
        assert_eq!(response.status(), StatusCode::MISDIRECTED_REQUEST, "{host}");
    }
    for path in ["/", "/app.js", "/api/state", "/nothing"] {
        let response = get(&server, path, "localhost:9470").await;
        let policy = response.headers()[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'; script-src 'self';"), "{path}");
        assert!(!policy.contains("unsafe"), "{path}");
    }
}

#[tokio::test]
async fn a_pair_is_shown_as_its_file_has_it() {
    let folder = tempfile::tempdir().unwrap();
    let document = pair(1, "a", "200", "/<script>alert(1)</script>");
    let server = server(folder.path(), std::slice::from_ref(&document));
    let shown = json_of(&server, "/api/pairs/0").await;
    assert_eq!((&shown["document"], &shown["file"]), (&document, &json!("0.json")));
    let missing = get(&server, "/api/pairs/7", "127.0.0.1:9470").await;
    assert_eq!(missing.status(), StatusCode::NOT_FOUND);
}

#[test]
fn only_loopback_is_served() {
    let command = WebCommand {
        directory: ".".into(),
        follow: false,
        listen: "0.0.0.0:9470".parse().unwrap(),
    };
    let error = command.run(&mut Vec::new(), Style::PLAIN).unwrap_err();
    assert!(error.to_string().starts_with("--listen 0.0.0.0:9470: only a loopback"), "{error}");
}
