//! The `weir` command as a library: the receiver and the snapshot writer are reused by the
//! demo and the end-to-end tests (see ARCHITECTURE.md).

mod cli;
pub mod collect;
pub mod logging;
pub mod receiver;
mod signals;
pub mod snapshot;
pub mod style;
pub mod view;
pub mod visible;

pub use self::cli::Cli;
