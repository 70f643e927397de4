//! Document → filter. Values compared with the same place become one search.

use base64::{Engine, engine::general_purpose::STANDARD};
use regex::{Regex, RegexBuilder};
use weir_rrpair::{Direction, Timestamp, Uuid};

use super::matcher::{Matcher, Search, Subject};
use super::{Expression, Filter, Root, Sample, Test};
use crate::document::{
    Criterion, Entry, Group, GroupOperator, KeyValue, MatchOperator, RequestFilter, RuleDocument,
    SampleShare, TimeRange,
};

/// Bytes that one compiled regular expression may take; they come from users.
const REGEX_BYTES: usize = 1 << 20;

/// Why a rule cannot be run. `condition` and `filter` count from 0.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum CompileError {
    #[error("conditions is empty: such a rule would drop everything")]
    NoConditions,
    #[error("conditions[{condition}].filters is empty: such a group would match everything")]
    NoFilters { condition: usize },
    #[error("conditions[{condition}].filters[{filter}]: {criterion} {fault}")]
    Criterion { condition: usize, filter: usize, criterion: &'static str, fault: Fault },
    #[error("the rule's values together are too many to search for at once")]
    TooLarge,
}

/// What is wrong with one criterion.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Fault {
    #[error("is not supported")]
    Unsupported,
    #[error("needs an operator: CONTAINS, EQUAL or REGEX")]
    NoOperator,
    #[error("allows no operator but EQUAL")]
    OnlyEqual,
    #[error("has a regular expression that is invalid or too large")]
    Regex,
    #[error("must be IN or OUT")]
    Direction,
    #[error("must be 64 hex digits or base64 of 32 bytes")]
    Hash,
    #[error("must be base64 of 16 bytes or hyphenated text")]
    Uuid,
    #[error("must have RFC 3339 times, at least one of startTime and endTime, start before end")]
    TimeRange,
    #[error("must have out_of >= keep >= 1")]
    Sample,
    #[error("has an empty key")]
    Key,
    #[error("must have the type json, header or query")]
    RequestFilter,
}

impl Filter {
    /// Makes a rule ready to run.
    ///
    /// # Errors
    ///
    /// [`CompileError`]: a criterion is never silently false.
    pub fn compile(document: &RuleDocument) -> Result<Self, CompileError> {
        let RuleDocument { id, operator, conditions } = document;
        if conditions.is_empty() {
            return Err(CompileError::NoConditions);
        }
        let outer = operator.unwrap_or_default();
        let mut level = Level::new(outer);
        for (condition, group) in conditions.iter().enumerate() {
            let Group { operator, note: _, filters } = group;
            if filters.is_empty() {
                return Err(CompileError::NoFilters { condition });
            }
            // A group that joins as its parent does, or has one filter, is no level of its own.
            let inner = operator.unwrap_or_default();
            if inner == outer || filters.len() == 1 {
                level.add_all(condition, filters)?;
            } else {
                let mut nested = Level::new(inner);
                nested.add_all(condition, filters)?;
                level.parts.push(nested.finish()?);
            }
        }
        Ok(Self { id: id.clone(), root: Root::Rule(level.finish()?) })
    }
}

/// A regular expression of a user, of bounded size; it runs in linear time.
pub(crate) fn regex(pattern: &str, ignore_case: bool) -> Option<Regex> {
    RegexBuilder::new(pattern)
        .case_insensitive(ignore_case)
        .size_limit(REGEX_BYTES)
        .dfa_size_limit(REGEX_BYTES)
        .build()
        .ok()
}

/// Parts under one operator.
struct Level {
    operator: GroupOperator,
    parts: Vec<Expression>,
    /// Values to search for by place, all at once.
    contains: Vec<(Subject, Vec<String>)>,
    equal: Vec<(Subject, Vec<String>)>,
}

impl Level {
    fn new(operator: GroupOperator) -> Self {
        Self { operator, parts: Vec::new(), contains: Vec::new(), equal: Vec::new() }
    }

