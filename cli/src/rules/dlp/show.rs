//! What changed in a record.

use std::io::{self, Write};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::Value;

use crate::visible::shortened;

/// Longest value that is printed, in characters.
const LONGEST: usize = 160;

/// Every place that differs, with what stands there now: what stood there is a secret.
pub(super) fn changes(
    before: &Value,
    after: &Value,
    place: &str,
    out: &mut impl Write,
) -> io::Result<()> {
    match (before, after) {
        _ if before == after => Ok(()),
        (Value::Object(old), Value::Object(new)) => {
            let below = |name: &str| {
                if place.is_empty() { name.to_owned() } else { format!("{place}.{name}") }
            };
            for (name, value) in new {
                let place = below(name);
                // What the policy says of itself is no redaction.
                if !place.starts_with("dlp") && !place.starts_with("tags.dlp") {
                    changes(old.get(name).unwrap_or(&Value::Null), value, &place, out)?;
                }
            }
            for name in old.keys().filter(|name| !new.contains_key(*name)) {
                // A name that is gone may be the secret itself.
                let gone = if place == "tokenList" { "…" } else { name };
                writeln!(out, "  {}: gone", shortened(&below(gone), 200))?;
            }
            Ok(())
        }
        (Value::Array(old), Value::Array(new)) => {
            for (index, value) in new.iter().enumerate() {
                let old = old.get(index).unwrap_or(&Value::Null);
                changes(old, value, &format!("{place}.{index}"), out)?;
            }
            Ok(())
        }
        (_, Value::String(text)) => {
            let decoded = (place.ends_with("Base64") || place.starts_with("signature."))
                .then(|| STANDARD.decode(text).ok())
                .flatten()
                .and_then(|bytes| String::from_utf8(bytes).ok());
            line(place, decoded.as_deref().unwrap_or(text), out)
        }
        (_, value) => line(place, &value.to_string(), out),
    }
}

fn line(place: &str, text: &str, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "  {}: {}", shortened(place, 200), shortened(text, LONGEST))
}
