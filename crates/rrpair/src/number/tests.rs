use serde::{Deserialize, Serialize};

#[derive(Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
struct Numbers {
    #[serde(with = "super::whole")]
    number: u64,
    #[serde(with = "super::text")]
    text: u64,
    #[serde(with = "super::text_option", skip_serializing_if = "Option::is_none")]
    option: Option<u64>,
}

fn read(json: &str) -> Option<Numbers> {
    serde_json::from_str(json).ok()
}

#[test]
fn integer_double_and_string_are_the_same_number() {
    let expect = Some(Numbers { number: 200, text: 7, option: Some(9) });
    assert_eq!(read(r#"{"number":200,"text":"7","option":"9"}"#), expect);
    assert_eq!(read(r#"{"number":200.0,"text":7,"option":9.0}"#), expect);
    assert_eq!(read(r#"{"number":"200","text":7.0,"option":9}"#), expect);
}

#[test]
fn missing_is_zero() {
    assert_eq!(read("{}"), Some(Numbers::default()));
    assert_eq!(read(r#"{"text":""}"#), Some(Numbers::default()));
}

#[test]
fn sixty_four_bit_numbers_are_written_as_strings() {
    let numbers = Numbers { number: 1, text: u64::MAX, option: Some(0) };
    let json = serde_json::to_string(&numbers).unwrap();
    assert_eq!(json, r#"{"number":1,"text":"18446744073709551615","option":"0"}"#);
    assert_eq!(read(&json), Some(numbers));
}

#[test]
fn fractions_negatives_and_words_are_refused() {
    for wrong in ["200.5", "-1", "-1.0", "1e300", "\"x\"", "\"-1\"", "[1]"] {
        assert_eq!(read(&format!("{{\"number\":{wrong}}}")), None, "{wrong}");
    }
}

#[test]
fn doubles_beyond_the_range_are_no_whole_numbers() {
    assert_eq!(super::whole_of(18_446_744_073_709_551_616.0), None);
    assert_eq!(super::whole_of(f64::NAN), None);
    assert_eq!(super::whole_of(f64::INFINITY), None);
    assert_eq!(super::whole_of(-0.0), Some(0));
}
