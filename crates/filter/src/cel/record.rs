//! What expressions see of a record: every field with its type.

use std::borrow::Cow;

use weir_rrpair::{Direction, Fields, Http, HttpResponse, Peer, RrPair, StringMap};

/// Type of a value.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Type {
    Bool,
    Int,
    Double,
    Text,
    Time,
    Texts,
    /// Names to lists of strings; names of header fields are looked up without case.
    Fields,
    /// Names to strings.
    Map,
}

impl Type {
    /// As CEL names it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::Int => "int",
            Self::Double => "double",
            Self::Text => "string",
            Self::Time => "timestamp",
            Self::Texts => "list(string)",
            Self::Fields => "map(string, list(string))",
            Self::Map => "map(string, string)",
        }
    }
}

/// A value while an expression runs.
#[derive(Clone, Debug)]
pub(super) enum Val<'a> {
    Bool(bool),
    Int(i64),
    Double(f64),
    Text(Cow<'a, str>),
    /// Nanoseconds since the epoch.
    Time(u64),
    Texts(&'a [String]),
    Fields(&'a Fields),
    Map(&'a StringMap),
}

/// Reads a field of a record.
pub(super) type Getter = for<'a> fn(&'a RrPair) -> Val<'a>;

/// Tells whether a record has a group of fields.
pub(super) type Presence = fn(&RrPair) -> bool;

/// A field by its full name.
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) of: Type,
    pub(super) get: Getter,
}

static NO_FIELDS: Fields = Fields(Vec::new());

fn text(text: &str) -> Val<'_> {
    Val::Text(Cow::Borrowed(text))
}

fn optional(text: Option<&str>) -> Val<'_> {
    Val::Text(Cow::Borrowed(text.unwrap_or_default()))
}

fn int(number: u64) -> Val<'static> {
    Val::Int(i64::try_from(number).unwrap_or(i64::MAX))
}

fn request(pair: &RrPair, read: for<'a> fn(&'a Http) -> &'a str) -> Val<'_> {
    optional(pair.http.as_ref().map(read))
}

fn response(pair: &RrPair) -> Option<&HttpResponse> {
    pair.http.as_ref()?.res.as_ref()
}

fn fields(fields: Option<&Fields>) -> Val<'_> {
    Val::Fields(fields.unwrap_or(&NO_FIELDS))
}

/// Text of a body; bytes that are no UTF-8 become U+FFFD.
fn body(bytes: Option<&[u8]>) -> Val<'_> {
    Val::Text(String::from_utf8_lossy(bytes.unwrap_or_default()))
}

fn upstream(pair: &RrPair) -> Option<&Peer> {
    pair.netinfo.as_ref().map(|netinfo| &netinfo.upstream)
}

fn downstream(pair: &RrPair) -> Option<&Peer> {
    pair.netinfo.as_ref().map(|netinfo| &netinfo.downstream)
}

