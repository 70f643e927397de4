use proptest::prelude::*;
use serde_json::Value;

use super::{from_slice, object_to_compact_ascii, to_map};
use crate::golden::{self, with_integers};
use crate::{Http, NetInfo, RrPair, arbitrary};

fn validator() -> jsonschema::Validator {
    let schema: Value = serde_json::from_str(golden::SCHEMA).unwrap();
    jsonschema::draft202012::new(&schema).unwrap()
}

#[test]
fn every_golden_record_round_trips_and_validates() {
    let validator = validator();
    for document in golden::documents() {
        let before = Value::Object(golden::object(document));
        assert!(validator.is_valid(&before), "{document}");
        let after = Value::Object(to_map(&from_slice(document.as_bytes()).unwrap()));
        assert!(validator.is_valid(&after), "{document}");
        assert_eq!(with_integers(after), with_integers(before));
    }
}

#[test]
fn the_smallest_captured_record_validates() {
    // A request without a response, on a connection of which nothing is known.
    let mut record = RrPair { l7protocol: "http".into(), ..RrPair::default() };
    let mut http = Http::default();
    http.req.method = "GET".into();
    record.http = Some(http);
    record.netinfo = Some(NetInfo::default());
    let document = Value::Object(to_map(&record));
    assert!(validator().is_valid(&document), "{document}");
}

#[test]
fn the_schema_is_able_to_refuse() {
    let mut wrong = golden::object(golden::GET_200);
    wrong.insert("uuid".to_owned(), Value::from("short"));
    assert!(!validator().is_valid(&Value::Object(wrong)));
}

#[test]
fn snapshot_files_are_written_byte_for_byte() {
    for file in golden::snapshot_files() {
        let mut record = file.gathered();
        let signature = record.get_mut("signature").and_then(Value::as_object_mut).unwrap();
        signature.insert("instance".to_owned(), Value::from(file.instance));
        assert_eq!(object_to_compact_ascii(&record), file.content, "{}", file.path);
    }
}

proptest! {
    #[test]
    fn any_captured_record_validates(record in arbitrary::captured()) {
        thread_local!(static VALIDATOR: jsonschema::Validator = validator());
        let document = Value::Object(to_map(&record));
        let error = VALIDATOR.with(|validator| validator.validate(&document).err().map(|e| e.to_string()));
        prop_assert_eq!(error, None);
    }
}
