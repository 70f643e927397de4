//! Condition types and reasons (DESIGN §3, decision 10). Part of the API: never renamed.
//! Every type has positive polarity but `Reconciling` and `Stalled`, which kstatus defines.

/// The object is well-formed and permitted; false keeps the last good plan in force.
pub const ACCEPTED: &str = "Accepted";
/// Every object and Secret that it names exists and may be named.
pub const RESOLVED_REFS: &str = "ResolvedRefs";
/// Every node that should has this generation.
pub const PROGRAMMED: &str = "Programmed";
/// TLS traffic of the matched pods is readable; the reason says how far.
pub const TLS_COVERAGE: &str = "TLSCoverage";
/// `duration` or `budget.records` is used up.
pub const COMPLETE: &str = "Complete";
/// The receiver answers.
pub const REACHABLE: &str = "Reachable";
/// The receiver takes records.
pub const DELIVERING: &str = "Delivering";
/// A policy is compiled and its tests pass.
pub const COMPILED: &str = "Compiled";
/// The summary: the object does what it says.
pub const READY: &str = "Ready";
/// kstatus: work towards the current generation is going on.
pub const RECONCILING: &str = "Reconciling";
/// kstatus: no progress without a change by a person.
pub const STALLED: &str = "Stalled";

/// Reasons of conditions.
pub mod reason {
    /// With `Accepted=True`.
    pub const ACCEPTED: &str = "Accepted";
    /// With `ResolvedRefs=True`.
    pub const RESOLVED: &str = "Resolved";
    /// A name that no object has.
    pub const REF_NOT_FOUND: &str = "RefNotFound";
    /// The object named does not allow this namespace.
    pub const REF_NOT_PERMITTED: &str = "RefNotPermitted";
    /// The object named was itself refused.
    pub const REF_NOT_ACCEPTED: &str = "RefNotAccepted";
    /// A Secret or one of its keys is missing.
    pub const SECRET_NOT_FOUND: &str = "SecretNotFound";
    /// A Secret's value cannot be used where it is named.
    pub const INVALID_SECRET: &str = "InvalidSecret";
    /// A label selector with an operator or a value that does not exist.
    pub const INVALID_SELECTOR: &str = "InvalidSelector";
    /// A size that is none, or out of range.
    pub const INVALID_QUANTITY: &str = "InvalidQuantity";
    /// A span of time that is none, or out of range.
    pub const INVALID_DURATION: &str = "InvalidDuration";
    /// A value outside its range, or fields that exclude each other.
    pub const INVALID_VALUE: &str = "InvalidValue";
    /// An endpoint that is no address.
    pub const INVALID_ENDPOINT: &str = "InvalidEndpoint";
    /// A filter rule that does not ship with this version.
    pub const FILTER_RULE_NOT_FOUND: &str = "FilterRuleNotFound";
    /// A filter expression that does not compile or does not fit a record.
    pub const INVALID_FILTER: &str = "InvalidFilter";
    /// A redaction policy that this version cannot apply: nothing leaves unredacted.
    pub const DLP_UNSUPPORTED: &str = "DlpUnsupported";
    /// `enforce` outside the operator's namespace.
    pub const ENFORCE_NOT_PERMITTED: &str = "EnforceNotPermitted";
    /// Only protocols that this version does not dissect.
    pub const PROTOCOLS_UNSUPPORTED: &str = "ProtocolsUnsupported";
}
