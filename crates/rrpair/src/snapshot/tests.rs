use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::instance::Numbering;
use super::{Metadata, drop_store_keys, file_name, fill, host_directory};
use crate::fields::Uuid;
use crate::{golden, json as documents};

fn object(value: Value) -> Map<String, Value> {
    let Value::Object(object) = value else { panic!() };
    object
}

fn unused() -> Uuid {
    panic!("the document has a uuid")
}

#[test]
fn golden_snapshot_is_written_file_by_file() {
    let mut numbering = Numbering::default();
    for file in golden::snapshot_files() {
        let mut document = file.gathered();
        numbering.number(&mut document);
        let path = format!("{}/{}", host_directory(&document), file_name(&document, unused));
        assert_eq!(path, file.path);
        assert_eq!(documents::object_to_compact_ascii(&document), file.content, "{path}");
    }
}

#[test]
fn golden_metadata_is_written_byte_for_byte() {
    let expect: Map<String, Value> = golden::object(golden::SNAPSHOT_METADATA);
    let time = |text: &str| text.parse().unwrap();
    let metadata = Metadata {
        id: Uuid::parse("11111111-2222-4333-8444-555555555555").unwrap(),
        tool: "es-gather".to_owned(),
        source: "elasticsearch".to_owned(),
        source_keys: expect.into_iter().filter(|(key, _)| key.starts_with("es")).collect(),
        start: time("2026-09-01T10:05:00Z"),
        end: time("2026-09-01T10:20:00Z"),
        records: 6,
        created_at: time("2026-09-01T10:20:01Z"),
        created_by: "es-gather.py".to_owned(),
    };
    assert_eq!(metadata.to_json(), golden::SNAPSHOT_METADATA);
    assert_eq!(metadata.directory(), "snapshot-11111111-2222-4333-8444-555555555555");
}

#[test]
fn cluster_and_namespace_are_filled_where_there_is_none() {
    let resource = object(json!({"cluster": "c"}));
    let attributes = object(json!({"namespace": "n", "cluster": "wrong"}));
    for (before, after) in [
        (json!({}), json!({"cluster": "c", "namespace": "n"})),
        (
            json!({"cluster": "", "namespace": "undefined"}),
            json!({"cluster": "c", "namespace": "n"}),
        ),
        (json!({"cluster": "x", "namespace": "y"}), json!({"cluster": "x", "namespace": "y"})),
    ] {
        let mut document = object(before);
        fill(&mut document, &resource, &attributes);
        assert_eq!(Value::Object(document), after);
    }
    let mut document = object(json!({"cluster": "undefined"}));
    fill(&mut document, &Map::new(), &Map::new());
    assert_eq!(Value::Object(document), json!({"cluster": "undefined"}));
}

#[test]
fn store_keys_go_and_order_stays() {
    let mut document =
        object(json!({"@timestamp": "t", "a": 1, "__internal__": {}, "b": 2, "c": 3}));
    drop_store_keys(&mut document);
    assert_eq!(documents::object_to_compact_ascii(&document), r#"{"a":1,"b":2,"c":3}"#);
}

#[test]
fn host_names_become_directory_names() {
    for (host, expect) in [
        (json!("a:8080"), "a_8080"),
        (json!("[::1]:80"), "___1__80"),
        (json!("naïve.example"), "na_ve.example"),
        (json!("../../etc"), ".._.._etc"),
        (json!(".."), "__"),
        (json!("."), "_"),
        (json!(""), "unknown-host"),
        (json!(7), "unknown-host"),
    ] {
        let document = object(json!({"http": {"req": {"host": host}}}));
        assert_eq!(host_directory(&document), expect);
    }
    assert_eq!(host_directory(&Map::new()), "unknown-host");
}

#[test]
fn a_uuid_that_is_none_gets_a_random_one() {
    let random = || Uuid([0xab; 16]);
    for uuid in [
        json!("c2hvcnQ="),
        json!("%"),
        json!(1),
        Value::Null,
        json!("3c1f5d6e-8a41-4a0f-9f0e-1b6a2f3e4d01"),
    ] {
        let document = object(json!({"uuid": uuid}));
        assert_eq!(file_name(&document, random), "abababab-abab-abab-abab-abababababab.json");
    }
}

#[test]
fn instances_count_per_signature_whatever_its_order() {
    let mut numbering = Numbering::default();
    let mut number = |signature: Value| {
        let mut document = object(json!({"signature": signature}));
        let ordinal = numbering.number(&mut document);
        let instance = document["signature"].get("instance").cloned();
        (ordinal, instance)
    };
    assert_eq!(number(json!({"a": "1", "b": "2"})), (Some(0), Some(json!("MA=="))));
    assert_eq!(
        number(json!({"b": "2", "instance": "OQ==", "a": "1"})),
        (Some(1), Some(json!("MQ==")))
    );
    assert_eq!(number(json!({"a": "1", "b": "3"})), (Some(0), Some(json!("MA=="))));
    assert_eq!(number(json!({"a": "1"})), (Some(0), Some(json!("MA=="))));
    assert_eq!(number(json!("text")), (None, None));
    for ordinal in 2..=12 {
        assert_eq!(number(json!({"a": "1", "b": "2"})).0, Some(ordinal));
    }
    assert_eq!(numbering.number(&mut Map::new()), None);
}

proptest! {
    #[test]
    fn a_directory_name_is_always_one_safe_component(host: String) {
        let name = host_directory(&object(json!({"http": {"req": {"host": host}}})));
        prop_assert!(!name.is_empty() && name.len() <= 200 && name != "." && name != "..");
        prop_assert!(name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b)));
    }
}
