//! The JSON document of a rule (contract §3.3).

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{DeserializeOwned, Error},
    ser::{Error as _, SerializeMap},
};
use serde_json::{Map, Value};

/// A rule: `{id, operator, conditions: [{operator, filters: [...]}]}`.
///
/// Read strictly: an unknown key is an error, since a criterion that is not understood would
/// let traffic through, or hold it back, unnoticed.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RuleDocument {
    /// Name of the rule; `standard` ships with Weir.
    pub id: String,
    /// How `conditions` are joined; AND when missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operator: Option<GroupOperator>,
    pub conditions: Vec<Group>,
}

/// Criteria under one operator.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// How `filters` are joined; AND when missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operator: Option<GroupOperator>,
    /// Where the group comes from, for people. Not part of the reference format.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    pub filters: Vec<Entry>,
}

/// Joins criteria or groups.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum GroupOperator {
    Or,
    #[default]
    And,
}

/// One criterion with how it is compared.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// False turns the criterion round.
    pub include: bool,
    /// Needed by criteria that compare text; the others allow EQUAL at most.
    pub operator: Option<MatchOperator>,
    pub criterion: Criterion,
    /// Where the criterion comes from, for people. Not part of the reference format.
    pub note: Option<String>,
}

/// How text is compared.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum MatchOperator {
    Contains,
    Equal,
    Regex,
}

/// What is looked at. The names are the contract's.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Criterion {
    /// Host or authority of the request.
    Host(String),
    /// Value of the tag `key`.
    Tag(KeyValue),
    /// SHA-256 of the request body, as hex or base64.
    RequestBodyHash(String),
    /// JSON request body, compact with keys sorted (contract §1.8).
    RequestBodyJson(String),
    /// Request body of an XML media type.
    RequestBodyXml(String),
    /// `IN` or `OUT`.
    Direction(String),
    Tech(String),
    L7protocol(String),
    #[serde(rename = "network_address")]
    NetworkAddress(String),
    Service(String),
    Cluster(String),
    Namespace(String),
    /// Path of the request, without the query.
    OptUrl(String),
    DetectedCommand(String),
    DetectedLocation(String),
    DetectedStatus(String),
    /// Times from `startTime` on and before `endTime`.
    TimeRange(TimeRange),
    /// Request header `key`, any of its values.
    Header(KeyValue),
    /// Base64 or hyphenated text.
    Uuid(String),
    /// True for what is *not* in the sample, so that a rule with it keeps `keep` of `out_of`.
    Sample(SampleShare),
    HttpReqXPath(Value),
    HttpReqSoapXPath(Value),
    /// A place of the request: the member at a dotted path of its JSON body (`json`), a
    /// header or a query parameter.
    ReqFilter(RequestFilter),
    /// Session of the pair. Not part of the reference's JSON; its query language has it.
    Session(String),
    /// Member at a dotted path of the JSON response body. As `session`.
    ResponseJson(KeyValue),
    SnapshotId(Value),
}

/// A name and the value to compare.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct KeyValue {
    pub key: String,
    pub value: String,
}

/// A place of the request by its kind.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RequestFilter {
    pub key: String,
    pub value: String,
    /// `json`, `header` or `query`.
    #[serde(rename = "type")]
    pub kind: String,
}

/// A span of record times, RFC 3339; an end that is missing is open.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TimeRange {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_time: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_time: Option<String>,
}

/// Keep `keep` of `out_of` sessions.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct SampleShare {
    pub keep: u32,
    pub out_of: u32,
}

impl Criterion {
    /// Name of the criterion in the document.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Host(_) => "host",
            Self::Tag(_) => "tag",
            Self::RequestBodyHash(_) => "requestBodyHash",
            Self::RequestBodyJson(_) => "requestBodyJson",
            Self::RequestBodyXml(_) => "requestBodyXml",
            Self::Direction(_) => "direction",
            Self::Tech(_) => "tech",
            Self::L7protocol(_) => "l7protocol",
            Self::NetworkAddress(_) => "network_address",
            Self::Service(_) => "service",
            Self::Cluster(_) => "cluster",
            Self::Namespace(_) => "namespace",
            Self::OptUrl(_) => "optUrl",
            Self::DetectedCommand(_) => "detectedCommand",
            Self::DetectedLocation(_) => "detectedLocation",
            Self::DetectedStatus(_) => "detectedStatus",
            Self::TimeRange(_) => "timeRange",
            Self::Header(_) => "header",
            Self::Uuid(_) => "uuid",
            Self::Sample(_) => "sample",
            Self::HttpReqXPath(_) => "httpReqXPath",
            Self::HttpReqSoapXPath(_) => "httpReqSoapXPath",
            Self::ReqFilter(_) => "reqFilter",
            Self::SnapshotId(_) => "snapshotId",
            Self::Session(_) => "session",
            Self::ResponseJson(_) => "responseJson",
        }
    }
}

impl<'de> Deserialize<'de> for Entry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut keys = Map::deserialize(deserializer)?;
        // A missing `include` would be false to one reader and true to the next: ask for it.
        let include = take(&mut keys, "include")?
            .ok_or_else(|| D::Error::custom("include is missing: write true or false"))?;
        let operator = take(&mut keys, "operator")?;
        let note = take(&mut keys, "note")?;
        if keys.len() != 1 {
            let names = keys.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
            let count = keys.len();
            return Err(D::Error::custom(format!(
                "a filter needs exactly one criterion and has {count}: [{names}]"
            )));
        }
        let criterion = serde_json::from_value(Value::Object(keys)).map_err(D::Error::custom)?;
        Ok(Self { include, operator, criterion, note })
    }
}

fn take<T: DeserializeOwned, E: Error>(
    keys: &mut Map<String, Value>,
    name: &str,
) -> Result<Option<T>, E> {
    match keys.shift_remove(name) {
        None => Ok(None),
        Some(value) => serde_json::from_value(value)
            .map(Some)
            .map_err(|error| E::custom(format!("{name}: {error}"))),
    }
}

impl Serialize for Entry {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut keys = serializer.serialize_map(None)?;
        keys.serialize_entry("include", &self.include)?;
        if let Some(operator) = &self.operator {
            keys.serialize_entry("operator", operator)?;
        }
        if let Some(note) = &self.note {
            keys.serialize_entry("note", note)?;
        }
        let criterion = serde_json::to_value(&self.criterion).map_err(S::Error::custom)?;
        for (name, value) in criterion.as_object().into_iter().flatten() {
            keys.serialize_entry(name, value)?;
        }
        keys.end()
    }
}

#[cfg(test)]
mod tests;
