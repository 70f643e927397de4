//! The RRPair document as types (contract §1).
//!
//! Keys that this version does not name stay in `extra`, in order, so that a record of a
//! newer producer passes through unchanged. Payloads other than HTTP live there too.
//!
//! Zero values are left out where the contract allows it, and missing means zero. `Debug`
//! never shows captured bytes: the types that hold them print sizes.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::fields::{Body, Fields, Signature, StringMap, Uuid};
use crate::time::Timestamp;

/// Text that is mostly one of a few constants, and then costs no allocation.
pub type Text = Cow<'static, str>;

/// One request with its response, as it is exported and stored (contract §1.1).
#[derive(Clone, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RrPair {
    /// Always `rrpair`.
    pub msg_type: Text,
    /// Workload that captured; equals `service`.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub resource: String,
    /// Time of the first byte of the request.
    pub ts: Timestamp,
    /// Lower case: `http`, `https`, …
    pub l7protocol: Text,
    /// Whole milliseconds from the request's first byte to the response's last. Always
    /// written, even 0 (contract §2.3).
    #[serde(with = "crate::number::whole")]
    pub duration: u64,
    /// Contract §1.7; all values are strings.
    #[serde(skip_serializing_if = "StringMap::is_empty")]
    pub tags: StringMap,
    pub uuid: Uuid,
    pub direction: Direction,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub cluster: String,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub namespace: String,
    pub service: String,
    /// `host:port` of the upstream.
    #[serde(rename = "network_address", skip_serializing_if = "Option::is_none")]
    pub network_address: Option<String>,
    /// HTTP method.
    pub command: Text,
    /// HTTP path without the query.
    pub location: String,
    /// HTTP status code as text; empty when there was no response.
    pub status: Text,
    /// Primary technology, e.g. `JSON` ([`crate::tech`]).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tech: Option<Text>,
    /// The wire was TLS.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_tls: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http: Option<Http>,
    /// Bearer token or JWT of the actor (contract §1.1). Sensitive.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// Contract §1.8; values are raw bytes here and base64 in JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signature: Option<Signature>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub netinfo: Option<NetInfo>,
    /// Everything else, in document order.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl Default for RrPair {
    fn default() -> Self {
        Self {
            msg_type: Text::Borrowed("rrpair"),
            resource: String::new(),
            ts: Timestamp::default(),
            l7protocol: Text::default(),
            duration: 0,
            tags: StringMap::default(),
            uuid: Uuid::default(),
            direction: Direction::default(),
            cluster: String::new(),
            namespace: String::new(),
            service: String::new(),
            network_address: None,
            command: Text::default(),
            location: String::new(),
            status: Text::default(),
            tech: None,
            is_tls: false,
            http: None,
            session: None,
            signature: None,
            netinfo: None,
            extra: Map::new(),
        }
    }
}

/// `IN`: served by the captured workload. `OUT`: a call that it makes.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub enum Direction {
    #[default]
    #[serde(rename = "IN")]
    In,
    #[serde(rename = "OUT")]
    Out,
}

impl Direction {
    /// As in the document: `IN` or `OUT`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::In => "IN",
            Self::Out => "OUT",
        }
    }
}

/// HTTP payload (contract §1.2).
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct Http {
    pub req: HttpRequest,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub res: Option<HttpResponse>,
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// `http.req` (contract §1.2).
#[derive(Clone, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpRequest {
    /// Path only.
    pub url: String,
    /// Path and raw query as sent, percent-encoding kept.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub uri: String,
    /// `1.0`, `1.1`, `2.0`
    #[serde(skip_serializing_if = "str::is_empty")]
    pub version: Text,
    pub method: Text,
    /// Host or authority, with its port when it had one.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub host: String,
    #[serde(skip_serializing_if = "Fields::is_empty")]
    pub query_params: Fields,
    #[serde(skip_serializing_if = "Fields::is_empty")]
    pub headers: Fields,
    #[serde(skip_serializing_if = "Fields::is_empty")]
    pub trailers: Fields,
    /// Body bytes as sent: transfer coding undone, content coding kept.
    #[serde(rename = "bodyBase64", skip_serializing_if = "Body::is_empty")]
    pub body: Body,
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// `http.res` (contract §1.2).
#[derive(Clone, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpResponse {
    #[serde(skip_serializing_if = "str::is_empty")]
    pub content_type: String,
    #[serde(with = "crate::number::whole")]
    pub status_code: u64,
    /// Code and reason: `200 OK`; the reason may be empty: `200 `.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub status_message: Text,
    #[serde(skip_serializing_if = "Fields::is_empty")]
    pub headers: Fields,
    #[serde(skip_serializing_if = "Fields::is_empty")]
    pub trailers: Fields,
    /// As in the request.
    #[serde(rename = "bodyBase64", skip_serializing_if = "Body::is_empty")]
    pub body: Body,
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// `netinfo` (contract §1.6).
#[derive(Clone, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NetInfo {
    /// Connection number; a decimal string in JSON.
    #[serde(with = "crate::number::text")]
    pub id: u64,
    /// Start of capture of the connection, the same for all its pairs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_time: Option<Timestamp>,
    /// Client side.
    pub downstream: Peer,
    /// Server side.
    pub upstream: Peer,
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// One end of a connection (contract §1.6).
#[derive(Clone, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Peer {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub established: Option<Timestamp>,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub ip_address: String,
    #[serde(with = "crate::number::whole", skip_serializing_if = "crate::number::is_zero")]
    pub port: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// Cumulative for the connection; a decimal string in JSON.
    #[serde(with = "crate::number::text_option", skip_serializing_if = "Option::is_none")]
    pub bytes_sent: Option<u64>,
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl fmt::Debug for RrPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RrPair")
            .field("uuid", &self.uuid)
            .field("ts", &self.ts)
            .field("direction", &self.direction)
            .field("http", &self.http)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for HttpRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpRequest")
            .field("headers", &self.headers)
            .field("body", &self.body)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for HttpResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpResponse")
            .field("status_code", &self.status_code)
            .field("headers", &self.headers)
            .field("body", &self.body)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for NetInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NetInfo").field("id", &self.id).finish_non_exhaustive()
    }
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peer").field("port", &self.port).finish_non_exhaustive()
    }
}

/// A record as captured: it may hold secrets and must not leave the process.
#[derive(Clone, Debug)]
pub struct Raw(pub RrPair);

/// A record that its exporter's policy has passed. Only this can be encoded for export or
/// queued (DESIGN, decision 6).
#[derive(Clone, Debug)]
pub struct Redacted(RrPair);

impl Redacted {
    /// Says that the record has passed every policy in force. Only the crate that carries
    /// policies out may say so; a test holds that.
    pub fn attest(record: RrPair) -> Self {
        Self(record)
    }

    /// The record.
    pub fn record(&self) -> &RrPair {
        &self.0
    }

    /// The record itself, which is none for export any more.
    pub fn into_record(self) -> RrPair {
        self.0
    }
}
