use proptest::prelude::*;

use super::*;
use crate::edit::apply;

const LAYERS: [Layer; 7] = [
    Layer::Percent { plus: false },
    Layer::Percent { plus: true },
    Layer::Json,
    Layer::Xml,
    Layer::Utf16 { little: true },
    Layer::Utf16 { little: false },
    Layer::QuotedPrintable,
];

fn swap(layer: Layer, input: &[u8], secret: &[u8], with: &[u8]) -> Vec<u8> {
    let decoded = layer.decode(input);
    let at = memchr::memmem::find(&decoded.bytes, secret).unwrap();
    let edits = vec![Edit { range: at..at + secret.len(), with: with.to_vec(), hits: Vec::new() }];
    apply(input, &decoded.translate(edits, layer))
}

#[test]
fn only_the_match_changes() {
    let percent = Layer::Percent { plus: true };
    assert_eq!(swap(percent, b"%41+a%40b+%zz", b"a@b", b"X"), b"%41+X+%zz");
    assert_eq!(swap(Layer::Json, br"\u0041 a\u0040b \q", b"a@b", b"\"X\""), br#"\u0041 \"X\" \q"#);
    assert_eq!(swap(Layer::Xml, b"&amp;a&#64;b&nbsp;", b"a@b", b"<"), b"&amp;&lt;&nbsp;");
}

#[test]
fn half_a_character_goes_as_a_whole() {
    let decoded = Layer::Json.decode(br"x\u00e9y");
    let edits = vec![Edit { range: 1..2, with: b"-".to_vec(), hits: Vec::new() }];
    assert_eq!(apply(br"x\u00e9y", &decoded.translate(edits, Layer::Json)), b"x-y");
}

#[test]
fn surrogates_are_one_character() {
    assert_eq!(Layer::Json.decode(br"\ud83d\ude00").bytes, "😀".as_bytes());
    assert_eq!(Layer::Json.decode(br"\ud83dx").bytes, "\u{fffd}x".as_bytes());
}

proptest! {
    #[test]
    fn any_input_decodes_and_whole_edits_replace_it(input: Vec<u8>) {
        for layer in LAYERS {
            let decoded = layer.decode(&input);
            let whole = 0..decoded.bytes.len();
            let all = vec![Edit { range: whole, with: b"X".to_vec(), hits: Vec::new() }];
            if !decoded.bytes.is_empty() {
                prop_assert_eq!(apply(&input, &decoded.translate(all, layer)), layer.encode(b"X"));
            }
        }
    }

    #[test]
    fn text_comes_back(text: String) {
        for layer in LAYERS {
            prop_assert_eq!(layer.decode(&layer.encode(text.as_bytes())).bytes, text.as_bytes());
        }
    }
}
