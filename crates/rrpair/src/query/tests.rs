use proptest::prelude::*;

use super::{decode, split};

fn pairs(query: &str) -> Vec<(String, String)> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    decode(query.as_bytes()).map(|(name, value)| (text(&name), text(&value))).collect()
}

fn expect(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn pairs_are_decoded_in_order() {
    assert_eq!(pairs("b=2&a=1&b=1"), expect(&[("b", "2"), ("a", "1"), ("b", "1")]));
    assert_eq!(pairs("id=falcon-test-1%7F"), expect(&[("id", "falcon-test-1\u{7f}")]));
    assert_eq!(pairs("q=a+b%2Bc&%6e%61me=%e2%82%AC"), expect(&[("q", "a b+c"), ("name", "€")]));
}

#[test]
fn incomplete_pairs_and_escapes_are_kept() {
    assert_eq!(pairs(""), expect(&[]));
    assert_eq!(pairs("&&a&=v&x=1=2&"), expect(&[("a", ""), ("", "v"), ("x", "1=2")]));
    assert_eq!(
        pairs("a=%&b=%4&c=%zz&d=100%"),
        expect(&[("a", "%"), ("b", "%4"), ("c", "%zz"), ("d", "100%")])
    );
}

#[test]
fn every_byte_value_can_be_escaped() {
    for byte in 0..=255_u8 {
        let query = format!("a=%{byte:02x}&b=%{byte:02X}");
        let values: Vec<_> =
            decode(query.as_bytes()).map(|(_, value)| value.into_owned()).collect();
        assert_eq!(values, [[byte], [byte]]);
    }
}

#[test]
fn raw_bytes_stay() {
    let pairs: Vec<_> = decode(b"\xff=\x7f\x00").collect();
    assert_eq!(pairs, [(b"\xff".as_slice().into(), b"\x7f\x00".as_slice().into())]);
}

#[test]
fn a_target_is_split_at_its_first_question_mark() {
    assert_eq!(split(b"/a?b?c"), (b"/a".as_slice(), Some(b"b?c".as_slice())));
    assert_eq!(split(b"/a?"), (b"/a".as_slice(), Some(b"".as_slice())));
    assert_eq!(split(b"/a"), (b"/a".as_slice(), None));
}

proptest! {
    #[test]
    fn any_bytes_are_decoded_to_at_most_their_length(query: Vec<u8>) {
        let decoded: usize = decode(&query).map(|(name, value)| name.len() + value.len()).sum();
        prop_assert!(decoded <= query.len());
    }
}
