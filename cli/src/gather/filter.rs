//! The filters of contract §4.1, with one meaning for every store.
//!
//! Exact values are compared whole. Patterns are regular expressions that must match the whole
//! value, as Elasticsearch and Loki have it; a `^` in front and a `$` at the end change nothing.

use clap::{Args, ValueEnum};
use regex::Regex;
use serde_json::{Map, Value};

/// Which traffic to gather.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Filters")]
pub(crate) struct FilterOptions {
    /// Name of the cluster.
    #[arg(long, value_name = "NAME")]
    pub(crate) cluster: Option<String>,
    /// Name of the service.
    #[arg(long, value_name = "NAME")]
    pub(crate) service: Option<String>,
    /// Namespace.
    #[arg(long, value_name = "NAME")]
    pub(crate) namespace: Option<String>,
    /// HTTP method or other command; a regular expression that matches the whole value.
    #[arg(long, value_name = "REGEX", value_parser = Pattern::parse)]
    pub(crate) method: Option<Pattern>,
    /// Status such as 500 or '5..'; a regular expression that matches the whole value.
    #[arg(long, value_name = "REGEX", value_parser = Pattern::parse)]
    pub(crate) status: Option<Pattern>,
    /// Path such as '/api/.+'; a regular expression that matches the whole value, with or
    /// without ^ and $.
    #[arg(long, value_name = "REGEX", value_parser = Pattern::parse)]
    pub(crate) endpoint: Option<Pattern>,
    /// IN: requests that the services answer; OUT: calls that they make.
    #[arg(long, value_enum, ignore_case = true)]
    pub(crate) direction: Option<Way>,
}

/// Value of `direction`.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
#[value(rename_all = "UPPER")]
pub(crate) enum Way {
    In,
    Out,
}

impl Way {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::In => "IN",
            Self::Out => "OUT",
        }
    }
}

/// A regular expression that matches whole values.
#[derive(Clone, Debug)]
pub(crate) struct Pattern {
    text: String,
    whole: Regex,
}

impl Pattern {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        // By itself first: `)(` is no expression, though it would be one inside a group.
        Regex::new(text).map_err(|error| error.to_string())?;
        let whole = Regex::new(&format!(r"\A(?:{text})\z")).map_err(|error| error.to_string())?;
        Ok(Self { text: text.to_owned(), whole })
    }

    /// As it was written.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    pub(crate) fn matches(&self, value: &str) -> bool {
        self.whole.is_match(value)
    }
}

impl FilterOptions {
    /// Fields with the exact values that they must have.
    pub(crate) fn exact(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let direction = self.direction.map(Way::as_str);
        [
            ("cluster", self.cluster.as_deref()),
            ("service", self.service.as_deref()),
            ("namespace", self.namespace.as_deref()),
            ("direction", direction),
        ]
        .into_iter()
        .filter_map(|(field, value)| Some((field, value?)))
    }

    /// Fields with the patterns that they must match.
    pub(crate) fn patterns(&self) -> impl Iterator<Item = (&'static str, &Pattern)> {
        [("command", &self.method), ("status", &self.status), ("location", &self.endpoint)]
            .into_iter()
            .filter_map(|(field, pattern)| Some((field, pattern.as_ref()?)))
    }

    /// Does the record, cluster and namespace filled in, meet every filter?
    pub(crate) fn keeps(&self, document: &Map<String, Value>) -> bool {
        let text = |field: &str| document.get(field).and_then(Value::as_str).unwrap_or_default();
        self.exact().all(|(field, value)| text(field) == value) && self.patterns_match(document)
    }

    /// Does the record match every pattern? For stores that compare the exact values themselves.
    pub(crate) fn patterns_match(&self, document: &Map<String, Value>) -> bool {
        let text = |field: &str| document.get(field).and_then(Value::as_str).unwrap_or_default();
        self.patterns().all(|(field, pattern)| pattern.matches(text(field)))
    }

    /// The filters as a gather that is resumed compares them.
    pub(crate) fn question(&self) -> Map<String, Value> {
        let exact = self.exact().map(|(field, value)| (field.to_owned(), value.into()));
        let patterns = self.patterns().map(|(field, p)| (field.to_owned(), p.text().into()));
        exact.chain(patterns).collect()
    }

    /// True when nothing is filtered.
    pub(crate) fn is_empty(&self) -> bool {
        self.exact().next().is_none() && self.patterns().next().is_none()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn keeps(options: &FilterOptions) -> bool {
        let document = json!({
            "cluster": "dev-east", "service": "orders", "namespace": "shop", "direction": "IN",
            "command": "GET", "status": "500", "location": "/api/orders/42",
        });
        options.keeps(document.as_object().unwrap())
    }

    fn endpoint(pattern: &str) -> bool {
        let endpoint = Some(Pattern::parse(pattern).unwrap());
        keeps(&FilterOptions { endpoint, ..FilterOptions::default() })
    }

    #[test]
    fn a_pattern_matches_the_whole_value_with_or_without_anchors() {
        assert!(endpoint("/api/.+") && endpoint("^/api/.+") && endpoint("^/api/.+$"));
        assert!(endpoint("/api/orders/42|/healthz") && endpoint("(?i)/API/.*"));
        assert!(!endpoint("/api") && !endpoint("^/api") && !endpoint("orders") && !endpoint(""));
        assert!(endpoint(".*orders.*") && !endpoint("/healthz|/api"));
    }

    #[test]
    fn every_filter_counts() {
        let service = |service: &str| FilterOptions {
            service: Some(service.to_owned()),
            direction: Some(Way::In),
            ..FilterOptions::default()
        };
        assert!(keeps(&service("orders")) && !keeps(&service("order")) && !keeps(&service("")));
        let out = FilterOptions { direction: Some(Way::Out), ..service("orders") };
        assert!(!keeps(&out));
        assert!(FilterOptions::default().is_empty() && !out.is_empty());
    }

    #[test]
    fn what_is_no_expression_is_refused() {
        assert!(Pattern::parse(")(").is_err() && Pattern::parse("[").is_err());
        assert!(Pattern::parse("a)|(b").is_err());
    }
}
