//! The operator: watches the custom resources, compiles them to one plan for all nodes, and
//! writes back what became of them.

pub mod fit;
pub mod history;
pub mod status;
