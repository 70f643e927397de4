//! RRPair documents as JSON text and as order-keeping maps (contract §1, §4.3).

mod ascii;
mod canonical;

#[cfg(test)]
mod golden_tests;
#[cfg(test)]
mod tests;

use serde_json::{Map, Value};

use crate::model::RrPair;

pub use ascii::{object_to_compact_ascii, to_compact_ascii};
pub use canonical::canonical;

/// Why a document could not be read. Says where, never what was there.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ReadRecord {
    /// Not JSON, or nested deeper than 128 levels.
    #[error("not JSON at line {line}, column {column}")]
    NotJson { line: usize, column: usize },
    /// A document that was not written to its end, as far as one can tell.
    #[error("half a JSON document: it ends at line {line}, column {column}")]
    Half { line: usize, column: usize },
    /// JSON, but no object.
    #[error("not a JSON object")]
    NotAnObject,
    /// A named field has a type that the contract does not allow.
    #[error("not an RRPair: a field has a wrong type")]
    WrongShape,
}

/// Reads one document. Unknown keys are kept, `null` counts as missing, and of a repeated
/// key the last value counts.
pub fn from_slice(document: &[u8]) -> Result<RrPair, ReadRecord> {
    from_map(object_from_slice(document)?)
}

/// Reads one document as an order-keeping map, without looking at its fields.
pub fn object_from_slice(document: &[u8]) -> Result<Map<String, Value>, ReadRecord> {
    match serde_json::from_slice(document) {
        Ok(Value::Object(map)) => Ok(map),
        Ok(_) => Err(ReadRecord::NotAnObject),
        // serde_json's text may quote the document, so only the position is kept.
        Err(error) => {
            let (line, column) = (error.line(), error.column());
            Err(if error.is_eof() && !document.trim_ascii().is_empty() {
                ReadRecord::Half { line, column }
            } else {
                ReadRecord::NotJson { line, column }
            })
        }
    }
}

/// The record that a map says.
pub fn from_map(map: Map<String, Value>) -> Result<RrPair, ReadRecord> {
    let mut document = Value::Object(map);
    drop_nulls(&mut document);
    // The error's text quotes values of the document.
    serde_json::from_value(document).map_err(|_quotes| ReadRecord::WrongShape)
}

/// The document of a record: named fields in the contract's order, then the others.
pub fn to_map(record: &RrPair) -> Map<String, Value> {
    match serde_json::to_value(record) {
        Ok(Value::Object(map)) => map,
        _ => unreachable!("a struct with string keys is an object"),
    }
}

/// Contract §2.1: a null member is no member, a null element an empty string.
fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|_, member| !member.is_null());
            map.values_mut().for_each(drop_nulls);
        }
        Value::Array(elements) => {
            for element in elements {
                if element.is_null() {
                    *element = Value::String(String::new());
                }
                drop_nulls(element);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