    fn add_all(&mut self, condition: usize, entries: &[Entry]) -> Result<(), CompileError> {
        for (filter, entry) in entries.iter().enumerate() {
            self.add(entry).map_err(|fault| CompileError::Criterion {
                condition,
                filter,
                criterion: entry.criterion.name(),
                fault,
            })?;
        }
        Ok(())
    }

    fn add(&mut self, entry: &Entry) -> Result<(), Fault> {
        let Entry { include, operator, criterion, note: _ } = entry;
        let (subject, value) = match text_criterion(criterion)? {
            Ok(text) => text,
            Err(test) => {
                if !matches!(operator, None | Some(MatchOperator::Equal)) {
                    return Err(Fault::OnlyEqual);
                }
                self.push(*include, test);
                return Ok(());
            }
        };
        // "a or b" and "not a and not b" are one search each; the mixed forms are not.
        let mergeable = *include == (self.operator == GroupOperator::Or);
        match operator.ok_or(Fault::NoOperator)? {
            MatchOperator::Contains if mergeable => merge(&mut self.contains, subject, value),
            MatchOperator::Equal if mergeable => merge(&mut self.equal, subject, value),
            MatchOperator::Contains => {
                let matcher = contains(&subject, vec![value]).ok_or(Fault::Regex)?;
                self.push(*include, Test::Text(subject, matcher));
            }
            MatchOperator::Equal => {
                let matcher = Matcher::Equal(vec![value], subject.ignores_case());
                self.push(*include, Test::Text(subject, matcher));
            }
            MatchOperator::Regex => {
                let regex = regex(&value, subject.ignores_case()).ok_or(Fault::Regex)?;
                self.push(*include, Test::Text(subject, Matcher::Regex(regex)));
            }
        }
        Ok(())
    }

    fn push(&mut self, include: bool, test: Test) {
        let test = Expression::Test(test);
        self.parts.push(if include { test } else { Expression::Not(Box::new(test)) });
    }

    fn finish(mut self) -> Result<Expression, CompileError> {
        let include = self.operator == GroupOperator::Or;
        for (subject, values) in std::mem::take(&mut self.equal) {
            let matcher = Matcher::Equal(values, subject.ignores_case());
            self.push(include, Test::Text(subject, matcher));
        }
        for (subject, values) in std::mem::take(&mut self.contains) {
            let matcher = contains(&subject, values).ok_or(CompileError::TooLarge)?;
            self.push(include, Test::Text(subject, matcher));
        }
        Ok(match self.operator {
            GroupOperator::And => Expression::All(self.parts),
            GroupOperator::Or => Expression::Any(self.parts),
        })
    }
}

fn merge(sets: &mut Vec<(Subject, Vec<String>)>, subject: Subject, value: String) {
    match sets.iter_mut().find(|(known, _)| *known == subject) {
        Some((_, values)) => values.push(value),
        None => sets.push((subject, vec![value])),
    }
}

fn contains(subject: &Subject, mut values: Vec<String>) -> Option<Matcher> {
    let ignore_case = subject.ignores_case();
    if ignore_case {
        for value in &mut values {
            value.make_ascii_lowercase();
        }
    }
    Search::new(&values).map(|search| Matcher::Contains(search, ignore_case))
}

