//! Which recorded answer a request gets (contract §5.3).
//!
//! Calls that a service made (direction OUT) are looked up by their signature. Those with the same
//! signature are given in the order of `instance`, and from the start again after the last.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};

use weir_rrpair::{Direction, RrPair, Signature, Text, query, signature};

use crate::message::Message;
use crate::wire;

const HOST: &str = "http:host";
const METHOD: &str = "http:method";
const QUERY: &str = "http:queryparams";

/// Recorded answers, ready to be given.
#[derive(Debug, Default)]
pub struct Mocks {
    records: Vec<RrPair>,
    by_key: HashMap<Key, Answers>,
    hosts: HashSet<Vec<u8>>,
    left_out: BTreeMap<String, usize>,
}

/// A signature in the one form that both ways of writing a query come to.
#[derive(Clone, Eq, Hash, PartialEq)]
struct Key(BTreeMap<Text, Vec<u8>>);

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Key({} parts)", self.0.len())
    }
}

#[derive(Debug, Default)]
struct Answers {
    /// Places in `records`, in the order in which they are given.
    places: Vec<usize>,
    given: AtomicUsize,
}

impl Mocks {
    /// Takes the records that can be answers.
    pub fn new(records: impl IntoIterator<Item = RrPair>) -> Self {
        let mut mocks = Self::default();
        for record in records {
            match unfit(&record) {
                Some(reason) => *mocks.left_out.entry(reason).or_default() += 1,
                None => mocks.records.push(record),
            }
        }
        let order = |record: &RrPair| (instance(record), record.ts, record.uuid.0);
        mocks.records.sort_by_key(order);
        for (place, record) in mocks.records.iter().enumerate() {
            let Some(key) = recorded_key(record) else { continue };
            mocks.hosts.extend(key.0.get(HOST).cloned());
            mocks.by_key.entry(key).or_default().places.push(place);
        }
        mocks
    }

    /// How many answers there are.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// True when no request can be answered.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// How many hosts they are of.
    pub fn hosts(&self) -> usize {
        self.hosts.len()
    }

    /// Records that are no answers, by reason.
    pub fn left_out(&self) -> &BTreeMap<String, usize> {
        &self.left_out
    }

    /// True when there is an answer of this host. A port is left out of account.
    pub fn knows(&self, host: &str) -> bool {
        let request = signature::Request { host: host.as_bytes(), ..Default::default() };
        let host = normal(&signature::http(&request)).0.remove(HOST);
        host.is_some_and(|host| self.hosts.contains(&host))
    }

    /// The next answer to a request for `host`.
    pub fn answer(&self, host: &str, request: &Message) -> Option<&RrPair> {
        let answers = self.by_key.get(&key(host, request)?)?;
        let turn = answers.given.fetch_add(1, Ordering::Relaxed);
        let place = answers.places.get(turn.checked_rem(answers.places.len())?)?;
        self.records.get(*place)
    }

    /// What tells a request without an answer from the most alike one that has: names of parts of
    /// the signature. Empty when nothing is alike: another method of a host counts, another host
    /// does not.
    pub fn differs_in(&self, host: &str, request: &Message) -> Vec<String> {
        let Some(Key(asked)) = key(host, request) else { return Vec::new() };
        let alike = self.by_key.keys().filter(|Key(known)| known.get(HOST) == asked.get(HOST));
        let differing = alike.map(|Key(known)| {
            let names: std::collections::BTreeSet<_> = known.keys().chain(asked.keys()).collect();
            let names = names.into_iter().filter(|name| known.get(*name) != asked.get(*name));
            names.map(|name| name.trim_start_matches("http:").to_owned()).collect::<Vec<_>>()
        });
        differing.min_by_key(|names| (names.len(), names.clone())).unwrap_or_default()
    }
}

