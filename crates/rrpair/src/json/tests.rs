use proptest::prelude::*;
use serde_json::{Value, json};

use super::{ReadRecord, from_map, from_slice, to_compact_ascii, to_map};
use crate::arbitrary;
use crate::golden;

#[test]
fn strings_are_escaped_as_python_does() {
    for (text, expect) in [
        ("plain ~", r#""plain ~""#),
        ("\u{7f}", r#""\u007f""#),
        ("\"\\/", r#""\"\\/""#),
        ("\n\r\t\u{8}\u{c}\u{b}\0\u{1f}", r#""\n\r\t\b\f\u000b\u0000\u001f""#),
        ("é\u{80}\u{ffff}", r#""\u00e9\u0080\uffff""#),
        ("🚀", r#""\ud83d\ude80""#),
    ] {
        assert_eq!(to_compact_ascii(&json!(text)), expect);
    }
}

#[test]
fn numbers_are_written_as_python_does_but_whole_doubles_as_integers() {
    for (number, expect) in [
        (json!(200.0), "200"),
        (json!(-1), "-1"),
        (json!(-0.0), "0"),
        (json!(4_294_967_295_u64), "4294967295"),
        (json!(u64::MAX), "18446744073709551615"),
        (json!(0.1), "0.1"),
        (json!(0.0001), "0.0001"),
        (json!(0.000_012_5), "1.25e-05"),
        (json!(-1e-7), "-1e-07"),
        (json!(1e16), "1e+16"),
        (json!(1.5e300), "1.5e+300"),
        (json!(123_456.75), "123456.75"),
    ] {
        assert_eq!(to_compact_ascii(&number), expect);
    }
}

#[test]
fn containers_have_no_space_and_keep_their_order() {
    let value = json!({"b": [1.0, null, true, {}], "a": {"é": false}});
    assert_eq!(to_compact_ascii(&value), r#"{"b":[1,null,true,{}],"a":{"\u00e9":false}}"#);
}

#[test]
fn missing_and_null_are_zero() {
    let record =
        from_slice(br#"{"service":"a","tags":null,"http":{"res":null},"port":null}"#).unwrap();
    assert_eq!(record.msg_type, "rrpair");
    assert_eq!(record.duration, 0);
    assert!(record.tags.is_empty());
    assert_eq!(record.http.unwrap().res, None);
    assert!(record.extra.is_empty());
}

#[test]
fn unknown_keys_stay_at_every_level() {
    let unknown = json!({"x": {"y": [1, "2"]}});
    let mut document = golden::object(golden::GET_200);
    for pointer in ["/http", "/http/req", "/http/res", "/netinfo", "/netinfo/upstream"] {
        let mut value = Value::Object(document);
        let place = value.pointer_mut(pointer).and_then(Value::as_object_mut).unwrap();
        place.insert("unknown".to_owned(), unknown.clone());
        let Value::Object(object) = value else { unreachable!() };
        document = object;
    }
    document.insert("unknown".to_owned(), unknown);
    let record = from_map(document.clone()).unwrap();
    assert_eq!(Value::Object(to_map(&record)), Value::Object(document));
}

#[test]
fn errors_say_where_and_not_what() {
    let error = from_slice(b"{\"ts\": canary}").unwrap_err();
    assert_eq!(error, ReadRecord::NotJson { line: 1, column: 8 });
    let error = from_slice(br#"{"ts": "canary"}"#).unwrap_err();
    assert_eq!(error, ReadRecord::WrongShape);
    assert!(!format!("{error} {error:?}").contains("canary"));
    assert_eq!(from_slice(b"[]").unwrap_err(), ReadRecord::NotAnObject);
}

#[test]
fn debug_of_a_record_shows_no_captured_text() {
    let canaries = golden::POST_503.replace("test-token-1", "canary").replace("charges", "canary");
    let record = from_slice(canaries.as_bytes()).unwrap();
    let shown = format!("{record:?} {:?}", crate::Raw(record.clone()));
    assert!(!shown.contains("canary") && shown.contains("bytes"), "{shown}");
}

proptest! {
    #[test]
    fn any_record_round_trips_through_its_map(record in arbitrary::record()) {
        prop_assert_eq!(from_map(to_map(&record)), Ok(record));
    }

    #[test]
    fn ascii_text_is_ascii_and_reads_back(record in arbitrary::record()) {
        let text = super::object_to_compact_ascii(&to_map(&record));
        prop_assert!(text.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
        prop_assert_eq!(from_slice(text.as_bytes()), Ok(record));
    }

    #[test]
    fn doubles_read_back_as_the_same_number(double in prop::num::f64::NORMAL) {
        let text = to_compact_ascii(&json!(double));
        prop_assert_eq!(text.parse::<f64>().unwrap().to_bits(), double.to_bits());
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
        prop_assert!(from_slice(&bytes).is_err());
    }
}
