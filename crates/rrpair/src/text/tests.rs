use proptest::prelude::*;

use super::lossless;

#[test]
fn every_byte_value_alone_can_be_taken_back() {
    for byte in 0..=255_u8 {
        let (text, exact) = lossless(&[b'a', byte, b'z']);
        assert_eq!(exact, byte.is_ascii());
        let back: Vec<u8> = text.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect();
        assert_eq!(back, [b'a', byte, b'z']);
    }
}

#[test]
fn utf8_stays_as_it_is() {
    assert_eq!(lossless("naïve \u{7f} 🚀".as_bytes()), ("naïve \u{7f} 🚀".to_owned(), true));
}

proptest! {
    #[test]
    fn the_flag_says_how_to_take_the_bytes_back(bytes: Vec<u8>) {
        let (text, exact) = lossless(&bytes);
        let back = if exact {
            text.into_bytes()
        } else {
            text.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect()
        };
        prop_assert_eq!(back, bytes);
    }
}
