//! The technology that a pair shows first: `tech` of the record (contract §1.1).

#[cfg(test)]
mod tests;

use crate::model::{Http, Text};

/// `gRPC`, `GraphQL`, `JSON` or `HTTP`, by content type, path and the shape of the bodies.
pub fn detect(http: &Http) -> Text {
    let request_type = http.req.headers.first("Content-Type").unwrap_or_default();
    let response_type = http.res.as_ref().map_or("", |res| {
        if res.content_type.is_empty() {
            res.headers.first("Content-Type").unwrap_or_default()
        } else {
            &res.content_type
        }
    });
    let response_body = http.res.as_ref().map_or(&[] as &[u8], |res| &res.body.0);
    Text::Borrowed(if media_type(request_type).starts_with("application/grpc") {
        "gRPC"
    } else if is_json(response_type, response_body) || is_json(request_type, &http.req.body.0) {
        if http.req.url.ends_with("/graphql") { "GraphQL" } else { "JSON" }
    } else {
        "HTTP"
    })
}

fn media_type(content_type: &str) -> &str {
    content_type.split(';').next().unwrap_or_default().trim()
}

fn is_json(content_type: &str, body: &[u8]) -> bool {
    let last = media_type(content_type).rsplit(['/', '+']).next().unwrap_or_default();
    last.eq_ignore_ascii_case("json")
        || (content_type.is_empty() || last.eq_ignore_ascii_case("plain")) && has_json_shape(body)
}

/// Brackets at both ends that belong together.
fn has_json_shape(body: &[u8]) -> bool {
    matches!(body.trim_ascii(), [b'{', .., b'}'] | [b'[', .., b']'])
}
