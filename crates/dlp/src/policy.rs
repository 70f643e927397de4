//! What a redactor is made from, as plans carry it.

use std::fmt;

use serde::{Deserialize, Serialize};
use weir_filter::RuleDocument;

/// One policy: what is redacted, and what takes its place.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PolicySource {
    /// Written to `dlpRule` of every record that passed it.
    pub id: String,
    pub detectors: Vec<Detector>,
    pub patterns: Vec<Pattern>,
    pub keys: Vec<Key>,
    /// Exact places; with [`Profile::DenyByDefault`] the only ones that keep their values.
    pub paths: Vec<String>,
    /// Places that are redacted in some records only.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub chains: Vec<Chain>,
    pub profile: Profile,
    pub action: Action,
    /// For [`Action::KeyedToken`].
    pub secret: Option<SecretKey>,
    pub when_undecodable: WhenUndecodable,
    /// Run when the policy is compiled.
    pub tests: Vec<Example>,
    /// Adds hit counts and the policies' hash to the record's tags. Off for documents of the
    /// reference format, whose records have no such tags.
    pub report: bool,
}

/// A built-in detector of values.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub enum Detector {
    BearerToken,
    CloudCredential,
    Coordinates,
    CreditCard,
    DateTime,
    Email,
    Hash,
    Iban,
    IpAddress,
    Jwt,
    PhoneNumber,
    PrivateKey,
    Sql,
    Ssn,
    TraceId,
    Url,
    UrlCredential,
    Uuid,
}

impl Detector {
    /// Every detector.
    pub const ALL: [Self; 18] = [
        Self::BearerToken,
        Self::CloudCredential,
        Self::Coordinates,
        Self::CreditCard,
        Self::DateTime,
        Self::Email,
        Self::Hash,
        Self::Iban,
        Self::IpAddress,
        Self::Jwt,
        Self::PhoneNumber,
        Self::PrivateKey,
        Self::Sql,
        Self::Ssn,
        Self::TraceId,
        Self::Url,
        Self::UrlCredential,
        Self::Uuid,
    ];

    /// What is secret or personal by itself: the meaning of `discoverPatterns`.
    pub const SENSITIVE: [Self; 10] = [
        Self::BearerToken,
        Self::CloudCredential,
        Self::CreditCard,
        Self::Email,
        Self::Iban,
        Self::Jwt,
        Self::PhoneNumber,
        Self::PrivateKey,
        Self::Ssn,
        Self::UrlCredential,
    ];
}

/// A detector of one's own: a regular expression without look-around and back-references.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Pattern {
    /// Upper-cased, the category in tokens.
    pub name: String,
    pub regex: String,
}

/// A name whose values are redacted, compared without case.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Key {
    /// `all`, a protocol (`http`), or a place (`http.req.body`, `http.res.headers`).
    pub scope: String,
    pub name: String,
}

/// A chain of transforms (contract §3.4): what is redacted in the records that it is about.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Chain {
    /// The records that match; all of them without a rule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<RuleDocument>,
    /// Places that are redacted as a whole.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<String>,
    /// Names whose values are redacted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<Key>,
    /// Bodies that it can only work on when one of them is JSON; else it notes an event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wants_json: Option<Vec<String>>,
}

/// What happens to values that nothing names.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub enum Profile {
    /// They stay.
    #[default]
    Redact,
    /// They are redacted, but those at `paths`.
    DenyByDefault,
}

/// What takes a value's place.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub enum Action {
    /// `REDACTED-<CATEGORY>-<20 hex digits of its SHA-256>` (contract §3.4).
    #[default]
    Token,
    /// The same form with an HMAC-SHA-256.
    KeyedToken,
    /// `*` for every character.
    Mask,
    /// Nothing.
    Remove,
}

/// What happens to a body that cannot be decoded, and so not be searched.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub enum WhenUndecodable {
    #[default]
    RemoveBody,
    Keep,
}

/// Key of [`Action::KeyedToken`]. `Debug` hides it.
#[derive(Clone, Deserialize, Eq, PartialEq, Serialize)]
#[serde(transparent)]
pub struct SecretKey(pub Vec<u8>);

/// Text, and what must become of it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Example {
    pub input: String,
    pub expect: String,
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey(hidden)")
    }
}
