use proptest::prelude::*;
use serde::de::IgnoredAny;
use serde_json::Value;

use super::canonical;

fn text(document: &str) -> Option<String> {
    canonical(document.as_bytes()).map(|bytes| String::from_utf8(bytes).unwrap())
}

#[test]
fn members_are_sorted_at_every_level_and_space_goes() {
    assert_eq!(
        text(" { \"b\" : [ { \"z\":1 , \"y\" : null } , true ] ,\r\n\t\"a\":{} } ").as_deref(),
        Some(r#"{"a":{},"b":[{"y":null,"z":1},true]}"#)
    );
}

#[test]
fn numbers_are_kept_as_they_were_sent() {
    let numbers = "[1.0,1e400,-0,12345678901234567890123,0.10,1E+5,-1.5e-3]";
    assert_eq!(text(numbers).as_deref(), Some(numbers));
}

#[test]
fn strings_are_kept_as_they_were_sent() {
    let strings = "[\"\\u0041\\/\\ud800\",\"\u{7f}é🚀 \"]";
    assert_eq!(text(strings).as_deref(), Some(strings));
}

#[test]
fn names_are_sorted_by_what_they_say() {
    assert_eq!(text(r#"{"c":1,"\u0062":2,"a":3}"#).as_deref(), Some(r#"{"a":3,"\u0062":2,"c":1}"#));
    assert_eq!(text(r#"{"b":1,"a":2,"b":3}"#).as_deref(), Some(r#"{"a":2,"b":1,"b":3}"#));
}

#[test]
fn what_is_no_json_is_refused() {
    for document in [
        "",
        " ",
        "{",
        "{]",
        "[1,]",
        "{\"a\":1,}",
        "{a:1}",
        "01",
        "1.",
        ".5",
        "1e",
        "+1",
        "-",
        "nul",
        "truex",
        "\"\n\"",
        "\"\\x\"",
        "\"\\u12g4\"",
        "1 2",
        "a=1",
        "'a'",
        "{\"a\" 1}",
        "[1 2]",
        "\u{feff}{}",
        "NaN",
    ] {
        assert_eq!(text(document), None, "{document}");
    }
    assert_eq!(canonical(b"\"\xff\""), None);
}

#[test]
fn nesting_has_a_limit() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert_eq!(text(&nested(128)), Some(nested(128)));
    assert_eq!(text(&nested(129)), None);
    assert_eq!(text(&"[".repeat(1_000_000)), None);
}

/// The value with its members sorted, for serde_json to write.
fn sorted(value: Value) -> Value {
    match value {
        Value::Array(values) => values.into_iter().map(sorted).collect(),
        Value::Object(map) => {
            let mut members: Vec<_> = map.into_iter().map(|(k, v)| (k, sorted(v))).collect();
            members.sort_by(|a, b| a.0.cmp(&b.0));
            Value::Object(members.into_iter().collect())
        }
        other => other,
    }
}

proptest! {
    #[test]
    fn agrees_with_serde_json_on_any_document(record in crate::arbitrary::record()) {
        let document = Value::Object(crate::json::to_map(&record));
        let pretty = serde_json::to_vec_pretty(&document).unwrap();
        prop_assert_eq!(canonical(&pretty), Some(serde_json::to_vec(&sorted(document)).unwrap()));
    }

    #[test]
    fn takes_for_json_what_serde_json_does(document in r#"[-\[\]{}",:0-9.eE+ \\utrn/a\n]{0,12}"#) {
        let is_json = serde_json::from_str::<IgnoredAny>(&document).is_ok();
        prop_assert_eq!(text(&document).is_some(), is_json);
    }

    #[test]
    fn twice_is_once(document in r#"\{("[a-c\\n]{1,3}" ?: ?[0-9\[\]{}]{1,3},? ?){0,4}\}"#) {
        if let Some(once) = text(&document) {
            prop_assert_eq!(text(&once), Some(once));
        }
    }

    #[test]
    fn any_bytes_are_taken_or_refused(document: Vec<u8>) {
        if let Some(canonical) = canonical(&document) {
            prop_assert!(canonical.len() <= document.len());
        }
    }
}
