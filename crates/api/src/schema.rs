//! What the API server checks of an object before anybody sees it, from the same schema: types,
//! required and unknown fields, enums, patterns, limits, unique list entries. For manifests
//! that never meet a server. The CEL rules are not evaluated here; the compiler refuses the
//! same objects, and a test holds the two together.

use std::{collections::BTreeSet, fmt, sync::LazyLock};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use regex::Regex;
use serde_json::{Map, Value};

use crate::{crd, duration, quantity};

/// A place in an object.
#[derive(Clone, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct Path(pub Vec<Step>);

/// One step of a [`Path`].
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Step {
    Field(String),
    Index(usize),
}

/// A value that the schema does not allow.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Violation {
    /// The value, or for a missing field the object that lacks it.
    pub path: Path,
    pub fault: Fault,
}

/// What is wrong. Texts name what is allowed and never repeat a value, which may be a secret,
/// but for the wrong member of an enum.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Fault {
    #[error("unknown field; allowed here: {}", allowed.join(", "))]
    UnknownField { allowed: Vec<String> },
    #[error("field {name:?} is required")]
    Missing { name: String },
    #[error("must be {expected}, not {found}")]
    Type { expected: &'static str, found: &'static str },
    #[error("{value:?} is not one of {}", allowed.join(", "))]
    NotOneOf { value: String, allowed: Vec<String> },
    #[error("must be a size such as 10Mi, 500k or 1048576")]
    NotAQuantity,
    #[error("must be a duration such as 30m, 1h30m or 500ms")]
    NotADuration,
    #[error("must match {pattern}")]
    Pattern { pattern: String },
    #[error("must be at least {limit}")]
    TooSmall { limit: i64 },
    #[error("must be at most {limit}")]
    TooLarge { limit: i64 },
    #[error("must have at least {limit} {unit}")]
    TooShort { limit: i64, unit: &'static str },
    #[error("must have at most {limit} {unit}")]
    TooLong { limit: i64, unit: &'static str },
    #[error("is the same entry as {first}")]
    Duplicate { first: Path },
}

/// Everything in `object` that the schema of `kind` does not allow, in document order.
/// `None` when this group has no such kind.
///
/// `metadata` is not looked at: its schema is the server's own.
pub fn violations(kind: &str, object: &Value) -> Option<Vec<Violation>> {
    static CRDS: LazyLock<[CustomResourceDefinition; 3]> = LazyLock::new(crd::all);
    let crd = CRDS.iter().find(|crd| crd.spec.names.kind == kind)?;
    let schema = crd.spec.versions.first()?.schema.as_ref()?.open_api_v3_schema.as_ref()?;
    let mut walk = Walk::default();
    walk.root(schema, object);
    Some(walk.found)
}

/// Fields that every object has beside those of its own schema.
const ROOT_FIELDS: [&str; 3] = ["apiVersion", "kind", "metadata"];

#[derive(Default)]
struct Walk {
    path: Path,
    found: Vec<Violation>,
}

impl Walk {
    fn root(&mut self, schema: &JSONSchemaProps, object: &Value) {
        let Some(fields) = object.as_object() else {
            return self.fault(Fault::Type { expected: "an object", found: type_name(object) });
        };
        let own: Map<String, Value> = fields
            .iter()
            .filter(|(name, _)| !ROOT_FIELDS.contains(&name.as_str()))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        self.object(schema, &own, &ROOT_FIELDS);
    }

    fn fault(&mut self, fault: Fault) {
        self.found.push(Violation { path: self.path.clone(), fault });
    }

    fn at(&mut self, step: Step, check: impl FnOnce(&mut Self)) {
        self.path.0.push(step);
        check(self);
        self.path.0.pop();
    }

    fn value(&mut self, schema: &JSONSchemaProps, value: &Value) {
        if schema.x_kubernetes_int_or_string == Some(true) {
            return match value {
                Value::String(text) => self.text(schema, text),
                Value::Number(number) if !number.is_f64() => {}
                _ => self.fault(Fault::NotAQuantity),
            };
        }
        match (schema.type_.as_deref(), value) {
            (Some("object"), Value::Object(fields)) => self.object(schema, fields, &[]),
            (Some("array"), Value::Array(items)) => self.array(schema, items),
            (Some("string"), Value::String(text)) => self.text(schema, text),
            (Some("integer"), Value::Number(number)) if !number.is_f64() => {
                self.number(schema, number.as_i64());
            }
            (Some("number"), Value::Number(_)) | (Some("boolean"), Value::Bool(_)) | (None, _) => {}
            (Some(expected), _) => {
                self.fault(Fault::Type { expected: article(expected), found: type_name(value) });
            }
        }
    }

    fn object(&mut self, schema: &JSONSchemaProps, fields: &Map<String, Value>, also: &[&str]) {
        for name in schema.required.iter().flatten() {
            if !fields.contains_key(name) {
                self.fault(Fault::Missing { name: name.clone() });
            }
        }
        for (name, value) in fields {
            let known = schema.properties.as_ref().and_then(|known| known.get(name));
            let values = match &schema.additional_properties {
                Some(JSONSchemaPropsOrBool::Schema(values)) => Some(values.as_ref()),
                _ => None,
            };
            self.at(Step::Field(name.clone()), |walk| {
                if let Some(schema) = known.or(values) {
                    walk.value(schema, value);
                } else {
                    let mut allowed: Vec<String> = also.iter().map(|&n| n.to_owned()).collect();
                    allowed
                        .extend(schema.properties.iter().flat_map(|known| known.keys().cloned()));
                    walk.fault(Fault::UnknownField { allowed });
                }
            });
        }
    }

    fn array(&mut self, schema: &JSONSchemaProps, items: &[Value]) {
        self.length(items.len(), schema.min_items, schema.max_items, "entries");
        let Some(JSONSchemaPropsOrArray::Schema(each)) = &schema.items else { return };
        for (index, item) in items.iter().enumerate() {
            self.at(Step::Index(index), |walk| {
                walk.value(each, item);
                if let Some(first) = duplicate_of(schema, items, index) {
                    let mut path = walk.path.clone();
                    path.0.pop();
                    path.0.push(Step::Index(first));
                    walk.fault(Fault::Duplicate { first: path });
                }
            });
        }
    }

    fn text(&mut self, schema: &JSONSchemaProps, text: &str) {
        self.length(text.chars().count(), schema.min_length, schema.max_length, "characters");
        let allowed: Vec<String> =
            schema.enum_.iter().flatten().filter_map(|v| v.0.as_str()).map(str::to_owned).collect();
        if !allowed.is_empty() && !allowed.iter().any(|value| value == text) {
            self.fault(Fault::NotOneOf { value: text.to_owned(), allowed });
        }
        let Some(pattern) = &schema.pattern else { return };
        // The server's regular expressions are of the same linear kind.
        if Regex::new(pattern).is_ok_and(|regex| !regex.is_match(text)) {
            self.fault(match pattern.as_str() {
                quantity::PATTERN => Fault::NotAQuantity,
                duration::PATTERN => Fault::NotADuration,
                _ => Fault::Pattern { pattern: pattern.clone() },
            });
        }
    }

    /// `number` is `None` above `i64::MAX`.
    fn number(&mut self, schema: &JSONSchemaProps, number: Option<i64>) {
        let format = match schema.format.as_deref() {
            Some("int32") => (i64::from(i32::MIN), i64::from(i32::MAX)),
            _ => (i64::MIN, i64::MAX),
        };
        let min = schema.minimum.and_then(whole).unwrap_or(format.0);
        let max = schema.maximum.and_then(whole).unwrap_or(format.1);
        match number {
            Some(number) if number < min => self.fault(Fault::TooSmall { limit: min }),
            Some(number) if number <= max => {}
            _ => self.fault(Fault::TooLarge { limit: max }),
        }
    }

    fn length(&mut self, length: usize, min: Option<i64>, max: Option<i64>, unit: &'static str) {
        let length = i64::try_from(length).unwrap_or(i64::MAX);
        if let Some(limit) = min.filter(|limit| length < *limit) {
            self.fault(Fault::TooShort { limit, unit });
        }
        if let Some(limit) = max.filter(|limit| length > *limit) {
            self.fault(Fault::TooLong { limit, unit });
        }
    }
}

/// Index of an earlier entry that the list type counts as the same.
fn duplicate_of(schema: &JSONSchemaProps, items: &[Value], index: usize) -> Option<usize> {
    let item = items.get(index)?;
    let same = |other: &Value| match schema.x_kubernetes_list_type.as_deref() {
        Some("set") => other == item,
        Some("map") => {
            let mut keys = schema.x_kubernetes_list_map_keys.iter().flatten();
            keys.all(|key| item.get(key).is_some() && other.get(key) == item.get(key))
        }
        _ => false,
    };
    items.iter().take(index).position(same)
}

/// A limit of the schema; limits are whole numbers in floats.
fn whole(limit: f64) -> Option<i64> {
    format!("{limit:.0}").parse().ok()
}

fn article(kind: &str) -> &'static str {
    match kind {
        "object" => "an object",
        "array" => "a list",
        "string" => "a string",
        "integer" => "a whole number",
        "boolean" => "true or false",
        _ => "a number",
    }
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false (quote it to make it a string)",
        Value::Number(_) => "a number (quote it to make it a string)",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, step) in self.0.iter().enumerate() {
            match step {
                Step::Field(name) if index == 0 => f.write_str(name)?,
                Step::Field(name) => write!(f, ".{name}")?,
                Step::Index(number) => write!(f, "[{number}]")?,
            }
        }
        Ok(())
    }
}

/// Names of all fields that `metadata` may have.
pub fn metadata_fields() -> BTreeSet<&'static str> {
    [
        "annotations",
        "creationTimestamp",
        "deletionGracePeriodSeconds",
        "deletionTimestamp",
        "finalizers",
        "generateName",
        "generation",
        "labels",
        "managedFields",
        "name",
        "namespace",
        "ownerReferences",
        "resourceVersion",
        "selfLink",
        "uid",
    ]
    .into()
}

#[cfg(test)]
mod tests;
