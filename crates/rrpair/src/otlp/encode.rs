//! One record as one LogRecord message, in one pass and without a tree in between.
//!
//! Keys, order and what is left out are those of the JSON form; a property test holds the
//! two together.

use bytes::BufMut as _;

use super::wire::{self, Slot};
use crate::fields::{Body, Fields, Signature, StringMap};
use crate::model::{Http, HttpRequest, HttpResponse, NetInfo, Peer, Redacted, RrPair};
use crate::time::Timestamp;

/// `LogRecord.time_unix_nano` and `.observed_time_unix_nano`, fixed64.
const TIME: u8 = 0x09;
const OBSERVED_TIME: u8 = 0x59;
/// `LogRecord.severity_number` 9 and `.severity_text` `INFO` (contract §2.2).
const SEVERITY: &[u8] = b"\x10\x09\x1a\x04INFO";
/// `LogRecord.body` and `.attributes`.
const BODY: u8 = 0x2a;
const ATTRIBUTE: u8 = 0x32;

/// Bytes of a record without its bodies, generously.
const TYPICAL_BYTES: usize = 3072;
/// Expected content of a map of two-byte length; right for most of them.
const SMALL: usize = 256;

/// Appends the protobuf bytes of one `LogRecord` (contract §2.1, §2.2): body a map, numbers
/// doubles, `duration` always there, attributes `service`, `namespace` and `tag.<key>`, no
/// trace ids. `observed_ns` is the time of export in nanoseconds since the epoch.
///
/// A top-level `tokenList` is left out: its keys are unbounded and hold values (contract
/// §2.4).
pub fn encode_log_record(record: &Redacted, observed_ns: u64, out: &mut Vec<u8>) {
    let record = record.record();
    let bodies = record.http.as_ref().map_or(0, http_body_bytes);
    out.reserve(TYPICAL_BYTES + bodies);
    out.put_u8(TIME);
    out.put_u64_le(record.ts.as_nanoseconds());
    out.put_slice(SEVERITY);
    wire::map(out, Slot::Plain(BODY), SMALL + bodies, |out| pair(out, record, bodies));
    attributes(out, record);
    out.put_u8(OBSERVED_TIME);
    out.put_u64_le(observed_ns);
}

fn attributes(out: &mut Vec<u8>, record: &RrPair) {
    let attribute = |key| Slot::Entry { tag: ATTRIBUTE, key };
    wire::text(out, attribute("service"), &record.service);
    wire::text(out, attribute("namespace"), &record.namespace);
    for (key, value) in &record.tags.0 {
        wire::tag_text(out, ATTRIBUTE, key, value);
    }
}

fn pair(out: &mut Vec<u8>, record: &RrPair, body_bytes: usize) {
    let RrPair {
        msg_type,
        resource,
        ts,
        l7protocol,
        duration,
        tags,
        uuid,
        direction,
        cluster,
        namespace,
        service,
        network_address,
        command,
        location,
        status,
        tech,
        is_tls,
        http,
        session,
        signature,
        netinfo,
        extra,
    } = record;
    text(out, "msgType", msg_type);
    text_unless_empty(out, "resource", resource);
    time(out, "ts", *ts);
    text(out, "l7protocol", l7protocol);
    number(out, "duration", *duration);
    string_map(out, "tags", tags);
    wire::base64(out, Slot::member("uuid"), &uuid.0);
    text(out, "direction", direction.as_str());
    text_unless_empty(out, "cluster", cluster);
    text_unless_empty(out, "namespace", namespace);
    text(out, "service", service);
    text_if_some(out, "network_address", network_address.as_deref());
    text(out, "command", command);
    text(out, "location", location);
    text(out, "status", status);
    text_if_some(out, "tech", tech.as_deref());
    if *is_tls {
        wire::truth(out, Slot::member("isTls"), true);
    }
    if let Some(http) = http {
        wire::map(out, Slot::member("http"), SMALL + body_bytes, |out| payload(out, http));
    }
    text_if_some(out, "session", session.as_deref());
    if let Some(signature) = signature {
        signature_map(out, signature);
    }
    if let Some(netinfo) = netinfo {
        wire::map(out, Slot::member("netinfo"), SMALL, |out| net(out, netinfo));
    }
    if extra.contains_key("tokenList") {
        let mut extra = extra.clone();
        extra.shift_remove("tokenList");
        wire::members(out, &extra);
    } else {
        wire::members(out, extra);
    }
}

fn payload(out: &mut Vec<u8>, http: &Http) {
    let Http { req, res, extra } = http;
    let expected = SMALL + wire::base64_bytes(req.body.0.len());
    wire::map(out, Slot::member("req"), expected, |out| request(out, req));
    if let Some(res) = res {
        let expected = SMALL + wire::base64_bytes(res.body.0.len());
        wire::map(out, Slot::member("res"), expected, |out| response(out, res));
    }
    wire::members(out, extra);
}

