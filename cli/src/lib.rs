//! The `weir` command as a library: the receiver and the snapshot writer are reused by the
//! demo and the end-to-end tests (see ARCHITECTURE.md).

mod browse;
mod cli;
mod clock;
pub mod collect;
mod dial;
pub mod doctor;
pub mod explain;
pub mod files;
pub mod gather;
pub mod import;
pub mod inspect;
pub mod logging;
pub mod mock;
pub mod receiver;
pub mod replay;
pub mod rules;
pub mod run;
pub mod show;
mod signals;
pub mod snapshot;
pub mod status;
mod style;
mod table;
pub mod tail;
mod tls;
pub mod view;
pub mod visible;
pub mod web;

pub use self::cli::Cli;
