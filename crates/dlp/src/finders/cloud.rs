//! Keys of cloud providers and of other well-known services, by their shapes.

use std::ops::Range;

/// What follows a prefix: bytes it may be made of, and how many there are.
struct Shape {
    prefix: &'static str,
    set: fn(u8) -> bool,
    least: usize,
    most: usize,
    /// Goes with the value, not only before it.
    with_prefix: bool,
}

const fn shape(prefix: &'static str, set: fn(u8) -> bool, least: usize, most: usize) -> Shape {
    Shape { prefix, set, least, most, with_prefix: true }
}

const fn after(prefix: &'static str, set: fn(u8) -> bool, least: usize, most: usize) -> Shape {
    Shape { prefix, set, least, most, with_prefix: false }
}

const fn upper(byte: u8) -> bool {
    byte.is_ascii_uppercase() || byte.is_ascii_digit()
}

const fn word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

const fn url_safe(byte: u8) -> bool {
    word(byte) || byte == b'-'
}

const fn dotted(byte: u8) -> bool {
    url_safe(byte) || byte == b'.'
}

const fn path(byte: u8) -> bool {
    word(byte) || byte == b'/'
}

const fn base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=')
}

/// Longest run that is looked at; longer ones are none of these.
const LONGEST: usize = 512;

const SHAPES: [Shape; 35] = [
    shape("AKIA", upper, 16, 16),
    shape("ASIA", upper, 16, 16),
    shape("ghp_", word, 36, 255),
    shape("gho_", word, 36, 255),
    shape("ghu_", word, 36, 255),
    shape("ghs_", word, 36, 255),
    shape("ghr_", word, 36, 255),
    shape("github_pat_", word, 22, 255),
    shape("glpat-", url_safe, 20, 64),
    shape("xoxb-", url_safe, 20, 255),
    shape("xoxp-", url_safe, 20, 255),
    shape("xoxa-", url_safe, 20, 255),
    shape("xoxr-", url_safe, 20, 255),
    shape("xoxs-", url_safe, 20, 255),
    shape("xapp-", url_safe, 20, 255),
    after("hooks.slack.com/services/", path, 20, 128),
    shape("sk_live_", word, 16, 255),
    shape("sk_test_", word, 16, 255),
    shape("rk_live_", word, 16, 255),
    shape("whsec_", base64, 24, 128),
    shape("AIza", url_safe, 35, 35),
    shape("ya29.", url_safe, 20, LONGEST),
    shape("GOCSPX-", url_safe, 20, 64),
    shape("SG.", dotted, 40, 80),
    shape("sk-", url_safe, 20, 255),
    shape("npm_", word, 36, 36),
    shape("pypi-", url_safe, 32, LONGEST),
    shape("dop_v1_", word, 64, 64),
    shape("hf_", word, 30, 64),
    shape("hvs.", url_safe, 24, 255),
    after("AccountKey=", base64, 40, 128),
    after("SharedAccessKey=", base64, 40, 128),
    after("aws_secret_access_key", base64, 40, 40),
    after("secretAccessKey", base64, 40, 40),
    shape("shpat_", word, 32, 64),
];

/// The credential whose prefix stands at `at`.
pub(super) fn credential(text: &[u8], at: usize, prefix: &str) -> Option<Range<usize>> {
    let shape = SHAPES.iter().find(|shape| shape.prefix == prefix)?;
    let mut start = at + prefix.len();
    if shape.with_prefix {
        // Inside of a word it is chance; and these are written in one way only.
        if at > 0 && word(text[at - 1]) || !text.get(at..start)?.eq(prefix.as_bytes()) {
            return None;
        }
    } else if !prefix.ends_with(['=', '/']) {
        // A name: a few bytes of punctuation stand between it and its value.
        let gap = text.get(start..)?.iter().take(8);
        start += gap.take_while(|byte| b" \t\"':=\\>".contains(byte)).count();
    }
    let run = text.get(start..)?.iter().take(LONGEST + 1).take_while(|byte| (shape.set)(**byte));
    let length = run.count();
    if !(shape.least..=shape.most).contains(&length) {
        return None;
    }
    let secret = text.get(start..start + length)?;
    // Words of prose with hyphens, as after `sk-`, have no digit.
    let varied = secret.iter().any(u8::is_ascii_digit) || secret.len() >= 40;
    varied.then(|| if shape.with_prefix { at } else { start }..start + length)
}