/// The place and value of a criterion that compares text, or else its test.
fn text_criterion(criterion: &Criterion) -> Result<Result<(Subject, String), Test>, Fault> {
    let (subject, value) = match criterion {
        Criterion::Host(value) => (Subject::Host, value),
        Criterion::Tag(KeyValue { key, value }) => (Subject::Tag(key_of(key)?), value),
        Criterion::Header(KeyValue { key, value }) => {
            // Header names have no case.
            (Subject::Header(key_of(key)?.to_ascii_lowercase()), value)
        }
        Criterion::RequestBodyJson(value) => (Subject::BodyJson, value),
        Criterion::RequestBodyXml(value) => (Subject::BodyXml, value),
        Criterion::Tech(value) => (Subject::Tech, value),
        Criterion::L7protocol(value) => (Subject::L7protocol, value),
        Criterion::NetworkAddress(value) => (Subject::NetworkAddress, value),
        Criterion::Service(value) => (Subject::Service, value),
        Criterion::Cluster(value) => (Subject::Cluster, value),
        Criterion::Namespace(value) => (Subject::Namespace, value),
        Criterion::OptUrl(value) => (Subject::Url, value),
        Criterion::DetectedCommand(value) => (Subject::Command, value),
        Criterion::DetectedLocation(value) => (Subject::Location, value),
        Criterion::DetectedStatus(value) => (Subject::Status, value),
        Criterion::Direction(value) => return direction(value).map(Err),
        Criterion::RequestBodyHash(value) => return body_hash(value).map(Err),
        Criterion::Uuid(value) => {
            return Uuid::parse(value).map(|uuid| Err(Test::Uuid(uuid))).ok_or(Fault::Uuid);
        }
        Criterion::TimeRange(range) => return time_range(range).map(Err),
        Criterion::Sample(SampleShare { keep, out_of }) => {
            return Sample::new(*keep, *out_of)
                .map(|sample| Err(Test::Sample(sample)))
                .map_err(|_no_share| Fault::Sample);
        }
        Criterion::Session(value) => (Subject::Session, value),
        Criterion::ReqFilter(RequestFilter { key, value, kind }) => {
            let kind = match kind.as_str() {
                "json" => Subject::RequestJson(json_path(key)?),
                "header" => Subject::Header(key_of(key)?.to_ascii_lowercase()),
                "query" => Subject::Query(key_of(key)?),
                _ => return Err(Fault::RequestFilter),
            };
            (kind, value)
        }
        Criterion::ResponseJson(KeyValue { key, value }) => {
            (Subject::ResponseJson(json_path(key)?), value)
        }
        Criterion::HttpReqXPath(_) | Criterion::HttpReqSoapXPath(_) | Criterion::SnapshotId(_) => {
            return Err(Fault::Unsupported);
        }
    };
    Ok(Ok((subject, value.clone())))
}

fn key_of(key: &str) -> Result<String, Fault> {
    if key.is_empty() { Err(Fault::Key) } else { Ok(key.to_owned()) }
}

/// `card.number`, `lines.0.sku`
fn json_path(key: &str) -> Result<Vec<String>, Fault> {
    Ok(key_of(key)?.split('.').map(str::to_owned).collect())
}

fn direction(value: &str) -> Result<Test, Fault> {
    match value {
        "IN" => Ok(Test::Direction(Direction::In)),
        "OUT" => Ok(Test::Direction(Direction::Out)),
        _ => Err(Fault::Direction),
    }
}

fn body_hash(value: &str) -> Result<Test, Fault> {
    let bytes = match value.len() {
        64 => hex(value),
        _ => STANDARD.decode(value).ok(),
    };
    bytes.and_then(|bytes| <[u8; 32]>::try_from(bytes).ok()).map(Test::BodyHash).ok_or(Fault::Hash)
}

fn hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: &u8| (*byte as char).to_digit(16).and_then(|d| u8::try_from(d).ok());
    text.as_bytes()
        .chunks_exact(2)
        .map(|pair| match pair {
            [high, low] => Some(digit(high)? << 4 | digit(low)?),
            _ => None,
        })
        .collect()
}

fn time_range(range: &TimeRange) -> Result<Test, Fault> {
    let TimeRange { start_time, end_time } = range;
    if start_time.is_none() && end_time.is_none() {
        return Err(Fault::TimeRange);
    }
    let parse = |text: &Option<String>, open: Timestamp| match text {
        None => Ok(open),
        Some(text) => text.parse::<Timestamp>().map_err(|_no_time| Fault::TimeRange),
    };
    let from = parse(start_time, Timestamp(0))?;
    let before = parse(end_time, Timestamp(u64::MAX))?;
    if from >= before {
        return Err(Fault::TimeRange);
    }
    Ok(Test::TimeRange { from, before })
}
