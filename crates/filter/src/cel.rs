//! CEL over the RRPair: `keep` and `drop` of an Exporter's `filter`.
//!
//! The `cel` crate reads the text. What it gives is checked against the record's types and
//! turned into a tree that looks at the record in place, with its regular expressions built
//! once; every step is paid for from a budget, so that no expression can hold the data path up.
//!
//! Fields have the record's names (contract §1). As in CEL over protobuf, a field that the
//! record does not have reads as zero or empty, and `has()` tells the two apart. A key that a
//! map does not have, an index out of range or text that is no number is an error, and an
//! expression that ends in an error is false.

mod check;
mod eval;
mod record;

#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};
use weir_rrpair::RrPair;

pub use check::ExpressionFault;

use check::Node;

/// Characters of one expression.
const MAX_CHARACTERS: usize = 4096;
/// Expressions of one filter.
const MAX_EXPRESSIONS: usize = 128;

/// Sources of a filter by expressions.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Expressions {
    /// A record is kept only if one of these is true; empty keeps all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keep: Vec<String>,
    /// A record is dropped if one of these is true, whatever `keep` says.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub drop: Vec<String>,
}

/// Expressions that cannot be run, and the place of the first one.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ExpressionError {
    #[error("{list}[{index}]: {fault}")]
    Expression { list: &'static str, index: usize, fault: ExpressionFault },
    #[error("give at most {MAX_EXPRESSIONS} expressions")]
    TooMany,
}

/// Compiled expressions.
#[derive(Debug)]
pub(crate) struct Compiled {
    keep: Vec<Node>,
    drop: Vec<Node>,
}

impl Compiled {
    pub(crate) fn new(sources: &Expressions) -> Result<Self, ExpressionError> {
        let Expressions { keep, drop } = sources;
        if keep.len() + drop.len() > MAX_EXPRESSIONS {
            return Err(ExpressionError::TooMany);
        }
        let all = |list: &'static str, sources: &[String]| {
            let compile = |(index, source): (usize, &String)| {
                compile(source).map_err(|fault| ExpressionError::Expression { list, index, fault })
            };
            sources.iter().enumerate().map(compile).collect::<Result<Vec<_>, _>>()
        };
        Ok(Self { keep: all("keep", keep)?, drop: all("drop", drop)? })
    }

    pub(crate) fn drops(&self, pair: &RrPair) -> bool {
        let any = |nodes: &[Node]| nodes.iter().any(|node| eval::holds(node, pair));
        any(&self.drop) || !(self.keep.is_empty() || any(&self.keep))
    }
}

fn compile(source: &str) -> Result<Node, ExpressionFault> {
    let characters = source.chars().count();
    if characters > MAX_CHARACTERS {
        return Err(ExpressionFault::TooLong { characters, limit: MAX_CHARACTERS });
    }
    check::compile(source)
}
