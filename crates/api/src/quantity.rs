//! Sizes as Kubernetes writes them: `1Mi`, `500k`, `1048576`.

use std::{borrow::Cow, fmt};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, de};

/// What a quantity looks like; also the `pattern` in the CRDs.
///
/// # Source
///
/// The grammar of `resource.Quantity` in Kubernetes' apimachinery.
pub const PATTERN: &str = r"^(\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))(([KMGTPE]i)|[numkMGTPE]|([eE](\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))))?$";

/// A size, kept as it was written; a bare number is read as well, as the API server does.
///
/// Any text can be held; [`Quantity::whole`] says whether it is a size.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Quantity(pub String);

/// Why a text is no whole number of bytes or records.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ParseQuantity {
    #[error("is not a number with an optional suffix Ki, Mi, Gi, Ti, Pi, Ei, k, M, G, T, P or E")]
    Syntax,
    #[error("is negative")]
    Negative,
    #[error("is not a whole number")]
    Fraction,
    #[error("is larger than 2^63-1")]
    TooLarge,
}

impl Quantity {
    /// The size as a whole number: `1Mi` is 1048576, `1.5k` is 1500.
    ///
    /// # Errors
    ///
    /// [`ParseQuantity`]; the scientific and the sub-unit forms (`1e3`, `100m`) count as
    /// [`ParseQuantity::Syntax`] and [`ParseQuantity::Fraction`], since no size needs them.
    pub fn whole(&self) -> Result<u64, ParseQuantity> {
        parse(&self.0)
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Quantity;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a quantity such as 1Mi or a whole number")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Quantity, E> {
                Ok(Quantity(text.to_owned()))
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Quantity, E> {
                Ok(Quantity(number.to_string()))
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Quantity, E> {
                Ok(Quantity(number.to_string()))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

impl JsonSchema for Quantity {
    fn schema_name() -> Cow<'static, str> {
        "Quantity".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "pattern": PATTERN,
            "x-kubernetes-int-or-string": true
        })
    }

    fn inline_schema() -> bool {
        true
    }
}

fn parse(text: &str) -> Result<u64, ParseQuantity> {
    let (negative, unsigned) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let number_bytes =
        unsigned.bytes().take_while(|byte| byte.is_ascii_digit() || *byte == b'.').count();
    let (number, suffix) = unsigned.split_at(number_bytes);
    let factor = factor(suffix)?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() || fraction.contains('.') {
        return Err(ParseQuantity::Syntax);
    }
    let whole = scaled(whole, factor).ok_or(ParseQuantity::TooLarge)?;
    let fraction = fractional(fraction, factor)?;
    let size = whole.checked_add(fraction).filter(|size| i64::try_from(*size).is_ok());
    match size {
        None => Err(ParseQuantity::TooLarge),
        Some(size) if negative && size > 0 => Err(ParseQuantity::Negative),
        Some(size) => Ok(size),
    }
}

fn factor(suffix: &str) -> Result<u64, ParseQuantity> {
    Ok(match suffix {
        "" => 1,
        "k" => 1_000,
        "M" => 1_000_000,
        "G" => 1_000_000_000,
        "T" => 1_000_000_000_000,
        "P" => 1_000_000_000_000_000,
        "E" => 1_000_000_000_000_000_000,
        "Ki" => 1 << 10,
        "Mi" => 1 << 20,
        "Gi" => 1 << 30,
        "Ti" => 1 << 40,
        "Pi" => 1 << 50,
        "Ei" => 1 << 60,
        "n" | "u" | "m" => return Err(ParseQuantity::Fraction),
        _ => return Err(ParseQuantity::Syntax),
    })
}

/// `digits` × `factor`; `None` when it does not fit.
fn scaled(digits: &str, factor: u64) -> Option<u64> {
    if digits.is_empty() {
        return Some(0);
    }
    digits.parse::<u64>().ok()?.checked_mul(factor)
}

/// `0.digits` × `factor`. More than 18 digits are not worked out: they count as no whole number.
fn fractional(digits: &str, factor: u64) -> Result<u64, ParseQuantity> {
    let digits = digits.trim_end_matches('0');
    if digits.is_empty() {
        return Ok(0);
    }
    // 2^60 × 10^18 stays under 2^128.
    let places = u32::try_from(digits.len()).ok().filter(|places| *places <= 18);
    let (Some(places), Ok(number)) = (places, digits.parse::<u64>()) else {
        return Err(ParseQuantity::Fraction);
    };
    let (product, divisor) = (u128::from(number) * u128::from(factor), 10_u128.pow(places));
    match u64::try_from(product / divisor) {
        Ok(whole) if product % divisor == 0 => Ok(whole),
        _ => Err(ParseQuantity::Fraction),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expect: Result<u64, ParseQuantity>) {
        assert_eq!(Quantity(text.to_owned()).whole(), expect, "{text:?}");
    }

    #[test]
    fn sizes_have_the_value_that_kubernetes_gives_them() {
        check("0", Ok(0));
        check("1048576", Ok(1 << 20));
        check("1Mi", Ok(1 << 20));
        check("1M", Ok(1_000_000));
        check("1.5Gi", Ok(3 << 29));
        check(".5k", Ok(500));
        check("1.", Ok(1));
        check("+1Ki", Ok(1024));
        check("-0", Ok(0));
        check("7Ei", Ok(7 << 60));
    }

    #[test]
    fn other_texts_are_refused_with_the_fault_named() {
        check("", Err(ParseQuantity::Syntax));
        check(".", Err(ParseQuantity::Syntax));
        check("1MB", Err(ParseQuantity::Syntax));
        check("1 Mi", Err(ParseQuantity::Syntax));
        check("1.2.3", Err(ParseQuantity::Syntax));
        check("１Mi", Err(ParseQuantity::Syntax));
        check("1.3", Err(ParseQuantity::Fraction));
        check("100m", Err(ParseQuantity::Fraction));
        check("-1Mi", Err(ParseQuantity::Negative));
        check("8Ei", Err(ParseQuantity::TooLarge));
        check("99999999999999999999", Err(ParseQuantity::TooLarge));
    }

    #[test]
    fn a_bare_number_is_read_like_its_text() {
        let bare: Quantity = serde_json::from_str("4294967296").unwrap();
        assert_eq!(bare, Quantity("4294967296".to_owned()));
    }

    proptest::proptest! {
        #[test]
        fn whatever_is_read_matches_the_pattern_of_the_crd(text in "[-+]?[0-9.]{0,21}[kKMGTPEinume]{0,2}|\\PC{0,6}") {
            let pattern = regex::Regex::new(PATTERN).unwrap();
            if Quantity(text.clone()).whole().is_ok() {
                proptest::prop_assert!(pattern.is_match(&text));
            }
        }
    }
}
