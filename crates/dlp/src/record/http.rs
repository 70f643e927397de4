//! The HTTP payload: head, body, and what the record says of them a second time.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};
use weir_rrpair::{Body, Fields, Http, HttpRequest, HttpResponse};

use super::{Work, lossy};
use crate::body::{BodyText, Redaction};
use crate::edit::{Edit, apply, hits, settle, shift};
use crate::engine::{At, category_id};

/// Names of the places of one message.
struct Places {
    headers: &'static str,
    trailers: &'static str,
    cookies: &'static str,
    body: &'static str,
    other: &'static str,
}

const REQUEST: Places = Places {
    headers: "http.req.headers",
    trailers: "http.req.trailers",
    cookies: "http.req.cookies",
    body: "http.req.body",
    other: "http.req",
};
const RESPONSE: Places = Places {
    headers: "http.res.headers",
    trailers: "http.res.trailers",
    cookies: "http.res.cookies",
    body: "http.res.body",
    other: "http.res",
};

/// The parts that both messages have.
struct Message<'m> {
    headers: &'m mut Fields,
    trailers: &'m mut Fields,
    body: &'m mut Body,
    extra: &'m mut Map<String, Value>,
}

impl Work<'_, '_> {
    /// True when the request changed.
    pub(super) fn http(&mut self, http: &mut Http) -> bool {
        let before = std::mem::take(&mut self.modified);
        self.request(&mut http.req);
        let request_changed = std::mem::replace(&mut self.modified, before);
        self.modified |= request_changed;
        if let Some(response) = &mut http.res {
            let HttpResponse {
                headers, trailers, body, extra, status_message, content_type, ..
            } = response;
            self.message(&RESPONSE, Message { headers, trailers, body, extra });
            let other = self.at(RESPONSE.other);
            self.edit(content_type, |work, text| work.run.found(other, text, false));
            let mut reason = status_message.clone().into_owned();
            if self.edit(&mut reason, |work, text| work.run.found(other, text, false)) {
                *status_message = reason.into();
            }
        }
        let container = self.at("http");
        for (_, value) in &mut http.extra {
            self.document(container, value, true);
        }
        request_changed
    }

    fn request(&mut self, request: &mut HttpRequest) {
        let HttpRequest { url, uri, host, query_params, headers, trailers, body, extra, .. } =
            request;
        let (path, query) = (self.at("http.req.url"), self.at("http.req.queryParams"));
        // The target as it was sent counts; its parts repeat it.
        let counted = self.edit(uri, |work, text| work.run.target(path, query, text));
        let alone = uri.is_empty();
        let in_url = |work: &mut Self, text: &[u8]| work.run.path(path, text);
        if alone && !counted {
            self.edit(url, in_url)
        } else {
            self.edit_copy(url, in_url)
        };
        for (name, values) in &mut query_params.0 {
            for value in values {
                self.edit_copy(value, |work, text| {
                    work.run.below(query, name.as_bytes(), |run, at| run.value(at, text))
                });
            }
            let mut text = name.clone().into_owned();
            if self.edit_copy(&mut text, |work, text| work.run.found(query, text, false)) {
                *name = text.into();
            }
        }
        let host_place = self.at("http.req.host");
        self.edit_copy(host, |work, text| work.run.text(host_place, text));
        self.message(&REQUEST, Message { headers, trailers, body, extra });
    }

    fn message(&mut self, places: &Places, message: Message<'_>) {
        let Message { headers, trailers, body, extra } = message;
        let content_type = headers.first("Content-Type").unwrap_or_default().to_owned();
        let length = body.0.len();
        let cut = extra.contains_key("bodyBytes") || extra.contains_key("bodyMissingBytes");
        if !body.0.is_empty() {
            let text = BodyText {
                bytes: &body.0,
                content_type: &content_type,
                content_encoding: headers.first("Content-Encoding").unwrap_or_default(),
                grpc_encoding: headers.first("Grpc-Encoding").unwrap_or_default(),
                cut,
            };
            match self.run.body(self.at(places.body), text) {
                Redaction::Changed { bytes, hits } => {
                    self.note(&hits);
                    body.0 = bytes;
                }
                Redaction::Undecodable if self.run.engine.remove_undecodable => {
                    self.note(&[category_id("UNDECODABLE")]);
                    body.0.clear();
                    extra.remove("body");
                }
                Redaction::Same | Redaction::Undecodable => {}
            }
        }
        let grown = (length, body.0.len());
        for (place, fields) in [(places.headers, &mut *headers), (places.trailers, trailers)] {
            let at = self.at(place);
            for (name, values) in &mut fields.0 {
                for value in values {
                    self.edit(value, |work, text| work.run.field(at, name, text));
                }
            }
        }
        if grown.0 != grown.1 {
            for (name, values) in &mut headers.0 {
                if name.eq_ignore_ascii_case("Content-Length") {
                    for value in values {
                        *value = new_length(value, grown).unwrap_or_else(|| value.clone());
                    }
                }
            }
        }
        self.extra(places, &content_type, grown, extra);
    }

