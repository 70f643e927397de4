//! Which records an exporter takes: rules of the reference format, in JSON or in its query
//! language (contract §3.3), and CEL expressions. Pure.

mod cel;
mod document;
mod filter;
mod query;

pub use cel::{ExpressionError, ExpressionFault, Expressions};
pub use document::{
    Criterion, Entry, Group, GroupOperator, KeyValue, MatchOperator, RequestFilter, RuleDocument,
    SampleShare, TimeRange,
};
pub use filter::{
    CompileError, Fault, Filter, FilterError, FilterSource, NAMED_RULES, NoShare, Sample,
    UnknownRule,
};
pub use query::QueryError;