/// Every field that an expression may name.
pub(super) const FIELDS: &[Field] = {
    use Type::{Bool, Fields, Int, Map, Text, Time};
    &[
        Field { name: "resource", of: Text, get: |p| text(&p.resource) },
        Field { name: "service", of: Text, get: |p| text(&p.service) },
        Field { name: "cluster", of: Text, get: |p| text(&p.cluster) },
        Field { name: "namespace", of: Text, get: |p| text(&p.namespace) },
        Field { name: "ts", of: Time, get: |p| Val::Time(p.ts.as_nanoseconds()) },
        Field { name: "duration", of: Int, get: |p| int(p.duration) },
        Field { name: "l7protocol", of: Text, get: |p| text(&p.l7protocol) },
        Field { name: "isTls", of: Bool, get: |p| Val::Bool(p.is_tls) },
        Field { name: "tech", of: Text, get: |p| optional(p.tech.as_deref()) },
        Field {
            name: "direction",
            of: Text,
            get: |p| text(if p.direction == Direction::In { "IN" } else { "OUT" }),
        },
        Field { name: "uuid", of: Text, get: |p| Val::Text(Cow::Owned(p.uuid.to_string())) },
        Field {
            name: "network_address",
            of: Text,
            get: |p| optional(p.network_address.as_deref()),
        },
        Field { name: "command", of: Text, get: |p| text(&p.command) },
        Field { name: "location", of: Text, get: |p| text(&p.location) },
        Field { name: "status", of: Text, get: |p| text(&p.status) },
        Field { name: "session", of: Text, get: |p| optional(p.session.as_deref()) },
        Field { name: "tags", of: Map, get: |p| Val::Map(&p.tags) },
        Field { name: "http.req.method", of: Text, get: |p| request(p, |h| &h.req.method) },
        Field { name: "http.req.url", of: Text, get: |p| request(p, |h| &h.req.url) },
        Field { name: "http.req.uri", of: Text, get: |p| request(p, |h| &h.req.uri) },
        Field { name: "http.req.version", of: Text, get: |p| request(p, |h| &h.req.version) },
        Field { name: "http.req.host", of: Text, get: |p| request(p, |h| &h.req.host) },
        Field {
            name: "http.req.headers",
            of: Fields,
            get: |p| fields(p.http.as_ref().map(|http| &http.req.headers)),
        },
        Field {
            name: "http.req.trailers",
            of: Fields,
            get: |p| fields(p.http.as_ref().map(|http| &http.req.trailers)),
        },
        Field {
            name: "http.req.queryParams",
            of: Fields,
            get: |p| fields(p.http.as_ref().map(|http| &http.req.query_params)),
        },
        Field {
            name: "http.req.body",
            of: Text,
            get: |p| body(p.http.as_ref().map(|http| http.req.body.0.as_slice())),
        },
        Field {
            name: "http.res.contentType",
            of: Text,
            get: |p| optional(response(p).map(|res| res.content_type.as_str())),
        },
        Field {
            name: "http.res.statusCode",
            of: Int,
            get: |p| int(response(p).map_or(0, |res| res.status_code)),
        },
        Field {
            name: "http.res.statusMessage",
            of: Text,
            get: |p| optional(response(p).map(|res| res.status_message.as_ref())),
        },
        Field {
            name: "http.res.headers",
            of: Fields,
            get: |p| fields(response(p).map(|res| &res.headers)),
        },
        Field {
            name: "http.res.trailers",
            of: Fields,
            get: |p| fields(response(p).map(|res| &res.trailers)),
        },
        Field {
            name: "http.res.body",
            of: Text,
            get: |p| body(response(p).map(|res| res.body.0.as_slice())),
        },
        Field {
            name: "netinfo.downstream.ipAddress",
            of: Text,
            get: |p| optional(downstream(p).map(|peer| peer.ip_address.as_str())),
        },
        Field {
            name: "netinfo.downstream.port",
            of: Int,
            get: |p| int(downstream(p).map_or(0, |peer| peer.port)),
        },
        Field {
            name: "netinfo.upstream.ipAddress",
            of: Text,
            get: |p| optional(upstream(p).map(|peer| peer.ip_address.as_str())),
        },
        Field {
            name: "netinfo.upstream.port",
            of: Int,
            get: |p| int(upstream(p).map_or(0, |peer| peer.port)),
        },
        Field {
            name: "netinfo.upstream.hostname",
            of: Text,
            get: |p| optional(upstream(p).and_then(|peer| peer.hostname.as_deref())),
        },
    ]
};

/// Groups of fields that `has()` can be asked about.
pub(super) const GROUPS: &[(&str, Presence)] = &[
    ("http.req", |pair| pair.http.is_some()),
    ("http.res", |pair| response(pair).is_some()),
    ("netinfo.downstream", |pair| pair.netinfo.is_some()),
    ("netinfo.upstream", |pair| pair.netinfo.is_some()),
];
