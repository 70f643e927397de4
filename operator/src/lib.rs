//! The operator: watches the custom resources, compiles them to one plan for all nodes, and
//! writes back what became of them.

mod book;
mod deploy;
pub mod fit;
mod health;
pub mod history;
mod lease;
mod memory;
pub mod node;
mod poll;
mod reconcile;
mod run;
mod secrets;
mod snapshot;
pub mod status;
mod traces;
mod watch;
mod write;

pub use run::{Options, daemon_set_yaml, run};
pub use traces::Traces;
