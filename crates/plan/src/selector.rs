//! Label selectors, checked once and then matched without allocation.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};
use serde::{Deserialize, Serialize};

/// A label selector. Without requirements it matches everything.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Selector {
    requirements: Vec<Requirement>,
}

#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
enum Requirement {
    In { key: String, values: BTreeSet<String> },
    NotIn { key: String, values: BTreeSet<String> },
    Exists { key: String },
    DoesNotExist { key: String },
}

/// A requirement that no label set could be checked against.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum InvalidSelector {
    #[error(
        "matchExpressions[{index}].operator: {operator:?} is not one of In, NotIn, Exists, DoesNotExist"
    )]
    Operator { index: usize, operator: String },
    #[error("matchExpressions[{index}].values: {operator} needs at least one value")]
    NoValues { index: usize, operator: &'static str },
    #[error("matchExpressions[{index}].values: {operator} allows no values")]
    Values { index: usize, operator: &'static str },
    #[error(
        "{field}: {key:?} is no label key: [prefix/]name, name at most 63 of A-Z a-z 0-9 - _ ."
    )]
    Key { field: String, key: String },
    #[error(
        "{field}: {value:?} is no label value: at most 63 of A-Z a-z 0-9 - _ ., alphanumeric at both ends"
    )]
    Value { field: String, value: String },
}

impl Selector {
    /// Checks and converts the Kubernetes form.
    ///
    /// # Errors
    ///
    /// [`InvalidSelector`] for the first requirement that is none.
    pub fn new(selector: &LabelSelector) -> Result<Self, InvalidSelector> {
        let LabelSelector { match_labels, match_expressions } = selector;
        let mut requirements = Vec::new();
        for (key, value) in match_labels.iter().flatten() {
            let field = format!("matchLabels[{key}]");
            check_key("matchLabels", key)?;
            check_value(&field, value)?;
            requirements.push(Requirement::In { key: key.clone(), values: [value.clone()].into() });
        }
        for (index, expression) in match_expressions.iter().flatten().enumerate() {
            requirements.push(requirement(index, expression)?);
        }
        Ok(Self { requirements })
    }

    /// True when every requirement holds for `labels`.
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.requirements.iter().all(|requirement| match requirement {
            Requirement::In { key, values } => {
                labels.get(key).is_some_and(|value| values.contains(value))
            }
            Requirement::NotIn { key, values } => {
                labels.get(key).is_none_or(|value| !values.contains(value))
            }
            Requirement::Exists { key } => labels.contains_key(key),
            Requirement::DoesNotExist { key } => !labels.contains_key(key),
        })
    }
}

/// As `kubectl -l` takes it: `app=a,tier in (b,c),!debug`; `everything` without requirements.
impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.requirements.is_empty() {
            return f.write_str("everything");
        }
        for (place, requirement) in self.requirements.iter().enumerate() {
            if place > 0 {
                f.write_str(",")?;
            }
            write!(f, "{requirement}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |values: &BTreeSet<String>| {
            values.iter().map(String::as_str).collect::<Vec<_>>().join(",")
        };
        match self {
            Self::In { key, values } if values.len() == 1 => write!(f, "{key}={}", list(values)),
            Self::In { key, values } => write!(f, "{key} in ({})", list(values)),
            Self::NotIn { key, values } => write!(f, "{key} notin ({})", list(values)),
            Self::Exists { key } => f.write_str(key),
            Self::DoesNotExist { key } => write!(f, "!{key}"),
        }
    }
}

fn requirement(
    index: usize,
    expression: &LabelSelectorRequirement,
) -> Result<Requirement, InvalidSelector> {
    let LabelSelectorRequirement { key, operator, values } = expression;
    check_key(&format!("matchExpressions[{index}].key"), key)?;
    let values: BTreeSet<String> = values.iter().flatten().cloned().collect();
    let field = format!("matchExpressions[{index}].values");
    values.iter().try_for_each(|value| check_value(&field, value))?;
    let key = key.clone();
    match (operator.as_str(), values.is_empty()) {
        ("In", false) => Ok(Requirement::In { key, values }),
        ("NotIn", false) => Ok(Requirement::NotIn { key, values }),
        ("In", true) => Err(InvalidSelector::NoValues { index, operator: "In" }),
        ("NotIn", true) => Err(InvalidSelector::NoValues { index, operator: "NotIn" }),
        ("Exists", true) => Ok(Requirement::Exists { key }),
        ("DoesNotExist", true) => Ok(Requirement::DoesNotExist { key }),
        ("Exists", false) => Err(InvalidSelector::Values { index, operator: "Exists" }),
        ("DoesNotExist", false) => Err(InvalidSelector::Values { index, operator: "DoesNotExist" }),
        _ => Err(InvalidSelector::Operator { index, operator: operator.clone() }),
    }
}

fn check_key(field: &str, key: &str) -> Result<(), InvalidSelector> {
    let (prefix, name) = match key.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, key),
    };
    let prefix_fits = prefix.is_none_or(|prefix| {
        (1..=253).contains(&prefix.len())
            && prefix
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.')
    });
    if prefix_fits && !name.is_empty() && is_label_text(name) {
        return Ok(());
    }
    Err(InvalidSelector::Key { field: field.to_owned(), key: key.to_owned() })
}

fn check_value(field: &str, value: &str) -> Result<(), InvalidSelector> {
    if is_label_text(value) {
        return Ok(());
    }
    Err(InvalidSelector::Value { field: field.to_owned(), value: value.to_owned() })
}

/// Empty, or at most 63 of `A-Za-z0-9-_.` with an alphanumeric at both ends.
fn is_label_text(text: &str) -> bool {
    let bytes = text.as_bytes();
    let end_fits = |byte: Option<&u8>| byte.is_none_or(u8::is_ascii_alphanumeric);
    bytes.len() <= 63
        && end_fits(bytes.first())
        && end_fits(bytes.last())
        && bytes.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

#[cfg(test)]
mod tests;
