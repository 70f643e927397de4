use super::detect;
use crate::fields::Body;
use crate::model::{Http, HttpResponse};
use crate::{golden, json};

fn tech(url: &str, request_type: &str, response_type: &str, response: &str) -> String {
    let mut http = Http::default();
    url.clone_into(&mut http.req.url);
    if !request_type.is_empty() {
        http.req.headers.push("Content-Type", request_type);
    }
    http.res = Some(HttpResponse {
        content_type: response_type.to_owned(),
        body: Body(response.as_bytes().to_vec()),
        ..HttpResponse::default()
    });
    detect(&http).into_owned()
}

#[test]
fn golden_technologies_are_detected() {
    for document in golden::documents() {
        let record = json::from_slice(document.as_bytes()).unwrap();
        if let (Some(http), Some(tech)) = (&record.http, &record.tech) {
            assert_eq!(&detect(http), tech);
        }
    }
}

#[test]
fn content_type_goes_before_shape() {
    assert_eq!(tech("/", "", "application/problem+json; charset=utf-8", ""), "JSON");
    assert_eq!(tech("/", "application/json", "text/html", "<p>"), "JSON");
    assert_eq!(tech("/", "", "text/html", "{}"), "HTTP");
    assert_eq!(tech("/", "", "", " [1] "), "JSON");
    assert_eq!(tech("/", "", "", "{"), "HTTP");
    assert_eq!(tech("/", "", "", ""), "HTTP");
    assert_eq!(tech("/api/graphql", "application/json", "", ""), "GraphQL");
    assert_eq!(tech("/p.S/M", "application/grpc+proto", "", ""), "gRPC");
}
