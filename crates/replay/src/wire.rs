//! From a record to the bytes of its request, and of its response (contract §1.2).

#[cfg(test)]
mod tests;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Map, Value};
use weir_rrpair::{Fields, HttpRequest, HttpResponse, RrPair, text::lossless};

use crate::head::Head;
use crate::message::Message;

/// A request as it goes out.
#[derive(Clone, Eq, PartialEq)]
pub struct Outgoing {
    pub head: Head,
    /// Without transfer coding.
    pub body: Vec<u8>,
    trailers: Vec<(String, String)>,
}

impl std::fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Outgoing({} body bytes)", self.body.len())
    }
}

/// Why a record cannot be sent.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, thiserror::Error)]
pub enum Unsendable {
    #[error("not HTTP")]
    NotHttp,
    #[error("gRPC needs HTTP/2, which replay does not send yet")]
    Grpc,
    #[error("CONNECT opens a tunnel")]
    Tunnel,
    #[error("the request body was not captured whole")]
    BodyCut,
    #[error("the request has no method or no target")]
    NoRequestLine,
}

/// The request of a record, as it was on the wire.
///
/// The raw head is used where the record has one (`headBase64`); else the parts give the head
/// back exactly. A request that was HTTP/2 goes out as HTTP/1.1. Chunks are not recorded: a
/// chunked body goes out as one chunk.
///
/// # Errors
///
/// When it cannot be sent as it was.
pub fn request(record: &RrPair) -> Result<Outgoing, Unsendable> {
    if record.l7protocol == "grpc" {
        return Err(Unsendable::Grpc);
    }
    let req = &record.http.as_ref().ok_or(Unsendable::NotHttp)?.req;
    if req.method == "CONNECT" {
        return Err(Unsendable::Tunnel);
    }
    let cut = record.tags.value("truncated").is_some_and(|side| side != "response");
    if cut || req.extra.contains_key("bodyBytes") {
        return Err(Unsendable::BodyCut);
    }
    let mut head = match raw_head(&req.extra) {
        Some(raw) => Head::from_raw(&raw),
        None => built_request(req)?,
    };
    frame(&mut head, req.body.0.len(), true);
    Ok(Outgoing { head, body: req.body.0.clone(), trailers: trailers(&req.trailers) })
}

/// The response of a record as bytes; `to_head`: without its body.
///
/// `None` for a record without a response, or with a body that was not captured whole.
pub fn response(record: &RrPair, to_head: bool) -> Option<Vec<u8>> {
    Some(answer(record)?.into_bytes(to_head))
}

/// A recorded response.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u64,
    outgoing: Outgoing,
}

impl Answer {
    /// For a client of HTTP/1.0, which knows no chunks.
    pub fn without_chunks(&mut self) {
        if self.outgoing.is_chunked() {
            self.outgoing.head.remove("Transfer-Encoding");
            self.outgoing.head.remove("Trailer");
        }
    }

    /// Its client must not use the connection again.
    pub fn closes(&self) -> bool {
        self.outgoing.head.lists("connection", "close")
    }

    /// The bytes of the wire, framed so that their reader finds the end; `to_head`: without the
    /// body, and with the length that the recorded answer says.
    pub fn into_bytes(mut self, to_head: bool) -> Vec<u8> {
        if to_head || matches!(self.status, 100..=199 | 204 | 304) {
            return self.outgoing.head.to_bytes();
        }
        frame(&mut self.outgoing.head, self.outgoing.body.len(), false);
        self.outgoing.to_bytes()
    }
}

/// The response of a record; `None` as for [`response`].
pub fn answer(record: &RrPair) -> Option<Answer> {
    let res = record.http.as_ref()?.res.as_ref()?;
    let cut = record.tags.value("truncated").is_some_and(|side| side != "request");
    if res.status_code == 0 || cut || res.extra.contains_key("bodyBytes") {
        return None;
    }
    let head = match raw_head(&res.extra) {
        Some(raw) => Head::from_raw(&raw),
        None => built_response(res),
    };
    let outgoing = Outgoing { head, body: res.body.0.clone(), trailers: trailers(&res.trailers) };
    Some(Answer { status: res.status_code, outgoing })
}

