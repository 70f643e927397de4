//! The oracle: what a client did, what was captured, and how the two differ.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use anyhow::{Context as _, Result, ensure};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::Value;

/// Header fields by lower-case name, the values of one name in the order of the wire.
pub type Fields = BTreeMap<String, Vec<String>>;

/// One exchange as its client saw it. The target (`uri`) is its identity: unique per test.
#[derive(Clone, Debug, PartialEq)]
pub struct Exchange {
    pub method: String,
    /// Path and query as sent.
    pub uri: String,
    pub request_headers: Fields,
    pub request_body: Vec<u8>,
    pub status: u16,
    pub response_headers: Fields,
    pub response_body: Vec<u8>,
}

/// One captured record, read without any code of Weir.
#[derive(Clone, Debug, PartialEq)]
pub struct Pair {
    /// `IN` or `OUT`.
    pub direction: String,
    /// Absent in a pair whose request head was lost.
    pub uri: Option<String>,
    pub method: String,
    pub request_headers: Fields,
    pub request_body: Vec<u8>,
    /// The `status` field of the record: empty without a response.
    pub status: String,
    /// Absent when there was no response.
    pub response: Option<CapturedResponse>,
    pub uuid: String,
    /// The whole record.
    pub record: Value,
}

/// The response of a [`Pair`].
#[derive(Clone, Debug, PartialEq)]
pub struct CapturedResponse {
    pub status: u16,
    pub headers: Fields,
    pub body: Vec<u8>,
}

impl Pair {
    /// Reads an RRPair document (contract §1).
    ///
    /// # Errors
    ///
    /// When a field that every HTTP record has is missing or has the wrong type.
    pub fn from_record(record: Value) -> Result<Self> {
        ensure!(record["msgType"] == "rrpair", "msgType is not rrpair");
        let text = |key: &str| {
            record[key].as_str().map(str::to_owned).with_context(|| format!("{key} is no text"))
        };
        let request = &record["http"]["req"];
        let response = match &record["http"]["res"] {
            Value::Null => None,
            response => {
                let code = response["statusCode"].as_f64().context("statusCode is no number")?;
                (code != 0.0).then(|| captured_response(response, code)).transpose()?
            }
        };
        Ok(Self {
            direction: text("direction")?,
            uri: request["uri"].as_str().filter(|uri| !uri.is_empty()).map(str::to_owned),
            method: text("command")?,
            request_headers: fields(&request["headers"])?,
            request_body: body(request)?,
            status: record["status"].as_str().unwrap_or_default().to_owned(),
            response,
            uuid: text("uuid")?,
            record,
        })
    }

    /// Whether one of the two messages is missing or cut.
    #[must_use]
    pub fn is_half(&self) -> bool {
        let incomplete = self.record["tags"].get("incomplete").is_some();
        self.uri.is_none() || self.response.is_none() || incomplete
    }

