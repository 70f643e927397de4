//! Numbers of a record (contract §1): 32-bit integers are JSON numbers, 64-bit ones decimal
//! strings, and a collector may have turned any of them into a double (`200.0`).

#[cfg(test)]
mod tests;

use std::fmt;

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer};

/// For `skip_serializing_if`.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
pub(crate) fn is_zero(value: &u64) -> bool {
    *value == 0
}

/// First double above [`u64::MAX`].
const TWO_TO_64: f64 = 18_446_744_073_709_551_616.0;

/// The whole number that `value` is, if it is one and not negative.
pub(crate) fn whole_of(value: f64) -> Option<u64> {
    let is_whole = value.fract() == 0.0 && (0.0..TWO_TO_64).contains(&value);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "whole and in range: checked above"
    )]
    is_whole.then_some(value as u64)
}

/// A whole number in any of the forms that are out there: `200`, `200.0`, `"200"`.
struct Whole(u64);

impl<'de> Deserialize<'de> for Whole {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnyForm;
        impl Visitor<'_> for AnyForm {
            type Value = u64;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number")
            }

            fn visit_u64<E: Error>(self, value: u64) -> Result<u64, E> {
                Ok(value)
            }

            fn visit_i64<E: Error>(self, value: i64) -> Result<u64, E> {
                u64::try_from(value).ok().ok_or_else(|| E::custom("negative number"))
            }

            fn visit_f64<E: Error>(self, value: f64) -> Result<u64, E> {
                whole_of(value).ok_or_else(|| E::custom("not a whole number"))
            }

            fn visit_str<E: Error>(self, value: &str) -> Result<u64, E> {
                // An empty string is proto3's zero as written by lax producers.
                if value.is_empty() {
                    return Ok(0);
                }
                value.parse().ok().ok_or_else(|| E::custom("not a whole number"))
            }
        }
        deserializer.deserialize_any(AnyForm).map(Self)
    }
}

/// A number in JSON.
pub(crate) mod whole {
    use serde::{Deserialize as _, Deserializer, Serializer};

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
    pub(crate) fn serialize<S: Serializer>(value: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(*value)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        super::Whole::deserialize(deserializer).map(|whole| whole.0)
    }
}

/// A decimal string in JSON.
pub(crate) mod text {
    use serde::{Deserialize as _, Deserializer, Serializer};

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
    pub(crate) fn serialize<S: Serializer>(value: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(value)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        super::Whole::deserialize(deserializer).map(|whole| whole.0)
    }
}

/// A decimal string in JSON, or absent.
pub(crate) mod text_option {
    use serde::{Deserialize as _, Deserializer, Serializer};

    #[expect(clippy::ref_option, reason = "serde passes a reference")]
    pub(crate) fn serialize<S: Serializer>(
        value: &Option<u64>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => serializer.collect_str(value),
            None => serializer.serialize_none(),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<u64>, D::Error> {
        super::Whole::deserialize(deserializer).map(|whole| Some(whole.0))
    }
}
