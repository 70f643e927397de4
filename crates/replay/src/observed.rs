//! Messages that came over the wire as parts of a record (contract §1.2).

#[cfg(test)]
mod tests;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Map, Value};
use weir_rrpair::{Body, Fields, HttpRequest, HttpResponse, header, query, text::lossless};

use crate::head::Head;
use crate::message::Message;
use crate::mock::origin_form;

/// The request of a message; `None` when it is none. `host` counts where it has no `Host`.
pub fn request(message: &Message, host: &str) -> Option<HttpRequest> {
    let line = message.request_line()?;
    let target = origin_form(line.target);
    let (headers, mut exact) = fields(&message.head);
    let (uri, uri_is_exact) = lossless(target);
    let (url, _) = lossless(query::split(target).0);
    exact &= uri_is_exact;
    let said = headers.first("Host").filter(|said| !said.is_empty()).unwrap_or(host).to_owned();
    let mut extra = Map::new();
    keep_raw(exact, &message.head, &mut extra);
    keep_size(message, &mut extra);
    Some(HttpRequest {
        url,
        uri,
        version: lossless(line.version).0.into(),
        method: lossless(line.method).0.into(),
        host: said,
        headers,
        body: Body(message.body.clone()),
        extra,
        ..HttpRequest::default()
    })
}

/// The response of a message.
pub fn response(message: &Message) -> HttpResponse {
    let (headers, mut exact) = fields(&message.head);
    let (status_message, is_exact) = lossless(message.status_message());
    exact &= is_exact;
    let mut extra = Map::new();
    keep_raw(exact, &message.head, &mut extra);
    keep_size(message, &mut extra);
    HttpResponse {
        content_type: headers.first("Content-Type").unwrap_or_default().to_owned(),
        status_code: message.status().unwrap_or_default().into(),
        status_message: status_message.into(),
        headers,
        body: Body(message.body.clone()),
        extra,
        ..HttpResponse::default()
    }
}

/// Field lines by name, and whether they say exactly what came.
fn fields(head: &Head) -> (Fields, bool) {
    let mut fields = Fields::default();
    let mut all_exact = true;
    for (name, value) in head.fields() {
        let ((name, name_is_exact), (value, value_is_exact)) = (lossless(name), lossless(value));
        all_exact &= name_is_exact && value_is_exact;
        fields.push(header::canonical(&name), value);
    }
    (fields, all_exact)
}

fn keep_raw(exact: bool, head: &Head, extra: &mut Map<String, Value>) {
    if !exact {
        let raw = BASE64_STANDARD.encode(head.to_bytes());
        extra.insert("headBase64".to_owned(), raw.into());
    }
}

/// A body that was not kept whole says how long it was.
fn keep_size(message: &Message, extra: &mut Map<String, Value>) {
    if message.body_bytes != message.body.len() as u64 {
        extra.insert("bodyBytes".to_owned(), message.body_bytes.into());
    }
}
