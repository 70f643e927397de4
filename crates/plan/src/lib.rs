//! Custom resources → the plan that a node carries out. Pure: equal inputs give equal plans,
//! and one bad object never disturbs another.

mod compile;
mod document;
mod endpoint;
pub mod manifest;
mod plan;
mod secret;
mod selector;
pub mod status;

pub use compile::{
    Compiled, ObjectKind, Objects, Outcome, Rejection, SecretData, Warning, compile, compile_after,
};
pub use document::{DecodePlan, MAX_DOCUMENT_BYTES, PLAN_KEY, PLAN_SECRET, PlanDocument};
pub use endpoint::{Endpoint, ParseEndpoint, Scheme, Transport};
pub use plan::{
    BudgetPlan, CapturePlan, ExporterPlan, HeaderPlan, ObjectKey, Plan, PolicyPlan, SamplingPlan,
    TlsPlan,
};
pub use secret::SecretText;
pub use selector::{InvalidSelector, Selector};
pub use status::NodeStatus;
pub use weir_api::v1alpha1::{CaptureDirection, Compression, Protocol, TlsMode, WhenFull};
