//! Compact ASCII JSON (contract §4.3).

use serde_json::Value;

pub(super) fn to_compact_ascii(value: &Value) -> String {
    let mut out = String::new();
    for char in value.to_string().chars() {
        if char.is_ascii() && char != '\x7f' {
            out.push(char);
        } else {
            for unit in char.encode_utf16(&mut [0; 2]) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    out
}
