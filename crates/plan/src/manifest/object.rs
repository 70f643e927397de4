//! Documents → objects.

use std::collections::BTreeMap;

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use weir_api::API_VERSION;
use weir_api::schema::{self, Path, Step, Violation};

use super::node::Document;
use super::{ManifestFault, Manifests, Notice};
use crate::{ObjectKey, ObjectKind, SecretData};

/// Reads documents one after the other and keeps every fault.
pub(super) struct Loader<'a> {
    default_namespace: &'a str,
    pub(super) manifests: Manifests,
    pub(super) faults: Vec<ManifestFault>,
}

/// Kinds of core/v1 that are read beside Weir's own.
const SECRET_FIELDS: [&str; 7] =
    ["apiVersion", "kind", "metadata", "type", "data", "stringData", "immutable"];

impl<'a> Loader<'a> {
    pub(super) fn new(default_namespace: &'a str) -> Self {
        Self { default_namespace, manifests: Manifests::default(), faults: Vec::new() }
    }

    pub(super) fn add(&mut self, document: Document) {
        let value = document.to_value();
        let text = |name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
        let (Some(api_version), Some(kind)) = (text("apiVersion"), text("kind")) else {
            let message = "apiVersion and kind are required, as strings; is this a manifest?";
            return self.fault(&document, &Path::default(), message);
        };
        match (api_version.as_str(), kind.as_str()) {
            (API_VERSION, "TrafficCapture") => {
                self.own(ObjectKind::TrafficCapture, document, value);
            }
            (API_VERSION, "Exporter") => self.own(ObjectKind::Exporter, document, value),
            (API_VERSION, "DlpPolicy") => self.own(ObjectKind::DlpPolicy, document, value),
            ("v1", "Secret") => self.secret(&document, &value),
            ("v1", "Namespace") => self.namespace(&document, &value),
            ("v1", "List") => document.into_items().into_iter().for_each(|item| self.add(item)),
            (API_VERSION, _) => {
                let known = "TrafficCapture, Exporter, DlpPolicy";
                let message = format!("{kind:?} is no kind of {API_VERSION}; known: {known}");
                self.fault(&document, &field("kind"), &message);
            }
            (version, _) if version.split('/').next() == Some(weir_api::GROUP) => {
                let message = format!("{version:?} is not known; known: {API_VERSION}");
                self.fault(&document, &field("apiVersion"), &message);
            }
            _ => {
                let place = document.place_of(&Path::default());
                self.manifests.notices.push(Notice { place, kind, api_version });
            }
        }
    }

    fn fault(&mut self, document: &Document, path: &Path, message: &str) {
        self.faults.push(ManifestFault {
            place: document.place_of(path),
            field: path.to_string(),
            message: message.to_owned(),
        });
    }

    /// An object of a kind of Weir's.
    fn own(&mut self, kind: ObjectKind, document: Document, mut value: Value) {
        let before = self.faults.len();
        let key = self.metadata(&document, &mut value);
        let violations = schema::violations(&kind.to_string(), &value);
        for Violation { path, fault } in violations.into_iter().flatten() {
            self.fault(&document, &path, &fault.to_string());
        }
        let Some(key) = key.filter(|_| self.faults.len() == before) else { return };
        if let Some(first) = self.manifests.documents.get(&(kind, key.clone())) {
            let first = first.place_of(&Path::default());
            let message = format!("{kind} {key} is already defined at {first}");
            return self.fault(&document, &Path::default(), &message);
        }
        let objects = &mut self.manifests.objects;
        let pushed = match kind {
            ObjectKind::TrafficCapture => push(value, &mut objects.captures),
            ObjectKind::Exporter => push(value, &mut objects.exporters),
            ObjectKind::DlpPolicy => push(value, &mut objects.policies),
        };
        match pushed {
            Ok(()) => {
                self.manifests.documents.insert((kind, key), document);
            }
            Err(message) => self.fault(&document, &Path::default(), &message),
        }
    }

