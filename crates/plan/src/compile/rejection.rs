//! Why an object is refused, as closed enums.

use weir_api::{ParseDuration, ParseQuantity, condition, condition::reason};

use super::ObjectKind;
use crate::{InvalidSelector, ObjectKey, ParseEndpoint};

/// A fault in an object that only its author, or the author of what it names, can mend. The
/// text names the field and what is allowed.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Rejection {
    #[error("{field}.{source}")]
    InvalidSelector { field: &'static str, source: InvalidSelector },
    #[error("{field}: {value:?} {source}")]
    InvalidQuantity { field: &'static str, value: String, source: ParseQuantity },
    #[error("{field}: {value:?} is not from {min} to {max}")]
    QuantityOutOfRange { field: &'static str, value: String, min: &'static str, max: &'static str },
    #[error("{field}: {value:?} {source}; write it like 30m, 1h30m or 500ms")]
    InvalidDuration { field: &'static str, value: String, source: ParseDuration },
    #[error("{field}: {value:?} is not from {min} to {max}")]
    DurationOutOfRange { field: &'static str, value: String, min: &'static str, max: &'static str },
    #[error("{field}: {fault}")]
    InvalidValue { field: String, fault: &'static str },
    #[error("spec.otlp.endpoint: {source}")]
    InvalidEndpoint { source: ParseEndpoint },
    #[error("{field}: {kind} {target} does not exist")]
    RefNotFound { field: String, kind: ObjectKind, target: ObjectKey },
    #[error(
        "{field}: {kind} {target} does not exist or does not allow namespace {from}; \
         its spec.allowedNamespaces decides"
    )]
    RefNotPermitted { field: String, kind: ObjectKind, target: ObjectKey, from: String },
    #[error("{field}: {kind} {target} is itself refused; see its status")]
    RefNotAccepted { field: String, kind: ObjectKind, target: ObjectKey },
    #[error("{field}: Secret {secret} does not exist")]
    SecretNotFound { field: String, secret: ObjectKey },
    #[error("{field}: Secret {secret} has no key {key:?}")]
    SecretKeyNotFound { field: String, secret: ObjectKey, key: String },
    #[error("{field}: key {key:?} of Secret {secret} {fault}")]
    InvalidSecret { field: String, secret: ObjectKey, key: String, fault: &'static str },
    #[error("spec.filterRule: {source}")]
    FilterRuleNotFound { source: weir_filter::UnknownRule },
    #[error("spec.filter.{source}")]
    InvalidFilter { source: Box<weir_filter::ExpressionError> },
    #[error("spec.{source}")]
    InvalidPolicy { source: Box<weir_dlp::CompileError> },
    #[error(
        "DlpPolicy {target} is enforced for this namespace and is itself refused; nothing is \
         exported rather than unredacted records"
    )]
    EnforcedPolicyNotAccepted { target: ObjectKey },
    #[error("spec.enforce: allowed only in the operator's namespace {operator_namespace}")]
    EnforceNotPermitted { operator_namespace: String },
    #[error("spec.protocols: none of these is dissected by this version; allowed: HTTP")]
    ProtocolsUnsupported,
}

impl Rejection {
    /// Type of the condition that is false because of this.
    pub fn condition(&self) -> &'static str {
        match self {
            Self::RefNotFound { .. }
            | Self::RefNotPermitted { .. }
            | Self::RefNotAccepted { .. }
            | Self::EnforcedPolicyNotAccepted { .. }
            | Self::SecretNotFound { .. }
            | Self::SecretKeyNotFound { .. }
            | Self::InvalidSecret { .. } => condition::RESOLVED_REFS,
            _ => condition::ACCEPTED,
        }
    }

    /// Reason of that condition: CamelCase, part of the API.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::InvalidSelector { .. } => reason::INVALID_SELECTOR,
            Self::InvalidQuantity { .. } | Self::QuantityOutOfRange { .. } => {
                reason::INVALID_QUANTITY
            }
            Self::InvalidDuration { .. } | Self::DurationOutOfRange { .. } => {
                reason::INVALID_DURATION
            }
            Self::InvalidValue { .. } => reason::INVALID_VALUE,
            Self::InvalidEndpoint { .. } => reason::INVALID_ENDPOINT,
            Self::RefNotFound { .. } => reason::REF_NOT_FOUND,
            Self::RefNotPermitted { .. } => reason::REF_NOT_PERMITTED,
            Self::RefNotAccepted { .. } | Self::EnforcedPolicyNotAccepted { .. } => {
                reason::REF_NOT_ACCEPTED
            }
            Self::SecretNotFound { .. } | Self::SecretKeyNotFound { .. } => {
                reason::SECRET_NOT_FOUND
            }
            Self::InvalidSecret { .. } => reason::INVALID_SECRET,
            Self::FilterRuleNotFound { .. } => reason::FILTER_RULE_NOT_FOUND,
            Self::InvalidFilter { .. } => reason::INVALID_FILTER,
            Self::InvalidPolicy { source } => match **source {
                weir_dlp::CompileError::Test { .. } => reason::POLICY_TEST_FAILED,
                _ => reason::INVALID_POLICY,
            },
            Self::EnforceNotPermitted { .. } => reason::ENFORCE_NOT_PERMITTED,
            Self::ProtocolsUnsupported => reason::PROTOCOLS_UNSUPPORTED,
        }
    }
}

/// What a person should know of an object that is in the plan.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Warning {
    #[error("spec.protocols: {protocol} is not dissected by this version and not recorded")]
    ProtocolNotDissected { protocol: weir_api::v1alpha1::Protocol },
    #[error("spec.tls: this version records no TLS traffic")]
    TlsNotDecrypted,
    #[error("spec.queue: this version keeps the queue in memory, where a restart loses it")]
    QueueInMemory,
}
