//! Payloads of SQL: a value belongs to a column that its statement or its result names.

use serde_json::Value;

use super::Work;
use crate::engine::At;
use crate::sql;

/// Redacts values bound to placeholders, and those of rows, by the names of their columns.
/// Everything else is left to the search by names that comes after.
pub(super) fn redact(work: &mut Work<'_, '_>, at: At<'_>, value: &mut Value) {
    if work.run.engine.keys.is_empty() {
        return;
    }
    match value {
        Value::Object(members) => {
            if let Some(statement) = statement(members) {
                let columns = sql::parameters(statement.as_bytes());
                if let Some(Value::Array(values)) = members.get_mut("parameters") {
                    for (place, column) in columns {
                        if let Some(bound) = values.get_mut(place) {
                            one(work, at, &column, bound);
                        }
                    }
                }
            }
            members.iter_mut().for_each(|(_, member)| redact(work, at, member));
        }
        Value::Array(messages) => {
            let mut columns: Vec<Vec<u8>> = Vec::new();
            for message in messages {
                if let Some(fields) = message.pointer("/rowDescription/fields") {
                    let name = |field: &Value| field.get("name")?.as_str().map(str::to_owned);
                    let fields = fields.as_array().into_iter().flatten();
                    columns = fields.map(|f| name(f).unwrap_or_default().into_bytes()).collect();
                } else if let Some(Value::Array(values)) = message.pointer_mut("/dataRow/values") {
                    for (column, value) in columns.iter().zip(values) {
                        one(work, at, column, value);
                    }
                } else {
                    redact(work, at, message);
                }
            }
        }
        _ => {}
    }
}

/// The SQL whose placeholders `parameters` of the same object are for.
fn statement(members: &serde_json::Map<String, Value>) -> Option<String> {
    members.get("parameters")?;
    let parse = members.get("parseRequest")?;
    Some(parse.get("query")?.as_str()?.to_owned())
}

fn one(work: &mut Work<'_, '_>, at: At<'_>, column: &[u8], value: &mut Value) {
    let Some(act) = work.run.engine.keys.act(&at.place, column) else { return };
    work.document(At { under: Some(act), ..at }, value, true);
}