/// Why a record is no answer.
fn unfit(record: &RrPair) -> Option<String> {
    if record.direction == Direction::In {
        return Some("a request that the service answered (direction IN)".to_owned());
    }
    let Some(http) = &record.http else {
        let protocol: String = record.l7protocol.chars().filter(|c| !c.is_control()).collect();
        return Some(format!("{protocol}: only HTTP is mocked so far"));
    };
    let reason = match http.res.as_ref().map_or(0, |response| response.status_code) {
        0 => "no answer was recorded",
        100..=199 => "an upgrade to another protocol",
        _ if record.l7protocol == "grpc" => "gRPC needs HTTP/2, which mock does not serve yet",
        _ if wire::response(record, false).is_none() => "the answer was not captured whole",
        _ => return None,
    };
    Some(reason.to_owned())
}

/// Those without an ordinal come last.
fn instance(record: &RrPair) -> u64 {
    let value = record.signature.as_ref().and_then(|signature| signature.value("instance"));
    let text = value.and_then(|value| std::str::from_utf8(value).ok());
    text.and_then(|text| text.parse().ok()).unwrap_or(u64::MAX)
}

/// The signature that the record has, which somebody may have edited; else that of its request.
fn recorded_key(record: &RrPair) -> Option<Key> {
    match &record.signature {
        Some(signature) if signature.0.iter().any(|(key, _)| key.starts_with("http:")) => {
            Some(normal(signature))
        }
        _ => Some(normal(&signature::of(&record.http.as_ref()?.req))),
    }
}

fn key(host: &str, request: &Message) -> Option<Key> {
    let line = request.request_line()?;
    let (path, query) = query::split(origin_form(line.target));
    let content_type = request.head.first("content-type").unwrap_or_default();
    Some(normal(&signature::http(&signature::Request {
        host: host.as_bytes(),
        method: line.method,
        path,
        query: query.unwrap_or_default(),
        content_type: std::str::from_utf8(content_type).unwrap_or_default(),
        body: &request.body,
    })))
}

/// Path and query of a target that may name scheme and host too, as proxies get it.
pub fn origin_form(target: &[u8]) -> &[u8] {
    let Some(after) = absolute(target) else { return target };
    match after.iter().position(|byte| matches!(byte, b'/' | b'?')) {
        Some(at) => after.get(at..).unwrap_or_default(),
        None => b"/",
    }
}

/// Whether a target names a host, and which: scheme is TLS, and the authority without user names.
pub fn named_host(target: &[u8]) -> Option<(bool, &[u8])> {
    let after = absolute(target)?;
    let authority = after.split(|byte| matches!(byte, b'/' | b'?')).next()?;
    let host = authority.rsplit(|&byte| byte == b'@').next()?;
    let tls = target.get(..5).is_some_and(|start| start.eq_ignore_ascii_case(b"https"));
    (!host.is_empty()).then_some((tls, host))
}

fn absolute(target: &[u8]) -> Option<&[u8]> {
    ["http://", "https://"].iter().find_map(|scheme| {
        let (start, after) = target.split_at_checked(scheme.len())?;
        start.eq_ignore_ascii_case(scheme.as_bytes()).then_some(after)
    })
}

/// Leaves `instance` out, writes a query in one piece, and the host in lower case.
fn normal(signature: &Signature) -> Key {
    let mut parts = BTreeMap::new();
    let mut named: Vec<(&str, &[u8])> = Vec::new();
    for (key, value) in &signature.0 {
        match key.strip_prefix(QUERY).map(|rest| rest.strip_prefix(':')) {
            Some(Some(name)) => named.push((name, value)),
            _ if key == "instance" => {}
            _ if key == HOST => {
                parts.insert(key.clone(), value.to_ascii_lowercase());
            }
            _ => {
                parts.insert(key.clone(), value.clone());
            }
        }
    }
    named.sort_by_key(|(name, _)| *name);
    let joined: Vec<_> =
        named.iter().map(|(name, value)| [name.as_bytes(), b"=", value].concat()).collect();
    let whole = parts.entry(Text::Borrowed(QUERY)).or_default();
    if whole.is_empty() {
        *whole = joined.join(&b'&');
    }
    parts.entry(Text::Borrowed(METHOD)).or_default();
    Key(parts)
}
