//! DLP configurations of the reference format (contract §3.4).

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::policy::{Detector, Key, PolicySource};

/// `{id, discoverPatterns, redactlist: {entries}, transforms}`.
///
/// Read strictly: a key that is not understood could be one that redacts.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct DlpDocument {
    /// Written to `dlpRule`.
    pub id: String,
    #[serde(default)]
    pub name: Option<String>,
    #[serde(default)]
    pub protected: bool,
    /// Detects what is secret or personal by itself.
    #[serde(default, rename = "discoverPatterns", alias = "discover_patterns")]
    pub discover_patterns: bool,
    #[serde(default)]
    pub redactlist: RedactList,
    #[serde(default)]
    pub transforms: Vec<Value>,
}

/// Names by scope: `all`, a protocol or a place.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct RedactList {
    #[serde(default)]
    pub entries: BTreeMap<String, Vec<String>>,
}

/// Why a configuration cannot be carried out.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum DocumentError {
    #[error("transforms: chains of transforms are not supported; name keys in redactlist.entries")]
    Transforms,
}

impl DlpDocument {
    /// The policy that does the same.
    ///
    /// # Errors
    ///
    /// [`DocumentError`]: nothing is left out silently.
    pub fn policy(&self) -> Result<PolicySource, DocumentError> {
        if !self.transforms.is_empty() {
            return Err(DocumentError::Transforms);
        }
        let entries = self.redactlist.entries.iter();
        let keys = entries.flat_map(|(scope, names)| {
            names.iter().map(|name| Key { scope: scope.clone(), name: name.clone() })
        });
        let detectors =
            if self.discover_patterns { Detector::SENSITIVE.to_vec() } else { Vec::new() };
        Ok(PolicySource {
            id: self.id.clone(),
            detectors,
            keys: keys.collect(),
            ..PolicySource::default()
        })
    }
}
