//! A record, with every copy of a value that it holds (contract §3.5).

mod chains;
mod copies;
mod http;
mod rows;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use serde_json::Value;
use weir_rrpair::{Raw, Redacted, RrPair, Signature, signature};

use crate::chain::Chains;
use crate::compile::Redactor;
use crate::edit::{CategoryId, Edit, apply, hits};
use crate::engine::{At, Run};
use crate::json;
use copies::Copies;

/// Facts of the record itself, and what is redacted apart.
const NO_PAYLOAD: [&str; 14] = [
    "alpn",
    "detectedTech",
    "dlpModified",
    "dlpRule",
    "events",
    "jsonLength",
    "mutableSignature",
    "partOfStreamUUID",
    "responderMatch",
    "streamSeqNum",
    "tokenList",
    "version",
    "wireformatSize",
    "msgType",
];

/// A record that its policies passed.
#[derive(Debug)]
pub struct Outcome {
    pub record: Redacted,
    /// Something was redacted.
    pub modified: bool,
    /// How many values of each category were, copies not counted.
    pub hits: BTreeMap<String, u64>,
}

/// The redactor itself failed on a record, which must not leave then. Says nothing of it.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("redaction failed on a record; the record was given up")]
pub struct Failure;

/// The record as it is, for an exporter that names no policy and is under no floor.
pub fn unrestricted(raw: Raw) -> Redacted {
    Redacted::attest(raw.0)
}

impl Redactor {
    /// Redacts a record in all its parts.
    ///
    /// # Errors
    ///
    /// [`Failure`], for a bug in here: nothing of the record may leave then.
    pub fn redact(&self, raw: Raw) -> Result<Outcome, Failure> {
        // What a panic leaves behind is dropped with it.
        catch_unwind(AssertUnwindSafe(|| self.carry_out(raw.0))).map_err(|_panic| Failure)
    }

    fn carry_out(&self, mut record: RrPair) -> Outcome {
        let protocol = record.l7protocol.clone();
        let mut work = Work {
            run: Run::new(&self.engine),
            protocol: &protocol,
            chains: self.engine.conditions.of(&record),
            tally: BTreeMap::new(),
            modified: false,
        };
        let request_changed = work.payload(&mut record);
        work.session(&mut record);
        if request_changed {
            work.sign(&mut record);
        } else {
            work.other_signature(&mut record, &Signature::default());
        }
        work.copies(&mut record);
        work.failed_chains(&mut record);
        let Work { tally, modified, .. } = work;
        let hits: BTreeMap<String, u64> = tally
            .iter()
            .map(|(id, count)| (self.engine.category(*id).to_owned(), *count))
            .collect();
        self.note(&mut record, modified, &hits);
        Outcome { record: Redacted::attest(record), modified, hits }
    }

    /// Says in the record which policies it passed.
    fn note(&self, record: &mut RrPair, modified: bool, hits: &BTreeMap<String, u64>) {
        // An earlier policy's change is still one.
        let before = record.extra.get("dlpModified") == Some(&Value::Bool(true));
        record.extra.insert("dlpModified".to_owned(), Value::Bool(modified || before));
        record.extra.insert("dlpRule".to_owned(), Value::from(self.rule()));
        if self.report {
            let counts: Vec<_> =
                hits.iter().map(|(name, count)| format!("{name}={count}")).collect();
            for (key, value) in
                [("dlpPolicyHash", self.hash().to_owned()), ("dlpHits", counts.join(","))]
            {
                match record.tags.0.iter_mut().find(|(known, _)| known == key) {
                    Some((_, old)) => *old = value.into(),
                    None => record.tags.push(key, value),
                }
            }
        }
    }
}

/// One record's redaction.
struct Work<'e, 'p> {
    run: Run<'e>,
    protocol: &'p str,
    chains: Chains,
    tally: BTreeMap<CategoryId, u64>,
    modified: bool,
}