    /// Whether the record says that a body is not whole.
    #[must_use]
    pub fn has_hole(&self) -> bool {
        self.record["tags"].get("truncated").is_some()
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a status code")]
fn captured_response(response: &Value, code: f64) -> Result<CapturedResponse> {
    ensure!(code.fract() == 0.0 && (100.0..1000.0).contains(&code), "status code {code}");
    let headers = fields(&response["headers"])?;
    Ok(CapturedResponse { status: code as u16, headers, body: body(response)? })
}

fn body(message: &Value) -> Result<Vec<u8>> {
    match &message["bodyBase64"] {
        Value::Null => Ok(Vec::new()),
        Value::String(text) => STANDARD.decode(text).context("bodyBase64 is not padded base64"),
        _ => anyhow::bail!("bodyBase64 is no text"),
    }
}

fn fields(headers: &Value) -> Result<Fields> {
    let mut out = Fields::new();
    let Value::Object(map) = headers else { return Ok(out) };
    for (name, values) in map {
        let values = values.as_array().context("a header is no array")?;
        let values = values.iter().map(|value| value.as_str().map(str::to_owned));
        let values: Option<Vec<String>> = values.collect();
        out.insert(name.to_ascii_lowercase(), values.context("a header value is no text")?);
    }
    Ok(out)
}

/// How strictly bodies are compared.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Bodies {
    /// Every byte of both.
    Exact,
    /// The request's every byte; the response's bytes were never in the server's memory
    /// (sendfile, splice), so what was captured must be marked as having a hole.
    ResponseHole,
}

/// What [`compare`] found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Differences {
    /// Sent, but not captured.
    pub missing: Vec<String>,
    /// Captured more often than sent.
    pub repeated: Vec<String>,
    /// Captured, but never sent.
    pub unknown: Vec<String>,
    /// Captured without a request or without a response.
    pub half: Vec<String>,
    /// Captured with other content; the target and the field.
    pub altered: Vec<(String, &'static str)>,
}

impl Differences {
    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl fmt::Display for Differences {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lists = [
            ("missing", &self.missing),
            ("repeated", &self.repeated),
            ("unknown", &self.unknown),
            ("half", &self.half),
        ];
        for (name, list) in lists {
            if !list.is_empty() {
                let some: Vec<_> = list.iter().take(5).collect();
                writeln!(f, "{} {name}, e.g. {some:?}", list.len())?;
            }
        }
        if !self.altered.is_empty() {
            let some: Vec<_> = self.altered.iter().take(5).collect();
            writeln!(f, "{} altered, e.g. {some:?}", self.altered.len())?;
        }
        Ok(())
    }
}

/// Compares the pairs of one direction with what their client did: every exchange exactly
/// once, nothing else, and the same content.
///
/// # Panics
///
/// When two exchanges have the same target: then there is no truth to compare with.
#[must_use]
pub fn compare(sent: &[Exchange], captured: &[Pair], bodies: Bodies) -> Differences {
    let mut found = Differences::default();
    let mut open: BTreeMap<&str, &Exchange> = BTreeMap::new();
    for exchange in sent {
        let before = open.insert(&exchange.uri, exchange);
        assert!(before.is_none(), "the target {} is not unique", exchange.uri);
    }
    let known: BTreeSet<&str> = open.keys().copied().collect();
    let mut uuids = BTreeSet::new();
    for pair in captured {
        let (Some(uri), Some(response), false) = (&pair.uri, &pair.response, pair.is_half()) else {
            let why = &pair.record["tags"]["incomplete"];
            found.half.push(format!("{} {:?} {why}", pair.method, pair.uri));
            continue;
        };
        if !uuids.insert(&pair.uuid) {
            found.repeated.push(format!("uuid of {uri}"));
        }
        let Some(exchange) = open.remove(uri.as_str()) else {
            let list =
                if known.contains(uri.as_str()) { &mut found.repeated } else { &mut found.unknown };
            list.push(uri.clone());
            continue;
        };
        let altered = alterations(exchange, pair, response, bodies);
        found.altered.extend(altered.into_iter().map(|field| (uri.clone(), field)));
    }
    found.missing = open.keys().map(|&uri| uri.to_owned()).collect();
    found
}

fn alterations(
    sent: &Exchange,
    pair: &Pair,
    response: &CapturedResponse,
    bodies: Bodies,
) -> Vec<&'static str> {
    let path = sent.uri.split('?').next().unwrap_or_default();
    let mut checks = vec![
        ("command", sent.method == pair.method),
        ("method", pair.record["http"]["req"]["method"] == *sent.method),
        ("location", pair.record["location"] == *path),
        ("request headers", sent.request_headers == pair.request_headers),
        ("request body", sent.request_body == pair.request_body),
        ("statusCode", sent.status == response.status),
        ("status", sent.status.to_string() == pair.status),
        ("response headers", sent.response_headers == response.headers),
    ];
    checks.push(match bodies {
        Bodies::Exact => ("response body", sent.response_body == response.body),
        Bodies::ResponseHole => (
            "response hole mark",
            sent.response_body.is_empty()
                || sent.response_body == response.body
                || (pair.has_hole() && names_size(pair, sent.response_body.len())),
        ),
    });
    checks.into_iter().filter(|(_, same)| !same).map(|(field, _)| field).collect()
}

/// A response that lacks bytes gives the size that was sent.
#[expect(clippy::cast_precision_loss, reason = "test bodies are far below 2^53 bytes")]
fn names_size(pair: &Pair, size: usize) -> bool {
    pair.record["http"]["res"]["bodyBytes"].as_f64() == Some(size as f64)
}

#[cfg(test)]
mod tests;
