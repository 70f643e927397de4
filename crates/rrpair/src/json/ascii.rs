//! The form of snapshot files (contract §4.3): what Python's `json.dumps` writes with
//! `separators=(',', ':')`, all characters outside printable ASCII escaped.

use std::fmt::Write as _;

use serde_json::{Map, Number, Value};

/// Doubles up to here hold every whole number exactly.
const EXACT_DOUBLE: f64 = 9_007_199_254_740_992.0;

/// Compact ASCII text of a value: no space, members in their order, DEL as `\u007f`,
/// characters outside the basic plane as surrogate pairs, and a whole number that came as a
/// double as an integer.
pub fn to_compact_ascii(value: &Value) -> String {
    let mut out = String::new();
    write_value(&mut out, value);
    out
}

/// [`to_compact_ascii`] of an object.
pub fn object_to_compact_ascii(object: &Map<String, Value>) -> String {
    let mut out = String::new();
    write_object(&mut out, object);
    out
}

fn write_value(out: &mut String, value: &Value) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(true) => out.push_str("true"),
        Value::Bool(false) => out.push_str("false"),
        Value::Number(number) => write_number(out, number),
        Value::String(text) => write_text(out, text),
        Value::Array(elements) => {
            out.push('[');
            for (i, element) in elements.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                write_value(out, element);
            }
            out.push(']');
        }
        Value::Object(object) => write_object(out, object),
    }
}

fn write_object(out: &mut String, object: &Map<String, Value>) {
    out.push('{');
    for (i, (key, member)) in object.iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        write_text(out, key);
        out.push(':');
        write_value(out, member);
    }
    out.push('}');
}

fn write_text(out: &mut String, text: &str) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            ' '..='~' => out.push(character),
            _ => {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    put(out, format_args!("\\u{unit:04x}"));
                }
            }
        }
    }
    out.push('"');
}

fn write_number(out: &mut String, number: &Number) {
    match number.as_f64() {
        Some(double) if number.is_f64() => write_double(out, double),
        _ => put(out, format_args!("{number}")),
    }
}

/// As Python's `repr`: the shortest digits that read back as the same double, in exponent
/// form below 1e-4 and from 1e16 on.
fn write_double(out: &mut String, double: f64) {
    if double.fract() == 0.0 && double.abs() <= EXACT_DOUBLE {
        #[expect(clippy::cast_possible_truncation, reason = "whole and in range: checked above")]
        put(out, format_args!("{}", double as i64));
        return;
    }
    let magnitude = double.abs();
    if (1e-4..1e16).contains(&magnitude) {
        put(out, format_args!("{double}"));
        return;
    }
    let shortest = format!("{double:e}");
    match shortest.split_once('e') {
        Some((digits, exponent)) => {
            let (sign, exponent) = match exponent.strip_prefix('-') {
                Some(exponent) => ('-', exponent),
                None => ('+', exponent),
            };
            put(out, format_args!("{digits}e{sign}{exponent:0>2}"));
        }
        // JSON numbers are finite; for any other the text is all there is.
        None => out.push_str(&shortest),
    }
}

fn put(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("writing to a string does not fail");
}
