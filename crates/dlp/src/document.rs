//! DLP configurations of the reference format (contract §3.4).

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::policy::{Chain, Detector, Key, PolicySource};
use weir_filter::RuleDocument;

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
    pub transforms: Vec<TransformChain>,
}

/// `{filters, extractor, transforms}`: in the records that match, what is taken out is redacted.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct TransformChain {
    /// As a filter rule, whose id may be missing. A chain about everything says so:
    /// `location CONTAINS ""`.
    pub filters: Value,
    pub extractor: Step,
    pub transforms: Vec<Step>,
}

/// `{type, config}`
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Step {
    #[serde(rename = "type")]
    pub kind: String,
    #[serde(default)]
    pub config: BTreeMap<String, String>,
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
    #[error("transforms[{chain}]: {fault}")]
    Chain { chain: usize, fault: ChainFault },
}

/// What is wrong with a chain.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ChainFault {
    #[error("filters: {0}")]
    Filters(String),
    #[error("filters: no condition; write location CONTAINS \"\" to match every record")]
    NoCondition,
    #[error(
        "extractor {0:?} is not known; known: req_body, res_body, http_req_header, http_res_header, http_queryparam, http_url, http_req_cookie, json_path"
    )]
    Extractor(String),
    #[error("transform {0:?} is not known; known: dlp_field, dlp_json, json_path")]
    Transform(String),
    #[error("{kind} has no setting {name:?}")]
    Setting { kind: String, name: String },
    #[error("json_path needs a path such as $.card.number")]
    NoPath,
    #[error("json_path and dlp_json apply to bodies, and dlp_json to whole ones")]
    NoBody,
    #[error("it must end with one dlp_field or dlp_json")]
    End,
}

/// Where a chain's value stands.
struct Places {
    /// One, or both bodies.
    paths: Vec<String>,
    body: bool,
    json: bool,
}

impl TransformChain {
    fn compile(&self, list: &RedactList) -> Result<Chain, ChainFault> {
        let mut places = self.extractor.places()?;
        let Some((end, ways)) = self.transforms.split_last() else {
            return Err(ChainFault::End);
        };
        for step in ways {
            match step.kind.as_str() {
                "json_path" => places.narrow(step)?,
                "dlp_field" | "dlp_json" => return Err(ChainFault::End),
                other => return Err(ChainFault::Transform(other.to_owned())),
            }
        }
        end.settings(&[])?;
        let mut chain = Chain { when: Some(self.rule()?), ..Chain::default() };
        match end.kind.as_str() {
            "dlp_field" => {
                chain.wants_json = places.json.then(|| places.bodies());
                chain.paths = places.paths;
            }
            "dlp_json" if !places.body || places.json => return Err(ChainFault::NoBody),
            "dlp_json" => {
                let names = list.entries.values().flatten();
                let key = |place: &String, name: &String| Key {
                    scope: place.clone(),
                    name: name.clone(),
                };
                let all = names.flat_map(|name| places.paths.iter().map(move |at| key(at, name)));
                chain.keys = all.collect();
                chain.wants_json = Some(places.bodies());
            }
            "json_path" => return Err(ChainFault::End),
            other => return Err(ChainFault::Transform(other.to_owned())),
        }
        Ok(chain)
    }

    fn rule(&self) -> Result<RuleDocument, ChainFault> {
        let mut document = self.filters.clone();
        if let Some(members) = document.as_object_mut() {
            members.entry("id").or_insert_with(|| "chain".into());
        }
        let rule: RuleDocument = serde_json::from_value(document)
            .map_err(|error| ChainFault::Filters(error.to_string()))?;
        // Nothing says what no condition means: everything, or nothing.
        let empty =
            rule.conditions.is_empty() || rule.conditions.iter().any(|one| one.filters.is_empty());
        if empty { Err(ChainFault::NoCondition) } else { Ok(rule) }
    }
}

impl Step {
    fn settings(&self, known: &[&str]) -> Result<(), ChainFault> {
        match self.config.keys().find(|name| !known.contains(&name.as_str())) {
            None => Ok(()),
            Some(name) => Err(ChainFault::Setting { kind: self.kind.clone(), name: name.clone() }),
        }
    }

    fn places(&self) -> Result<Places, ChainFault> {
        let whole = |path: &str, body| Places { paths: vec![path.to_owned()], body, json: false };
        let named = |paths: &[&str]| {
            self.settings(&["key", "name"])?;
            let name = self.config.get("key").or_else(|| self.config.get("name"));
            let below = |path: &&str| match name {
                None => (*path).to_owned(),
                Some(name) => format!("{path}['{name}']"),
            };
            let paths = paths.iter().map(below).collect();
            Ok(Places { paths, body: false, json: false })
        };
        let body = |path| self.settings(&[]).map(|()| whole(path, true));
        match self.kind.as_str() {
            "req_body" => body("http.req.body"),
            "res_body" => body("http.res.body"),
            "http_url" => self.settings(&[]).map(|()| whole("http.req.url", false)),
            "http_req_header" => named(&["http.req.headers"]),
            "http_res_header" => named(&["http.res.headers"]),
            "http_queryparam" => named(&["http.req.queryParams"]),
            "http_req_cookie" => named(&["http.req.headers.Cookie", "http.req.cookies"]),
            "json_path" => {
                let both = ["http.req.body", "http.res.body"].map(str::to_owned).to_vec();
                let mut places = Places { paths: both, body: true, json: false };
                places.narrow(self)?;
                Ok(places)
            }
            other => Err(ChainFault::Extractor(other.to_owned())),
        }
    }
}

impl Places {
    /// Goes on along the path of a `json_path`.
    fn narrow(&mut self, step: &Step) -> Result<(), ChainFault> {
        step.settings(&["path"])?;
        if !self.body {
            return Err(ChainFault::NoBody);
        }
        let path = step.config.get("path").ok_or(ChainFault::NoPath)?;
        let path = path.strip_prefix('$').unwrap_or(path);
        let dot = if path.starts_with(['.', '[']) { "" } else { "." };
        if path.is_empty() {
            return Err(ChainFault::NoPath);
        }
        let root = if self.json { "" } else { ".$" };
        self.paths.iter_mut().for_each(|place| *place = format!("{place}{root}{dot}{path}"));
        self.json = true;
        Ok(())
    }

    /// The bodies that must be JSON.
    fn bodies(&self) -> Vec<String> {
        let place = |path: &String| path.split(".$").next().unwrap_or_default().to_owned();
        self.paths.iter().map(place).collect()
    }
}

impl DlpDocument {
    /// The policy that does the same.
    ///
    /// # Errors
    ///
    /// [`DocumentError`]: nothing is left out silently.
    pub fn policy(&self) -> Result<PolicySource, DocumentError> {
        let chains = self.transforms.iter().enumerate().map(|(place, chain)| {
            chain
                .compile(&self.redactlist)
                .map_err(|fault| DocumentError::Chain { chain: place, fault })
        });
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
            chains: chains.collect::<Result<_, _>>()?,
            ..PolicySource::default()
        })
    }
}

#[cfg(test)]
mod tests;
