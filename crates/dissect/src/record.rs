//! From an exchange to the record (contract §1.1, §1.2, §1.6–1.8).

mod head;
mod number;
mod uuid;

#[cfg(test)]
mod tests;

use std::net::IpAddr;

use serde_json::Value;
use weir_rrpair::{
    Body, Direction, Fields, Http, HttpRequest, HttpResponse, NetInfo, Origin, Peer, Raw, RrPair,
    StringMap, Text, Timestamp, session,
    signature::{self, Request},
    tech,
};

use self::head::{Target, fields, host_name, method_text, status_message, status_text};
use crate::{
    event::HalfReason,
    exchange::{Defects, Exchange, Message, MessageBody},
    head::{RequestHead, ResponseHead},
};

/// What tells a record from all others.
#[derive(Clone, Copy, Debug)]
pub struct Stamp {
    /// Number of the record in its process: the tag `sequence`.
    pub sequence: u64,
    /// Random bytes of this run of the process, from which the records' ids are derived.
    pub nonce: [u8; 16],
}

/// The record of an exchange; `to_wall` turns kernel monotonic nanoseconds into record time.
///
/// `None` without a request: a record must have a method and a path (contract, schema), and
/// nothing is invented. Such exchanges are for the ledger alone.
///
/// Beyond the contract's fields it may have the tags `tlsVersion` (`1.0` to `1.3`), `incomplete`
/// (why there is no response), `truncated` (`request`, `response` or `both`: the body is not whole) and
/// `defects` (what the messages did against RFC 9112), and in `http.req` and `http.res`:
/// `bodyBytes` (sent bytes of a body that is not whole), `bodyMissingBytes` (those that
/// passed without a copy) and `headBase64` (the head, when the fields do not give it back
/// byte for byte). All but the first two hold captured data or its size.
pub fn raw(
    exchange: Exchange,
    origin: &Origin,
    stamp: Stamp,
    to_wall: impl Fn(u64) -> Timestamp,
) -> Option<Raw> {
    let uuid = uuid::derive(stamp.nonce, origin.connection_id, exchange.ordinal);
    let Exchange { request, response, half, .. } = exchange;
    let request = request?;
    let ts = to_wall(request.first_byte_ns);
    let duration = response.as_ref().map_or(0, |response| {
        response.last_byte_ns.saturating_sub(request.first_byte_ns) / 1_000_000
    });
    let tags = tags(origin, stamp.sequence, half, &request, response.as_ref());
    let bytes_sent = (request.end_position, response.as_ref().map(|r| r.end_position));
    let signature = sign(&request);
    let status = response.as_ref().map_or(Text::Borrowed(""), |r| status_text(r.head.status));
    let http =
        Http { req: request_part(request), res: response.map(response_part), ..Http::default() };
    let host = origin.server_name.as_deref().unwrap_or_else(|| host_name(&http.req.host));
    let mut record = RrPair {
        resource: origin.service.clone(),
        ts,
        l7protocol: Text::Borrowed(if origin.is_tls { "https" } else { "http" }),
        duration,
        tags,
        uuid,
        direction: origin.direction,
        cluster: origin.cluster.clone(),
        namespace: origin.namespace.clone(),
        service: origin.service.clone(),
        network_address: Some(network_address(host, origin.server)),
        command: http.req.method.clone(),
        location: http.req.url.clone(),
        status,
        tech: Some(tech::detect(&http)),
        is_tls: origin.is_tls,
        session: session::of(&http),
        signature: Some(signature),
        netinfo: Some(netinfo(origin, host, bytes_sent)),
        ..RrPair::default()
    };
    record.http = Some(http);
    if let Some(alpn) = &origin.alpn {
        record.extra.insert("alpn".to_owned(), Value::from(alpn.as_ref()));
    }
    Some(Raw(record))
}

fn tags(
    origin: &Origin,
    sequence: u64,
    half: Option<HalfReason>,
    request: &Message<RequestHead>,
    response: Option<&Message<ResponseHead>>,
) -> StringMap {
    let mut tags = StringMap(Vec::with_capacity(16));
    tags.push("captureMode", "eBPF");
    tags.push("source", "goproxy");
    tags.push("sequence", number::decimal(sequence));
    tags.push(
        "proxyLocation",
        match origin.direction {
            Direction::In => "in",
            Direction::Out => "out",
        },
    );
    tags.push("proxyType", "none");
    tags.push("proxyProtocol", "");
    tags.push("proxyVersion", origin.version.clone());
    tags.push("proxyId", origin.pod_name.clone());
    tags.push("k8sAppLabel", origin.app_label.clone());
    tags.push("k8sAppPodName", origin.pod_name.clone());
    tags.push("k8sAppPodNamespace", origin.namespace.clone());
    tags.push("k8sClusterName", origin.cluster.clone());
    if let Some(version) = origin.tls_version {
        tags.push("tlsVersion", version);
    }
    if let Some(half) = half {
        tags.push("incomplete", half.to_string());
    }
    let response_cut = response.is_some_and(|response| response.body.is_truncated());
    match (request.body.is_truncated(), response_cut) {
        (false, false) => {}
        (true, false) => tags.push("truncated", "request"),
        (false, true) => tags.push("truncated", "response"),
        (true, true) => tags.push("truncated", "both"),
    }
    let answered = response.map_or_else(Defects::default, |response| response.defects);
    if !(request.defects.is_empty() && answered.is_empty()) {
        tags.push("defects", defects(request.defects, answered));
    }
    tags
}

