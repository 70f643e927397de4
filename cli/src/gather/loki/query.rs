//! LogQL.

use regex_syntax::Parser;

use crate::gather::filter::{FilterOptions, Pattern};

/// The label that the Collector's loki exporter sets (contract §2.3).
pub(super) const SELECTOR: &str = r#"{exporter="OTLP"}"#;
/// Longest pattern that is sent; a longer one is applied here alone.
const MAX_PATTERN_BYTES: usize = 1000;
/// The digits of a uuid's base64.
pub(super) const DIGITS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// A string of LogQL; its escapes are those of JSON.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// What the filters ask. `cluster`, `service` and `namespace` are labels, or structured
/// metadata, of the line; the others stand in its body.
pub(super) fn logql(selector: &str, filters: &FilterOptions) -> String {
    let mut query = selector.to_owned();
    let mut body = Vec::new();
    for (field, value) in filters.exact() {
        match field {
            "direction" => body.push((field, "=", value.to_owned())),
            _ => query.extend([" | ", field, "=", &quoted(value)]),
        }
    }
    for (field, pattern) in filters.patterns() {
        if let Some(pattern) = re2(pattern) {
            body.push((field, "=~", pattern));
        }
    }
    for (field, operator, value) in body {
        let value = quoted(&value);
        query.push_str(&in_body(field));
        let either = ["a", "b"].map(|place| format!("weir_{place}_{field}{operator}{value}"));
        query.extend([" | ", &either.join(" or ")]);
    }
    query
}

/// Takes a field out of the body, wherever the line has that one.
fn in_body(field: &str) -> String {
    format!(r#" | json weir_a_{field}="body.{field}", weir_b_{field}="{field}""#)
}

/// The pattern for RE2, or `None` when it says something that RE2 says differently: then more
/// is asked for, and the pattern itself sorts it out. It is written anew from its meaning, so
/// that `\d` is what it is here.
fn re2(pattern: &Pattern) -> Option<String> {
    let meaning = Parser::new().parse(pattern.text()).ok()?;
    let properties = meaning.properties();
    let text = meaning.to_string();
    // `{`: RE2 limits counts.
    let same = properties.look_set().is_empty() && properties.is_utf8() && !text.contains('{');
    // `.` is a class from NUL on, which LogQL's strings may not hold.
    let shown = |c: char| match c {
        c if c.is_control() => format!("\\x{{{:x}}}", u32::from(c)),
        c => c.to_string(),
    };
    (same && text.len() <= MAX_PATTERN_BYTES).then(|| text.chars().map(shown).collect())
}

/// Lines of one nanosecond, by uuid.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Cell {
    /// The uuid begins with this and goes on with one of these digits.
    Digits(String, &'static str),
    /// It begins with this and ends there, or goes on with what is no digit.
    Rest(String),
}

impl Cell {
    /// Everything.
    pub(super) fn all() -> [Self; 2] {
        [Self::Rest(String::new()), Self::Digits(String::new(), DIGITS)]
    }

    /// The cells that it consists of, or `None` when it cannot be divided.
    pub(super) fn divide(&self) -> Option<[Self; 2]> {
        match self {
            // A uuid's text has 24 characters.
            Self::Digits(start, _) if start.len() >= 24 => None,
            Self::Digits(start, digits) if digits.len() > 1 => {
                let (low, high) = digits.split_at(digits.len() / 2);
                Some([Self::Digits(start.clone(), low), Self::Digits(start.clone(), high)])
            }
            Self::Digits(start, digits) => {
                let start = format!("{start}{digits}");
                Some([Self::Rest(start.clone()), Self::Digits(start, DIGITS)])
            }
            Self::Rest(_) => None,
        }
    }

    /// The query, narrowed to the cell.
    pub(super) fn narrow(&self, logql: &str) -> String {
        let (pattern, both) = match self {
            Self::Digits(start, digits) => {
                (format!("(?s){}[{digits}].*", regex::escape(start)), "or")
            }
            // A line has its uuid in one place; the other one is empty.
            Self::Rest(start) if start.is_empty() => ("(?s)([^A-Za-z0-9+/].*)?".into(), "and"),
            Self::Rest(start) => (format!("(?s){}([^A-Za-z0-9+/].*)?", regex::escape(start)), "or"),
        };
        let pattern = quoted(&pattern);
        // Dropped, since a line with labels of its own is a stream of its own.
        format!(
            "{logql}{} | weir_a_uuid=~{pattern} {both} weir_b_uuid=~{pattern} \
             | drop weir_a_uuid, weir_b_uuid",
            in_body("uuid")
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gather::filter::Way;

    #[test]
    fn filters_become_label_and_body_conditions() {
        assert_eq!(logql(SELECTOR, &FilterOptions::default()), SELECTOR);
        let filters = FilterOptions {
            service: Some("a\"b".to_owned()),
            direction: Some(Way::In),
            status: Some(Pattern::parse("50[0-3]|404").unwrap()),
            ..FilterOptions::default()
        };
        let expected = r#"{exporter="OTLP"} | service="a\"b" | json weir_a_direction="body.direction", weir_b_direction="direction" | weir_a_direction="IN" or weir_b_direction="IN" | json weir_a_status="body.status", weir_b_status="status" | weir_a_status=~"(?:(?:(?:50)[0-3])|(?:404))" or weir_b_status=~"(?:(?:(?:50)[0-3])|(?:404))""#;
        assert_eq!(logql(SELECTOR, &filters), expected);
    }

    #[test]
    fn what_re2_may_read_differently_is_not_sent() {
        let re2 = |text| re2(&Pattern::parse(text).unwrap());
        for odd in [r"^/a$", r"\bfoo\b", r"a{2000}", r"\w+", r"(?-u:\d)\b"] {
            assert_eq!(re2(odd), None, "{odd}");
        }
        assert_eq!(re2("/v1/x-y").as_deref(), Some(r"(?:/v1/x\-y)"));
        let any = re2("5.").unwrap();
        assert!(any.starts_with(r"(?:5[\x{0}-\x{9}\x{b}-"), "{any}");
        assert!(!any.contains(char::is_control), "{any}");
    }

    #[test]
    fn cells_divide_everything_once() {
        let matches = |cell: &Cell, uuid: &str| match cell {
            Cell::Digits(start, digits) => uuid
                .strip_prefix(start.as_str())
                .and_then(|rest| rest.chars().next())
                .is_some_and(|next| digits.contains(next)),
            Cell::Rest(start) => uuid
                .strip_prefix(start.as_str())
                .is_some_and(|rest| !rest.starts_with(|next| DIGITS.contains(next))),
        };
        let uuids = ["", "AAAAAAAAAAAAAAAAAAAAAA==", "AAAAAAAAAAAAAAAAAAAAAQ==", "zz", "A"];
        let mut cells = Cell::all().to_vec();
        for _ in 0..400 {
            for uuid in uuids {
                let holding = cells.iter().filter(|cell| matches(cell, uuid)).count();
                assert_eq!(holding, 1, "{uuid} in {cells:?}");
            }
            let full = |cell: &Cell| uuids.iter().filter(|uuid| matches(cell, uuid)).count() > 1;
            let Some(at) = cells.iter().position(full) else { return };
            let halves = cells.remove(at).divide().unwrap();
            cells.extend(halves);
        }
        panic!("still not divided: {cells:?}");
    }
}
