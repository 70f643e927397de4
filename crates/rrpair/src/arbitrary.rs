//! Records of any content, for property tests.

use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::fields::{Body, Fields, Signature, StringMap, Uuid, Values};
use crate::model::{Direction, Http, HttpRequest, HttpResponse, NetInfo, Peer, RrPair, Text};
use crate::time::Timestamp;

/// Doubles hold whole numbers exactly up to here.
const EXACT: u64 = 1 << 53;

fn text() -> impl Strategy<Value = Text> {
    any::<String>().prop_map(Text::Owned)
}

/// JSON values that keep their type through doubles. No null: it means "missing".
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        any::<i32>().prop_map(|whole| json!(f64::from(whole) + 0.5)),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            btree_map(any::<String>(), inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// Keys that no field has.
fn extra() -> impl Strategy<Value = Map<String, Value>> {
    btree_map("x-.*", value(), 0..3).prop_map(|map| map.into_iter().collect())
}

fn fields() -> impl Strategy<Value = Fields> {
    let values = vec(any::<String>(), 0..3).prop_map(Values::from_vec);
    btree_map(any::<String>(), values, 0..4)
        .prop_map(|map| Fields(map.into_iter().map(|(k, v)| (Text::Owned(k), v)).collect()))
}

fn tags() -> impl Strategy<Value = StringMap> {
    btree_map(any::<String>(), text(), 0..4)
        .prop_map(|map| StringMap(map.into_iter().map(|(k, v)| (Text::Owned(k), v)).collect()))
}

fn signature() -> impl Strategy<Value = Signature> {
    btree_map(any::<String>(), vec(any::<u8>(), 0..40), 0..4)
        .prop_map(|map| Signature(map.into_iter().map(|(k, v)| (Text::Owned(k), v)).collect()))
}

/// Mostly short; long enough at times that lengths need three bytes.
fn body() -> impl Strategy<Value = Body> {
    prop_oneof![
        15 => vec(any::<u8>(), 0..200),
        1 => (0_usize..20_000, any::<u8>()).prop_map(|(bytes, byte)| vec![byte; bytes]),
    ]
    .prop_map(Body)
}

fn request() -> impl Strategy<Value = HttpRequest> {
    let line = (any::<String>(), any::<String>(), text(), text(), any::<String>());
    (line, fields(), fields(), fields(), body(), extra()).prop_map(
        |((url, uri, version, method, host), query_params, headers, trailers, body, extra)| {
            HttpRequest {
                url,
                uri,
                version,
                method,
                host,
                query_params,
                headers,
                trailers,
                body,
                extra,
            }
        },
    )
}

fn response() -> impl Strategy<Value = HttpResponse> {
    (any::<String>(), 0..EXACT, text(), fields(), fields(), body(), extra()).prop_map(
        |(content_type, status_code, status_message, headers, trailers, body, extra)| {
            HttpResponse {
                content_type,
                status_code,
                status_message,
                headers,
                trailers,
                body,
                extra,
            }
        },
    )
}

fn http() -> impl Strategy<Value = Http> {
    (request(), option::of(response()), extra()).prop_map(|(req, res, extra)| Http {
        req,
        res,
        extra,
    })
}

fn peer() -> impl Strategy<Value = Peer> {
    let established = option::of(any::<u64>().prop_map(Timestamp));
    let hostname = option::of(any::<String>());
    (established, any::<String>(), 0..EXACT, hostname, option::of(any::<u64>()), extra()).prop_map(
        |(established, ip_address, port, hostname, bytes_sent, extra)| Peer {
            established,
            ip_address,
            port,
            hostname,
            bytes_sent,
            extra,
        },
    )
}

fn netinfo() -> impl Strategy<Value = NetInfo> {
    (any::<u64>(), option::of(any::<u64>().prop_map(Timestamp)), peer(), peer(), extra()).prop_map(
        |(id, start_time, downstream, upstream, extra)| NetInfo {
            id,
            start_time,
            downstream,
            upstream,
            extra,
        },
    )
}

/// A record as a dissector makes it: any text where the wire decides, else what is allowed.
pub(crate) fn captured() -> impl Strategy<Value = RrPair> {
    let line = ("[A-Z]{1,8}", "1\\.[01]", "[1-9][0-9]{2}|", "[a-z]{1,9}:[0-9]{1,5}");
    let numbers = (0_u64..1000, 0_u64..65_536);
    (record(), http(), line, numbers).prop_map(|(record, http, line, numbers)| {
        let (method, version, status, address) = line;
        let mut record = RrPair { http: Some(http), ..record };
        record.l7protocol = Text::Borrowed(if record.is_tls { "https" } else { "http" });
        record.command = Text::Owned(method.clone());
        record.status = Text::Owned(status);
        record.network_address = Some(address);
        if let Some(http) = &mut record.http {
            http.req.method = Text::Owned(method);
            http.req.version = Text::Owned(version);
            if let Some(res) = &mut http.res {
                res.status_code = numbers.0;
            }
        }
        if let Some(netinfo) = &mut record.netinfo {
            netinfo.downstream.port = numbers.1;
            netinfo.upstream.port = numbers.1;
        }
        record
    })
}

/// Any record.
pub(crate) fn record() -> impl Strategy<Value = RrPair> {
    let names = (any::<String>(), any::<String>(), any::<String>(), any::<String>());
    let line = (text(), any::<String>(), text(), option::of(text()), text());
    let numbers = (any::<u64>(), 0..EXACT, any::<[u8; 16]>(), any::<bool>(), any::<bool>());
    let options = (option::of(any::<String>()), option::of(any::<String>()));
    let parts = (tags(), option::of(http()), option::of(signature()), option::of(netinfo()));
    (names, line, numbers, options, parts, extra()).prop_map(
        |(names, line, numbers, options, parts, extra)| RrPair {
            resource: names.0,
            cluster: names.1,
            namespace: names.2,
            service: names.3,
            command: line.0,
            location: line.1,
            status: line.2,
            tech: line.3,
            l7protocol: line.4,
            ts: Timestamp(numbers.0),
            duration: numbers.1,
            uuid: Uuid(numbers.2),
            direction: if numbers.3 { Direction::In } else { Direction::Out },
            is_tls: numbers.4,
            network_address: options.0,
            session: options.1,
            tags: parts.0,
            http: parts.1,
            signature: parts.2,
            netinfo: parts.3,
            extra,
            ..RrPair::default()
        },
    )
}