/// `request:bare_lf,response:bad_field`
fn defects(asked: Defects, answered: Defects) -> String {
    let name = |side: &str, defect: crate::Defect| format!("{side}:{}", defect.as_str());
    let asked = asked.iter().map(|defect| name("request", defect));
    let answered = answered.iter().map(|defect| name("response", defect));
    asked.chain(answered).collect::<Vec<_>>().join(",")
}

fn sign(request: &Message<RequestHead>) -> weir_rrpair::Signature {
    let target = Target::of(&request.head);
    let content_type = request.head.lines.first("content-type").unwrap_or_default();
    signature::http(&Request {
        host: target.authority,
        method: request.head.method(),
        path: target.path(),
        query: target.query().unwrap_or_default(),
        content_type: std::str::from_utf8(content_type).unwrap_or_default(),
        // Part of a body would only match by mistake.
        body: if request.body.is_truncated() { &[] } else { &request.body.kept },
    })
}

fn request_part(request: Message<RequestHead>) -> HttpRequest {
    let Message { head, trailers, body, .. } = request;
    let target = Target::of(&head);
    let (headers, head_base64) = head.normalised(&target);
    let mut part = HttpRequest {
        url: weir_rrpair::text::lossless(target.path()).0,
        uri: weir_rrpair::text::lossless(target.path_and_query).0,
        version: Text::Borrowed(head.version.as_str()),
        method: method_text(head.method()),
        host: weir_rrpair::text::lossless(target.authority).0,
        headers,
        trailers: fields(&trailers, &mut None),
        ..HttpRequest::default()
    };
    describe(&body, head_base64, |key, value| {
        part.extra.insert(key.to_owned(), value);
    });
    part.body = Body(body.kept);
    part
}

fn response_part(response: Message<ResponseHead>) -> HttpResponse {
    let Message { head, trailers, body, .. } = response;
    let (headers, head_base64) = head.normalised();
    let mut part = HttpResponse {
        content_type: headers.first("Content-Type").unwrap_or_default().to_owned(),
        status_code: u64::from(head.status),
        status_message: status_message(head.status, head.reason()),
        headers,
        trailers: if trailers.is_empty() {
            Fields::default()
        } else {
            fields(&trailers, &mut None)
        },
        ..HttpResponse::default()
    };
    describe(&body, head_base64, |key, value| {
        part.extra.insert(key.to_owned(), value);
    });
    part.body = Body(body.kept);
    part
}

/// What the contract has no field for.
fn describe(
    body: &MessageBody,
    head_base64: Option<String>,
    mut add: impl FnMut(&'static str, Value),
) {
    if body.is_truncated() {
        add("bodyBytes", Value::from(body.original_bytes));
    }
    if body.missing_bytes > 0 {
        add("bodyMissingBytes", Value::from(body.missing_bytes));
    }
    if let Some(head) = head_base64 {
        add("headBase64", Value::from(head));
    }
}

fn netinfo(origin: &Origin, host: &str, bytes_sent: (u64, Option<u64>)) -> NetInfo {
    let peer = |(address, port): (IpAddr, u16), bytes_sent| Peer {
        established: origin.established,
        ip_address: ip_text(address),
        port: u64::from(port),
        bytes_sent,
        ..Peer::default()
    };
    NetInfo {
        id: origin.connection_id,
        start_time: Some(origin.connection_start),
        downstream: peer(origin.client, Some(bytes_sent.0)),
        upstream: Peer {
            hostname: (!host.is_empty()).then(|| host.to_owned()),
            ..peer(origin.server, bytes_sent.1)
        },
        ..NetInfo::default()
    }
}

/// `host:port` of the server: by name if it has one.
fn network_address(host: &str, (address, port): (IpAddr, u16)) -> String {
    let mut text = String::with_capacity(host.len().max(15) + 8);
    match (host, address) {
        ("", IpAddr::V4(address)) => number::push_ipv4(&mut text, address),
        ("", IpAddr::V6(address)) => text.extend(["[", &address.to_string(), "]"]),
        (name, _) if name.contains(':') => text.extend(["[", name, "]"]),
        (name, _) => text.push_str(name),
    }
    text.push(':');
    number::push_decimal(&mut text, u64::from(port));
    text
}

fn ip_text(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => {
            let mut text = String::with_capacity(15);
            number::push_ipv4(&mut text, address);
            text
        }
        IpAddr::V6(address) => address.to_string(),
    }
}
