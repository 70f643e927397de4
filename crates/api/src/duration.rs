//! Spans of time as Kubernetes writes them: `30m`, `1h30m`, `500ms`.

use std::{borrow::Cow, fmt, str::FromStr, time};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// What a [`Duration`] looks like; also the `pattern` in the CRDs.
///
/// # Source
///
/// Gateway API, GEP-2257: the part of Go's duration syntax that every client reads alike.
pub const PATTERN: &str = "^([0-9]{1,5}(h|m|s|ms)){1,4}$";

/// A span of time, kept as it was written so that reading an object back gives no difference.
///
/// Any text can be held; [`Duration::parsed`] says whether it is a duration.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Duration(pub String);

/// Why a text is no [`Duration`].
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ParseDuration {
    #[error("is empty")]
    Empty,
    #[error("has a number that is missing or longer than 5 digits")]
    Number,
    #[error("has a unit other than h, m, s or ms")]
    Unit,
    #[error("has more than 4 parts")]
    TooManyParts,
}

impl Duration {
    /// The span itself.
    ///
    /// # Errors
    ///
    /// [`ParseDuration`] when the text does not match [`PATTERN`].
    pub fn parsed(&self) -> Result<time::Duration, ParseDuration> {
        parse(&self.0)
    }
}

impl FromStr for Duration {
    type Err = ParseDuration;

    fn from_str(text: &str) -> Result<Self, ParseDuration> {
        parse(text).map(|_| Self(text.to_owned()))
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl JsonSchema for Duration {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "pattern": PATTERN})
    }

    fn inline_schema() -> bool {
        true
    }
}

fn parse(text: &str) -> Result<time::Duration, ParseDuration> {
    if text.is_empty() {
        return Err(ParseDuration::Empty);
    }
    let mut rest = text.as_bytes();
    let mut total_ms = 0_u64;
    let mut parts = 0;
    while !rest.is_empty() {
        parts += 1;
        if parts > 4 {
            return Err(ParseDuration::TooManyParts);
        }
        let digits = rest.iter().take_while(|b| b.is_ascii_digit()).count();
        if digits == 0 || digits > 5 {
            return Err(ParseDuration::Number);
        }
        let (number, after) = rest.split_at(digits);
        let value = number.iter().fold(0_u64, |sum, digit| sum * 10 + u64::from(digit - b'0'));
        // `ms` before `m`: at every place the longer unit is the only one that can go on.
        let (unit_ms, unit_bytes) = match after {
            [b'm', b's', ..] => (1, 2),
            [b'h', ..] => (3_600_000, 1),
            [b'm', ..] => (60_000, 1),
            [b's', ..] => (1_000, 1),
            _ => return Err(ParseDuration::Unit),
        };
        total_ms += value * unit_ms;
        rest = after.get(unit_bytes..).unwrap_or_default();
    }
    Ok(time::Duration::from_millis(total_ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expect: Result<u64, ParseDuration>) {
        let got = Duration(text.to_owned()).parsed();
        assert_eq!(got, expect.map(time::Duration::from_millis), "{text:?}");
    }

    #[test]
    fn go_style_texts_have_their_usual_length() {
        check("30m", Ok(30 * 60_000));
        check("1h30m", Ok(90 * 60_000));
        check("10s", Ok(10_000));
        check("500ms", Ok(500));
        check("1m500ms", Ok(60_500));
        check("0s", Ok(0));
        check("99999h99999h99999h99999h", Ok(4 * 99_999 * 3_600_000));
    }

    #[test]
    fn other_texts_are_refused_with_the_fault_named() {
        check("", Err(ParseDuration::Empty));
        check("30", Err(ParseDuration::Unit));
        check("m", Err(ParseDuration::Number));
        check("1.5h", Err(ParseDuration::Unit));
        check("-1s", Err(ParseDuration::Number));
        check("1d", Err(ParseDuration::Unit));
        check("100000s", Err(ParseDuration::Number));
        check("1s1s1s1s1s", Err(ParseDuration::TooManyParts));
        check("1s ", Err(ParseDuration::Number));
        check("１s", Err(ParseDuration::Number));
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_or_refused_as_the_pattern_says(text in "[0-9hms. -]{0,14}|\\PC{0,8}") {
            let pattern = regex::Regex::new(PATTERN).unwrap();
            proptest::prop_assert_eq!(pattern.is_match(&text), Duration(text).parsed().is_ok());
        }
    }
}