impl Outgoing {
    /// A message that came, to be sent on. Its chunks become one.
    pub fn from_message(message: &Message) -> Self {
        let trailers = message.trailers.iter();
        let trailers = trailers.map(|(name, value)| (lossless(name).0, lossless(value).0));
        let (head, body) = (message.head.clone(), message.body.clone());
        Self { head, body, trailers: trailers.collect() }
    }

    /// Whether the body is sent in chunks.
    fn is_chunked(&self) -> bool {
        self.head.lists("transfer-encoding", "chunked")
    }

    /// Puts another body in place, and its length where the head says one.
    pub fn set_body(&mut self, body: Vec<u8>) {
        self.body = body;
        frame(&mut self.head, self.body.len(), true);
    }

    /// The bytes of the wire.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.head.to_bytes();
        if !self.is_chunked() {
            bytes.extend_from_slice(&self.body);
            return bytes;
        }
        if !self.body.is_empty() {
            bytes.extend_from_slice(format!("{:x}\r\n", self.body.len()).as_bytes());
            bytes.extend_from_slice(&self.body);
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(b"0\r\n");
        for (name, value) in &self.trailers {
            bytes.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
        }
        bytes.extend_from_slice(b"\r\n");
        bytes
    }
}

fn raw_head(extra: &Map<String, Value>) -> Option<Vec<u8>> {
    BASE64_STANDARD.decode(extra.get("headBase64")?.as_str()?).ok()
}

fn built_request(req: &HttpRequest) -> Result<Head, Unsendable> {
    let target = if req.uri.is_empty() { &req.url } else { &req.uri };
    if req.method.is_empty() || target.is_empty() {
        return Err(Unsendable::NoRequestLine);
    }
    let version = if req.version == "1.0" { "1.0" } else { "1.1" };
    let mut head = Head::new(format!("{} {target} HTTP/{version}", req.method).as_bytes());
    push_fields(&mut head, &req.headers);
    if head.first("host").is_none() && version == "1.1" {
        head.push_first("Host", req.host.as_bytes());
    }
    Ok(head)
}

fn built_response(res: &HttpResponse) -> Head {
    let message = if res.status_message.is_empty() {
        format!("{} ", res.status_code)
    } else {
        res.status_message.to_string()
    };
    let mut head = Head::new(b"");
    head.set_start(format!("HTTP/1.1 {message}").as_bytes());
    push_fields(&mut head, &res.headers);
    head
}

fn push_fields(head: &mut Head, fields: &Fields) {
    for (name, values) in fields.iter().filter(|(name, _)| !name.starts_with(':')) {
        for value in values {
            // A record that somebody edited must not smuggle in a second field or request.
            let value = value.replace(['\r', '\n'], " ");
            head.push(name, value.as_bytes());
        }
    }
}

fn trailers(fields: &Fields) -> Vec<(String, String)> {
    let one = |value: &String| value.replace(['\r', '\n'], " ");
    fields
        .iter()
        .flat_map(|(name, values)| values.iter().map(move |v| (name.to_owned(), one(v))))
        .collect()
}

/// Makes the head tell the body's length, if it does not already.
fn frame(head: &mut Head, body_bytes: usize, is_request: bool) {
    if head.lists("transfer-encoding", "chunked") {
        return;
    }
    let said = head.first("content-length").map(<[u8]>::to_vec);
    let length = body_bytes.to_string();
    let right = said.as_deref() == Some(length.as_bytes());
    if !right && (said.is_some() || body_bytes > 0 || !is_request) {
        head.set("Content-Length", length.as_bytes());
    }
}
