//! `DlpPolicy`: what is redacted, and how.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, LabelSelector};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{AllowedNamespaces, SecretKeyReference};

/// Redacts records before they are queued or leave the node.
#[derive(Clone, CustomResource, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
#[kube(
    group = "weir.dev",
    version = "v1alpha1",
    kind = "DlpPolicy",
    plural = "dlppolicies",
    doc = "Says what is redacted in records before they are queued or leave the node.",
    namespaced,
    status = "DlpPolicyStatus",
    derive = "PartialEq",
    shortname = "dlp",
    category = "weir",
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status"
    ),
    printcolumn(name = "Profile", type_ = "string", json_path = ".spec.profile"),
    printcolumn(name = "Action", type_ = "string", json_path = ".spec.action"),
    printcolumn(name = "Captures", type_ = "integer", json_path = ".status.boundCaptures"),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].reason",
        priority = 1
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[x_kube(
    validation = Rule::new(
        "has(self.keyRef) == (has(self.action) && self.action == 'KeyedToken')"
    ).message("keyRef is required when action is KeyedToken, and allowed only then"),
    validation = Rule::new(
        "has(self.detectors) || has(self.patterns) || has(self.keys) || has(self.paths) || \
         (has(self.profile) && self.profile == 'DenyByDefault')"
    ).message(
        "nothing to redact: give detectors, patterns, keys or paths, or profile DenyByDefault"
    )
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DlpPolicySpec {
    /// Built-in detectors of values, checked by their checksum where they have one.
    #[x_kube(merge_strategy = ListMerge::Set)]
    #[schemars(length(min = 1, max = 64))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub detectors: Vec<Detector>,

    /// Own detectors: regular expressions that run in linear time.
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    #[schemars(length(min = 1, max = 64))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub patterns: Vec<Pattern>,

    /// Names whose values are redacted wherever they occur, compared without case: headers,
    /// query parameters, form fields, JSON keys, SQL columns.
    #[x_kube(merge_strategy = ListMerge::Set)]
    #[schemars(length(min = 1, max = 256), inner(length(min = 1, max = 256)))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<String>,

    /// Exact places, for example `http.req.body.$.card.number`. With the profile
    /// `DenyByDefault` these are the only values that are kept.
    #[x_kube(merge_strategy = ListMerge::Set)]
    #[schemars(length(min = 1, max = 256), inner(length(min = 1, max = 1024)))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<String>,

    /// `Redact` (also when absent): what is listed is redacted. `DenyByDefault`: every value
    /// is redacted but those at `paths`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<Profile>,

    /// What takes a value's place: `Token` (also when absent), the same for equal values;
    /// `KeyedToken`, which nobody can compute without the key; `Mask`; or `Remove`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<Action>,

    /// Key of a Secret for `KeyedToken`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_ref: Option<SecretKeyReference>,

    /// What happens to a body that cannot be decoded and so not be searched: `RemoveBody`
    /// (also when absent) or `Keep`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when_undecodable: Option<WhenUndecodable>,

    /// Examples that are checked before the policy is used; a wrong one makes it not ready.
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    #[schemars(length(max = 64))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tests: Vec<PolicyTest>,

    /// Makes this policy a floor that no tenant can lower. Only in the operator's namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enforce: Option<Enforcement>,

    /// Namespaces that may name this policy; only its own when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowed_namespaces: Option<AllowedNamespaces>,
}

/// Value of an entry of `detectors`.
#[derive(
    Clone, Copy, Debug, Deserialize, Eq, JsonSchema, Ord, PartialEq, PartialOrd, Serialize,
)]
pub enum Detector {
    BearerToken,
    CloudCredential,
    Coordinates,
    CreditCard,
    DateTime,
    Email,
    Hash,
    Iban,
    #[serde(rename = "IPAddress")]
    IpAddress,
    Jwt,
    PhoneNumber,
    PrivateKey,
    Sql,
    #[serde(rename = "SSN")]
    Ssn,
    TraceId,
    Url,
    UrlCredential,
    #[serde(rename = "UUID")]
    Uuid,
}

/// A detector of one's own.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Pattern {
    /// Names the pattern; upper-cased, it is the category in tokens.
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$"))]
    pub name: String,
    /// Regular expression without look-around and back-references.
    #[schemars(length(min = 1, max = 4096))]
    pub regex: String,
}

/// Value of `profile`.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum Profile {
    Redact,
    DenyByDefault,
}

/// Value of `action`.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum Action {
    Token,
    KeyedToken,
    Mask,
    Remove,
}

/// Value of `whenUndecodable`.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum WhenUndecodable {
    RemoveBody,
    Keep,
}

/// An example of what the policy does.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PolicyTest {
    /// Text to redact.
    #[schemars(length(max = 65536))]
    pub input: String,
    /// Text that must come out.
    #[schemars(length(max = 65536))]
    pub expect: String,
}

/// Where a floor holds.
#[derive(Clone, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Enforcement {
    /// Labels of the namespaces that the floor covers; `{}` means all of them.
    #[x_kube(merge_strategy = MapMerge::Atomic)]
    pub namespace_selector: LabelSelector,
}

/// What the policy does now.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DlpPolicyStatus {
    /// `metadata.generation` that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Types: Accepted, Compiled, Ready, Reconciling and Stalled.
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// Names the compiled policy: equal hashes redact alike.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<String>,
    /// Captures whose records pass this policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bound_captures: Option<i32>,
}
