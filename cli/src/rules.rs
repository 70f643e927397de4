//! `weir dlp` and `weir filter`: the engines of the forwarder on a snapshot directory, with the
//! same manifests.

mod dlp;
mod filter;
pub(crate) mod recordings;

#[cfg(test)]
mod tests;

pub use self::{dlp::DlpCommand, filter::FilterCommand};
