//! The RRPair document as types (contract §1).
//!
//! Keys that this version does not name stay in `extra`, in order, so that a record of a
//! newer producer passes through unchanged. Payloads other than HTTP live there too.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::time::Timestamp;

/// One request with its response, as it is exported and stored (contract §1.1).
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RrPair {
    /// Always `rrpair`.
    pub msg_type: String,
    /// Workload that captured; equals `service`.
    pub resource: String,
    /// Time of the first byte of the request.
    pub ts: Timestamp,
    /// Lower case: `http`, `https`, …
    pub l7protocol: String,
    /// Whole milliseconds from the request's first byte to the response's last.
    #[serde(with = "crate::number::whole")]
    pub duration: u64,
    /// Contract §1.7; all values are strings.
    pub tags: StringMap,
    pub uuid: Uuid,
    pub direction: Direction,
    pub cluster: String,
    pub namespace: String,
    pub service: String,
    /// `host:port` of the upstream.
    #[serde(rename = "network_address", skip_serializing_if = "Option::is_none")]
    pub network_address: Option<String>,
    /// HTTP method.
    pub command: String,
    /// HTTP path without the query.
    pub location: String,
    /// HTTP status code as text; empty when there was no response.
    pub status: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tech: Option<String>,
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

/// `IN`: served by the captured workload. `OUT`: a call that it makes.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub enum Direction {
    #[default]
    #[serde(rename = "IN")]
    In,
    #[serde(rename = "OUT")]
    Out,
}

/// HTTP payload (contract §1.2).
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Http {
    pub req: HttpRequest,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub res: Option<HttpResponse>,
}

/// `http.req` (contract §1.2).
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpRequest {
    /// Path only.
    pub url: String,
    /// Path and raw query as sent, percent-encoding kept.
    pub uri: String,
    /// `1.0`, `1.1`, `2.0`
    pub version: String,
    pub method: String,
    /// Host or authority, with its port when it had one.
    pub host: String,
    pub headers: Fields,
    #[serde(skip_serializing_if = "Fields::is_empty")]
    pub query_params: Fields,
    #[serde(skip_serializing_if = "Fields::is_empty")]
    pub trailers: Fields,
    /// Body bytes as sent: transfer coding undone, content coding kept.
    #[serde(rename = "bodyBase64", skip_serializing_if = "Body::is_empty")]
    pub body: Body,
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// `http.res` (contract §1.2).
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpResponse {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub content_type: String,
    #[serde(with = "crate::number::whole")]
    pub status_code: u64,
    /// Code and reason: `200 OK`; the reason may be empty: `200 `.
    pub status_message: String,
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
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
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
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Peer {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub established: Option<Timestamp>,
    pub ip_address: String,
    #[serde(with = "crate::number::whole")]
    pub port: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// Cumulative for the connection; a decimal string in JSON.
    #[serde(with = "crate::number::text_option", skip_serializing_if = "Option::is_none")]
    pub bytes_sent: Option<u64>,
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// 16 bytes; base64 in JSON, hyphenated text in file names.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct Uuid(pub [u8; 16]);

/// String to string, in order (`tags`).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StringMap(pub Vec<(String, String)>);

/// Field lines: canonical-case name to its values, in order of first appearance.
#[derive(Clone, Default, PartialEq)]
pub struct Fields(pub Vec<(String, Vec<String>)>);

/// Signature key to raw value, in order (contract §1.8).
#[derive(Clone, Default, PartialEq)]
pub struct Signature(pub Vec<(String, Vec<u8>)>);

/// Captured bytes. `Debug` shows the length alone, so that no log line can leak them.
#[derive(Clone, Default, PartialEq)]
pub struct Body(pub Vec<u8>);

impl Body {
    /// True for a message without a body, or with an empty one.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Fields {
    /// True when there is no field line.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// First value of the field, names compared without case.
    pub fn first(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .and_then(|(_, values)| values.first())
            .map(String::as_str)
    }
}

impl StringMap {
    /// Value of `key`.
    pub fn value(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(k, _)| k == key).map(|(_, v)| v.as_str())
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Body({} bytes)", self.0.len())
    }
}

impl fmt::Debug for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fields({} names)", self.0.len())
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signature({} keys)", self.0.len())
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
    /// Marks a record for an exporter that names no policy and is under no enforced floor.
    /// With the DLP engine every other way in goes through a compiled policy.
    pub fn without_policy(raw: Raw) -> Self {
        Self(raw.0)
    }

    /// The record.
    pub fn record(&self) -> &RrPair {
        &self.0
    }
}
