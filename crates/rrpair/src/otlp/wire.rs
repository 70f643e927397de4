//! Protobuf bytes of `AnyValue` trees (opentelemetry-proto, `common/v1/common.proto`).
//!
//! A message's length stands before it, so a container is written after room for a head of
//! the expected size; when the guess was wrong the content moves by a few bytes.

use bytes::BufMut;
use serde_json::{Map, Value};

/// `KeyValueList.values`, `ArrayValue.values`, `KeyValue.key` and `AnyValue.string_value`:
/// field 1, length-delimited.
const FIELD_1: u8 = 0x0a;
/// `KeyValue.value`.
const VALUE: u8 = 0x12;
const BOOL: u8 = 0x10;
const DOUBLE: u8 = 0x21;
const ARRAY: u8 = 0x2a;
const MAP: u8 = 0x32;

/// Where an `AnyValue` stands: what comes before it, given its length.
#[derive(Clone, Copy)]
pub(super) enum Slot<'a> {
    /// A field of this tag byte that holds the value itself.
    Plain(u8),
    /// A `KeyValue` in a field of this tag byte.
    Entry { tag: u8, key: &'a str },
}

impl<'a> Slot<'a> {
    /// Member of a map.
    #[inline]
    pub(super) const fn member(key: &'a str) -> Self {
        Self::Entry { tag: FIELD_1, key }
    }

    /// Element of an array.
    pub(super) const ELEMENT: Self = Slot::Plain(FIELD_1);

    /// Length of what [`Self::put`] writes.
    #[inline]
    fn bytes(self, value_bytes: usize) -> usize {
        match self {
            Self::Plain(_) => delimited_head(value_bytes),
            Self::Entry { key, .. } => {
                let entry = entry_bytes(key.len(), value_bytes);
                delimited_head(entry) + entry - value_bytes
            }
        }
    }

    /// Writes all that comes before a value of `value_bytes` bytes.
    fn put(self, out: &mut impl BufMut, value_bytes: usize) {
        match self {
            Self::Plain(tag) => out.put_u8(tag),
            Self::Entry { tag, key } => {
                out.put_u8(tag);
                put_varint(out, entry_bytes(key.len(), value_bytes));
                out.put_u8(FIELD_1);
                put_varint(out, key.len());
                out.put_slice(key.as_bytes());
                out.put_u8(VALUE);
            }
        }
        put_varint(out, value_bytes);
    }

    /// [`Self::put`] and the first bytes of the value. `tail` begins with what `put` ends
    /// with: [`VALUE`] and the value's length, which takes one byte.
    ///
    /// With lengths of one byte, as nearly all have, this is a few moves: most of a record is
    /// written here.
    #[expect(clippy::inline_always, reason = "a third of the time to encode a record")]
    #[inline(always)]
    fn put_with<const N: usize>(self, out: &mut Vec<u8>, value_bytes: usize, tail: [u8; N]) {
        debug_assert_eq!(tail.first_chunk(), Some(&[VALUE, low(value_bytes)]));
        if let Self::Entry { tag, key } = self {
            let entry = 4 + key.len() + value_bytes;
            if entry < 0x80 {
                out.extend_from_slice(&[tag, low(entry), FIELD_1, low(key.len())]);
                out.extend_from_slice(key.as_bytes());
                out.extend_from_slice(&tail);
                return;
            }
        }
        self.put(out, value_bytes);
        out.extend_from_slice(tail.get(2..).unwrap_or_default());
    }
}

/// Length of a `KeyValue` with a key and a value of these lengths.
#[inline]
fn entry_bytes(key_bytes: usize, value_bytes: usize) -> usize {
    delimited(key_bytes) + delimited(value_bytes)
}

/// Length of a length-delimited field: tag, length, content.
#[inline]
pub(super) fn delimited(content_bytes: usize) -> usize {
    delimited_head(content_bytes) + content_bytes
}

#[inline]
fn delimited_head(content_bytes: usize) -> usize {
    1 + varint_bytes(content_bytes)
}

#[inline]
const fn varint_bytes(value: usize) -> usize {
    match value {
        0..0x80 => 1,
        0x80..0x4000 => 2,
        _ => (usize::BITS - value.leading_zeros()).div_ceil(7) as usize,
    }
}

#[inline]
pub(super) fn put_varint(out: &mut impl BufMut, mut value: usize) {
    while value >= 0x80 {
        out.put_u8(low(value) | 0x80);
        value >>= 7;
    }
    out.put_u8(low(value));
}

/// The seven low bits.
#[expect(clippy::cast_possible_truncation, reason = "masked")]
#[inline]
const fn low(value: usize) -> u8 {
    (value & 0x7f) as u8
}

/// A string.
#[inline]
pub(super) fn text(out: &mut Vec<u8>, slot: Slot<'_>, value: &str) {
    ascii(out, slot, value.as_bytes());
}

/// A string whose bytes are known to be ASCII.
#[inline]
pub(super) fn ascii(out: &mut Vec<u8>, slot: Slot<'_>, value: &[u8]) {
    text_head(out, slot, value.len());
    out.extend_from_slice(value);
}