fn request(out: &mut Vec<u8>, req: &HttpRequest) {
    let HttpRequest {
        url,
        uri,
        version,
        method,
        host,
        query_params,
        headers,
        trailers,
        body: content,
        extra,
    } = req;
    text(out, "url", url);
    text_unless_empty(out, "uri", uri);
    text_unless_empty(out, "version", version);
    text(out, "method", method);
    text_unless_empty(out, "host", host);
    fields(out, "queryParams", query_params);
    fields(out, "headers", headers);
    fields(out, "trailers", trailers);
    body(out, content);
    wire::members(out, extra);
}

fn response(out: &mut Vec<u8>, res: &HttpResponse) {
    let HttpResponse {
        content_type,
        status_code,
        status_message,
        headers,
        trailers,
        body: content,
        extra,
    } = res;
    text_unless_empty(out, "contentType", content_type);
    number(out, "statusCode", *status_code);
    text_unless_empty(out, "statusMessage", status_message);
    fields(out, "headers", headers);
    fields(out, "trailers", trailers);
    body(out, content);
    wire::members(out, extra);
}

fn net(out: &mut Vec<u8>, netinfo: &NetInfo) {
    let NetInfo { id, start_time, downstream, upstream, extra } = netinfo;
    decimal(out, "id", *id);
    if let Some(start_time) = start_time {
        time(out, "startTime", *start_time);
    }
    wire::map(out, Slot::member("downstream"), SMALL, |out| peer(out, downstream));
    wire::map(out, Slot::member("upstream"), SMALL, |out| peer(out, upstream));
    wire::members(out, extra);
}

fn peer(out: &mut Vec<u8>, peer: &Peer) {
    let Peer { established, ip_address, port, hostname, bytes_sent, extra } = peer;
    if let Some(established) = established {
        time(out, "established", *established);
    }
    text_unless_empty(out, "ipAddress", ip_address);
    if *port != 0 {
        number(out, "port", *port);
    }
    text_if_some(out, "hostname", hostname.as_deref());
    if let Some(bytes_sent) = bytes_sent {
        decimal(out, "bytesSent", *bytes_sent);
    }
    wire::members(out, extra);
}

fn string_map(out: &mut Vec<u8>, key: &str, map: &StringMap) {
    if !map.is_empty() {
        wire::map(out, Slot::member(key), SMALL, |out| {
            for (key, value) in &map.0 {
                text(out, key, value);
            }
        });
    }
}

fn fields(out: &mut Vec<u8>, key: &str, fields: &Fields) {
    if !fields.is_empty() {
        wire::map(out, Slot::member(key), SMALL, |out| {
            for (name, values) in fields.iter() {
                wire::texts(out, Slot::member(name), values);
            }
        });
    }
}

fn signature_map(out: &mut Vec<u8>, signature: &Signature) {
    wire::map(out, Slot::member("signature"), SMALL, |out| {
        for (key, value) in &signature.0 {
            wire::base64(out, Slot::member(key), value);
        }
    });
}

fn body(out: &mut Vec<u8>, body: &Body) {
    if !body.is_empty() {
        wire::base64(out, Slot::member("bodyBase64"), &body.0);
    }
}

fn http_body_bytes(http: &Http) -> usize {
    let response = http.res.as_ref().map_or(0, |res| res.body.0.len());
    wire::base64_bytes(http.req.body.0.len()) + wire::base64_bytes(response)
}

#[inline]
fn text(out: &mut Vec<u8>, key: &str, value: &str) {
    wire::text(out, Slot::member(key), value);
}

#[inline]
fn text_unless_empty(out: &mut Vec<u8>, key: &str, value: &str) {
    if !value.is_empty() {
        text(out, key, value);
    }
}

#[inline]
fn text_if_some(out: &mut Vec<u8>, key: &str, value: Option<&str>) {
    if let Some(value) = value {
        text(out, key, value);
    }
}

fn time(out: &mut Vec<u8>, key: &str, value: Timestamp) {
    wire::ascii(out, Slot::member(key), &value.to_ascii());
}

fn number(out: &mut Vec<u8>, key: &str, value: u64) {
    #[expect(clippy::cast_precision_loss, reason = "contract §2.1: all numbers are doubles")]
    wire::number(out, Slot::member(key), value as f64);
}

/// A 64-bit integer: a decimal string (contract §1).
fn decimal(out: &mut Vec<u8>, key: &str, mut value: u64) {
    let mut digits = [b'0'; 20];
    let mut start = digits.len();
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (value % 10) as u8;
        start -= 1;
        value /= 10;
        if value == 0 {
            break;
        }
    }
    wire::ascii(out, Slot::member(key), digits.get(start..).unwrap_or_default());
}
