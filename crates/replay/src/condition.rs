//! `--fail-if "requests.result-match-pct < 100"` (contract §5.3).

#[cfg(test)]
mod tests;

use std::fmt;
use std::str::FromStr;

/// Every metric of a replay report, by its name in conditions.
pub const METRICS: [&str; 15] = [
    "requests.total",
    "requests.succeeded",
    "requests.failed",
    "requests.response-pct",
    "requests.result-match-pct",
    "requests.per-second",
    "requests.per-minute",
    "latency.avg",
    "latency.min",
    "latency.max",
    "latency.p50",
    "latency.p75",
    "latency.p90",
    "latency.p95",
    "latency.p99",
];

/// A metric compared with a number.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    pub metric: String,
    operator: Operator,
    value: f64,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// Two characters first, so that `<=` is not read as `<`.
const OPERATORS: [(&str, Operator); 6] = [
    ("==", Operator::Equal),
    ("!=", Operator::NotEqual),
    ("<=", Operator::LessOrEqual),
    (">=", Operator::GreaterOrEqual),
    ("<", Operator::Less),
    (">", Operator::Greater),
];

/// Text that is no condition.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ParseCondition {
    #[error("no comparison in it; write METRIC ==|!=|<|<=|>|>= NUMBER")]
    NoOperator,
    #[error("no metric {0:?}; known: {known}", known = METRICS.join(", "))]
    UnknownMetric(String),
    #[error("{0:?} is no number")]
    NoNumber(String),
}

impl FromStr for Condition {
    type Err = ParseCondition;

    fn from_str(text: &str) -> Result<Self, ParseCondition> {
        let found = OPERATORS
            .iter()
            .filter_map(|(sign, operator)| Some((text.find(sign)?, *sign, *operator)))
            .min_by_key(|(at, sign, _)| (*at, 2 - sign.len()));
        let (_, sign, operator) = found.ok_or(ParseCondition::NoOperator)?;
        let (metric, value) = text.split_once(sign).ok_or(ParseCondition::NoOperator)?;
        let (metric, value) = (metric.trim(), value.trim());
        if !METRICS.contains(&metric) {
            return Err(ParseCondition::UnknownMetric(metric.to_owned()));
        }
        let number = value.parse().ok().filter(|number: &f64| number.is_finite());
        let value = number.ok_or_else(|| ParseCondition::NoNumber(value.to_owned()))?;
        Ok(Self { metric: metric.to_owned(), operator, value })
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = OPERATORS.iter().find(|(_, operator)| *operator == self.operator);
        write!(f, "{} {} {}", self.metric, sign.map_or("?", |(sign, _)| sign), self.value)
    }
}

impl Condition {
    /// True when the metric's value meets the condition.
    pub fn holds(&self, actual: f64) -> bool {
        let order = actual.total_cmp(&self.value);
        match self.operator {
            Operator::Equal => order.is_eq(),
            Operator::NotEqual => order.is_ne(),
            Operator::Less => order.is_lt(),
            Operator::LessOrEqual => order.is_le(),
            Operator::Greater => order.is_gt(),
            Operator::GreaterOrEqual => order.is_ge(),
        }
    }
}
