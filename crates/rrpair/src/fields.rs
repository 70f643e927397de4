//! The small containers of a record and their JSON forms (contract §1).

mod wire;

#[cfg(test)]
mod tests;

use std::fmt;

use smallvec::SmallVec;

use crate::model::Text;

pub(crate) use wire::decode;

/// Values of one field: nearly always one.
pub type Values = SmallVec<[String; 1]>;

/// 16 bytes; base64 in JSON, hyphenated text in file names.
#[derive(Clone, Copy, Default, Eq, Hash, PartialEq)]
pub struct Uuid(pub [u8; 16]);

/// String to string, in order (`tags`). Names must differ.
#[derive(Clone, Default, PartialEq)]
pub struct StringMap(pub Vec<(Text, Text)>);

/// Field lines: canonical-case name to its values, in order of first appearance. Names must
/// differ: [`Fields::push`] keeps it so.
#[derive(Clone, Default, PartialEq)]
pub struct Fields(pub Vec<(Text, Values)>);

/// Signature key to raw value, in order (contract §1.8). Keys must differ.
#[derive(Clone, Default, PartialEq)]
pub struct Signature(pub Vec<(Text, Vec<u8>)>);

/// Captured bytes. `Debug` shows the length alone, so that no log line can leak them.
#[derive(Clone, Default, PartialEq)]
pub struct Body(pub Vec<u8>);

impl Body {
    /// True for a message without a body, or with an empty one.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Fields {
    /// True when there is no field line.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds a field line; a name seen before gets one more value. Names are compared as they
    /// are, so put them through [`crate::header::canonical`] first.
    pub fn push(&mut self, name: impl Into<Text>, value: impl Into<String>) {
        let name = name.into();
        let value = value.into();
        if let Some((_, values)) = self.0.iter_mut().find(|(key, _)| *key == name) {
            values.push(value);
        } else {
            self.0.push((name, Values::from_buf([value])));
        }
    }

    /// First value of the field, names compared without case.
    pub fn first(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .and_then(|(_, values)| values.first())
            .map(String::as_str)
    }

    /// Every name with its values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[String])> {
        self.0.iter().map(|(name, values)| (name.as_ref(), values.as_slice()))
    }
}

impl StringMap {
    /// True when there is no entry.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Value of `key`.
    pub fn value(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(k, _)| k == key).map(|(_, v)| v.as_ref())
    }

    /// Adds an entry. The caller keeps names apart.
    pub fn push(&mut self, key: impl Into<Text>, value: impl Into<Text>) {
        self.0.push((key.into(), value.into()));
    }
}

impl Signature {
    /// Raw value of `key`.
    pub fn value(&self, key: &str) -> Option<&[u8]> {
        self.0.iter().find(|(k, _)| k == key).map(|(_, v)| v.as_slice())
    }
}

impl fmt::Display for Uuid {
    /// Hyphenated text (RFC 9562), as in file names.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        uuid::Uuid::from_bytes(self.0).hyphenated().fmt(f)
    }
}

impl fmt::Debug for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Body({} bytes)", self.0.len())
    }
}

impl fmt::Debug for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fields({} names)", self.0.len())
    }
}

impl fmt::Debug for StringMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StringMap({} keys)", self.0.len())
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signature({} keys)", self.0.len())
    }
}
