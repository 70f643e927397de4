//! What compiling gave and what the nodes say → the `status` of each object. Pure: equal inputs
//! give equal statuses, so that nothing is written when nothing changed.

mod capture;
mod conditions;
mod exporter;
mod fleet;
mod ledger;
mod policy;
mod unreadable;

#[cfg(test)]
mod tests;

pub use capture::{CaptureView, Completion, capture, completion};
pub use exporter::{ExporterView, exporter};
pub use fleet::Fleet;
pub use ledger::{Ledger, Round};
pub use policy::{PolicyView, policy};
pub use unreadable::unreadable;
