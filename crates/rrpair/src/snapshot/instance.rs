//! Ordinals of records with the same signature (contract §4.4).

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use crate::json;

/// Counts signatures. Feed it records in the order in which they arrive from the store, which
/// is newest first for those that sort: instance 0 is then the latest.
#[derive(Clone, Debug, Default)]
pub struct Numbering {
    /// By SHA-256, since a signature may hold a whole body.
    seen: HashMap<[u8; 32], u64>,
}

impl Numbering {
    /// Sets `signature.instance` to the base64 of the decimal ordinal among records whose
    /// signature, `instance` apart, has the same pairs, and returns the ordinal. An `instance`
    /// that is there already is discarded; a document without a signature stays as it is.
    pub fn number(&mut self, document: &mut Map<String, Value>) -> Option<u64> {
        let next = self.seen.entry(digest(document)?).or_default();
        let ordinal = *next;
        *next += 1;
        set(document, ordinal);
        Some(ordinal)
    }
}

/// Makes `ordinal` the document's instance, in place of any other; without a signature the
/// document stays as it is. For those who number in another order than that of arrival.
pub fn set(document: &mut Map<String, Value>, ordinal: u64) {
    if let Some(Value::Object(signature)) = document.get_mut("signature") {
        signature.shift_remove("instance");
        let value = STANDARD.encode(ordinal.to_string());
        signature.insert("instance".to_owned(), Value::String(value));
    }
}

/// Hash of the document's signature, `instance` apart: equal for the same set of pairs in any
/// order. `None` without a signature.
pub fn digest(document: &Map<String, Value>) -> Option<[u8; 32]> {
    let signature = document.get("signature")?.as_object()?;
    let mut pairs: Vec<_> = signature.iter().filter(|(key, _)| *key != "instance").collect();
    pairs.sort_by_key(|(key, _)| *key);
    let mut hash = Sha256::new();
    for (key, value) in pairs {
        let value = json::to_compact_ascii(value);
        for part in [key.as_str(), &value] {
            hash.update(part.len().to_le_bytes());
            hash.update(part);
        }
    }
    Some(hash.finalize().into())
}