#[inline]
fn text_head(out: &mut Vec<u8>, slot: Slot<'_>, value_bytes: usize) {
    if value_bytes < 0x70 {
        let bytes = low(value_bytes);
        slot.put_with(out, value_bytes + 2, [VALUE, bytes + 2, FIELD_1, bytes]);
    } else {
        slot.put(out, delimited(value_bytes));
        out.push(FIELD_1);
        put_varint(out, value_bytes);
    }
}

/// A string in a `KeyValue` in a field of this tag byte; the key is `tag.` and `key`.
pub(super) fn tag_text(out: &mut Vec<u8>, tag: u8, key: &str, value: &str) {
    let key_bytes = 4 + key.len();
    let entry = 6 + key_bytes + value.len();
    if entry < 0x80 {
        let [entry, key_bytes, value_bytes] = [low(entry), low(key_bytes), low(value.len())];
        out.extend_from_slice(&[tag, entry, FIELD_1, key_bytes, b't', b'a', b'g', b'.']);
        out.extend_from_slice(key.as_bytes());
        out.extend_from_slice(&[VALUE, value_bytes + 2, FIELD_1, value_bytes]);
        out.extend_from_slice(value.as_bytes());
    } else {
        text(out, Slot::Entry { tag, key: &format!("tag.{key}") }, value);
    }
}

/// A string: the base64 of `value`.
pub(super) fn base64(out: &mut Vec<u8>, slot: Slot<'_>, value: &[u8]) {
    text_head(out, slot, base64_bytes(value.len()));
    base64_simd::STANDARD.encode_append(value, out);
}

/// Length of the base64 of so many bytes.
pub(super) const fn base64_bytes(bytes: usize) -> usize {
    bytes.div_ceil(3) * 4
}

/// A number; all are doubles (contract §2.1).
pub(super) fn number(out: &mut Vec<u8>, slot: Slot<'_>, value: f64) {
    slot.put_with(out, 9, [VALUE, 9, DOUBLE]);
    out.extend_from_slice(&value.to_le_bytes());
}

/// A truth value.
pub(super) fn truth(out: &mut Vec<u8>, slot: Slot<'_>, value: bool) {
    slot.put_with(out, 2, [VALUE, 2, BOOL, u8::from(value)]);
}

/// A map of what `fill` writes; `expected_bytes` need not be right.
pub(super) fn map(
    out: &mut Vec<u8>,
    slot: Slot<'_>,
    expected_bytes: usize,
    fill: impl FnOnce(&mut Vec<u8>),
) {
    container(out, slot, MAP, expected_bytes, fill);
}

/// An array of strings. Lengths are known at once, so this needs no guess.
pub(super) fn texts(out: &mut Vec<u8>, slot: Slot<'_>, values: &[String]) {
    if let [value] = values
        && value.len() < 0x70
    {
        let bytes = low(value.len());
        let tail = [VALUE, bytes + 6, ARRAY, bytes + 4, FIELD_1, bytes + 2, FIELD_1, bytes];
        slot.put_with(out, value.len() + 6, tail);
        out.extend_from_slice(value.as_bytes());
        return;
    }
    let content = values.iter().map(|value| delimited(delimited(value.len()))).sum();
    slot.put(out, delimited(content));
    out.push(ARRAY);
    put_varint(out, content);
    for value in values {
        text(out, Slot::ELEMENT, value);
    }
}

/// Members of a map that are JSON values; a null member is left out (contract §2.1).
pub(super) fn members(out: &mut Vec<u8>, members: &Map<String, Value>) {
    for (key, value) in members {
        if !value.is_null() {
            any(out, Slot::member(key), value);
        }
    }
}

/// Any JSON value; null is an empty string, since an empty `AnyValue` breaks exporters.
fn any(out: &mut Vec<u8>, slot: Slot<'_>, value: &Value) {
    match value {
        Value::Null => text(out, slot, ""),
        Value::Bool(value) => truth(out, slot, *value),
        Value::Number(value) => number(out, slot, value.as_f64().unwrap_or_default()),
        Value::String(value) => text(out, slot, value),
        Value::Array(values) => container(out, slot, ARRAY, 16 * values.len(), |out| {
            for value in values {
                any(out, Slot::ELEMENT, value);
            }
        }),
        Value::Object(object) => map(out, slot, 32 * object.len(), |out| members(out, object)),
    }
}

fn container(
    out: &mut Vec<u8>,
    slot: Slot<'_>,
    kind: u8,
    expected_bytes: usize,
    fill: impl FnOnce(&mut Vec<u8>),
) {
    let head_bytes = |content| slot.bytes(delimited(content)) + delimited_head(content);

    let start = out.len();
    let reserved = start + head_bytes(expected_bytes);
    out.resize(reserved, 0);
    fill(out);

    let end = out.len();
    let content = end - reserved;
    let begin = start + head_bytes(content);
    if begin > reserved {
        out.resize(begin + content, 0);
    }
    if begin != reserved {
        out.copy_within(reserved..end, begin);
        out.truncate(begin + content);
    }
    let mut head = out.get_mut(start..begin).unwrap_or_default();
    slot.put(&mut head, delimited(content));
    head.put_u8(kind);
    put_varint(&mut head, content);
}
