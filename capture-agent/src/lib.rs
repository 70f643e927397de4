//! The privileged side of Weir: loads the programs, finds the processes that a capture
//! selects, keeps the kernel's target list in step with them, and hands over the ring.
//!
//! It never parses payload and needs no network, so that the part with privileges can be
//! read in an afternoon.

mod agent;
mod btf;
pub mod daemon;
pub mod doctor;
mod error;
mod events;
mod kernel;
mod offsets;
mod privileges;
pub mod process;
mod tls;

pub use agent::{Agent, AgentConfig, Selector};
pub use error::StartError;
pub use kernel::Hook;
pub use process::{Process, ProcessTable};
