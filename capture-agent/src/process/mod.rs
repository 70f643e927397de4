//! Processes of this machine and the labels by which a capture selects them.

mod labels;
pub(crate) mod scan;
mod table;

pub(crate) use labels::Born;
pub use labels::Process;
pub use table::ProcessTable;
