//! What makes two requests the same for replay and mocks (contract §1.8).

#[cfg(test)]
mod tests;

use sha2::{Digest as _, Sha256};

use crate::fields::Signature;
use crate::json;
use crate::model::{HttpRequest, Text};
use crate::query;

/// The parts of a request that its signature is made of, as bytes of the wire.
#[derive(Clone, Copy, Default)]
pub struct Request<'a> {
    /// Host or authority; a port is left out of the signature.
    pub host: &'a [u8],
    pub method: &'a [u8],
    /// Without the query.
    pub path: &'a [u8],
    /// Without the `?`; empty when there is none.
    pub query: &'a [u8],
    /// Value of `Content-Type`, or empty.
    pub content_type: &'a str,
    /// As on the wire, after transfer coding.
    pub body: &'a [u8],
}

/// Signature of an HTTP request, keys in order. Of a body it holds the JSON with sorted
/// members, else the XML, else the SHA-256.
pub fn http(request: &Request<'_>) -> Signature {
    let mut entries = Vec::with_capacity(5);
    let mut push = |key, value| entries.push((Text::Borrowed(key), value));
    push("http:host", host_without_port(request.host).to_vec());
    push("http:method", request.method.to_vec());
    push("http:queryparams", query_params(request.query));
    if let Some((key, value)) = body(request.content_type, request.body) {
        push(key, value);
    }
    push("http:url", request.path.to_vec());
    Signature(entries)
}

/// [`http`] of the request of a record, for one that has been changed.
pub fn of(request: &HttpRequest) -> Signature {
    let (_, query) = query::split(request.uri.as_bytes());
    http(&Request {
        host: request.host.as_bytes(),
        method: request.method.as_bytes(),
        path: request.url.as_bytes(),
        query: query.unwrap_or_default(),
        content_type: request.headers.first("Content-Type").unwrap_or_default(),
        body: &request.body.0,
    })
}

/// `a`, `a:80` → `a`; `[::1]`, `[::1]:80` → `::1`; a bare `::1` stays.
fn host_without_port(host: &[u8]) -> &[u8] {
    if let Some(literal) = host.strip_prefix(b"[") {
        return literal.split(|&byte| byte == b']').next().unwrap_or_default();
    }
    let mut parts = host.split(|&byte| byte == b':');
    match (parts.next(), parts.next(), parts.next()) {
        (Some(name), Some(port), None) if port.iter().all(u8::is_ascii_digit) => name,
        _ => host,
    }
}

/// `a=1&b=2`: decoded, sorted by name; values of one name in their order.
fn query_params(query: &[u8]) -> Vec<u8> {
    if query.is_empty() {
        return Vec::new();
    }
    let mut pairs: Vec<_> = query::decode(query).collect();
    pairs.sort_by(|a, b| a.0.cmp(&b.0));
    let mut out = Vec::with_capacity(query.len() + 1);
    for (i, (name, value)) in pairs.iter().enumerate() {
        if i > 0 {
            out.push(b'&');
        }
        out.extend_from_slice(name);
        out.push(b'=');
        out.extend_from_slice(value);
    }
    out
}

fn body(content_type: &str, body: &[u8]) -> Option<(&'static str, Vec<u8>)> {
    if body.is_empty() {
        return None;
    }
    if let Some(canonical) = json::canonical(body) {
        return Some(("http:requestBodyJSON", canonical));
    }
    if body.starts_with(b"<?xml") || (is_xml(content_type) && body.trim_ascii().starts_with(b"<")) {
        return Some(("http:requestBodyXML", body.to_vec()));
    }
    Some(("http:requestBodyHash", Sha256::digest(body).to_vec()))
}

/// RFC 7303: `application/xml`, `text/xml`, anything `+xml`.
fn is_xml(content_type: &str) -> bool {
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    media_type.rsplit(['/', '+']).next().is_some_and(|last| last.eq_ignore_ascii_case("xml"))
}
