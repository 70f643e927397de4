//! Filter rules of the reference format (contract §3.3): a pair that a rule matches is dropped.
//! Pure.

mod document;
mod filter;

pub use document::{
    Criterion, Entry, Group, GroupOperator, KeyValue, MatchOperator, RuleDocument, SampleShare,
    TimeRange,
};
pub use filter::{CompileError, Fault, Filter, NAMED_RULES, NoShare, Sample, UnknownRule};
