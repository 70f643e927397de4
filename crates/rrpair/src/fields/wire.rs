//! serde for the containers. Readers are lenient where the contract or a known backend is:
//! a field with one bare string, a tag that came back as a number, base64 without padding.

use std::fmt;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use serde::de::{Error, MapAccess, SeqAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Body, Fields, Signature, StringMap, Uuid, Values};
use crate::model::Text;

/// Standard alphabet; padding and clean trailing bits are not insisted on.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// The bytes of a base64 value of a record.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    LENIENT.decode(text).ok()
}

impl Uuid {
    /// From base64 of 16 bytes (contract §1.1) or from hyphenated text; `None` for all else.
    pub fn parse(text: &str) -> Option<Self> {
        if let Some(bytes) = decode(text) {
            return bytes.try_into().ok().map(Self);
        }
        uuid::Uuid::try_parse(text).ok().map(|uuid| Self(uuid.into_bytes()))
    }
}

impl Serialize for Uuid {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(self.0))
    }
}

impl<'de> Deserialize<'de> for Uuid {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Lent::deserialize(deserializer)?;
        Self::parse(&text.0).ok_or_else(|| Error::custom("not the base64 of 16 bytes"))
    }
}

impl Serialize for Body {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Body {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Lent::deserialize(deserializer)?;
        decode(&text.0).map(Self).ok_or_else(|| Error::custom("not base64"))
    }
}

impl Serialize for StringMap {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (key, value) in &self.0 {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for StringMap {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let entries = deserializer.deserialize_map(Entries(|value: Scalar| Some(value.0)))?;
        Ok(Self(entries))
    }
}

impl Serialize for Fields {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, values) in &self.0 {
            map.serialize_entry(name, values.as_slice())?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let entries = deserializer.deserialize_map(Entries(|values: OneOrMore| Some(values.0)))?;
        Ok(Self(entries))
    }
}

impl Serialize for Signature {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (key, value) in &self.0 {
            map.serialize_entry(key, &STANDARD.encode(value))?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Signature {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let entries = deserializer.deserialize_map(Entries(|text: Lent| decode(&text.0)))?;
        Ok(Self(entries))
    }
}

/// A map in document order. Repeated keys are the JSON reader's matter ([`crate::json`]).
struct Entries<W, V>(fn(W) -> Option<V>);

impl<'de, W: Deserialize<'de>, V> Visitor<'de> for Entries<W, V> {
    type Value = Vec<(Text, V)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut entries = Vec::with_capacity(map.size_hint().unwrap_or(0).min(64));
        while let Some((key, wire)) = map.next_entry::<String, W>()? {
            let value = (self.0)(wire).ok_or_else(|| Error::custom("not base64"))?;
            entries.push((Text::Owned(key), value));
        }
        Ok(entries)
    }
}

/// Text that is needed for the length of one call.
struct Lent(String);

impl<'de> Deserialize<'de> for Lent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self)
    }
}

/// A string, or a number or truth value that a store made of one.
struct Scalar(Text);

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AsText;
        impl Visitor<'_> for AsText {
            type Value = Text;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_str<E: Error>(self, value: &str) -> Result<Text, E> {
                Ok(Text::Owned(value.to_owned()))
            }

            fn visit_string<E: Error>(self, value: String) -> Result<Text, E> {
                Ok(Text::Owned(value))
            }

            fn visit_bool<E: Error>(self, value: bool) -> Result<Text, E> {
                Ok(Text::Borrowed(if value { "true" } else { "false" }))
            }

            fn visit_i64<E: Error>(self, value: i64) -> Result<Text, E> {
                Ok(Text::Owned(value.to_string()))
            }

            fn visit_u64<E: Error>(self, value: u64) -> Result<Text, E> {
                Ok(Text::Owned(value.to_string()))
            }

            fn visit_f64<E: Error>(self, value: f64) -> Result<Text, E> {
                Ok(Text::Owned(value.to_string()))
            }
        }
        deserializer.deserialize_any(AsText).map(Self)
    }
}

/// An array of strings, or one bare string.
struct OneOrMore(Values);

impl<'de> Deserialize<'de> for OneOrMore {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AsValues;
        impl<'de> Visitor<'de> for AsValues {
            type Value = Values;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array of strings")
            }

            fn visit_str<E: Error>(self, value: &str) -> Result<Values, E> {
                Ok(Values::from_buf([value.to_owned()]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<Values, A::Error> {
                let mut values = Values::new();
                while let Some(value) = array.next_element::<Scalar>()? {
                    values.push(value.0.into_owned());
                }
                Ok(values)
            }
        }
        deserializer.deserialize_any(AsValues).map(Self)
    }
}
