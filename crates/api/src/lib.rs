//! The custom resources of group `weir.dev` (DESIGN §3), their CRDs and what the API server
//! checks of them. Types only: nothing here talks to a server.
#![expect(unreachable_pub, reason = "KubeSchema repeats each struct in a private function")]
#![expect(clippy::duplicated_attributes, reason = "printer columns of one type are no duplicates")]

pub mod condition;
pub mod crd;
pub mod duration;
pub mod quantity;
pub mod schema;
pub mod v1alpha1;

pub use duration::{Duration, ParseDuration};
pub use quantity::{ParseQuantity, Quantity};

/// API group of every kind.
pub const GROUP: &str = "weir.dev";

/// Group and version as objects carry it in `apiVersion`.
pub const API_VERSION: &str = "weir.dev/v1alpha1";