    /// Checks name and namespace and fills the namespace in.
    fn metadata(&mut self, document: &Document, value: &mut Value) -> Option<ObjectKey> {
        let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) else {
            self.fault(document, &Path::default(), "metadata with a name is required");
            return None;
        };
        let known = schema::metadata_fields();
        let unknown: Vec<String> =
            metadata.keys().filter(|name| !known.contains(name.as_str())).cloned().collect();
        for name in unknown {
            let message = "unknown field; allowed here: name, namespace, labels, annotations and \
                           what the server adds";
            self.fault(document, &metadata_field(&name), message);
        }
        for name in ["labels", "annotations"] {
            let texts = metadata.get(name).is_none_or(|map| {
                map.as_object().is_some_and(|map| map.values().all(Value::is_string))
            });
            if !texts {
                let message = "must be an object of strings (quote numbers, true and false)";
                self.fault(document, &metadata_field(name), message);
            }
        }
        let name = self.name(document, metadata, "name", 253)?;
        if !metadata.contains_key("namespace") {
            metadata.insert("namespace".to_owned(), self.default_namespace.into());
        }
        let namespace = self.name(document, metadata, "namespace", 63)?;
        Some(ObjectKey { namespace, name })
    }

    fn name(
        &mut self,
        document: &Document,
        metadata: &Map<String, Value>,
        name: &str,
        max: usize,
    ) -> Option<String> {
        match metadata.get(name).and_then(Value::as_str) {
            Some(text) if is_dns_name(text) && text.len() <= max => Some(text.to_owned()),
            _ => {
                let message = format!(
                    "must be a string of at most {max} of a-z 0-9 - and ., alphanumeric at both ends"
                );
                self.fault(document, &metadata_field(name), &message);
                None
            }
        }
    }

    fn secret(&mut self, document: &Document, value: &Value) {
        let mut copy = value.clone();
        let Some(key) = self.metadata(document, &mut copy) else { return };
        let Some(fields) = value.as_object() else { return };
        for name in fields.keys().filter(|name| !SECRET_FIELDS.contains(&name.as_str())) {
            let message = format!("unknown field; allowed here: {}", SECRET_FIELDS.join(", "));
            self.fault(document, &field(name), &message);
        }
        let mut data = BTreeMap::new();
        for (name, encoded) in [("data", true), ("stringData", false)] {
            let Some(entries) = value.get(name).filter(|entries| !entries.is_null()) else {
                continue;
            };
            let Some(entries) = entries.as_object() else {
                self.fault(document, &field(name), "must be an object of strings");
                continue;
            };
            for (key, value) in entries {
                let bytes = match value.as_str() {
                    Some(text) if encoded => STANDARD.decode(text).ok(),
                    Some(text) => Some(text.as_bytes().to_vec()),
                    None => None,
                };
                let Some(bytes) = bytes else {
                    let path = Path(vec![Step::Field(name.to_owned()), Step::Field(key.clone())]);
                    let form = if encoded { "a base64 string" } else { "a string" };
                    self.fault(document, &path, &format!("must be {form}"));
                    continue;
                };
                data.insert(key.clone(), bytes);
            }
        }
        if self.manifests.objects.secrets.insert(key.clone(), SecretData(data)).is_some() {
            let message = format!("Secret {key} is already defined");
            self.fault(document, &Path::default(), &message);
        }
    }

    /// A namespace has labels that `allowedNamespaces` may go by.
    fn namespace(&mut self, document: &Document, value: &Value) {
        let mut copy = value.clone();
        let Some(key) = self.metadata(document, &mut copy) else { return };
        let labels = value
            .pointer("/metadata/labels")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
            .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
            .collect();
        self.manifests.objects.namespaces.insert(key.name, labels);
    }
}

/// The schema has been checked, so that only metadata that the server alone writes can fail.
fn push<T: DeserializeOwned>(value: Value, objects: &mut Vec<T>) -> Result<(), String> {
    serde_json::from_value(value)
        .map(|object| objects.push(object))
        .map_err(|error| error.to_string())
}

fn field(name: &str) -> Path {
    Path(vec![Step::Field(name.to_owned())])
}

fn metadata_field(name: &str) -> Path {
    Path(vec![Step::Field("metadata".to_owned()), Step::Field(name.to_owned())])
}

/// RFC 1123 subdomain, as names of objects are.
fn is_dns_name(text: &str) -> bool {
    let label = |label: &str| {
        let ends =
            |byte: Option<u8>| byte.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        ends(label.bytes().next())
            && ends(label.bytes().last())
            && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    text.split('.').all(label)
}
