//! A rule made ready to run over many pairs.

mod compile;
mod matcher;
mod sample;

#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};
use weir_rrpair::{Direction, RrPair, Timestamp, Uuid};

pub(crate) use compile::regex;
pub use compile::{CompileError, Fault};
pub use sample::{NoShare, Sample};

use crate::RuleDocument;
use crate::cel::{self, ExpressionError, Expressions};
use matcher::{Matcher, Subject};

/// Names that [`Filter::named`] knows.
pub const NAMED_RULES: [&str; 1] = ["standard"];

/// Source of the rule `standard`.
const STANDARD: &str = include_str!("../rules/standard.json");

/// What a filter is made from, as plans carry it.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum FilterSource {
    /// A rule of the reference format.
    Rule(RuleDocument),
    /// CEL.
    Expressions(Expressions),
}

impl FilterSource {
    /// Name for people: the rule's id, or `expressions`.
    pub fn name(&self) -> &str {
        match self {
            Self::Rule(rule) => &rule.id,
            Self::Expressions(_) => "expressions",
        }
    }
}

/// Why a filter cannot be run.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum FilterError {
    #[error(transparent)]
    Rule(#[from] CompileError),
    #[error(transparent)]
    Expressions(#[from] ExpressionError),
}

/// A compiled filter. Compare filters by their sources.
#[derive(Debug)]
pub struct Filter {
    id: String,
    root: Root,
}

#[derive(Debug)]
enum Root {
    Rule(Expression),
    Expressions(cel::Compiled),
}

/// A name that no rule has.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("no filter rule {name:?} ships with this version; known: {}", NAMED_RULES.join(", "))]
pub struct UnknownRule {
    pub name: String,
}

#[derive(Debug)]
enum Expression {
    All(Vec<Self>),
    Any(Vec<Self>),
    Not(Box<Self>),
    Test(Test),
}

#[derive(Debug)]
enum Test {
    Text(Subject, Matcher),
    Direction(Direction),
    TimeRange { from: Timestamp, before: Timestamp },
    Uuid(Uuid),
    BodyHash([u8; 32]),
    Sample(Sample),
}

impl RuleDocument {
    /// The document of a rule that ships with Weir; see [`NAMED_RULES`].
    ///
    /// # Errors
    ///
    /// [`UnknownRule`] for every other name.
    ///
    /// # Panics
    ///
    /// Never: the rules are part of the program, and a test reads them all.
    pub fn named(name: &str) -> Result<Self, UnknownRule> {
        match name {
            "standard" => Ok(serde_json::from_str(STANDARD).expect("a test reads this file")),
            _ => Err(UnknownRule { name: name.to_owned() }),
        }
    }
}

impl Filter {
    /// A rule that ships with Weir; see [`NAMED_RULES`].
    ///
    /// # Errors
    ///
    /// [`UnknownRule`] for every other name.
    ///
    /// # Panics
    ///
    /// Never: the rules are part of the program, and a test compiles them all.
    pub fn named(name: &str) -> Result<Self, UnknownRule> {
        let document = RuleDocument::named(name)?;
        Ok(Self::compile(&document).expect("a test compiles every rule that ships"))
    }

    /// Makes a filter ready to run.
    ///
    /// # Errors
    ///
    /// [`FilterError`]: what is not understood is never silently false.
    pub fn new(source: &FilterSource) -> Result<Self, FilterError> {
        match source {
            FilterSource::Rule(document) => Ok(Self::compile(document)?),
            FilterSource::Expressions(expressions) => Ok(Self::from_expressions(expressions)?),
        }
    }

    /// Makes CEL expressions ready to run.
    ///
    /// # Errors
    ///
    /// [`ExpressionError`] for the first one that does not fit a record.
    pub fn from_expressions(expressions: &Expressions) -> Result<Self, ExpressionError> {
        let compiled = cel::Compiled::new(expressions)?;
        Ok(Self { id: String::new(), root: Root::Expressions(compiled) })
    }

    /// Name of the rule; empty for expressions.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// True when the pair is dropped.
    pub fn drops(&self, pair: &RrPair) -> bool {
        match &self.root {
            Root::Rule(rule) => rule.holds(pair),
            Root::Expressions(expressions) => expressions.drops(pair),
        }
    }
}

impl Expression {
    fn holds(&self, pair: &RrPair) -> bool {
        match self {
            Self::All(parts) => parts.iter().all(|part| part.holds(pair)),
            Self::Any(parts) => parts.iter().any(|part| part.holds(pair)),
            Self::Not(part) => !part.holds(pair),
            Self::Test(test) => test.holds(pair),
        }
    }
}

impl Test {
    fn holds(&self, pair: &RrPair) -> bool {
        match self {
            Self::Text(subject, matcher) => subject.any(pair, |text| matcher.matches(text)),
            Self::Direction(direction) => pair.direction == *direction,
            Self::TimeRange { from, before } => *from <= pair.ts && pair.ts < *before,
            Self::Uuid(uuid) => pair.uuid == *uuid,
            Self::BodyHash(hash) => matcher::body_hash_is(pair, hash),
            Self::Sample(sample) => !sample.keeps(pair.session.as_deref(), &pair.uuid),
        }
    }
}
