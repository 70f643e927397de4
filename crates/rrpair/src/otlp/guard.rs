//! A look at a request before it is decoded: two bytes on the wire can be a value that takes
//! a hundred in memory, so values are counted first.

use prost::encoding::{WireType, decode_key, decode_varint};

/// The messages of a request that hold other messages.
#[derive(Clone, Copy)]
enum Kind {
    Request,
    ResourceLogs,
    Resource,
    ScopeLogs,
    Scope,
    LogRecord,
    KeyValue,
    AnyValue,
    Array,
    Map,
}

impl Kind {
    /// The message in a length-delimited field, if it is one that can hold others.
    const fn child(self, field: u32) -> Option<Self> {
        match (self, field) {
            (Self::Request, 1) => Some(Self::ResourceLogs),
            (Self::ResourceLogs, 1) => Some(Self::Resource),
            (Self::ResourceLogs, 2) => Some(Self::ScopeLogs),
            (Self::ScopeLogs, 1) => Some(Self::Scope),
            (Self::ScopeLogs, 2) => Some(Self::LogRecord),
            (Self::Resource | Self::Map, 1) | (Self::Scope, 3) | (Self::LogRecord, 6) => {
                Some(Self::KeyValue)
            }
            (Self::LogRecord, 5) | (Self::KeyValue, 2) | (Self::Array, 1) => Some(Self::AnyValue),
            (Self::AnyValue, 5) => Some(Self::Array),
            (Self::AnyValue, 6) => Some(Self::Map),
            _ => None,
        }
    }
}

/// Messages in a request, itself included, or `None` when there are more than `limit`. Bytes
/// that are no protobuf are left to the decoder, which refuses them.
pub(super) fn messages(request: &[u8], limit: usize) -> Option<usize> {
    let mut count = 0;
    // Depth costs no stack here: what is still to be read waits in a list.
    let mut waiting = vec![(Kind::Request, request)];
    while let Some((kind, mut bytes)) = waiting.pop() {
        count += 1;
        while let Some((field, content)) = next_field(&mut bytes) {
            if let Some(child) = kind.child(field) {
                if count + waiting.len() >= limit {
                    return None;
                }
                waiting.push((child, content));
            }
        }
    }
    Some(count)
}

/// Number and content of the next length-delimited field; others are stepped over. `None` at
/// the end and at what cannot be read.
fn next_field<'a>(bytes: &mut &'a [u8]) -> Option<(u32, &'a [u8])> {
    loop {
        let (field, wire_type) = decode_key(bytes).ok()?;
        let content_bytes = match wire_type {
            WireType::Varint => {
                decode_varint(bytes).ok()?;
                continue;
            }
            WireType::SixtyFourBit => 8,
            WireType::ThirtyTwoBit => 4,
            WireType::LengthDelimited => usize::try_from(decode_varint(bytes).ok()?).ok()?,
            // Groups are not part of proto3; prost skips them, and so they cost no memory.
            WireType::StartGroup | WireType::EndGroup => continue,
        };
        let (content, rest) = bytes.split_at_checked(content_bytes)?;
        *bytes = rest;
        if wire_type == WireType::LengthDelimited {
            return Some((field, content));
        }
    }
}