    fn extra(
        &mut self,
        places: &Places,
        content_type: &str,
        grown: (usize, usize),
        extra: &mut Map<String, Value>,
    ) {
        for (name, value) in extra {
            match (name.as_str(), value) {
                // A readable copy of the body.
                ("body", Value::String(text)) => {
                    let at = self.at(places.body);
                    // Coded media are readable here, so it shows what the text is.
                    let kind = if content_type.starts_with("application/grpc") {
                        ""
                    } else {
                        content_type
                    };
                    self.edit_copy(text, |work, text| work.run.bytes(at, kind.as_bytes(), text));
                }
                ("headBase64", Value::String(text)) => self.head(places, text, grown),
                ("cookies", Value::Array(cookies)) => {
                    let at = self.at(places.cookies);
                    for cookie in cookies {
                        self.cookie(at, cookie);
                    }
                }
                (_, Value::Null | Value::Bool(_) | Value::Number(_)) => {}
                (_, value) => {
                    let at = self.at(places.other);
                    self.document(at, value, true);
                }
            }
        }
    }

    /// `{name, value, expires}`
    fn cookie(&mut self, at: At<'_>, cookie: &mut Value) {
        let name = cookie.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
        if let Some(Value::String(value)) = cookie.get_mut("value") {
            self.edit_copy(value, |work, text| {
                work.run.below(at, name.as_bytes(), |run, at| run.value(at, text))
            });
        }
    }

    /// The head as it was sent.
    fn head(&mut self, places: &Places, text: &mut String, grown: (usize, usize)) {
        let Ok(head) = STANDARD.decode(text.as_bytes()) else {
            // Unreadable here means unreadable for everybody.
            text.clear();
            return;
        };
        let mut edits: Vec<Edit> = Vec::new();
        let mut start = 0;
        for (index, line) in head.split(|byte| *byte == b'\n').enumerate() {
            edits.extend(shift(self.head_line(places, index, line, grown), start));
            start += line.len() + 1;
        }
        let edits = settle(edits);
        if !edits.is_empty() {
            self.modified |= !hits(&edits).is_empty();
            *text = STANDARD.encode(apply(&head, &edits));
        }
    }

    fn head_line(
        &mut self,
        places: &Places,
        index: usize,
        line: &[u8],
        grown: (usize, usize),
    ) -> Vec<Edit> {
        let at = self.at(places.headers);
        if index == 0 && places.other == REQUEST.other {
            let mut words = line.splitn(3, |byte| *byte == b' ');
            let from = words.next().map_or(0, <[u8]>::len) + 1;
            let target = words.next().unwrap_or_default();
            let (path, query) = (self.at("http.req.url"), self.at("http.req.queryParams"));
            return shift(self.run.target(path, query, target), from).collect();
        }
        let Some(colon) = memchr::memchr(b':', line) else {
            return self.run.found(at, line, false);
        };
        let value = &line[colon + 1..];
        let start = colon + 1 + (value.len() - value.trim_ascii_start().len());
        let value = value.trim_ascii();
        let name = lossy(line[..colon].trim_ascii().to_vec());
        let mut edits: Vec<Edit> = shift(self.run.field(at, &name, value), start).collect();
        if name.eq_ignore_ascii_case("Content-Length")
            && grown.0 != grown.1
            && let Some(with) = std::str::from_utf8(value).ok().and_then(|v| new_length(v, grown))
        {
            let range = start..start + value.len();
            edits = vec![Edit { range, with: with.into_bytes(), hits: Vec::new() }];
        }
        edits
    }
}

/// The length that a message says, with the body's change: a cut body was never as long.
fn new_length(value: &str, (before, after): (usize, usize)) -> Option<String> {
    let said: u64 = value.trim().parse().ok()?;
    let changed = i128::from(said) + after as i128 - before as i128;
    Some(changed.max(0).to_string())
}
