use serde_json::json;

use super::{Body, Fields, Signature, StringMap, Uuid};

#[test]
fn uuid_is_base64_in_json_and_hyphenated_as_text() {
    let uuid = Uuid::parse("PB9dbopBSg+fDhtqLz5NAQ==").unwrap();
    assert_eq!(uuid.to_string(), "3c1f5d6e-8a41-4a0f-9f0e-1b6a2f3e4d01");
    assert_eq!(Uuid::parse(&uuid.to_string()), Some(uuid));
    assert_eq!(serde_json::to_value(uuid).unwrap(), json!("PB9dbopBSg+fDhtqLz5NAQ=="));
    assert_eq!(Uuid::parse("PB9dbopBSg+fDhtqLz5N"), None);
    assert_eq!(Uuid::parse("not a uuid"), None);
}

#[test]
fn every_byte_value_passes_through_a_body() {
    let body = Body((0..=255).collect());
    let json = serde_json::to_value(&body).unwrap();
    assert_eq!(serde_json::from_value::<Body>(json).unwrap(), body);
}

#[test]
fn fields_keep_order_and_collect_repeated_names() {
    let mut fields = Fields::default();
    fields.push("Vary", "Accept");
    fields.push("Age", "1");
    fields.push("Vary", "Origin");
    let json = serde_json::to_string(&fields).unwrap();
    assert_eq!(json, r#"{"Vary":["Accept","Origin"],"Age":["1"]}"#);
    assert_eq!(serde_json::from_str::<Fields>(&json).unwrap(), fields);
    assert_eq!(fields.first("vary"), Some("Accept"));
}

#[test]
fn a_bare_string_is_one_value() {
    let fields: Fields = serde_json::from_value(json!({"Host": "a", "Age": [1]})).unwrap();
    assert_eq!(fields.first("Host"), Some("a"));
    assert_eq!(fields.first("Age"), Some("1"));
}

#[test]
fn tags_that_came_back_as_numbers_are_text_again() {
    let tags: StringMap =
        serde_json::from_value(json!({"sequence": 101, "decoded": true})).unwrap();
    assert_eq!(tags.value("sequence"), Some("101"));
    assert_eq!(tags.value("decoded"), Some("true"));
}

#[test]
fn signature_values_are_base64_in_json() {
    let signature =
        Signature(vec![("http:queryparams".into(), Vec::new()), ("k".into(), vec![255])]);
    let json = json!({"http:queryparams": "", "k": "/w=="});
    assert_eq!(serde_json::to_value(&signature).unwrap(), json);
    assert_eq!(serde_json::from_value::<Signature>(json).unwrap(), signature);
}

#[test]
fn debug_shows_sizes_only() {
    let mut fields = Fields::default();
    fields.push("Canary", "canary");
    let signature = Signature(vec![("canary".into(), b"canary".to_vec())]);
    let tags = StringMap(vec![("canary".into(), "canary".into())]);
    let shown = format!("{fields:?} {signature:?} {tags:?} {:?}", Body(b"canary".to_vec()));
    assert_eq!(shown, "Fields(1 names) Signature(1 keys) StringMap(1 keys) Body(6 bytes)");
}
