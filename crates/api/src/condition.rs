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
/// kstatus: no progress without an edit of this object. Not for a name that no object has yet,
/// which may come with the same `kubectl apply`.
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
    /// An object that this version of the operator cannot read, for example since its CRD is
    /// newer than the operator.
    pub const INVALID_OBJECT: &str = "InvalidObject";
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
    /// A redaction policy that does not compile: nothing that it covers leaves.
    pub const INVALID_POLICY: &str = "InvalidPolicy";
    /// A redaction policy that does not do what its `tests` say.
    pub const POLICY_TEST_FAILED: &str = "PolicyTestFailed";
    /// `enforce` outside the operator's namespace.
    pub const ENFORCE_NOT_PERMITTED: &str = "EnforceNotPermitted";
    /// Only protocols that this version does not dissect.
    pub const PROTOCOLS_UNSUPPORTED: &str = "ProtocolsUnsupported";
    /// All accepted objects together have no room in the plan document; the newest give way.
    pub const PLAN_TOO_LARGE: &str = "PlanTooLarge";

    /// With `Programmed=True`.
    pub const PROGRAMMED: &str = "Programmed";
    /// Some nodes do not have this generation yet.
    pub const WAITING_FOR_NODES: &str = "WaitingForNodes";
    /// No node runs Weir's agent.
    pub const NO_NODES: &str = "NoNodes";
    /// The object is not in the plan; another condition says why.
    pub const NOT_PLANNED: &str = "NotPlanned";

    /// With `TLSCoverage=True`: every container with TLS traffic is read in clear.
    pub const FULL: &str = "Full";
    /// Some containers with TLS traffic are not readable.
    pub const PARTIAL: &str = "Partial";
    /// No container with TLS traffic is readable.
    pub const OPAQUE: &str = "Opaque";
    /// No TLS traffic was seen.
    pub const NO_TLS: &str = "NoTLS";
    /// TLS traffic is left alone, as `spec.tls` says.
    pub const IGNORED: &str = "Ignored";

    /// With `Complete=True` and `Ready=True`: the capture recorded all that it should.
    pub const COMPLETE: &str = "Complete";
    /// `spec.duration` is over.
    pub const DURATION_ELAPSED: &str = "DurationElapsed";
    /// `spec.budget.records` is used up.
    pub const BUDGET_USED: &str = "BudgetUsed";
    /// With `Complete=False`.
    pub const RUNNING: &str = "Running";
    /// `spec.suspend` is true.
    pub const SUSPENDED: &str = "Suspended";

    /// With `Reachable=True`.
    pub const REACHABLE: &str = "Reachable";
    /// Some node gets no answer from the receiver.
    pub const UNREACHABLE: &str = "Unreachable";
    /// No node had anything to send yet.
    pub const NOT_TRIED: &str = "NotTried";
    /// With `Delivering=True`.
    pub const DELIVERING: &str = "Delivering";
    /// Some node's last delivery failed.
    pub const DELIVERY_FAILED: &str = "DeliveryFailed";

    /// With `Compiled=True`.
    pub const COMPILED: &str = "Compiled";

    /// With `Ready=True`.
    pub const READY: &str = "Ready";
    /// With `Reconciling=True`.
    pub const RECONCILING: &str = "Reconciling";
    /// With `Stalled=True`.
    pub const STALLED: &str = "Stalled";
}
