//! Where text comes from and how it is compared.

use aho_corasick::{AhoCorasick, packed};
use regex::Regex;
use serde_json::Value;
use sha2::{Digest, Sha256};
use weir_rrpair::{Http, RrPair, query};

/// A place in a pair that holds text.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Subject {
    Host,
    Url,
    Header(String),
    Tag(String),
    Tech,
    L7protocol,
    NetworkAddress,
    Service,
    Cluster,
    Namespace,
    Command,
    Location,
    Status,
    BodyJson,
    BodyXml,
    Session,
    /// Member of the request's or the response's JSON body.
    RequestJson(Vec<String>),
    ResponseJson(Vec<String>),
    /// Decoded value of a query parameter.
    Query(String),
}

/// A comparison with one or several values.
#[derive(Debug)]
pub(super) enum Matcher {
    /// Any of these; the flag ignores ASCII case.
    Equal(Vec<String>, bool),
    /// Any of these as a part; the flag ignores ASCII case, the values are then lower case.
    Contains(Search, bool),
    Regex(Regex),
}

/// A search for several values at once.
#[derive(Debug)]
pub(super) enum Search {
    /// Vectors of bytes at a time: a fifth of the automaton's time on short texts.
    Packed(Box<packed::Searcher>),
    /// Where that cannot be had: an empty value, very many, or a plain processor.
    Automaton(Box<AhoCorasick>),
}

impl Search {
    /// `None` when the values are too many to search for at once.
    pub(super) fn new(values: &[String]) -> Option<Self> {
        // The packed searcher has no answer for an empty value, which is part of every text.
        if let Some(searcher) = packed::Searcher::new(values)
            && !values.iter().any(String::is_empty)
        {
            return Some(Self::Packed(Box::new(searcher)));
        }
        AhoCorasick::new(values).ok().map(|automaton| Self::Automaton(Box::new(automaton)))
    }

    fn finds(&self, text: &str) -> bool {
        match self {
            Self::Packed(searcher) => searcher.find(text).is_some(),
            Self::Automaton(automaton) => automaton.is_match(text),
        }
    }
}

impl Subject {
    /// Host names have no case (RFC 3986 §3.2.2); everything else is compared as it is.
    pub(super) fn ignores_case(&self) -> bool {
        matches!(self, Self::Host)
    }

    /// True when `holds` is true for the text at this place, or for one of several. A place
    /// that the pair does not have matches nothing.
    pub(super) fn any(&self, pair: &RrPair, holds: impl Fn(&str) -> bool) -> bool {
        match self {
            Self::Host => host(pair).is_some_and(holds),
            Self::Url => holds(pair.http.as_ref().map_or(&pair.location, |http| &http.req.url)),
            Self::Header(name) => pair.http.as_ref().is_some_and(|http| {
                http.req
                    .headers
                    .iter()
                    .filter(|(key, _)| key.eq_ignore_ascii_case(name))
                    .any(|(_, values)| values.iter().any(|value| holds(value)))
            }),
            Self::Tag(key) => pair.tags.value(key).is_some_and(holds),
            Self::Tech => pair.tech.as_deref().is_some_and(holds),
            Self::L7protocol => holds(&pair.l7protocol),
            Self::NetworkAddress => pair.network_address.as_deref().is_some_and(holds),
            Self::Service => holds(&pair.service),
            Self::Cluster => holds(&pair.cluster),
            Self::Namespace => holds(&pair.namespace),
            Self::Command => holds(&pair.command),
            Self::Location => holds(&pair.location),
            Self::Status => holds(&pair.status),
            Self::BodyJson => body_json(pair).is_some_and(|text| holds(&text)),
            Self::BodyXml => body_xml(pair).is_some_and(holds),
            Self::Session => pair.session.as_deref().is_some_and(holds),
            Self::RequestJson(path) => {
                let body = pair.http.as_ref().map(|http| &http.req.body.0);
                member(body, path).is_some_and(|text| holds(&text))
            }
            Self::ResponseJson(path) => {
                let response = pair.http.as_ref().and_then(|http| http.res.as_ref());
                member(response.map(|res| &res.body.0), path).is_some_and(|text| holds(&text))
            }
            Self::Query(name) => pair.http.as_ref().is_some_and(|http| {
                let (_, query) = query::split(http.req.uri.as_bytes());
                query::decode(query.unwrap_or_default())
                    .filter(|(key, _)| **key == *name.as_bytes())
                    .any(|(_, value)| std::str::from_utf8(&value).is_ok_and(&holds))
            }),
        }
    }
}

impl Matcher {
    pub(super) fn matches(&self, text: &str) -> bool {
        match self {
            Self::Equal(values, false) => values.iter().any(|value| value == text),
            Self::Equal(values, true) => values.iter().any(|v| v.eq_ignore_ascii_case(text)),
            // Host names come in lower case but for the odd one.
            Self::Contains(search, true) if text.bytes().any(|byte| byte.is_ascii_uppercase()) => {
                search.finds(&text.to_ascii_lowercase())
            }
            Self::Contains(search, _) => search.finds(text),
            Self::Regex(regex) => regex.is_match(text),
        }
    }
}

/// True when the request has a body with this SHA-256.
pub(super) fn body_hash_is(pair: &RrPair, hash: &[u8; 32]) -> bool {
    let in_signature =
        pair.signature.as_ref().and_then(|signature| signature.value("http:requestBodyHash"));
    match (in_signature, &pair.http) {
        (Some(bytes), _) => bytes == hash,
        (None, Some(http)) if !http.req.body.is_empty() => {
            Sha256::digest(&http.req.body.0).as_slice() == hash
        }
        _ => false,
    }
}

fn host(pair: &RrPair) -> Option<&str> {
    match &pair.http {
        Some(http) if !http.req.host.is_empty() => Some(&http.req.host),
        _ => pair.netinfo.as_ref()?.upstream.hostname.as_deref(),
    }
}

/// The signature's form: compact, keys sorted (contract §1.8).
fn body_json(pair: &RrPair) -> Option<String> {
    let signature = pair.signature.as_ref();
    if let Some(text) = signature.and_then(|s| s.value("http:requestBodyJSON")) {
        return String::from_utf8(text.to_vec()).ok();
    }
    let http = pair.http.as_ref()?;
    let body = (!http.req.body.is_empty()).then_some(http.req.body.0.as_slice())?;
    let mut value: Value = serde_json::from_slice(body).ok()?;
    value.sort_all_objects();
    Some(value.to_string())
}

/// Text of the member at `path`; what is no string is its JSON.
fn member(body: Option<&Vec<u8>>, path: &[String]) -> Option<String> {
    let document: Value = serde_json::from_slice(body?).ok()?;
    let member = path.iter().try_fold(&document, |value, step| match value {
        Value::Object(members) => members.get(step),
        Value::Array(elements) => elements.get(step.parse::<usize>().ok()?),
        _ => None,
    })?;
    Some(member.as_str().map_or_else(|| member.to_string(), str::to_owned))
}

fn body_xml(pair: &RrPair) -> Option<&str> {
    let http: &Http = pair.http.as_ref()?;
    let media_type = http.req.headers.first("Content-Type")?;
    let body = http.req.body.0.as_slice();
    media_type.contains("xml").then(|| std::str::from_utf8(body).ok())?
}