impl<'p> Work<'_, 'p> {
    const fn at(&self, place: &'p str) -> At<'p> {
        At::new(self.protocol, place, self.chains)
    }

    /// Counts edits of a value that is no copy.
    fn note(&mut self, found: &[CategoryId]) {
        for id in found {
            *self.tally.entry(*id).or_default() += 1;
        }
        self.modified |= !found.is_empty();
    }

    /// Edits a text in place; true when it changed.
    fn edit(
        &mut self,
        text: &mut String,
        with: impl FnOnce(&mut Self, &[u8]) -> Vec<Edit>,
    ) -> bool {
        self.change(text, true, with)
    }

    /// As [`Work::edit`], for a text whose values were counted elsewhere.
    fn edit_copy(
        &mut self,
        text: &mut String,
        with: impl FnOnce(&mut Self, &[u8]) -> Vec<Edit>,
    ) -> bool {
        self.change(text, false, with)
    }

    fn change(
        &mut self,
        text: &mut String,
        count: bool,
        with: impl FnOnce(&mut Self, &[u8]) -> Vec<Edit>,
    ) -> bool {
        let edits = with(self, text.as_bytes());
        if edits.is_empty() {
            return false;
        }
        let found = hits(&edits);
        *text = lossy(apply(text.as_bytes(), &edits));
        if count {
            self.note(&found);
        }
        self.modified = true;
        true
    }

    /// The payload, whatever its protocol. True when the HTTP request changed.
    fn payload(&mut self, record: &mut RrPair) -> bool {
        let request_changed = record.http.as_mut().is_some_and(|http| self.http(http));
        let names: Vec<String> = record.extra.keys().cloned().collect();
        for name in names.iter().filter(|name| !NO_PAYLOAD.contains(&name.as_str())) {
            if let Some(value) = record.extra.get_mut(name) {
                let at = At::new(self.protocol, name, self.chains);
                rows::redact(self, at, value);
                self.document(at, value, true);
            }
        }
        request_changed
    }

    /// Redacts in a value of JSON.
    fn document(&mut self, at: At<'_>, value: &mut Value, count: bool) {
        if matches!(value, Value::Null | Value::Bool(_)) {
            return;
        }
        let text = value.to_string();
        let edits = json::document(&mut self.run, at, text.as_bytes()).edits;
        let edits = crate::edit::settle(edits);
        if edits.is_empty() {
            return;
        }
        let found = hits(&edits);
        let changed = apply(text.as_bytes(), &edits);
        // Edits of JSON give JSON; should they not, nothing of the value stays.
        *value = serde_json::from_slice(&changed).unwrap_or(Value::Null);
        if count {
            self.note(&found);
        }
        self.modified = true;
    }

    /// The session is the credential of a field or of an answer, which may be redacted there
    /// by a name that does not stand here.
    fn session(&mut self, record: &mut RrPair) {
        let Some(session) = &mut record.session else { return };
        if Copies::new(&self.run.originals).replace(session) {
            self.modified = true;
            return;
        }
        let keys = &self.run.engine.keys;
        let headers = self.at("http.req.headers").place;
        let body = self.at("http.res.body").place;
        let under = keys.act(&headers, b"authorization").max(keys.act(&body, b"access_token"));
        let at = At { under, ..self.at("session") };
        self.edit(session, |work, text| work.run.value(at, text));
    }

    /// Makes the signature anew: its values, not its keys.
    fn sign(&mut self, record: &mut RrPair) {
        let Some(http) = &record.http else { return };
        let fresh = signature::of(&http.req);
        self.other_signature(record, &fresh);
    }

    fn other_signature(&mut self, record: &mut RrPair, fresh: &Signature) {
        let query = record.http.as_ref().map(|http| http.req.uri.clone()).unwrap_or_default();
        if let Some(signature) = &mut record.signature {
            for (key, value) in &mut signature.0 {
                self.signature_value(key, value, fresh, &query);
            }
        }
        if let Some(Value::Object(clear)) = record.extra.get_mut("mutableSignature") {
            for (key, value) in clear {
                if let Value::String(text) = value {
                    let mut bytes = std::mem::take(text).into_bytes();
                    self.signature_value(key, &mut bytes, fresh, &query);
                    *text = lossy(bytes);
                }
            }
        }
    }

    fn signature_value(&mut self, key: &str, value: &mut Vec<u8>, fresh: &Signature, uri: &str) {
        if let Some(new) = fresh.value(key) {
            if *value != new {
                *value = new.to_vec();
                self.modified = true;
            }
            return;
        }
        if fresh.0.is_empty() && key.starts_with("http:") {
            // The request did not change, so neither does what is derived from it.
            return;
        }
        if key.starts_with("http:requestBody") {
            value.clear();
            return;
        }
        if let Some(name) = key.strip_prefix("http:queryparams:") {
            let (_, query) = weir_rrpair::query::split(uri.as_bytes());
            let mut pairs = weir_rrpair::query::decode(query.unwrap_or_default());
            if let Some((_, new)) = pairs.find(|(known, _)| **known == *name.as_bytes()) {
                *value = new.into_owned();
                return;
            }
        }
        let at = self.at("signature");
        let edits = self.run.text(at, value);
        if !edits.is_empty() {
            *value = apply(value, &edits);
            self.modified = true;
        }
    }

    /// Everything else that may repeat a value of the payload.
    fn copies(&mut self, record: &mut RrPair) {
        let is_http = record.http.is_some();
        let place = if is_http { "http.req.url" } else { self.protocol };
        let at = self.at(place);
        self.edit_copy(&mut record.location, |work, text| {
            if is_http { work.run.path(at, text) } else { work.run.text(at, text) }
        });
        let netinfo = self.at("netinfo");
        if let Some(address) = &mut record.network_address {
            self.edit_copy(address, |work, text| work.run.found(netinfo, text, false));
        }
        if let Some(info) = &mut record.netinfo {
            for peer in [&mut info.downstream, &mut info.upstream] {
                let names = [Some(&mut peer.ip_address), peer.hostname.as_mut()];
                for name in names.into_iter().flatten() {
                    self.edit_copy(name, |work, text| work.run.found(netinfo, text, false));
                }
            }
        }
        for name in ["tokenList", "events"] {
            let at = self.at(name);
            if let Some(value) = record.extra.get_mut(name) {
                self.document(at, value, true);
            }
        }
        let tags = self.at("tags");
        for (name, value) in &mut record.tags.0 {
            // Facts of Kubernetes and of this program, which hold nothing of the payload.
            if !(name.starts_with("k8s") || name.starts_with("proxy") || name.starts_with("dlp")) {
                let mut text = value.clone().into_owned();
                if self.edit_copy(&mut text, |work, text| work.run.text(tags, text)) {
                    *value = text.into();
                }
            }
        }
        self.modified |= Copies::new(&self.run.originals).replace_in(record);
    }
}

/// Replacements are ASCII, so only what was no UTF-8 before is not afterwards.
fn lossy(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}
