//! Protocol Buffers and gRPC frames, without their definitions: strings are redacted, and the
//! lengths of everything around them are written anew.

use std::ops::Range;

use crate::coding::{self, Coding};
use crate::edit::{Edit, apply, hits, settle};
use crate::engine::{At, Run};

/// Messages in messages are followed this far.
const MAX_NESTING: usize = 24;

/// One field whose value has a length.
struct Delimited {
    /// Length and value.
    whole: Range<usize>,
    value: Range<usize>,
}

/// Redacts in a message; `None` when the bytes are none.
pub(crate) fn message(run: &mut Run<'_>, at: At<'_>, input: &[u8]) -> Option<Vec<Edit>> {
    nested(run, at, input, 0)
}

fn nested(run: &mut Run<'_>, at: At<'_>, input: &[u8], nesting: usize) -> Option<Vec<Edit>> {
    let fields = fields(input)?;
    let mut edits = Vec::new();
    for Delimited { whole, value } in fields {
        let bytes = &input[value];
        let inner = field(run, at, bytes, nesting);
        if !inner.is_empty() {
            let changed = apply(bytes, &inner);
            let mut with = varint(changed.len());
            with.extend_from_slice(&changed);
            edits.push(Edit { range: whole, with, hits: hits(&inner) });
        }
    }
    Some(edits)
}

/// A string or a message: which one, only the definition says. Read as both, the reading
/// that shows more to redact counts.
fn field(run: &mut Run<'_>, at: At<'_>, bytes: &[u8], nesting: usize) -> Vec<Edit> {
    let message = (nesting < MAX_NESTING && bytes.len() > 1)
        .then(|| nested(run, at, bytes, nesting + 1))
        .flatten()
        .unwrap_or_default();
    let text = match std::str::from_utf8(bytes) {
        Ok(_) => run.value(at.deeper(), bytes),
        Err(_) => run.found(at, bytes, false),
    };
    if hits(&message).len() >= hits(&text).len() { message } else { text }
}

/// The length-delimited fields of a message that is whole.
fn fields(input: &[u8]) -> Option<Vec<Delimited>> {
    let mut fields = Vec::new();
    let mut at = 0;
    while at < input.len() {
        let tag = read_varint(input, &mut at)?;
        if tag >> 3 == 0 {
            return None;
        }
        match tag & 7 {
            0 => {
                read_varint(input, &mut at)?;
            }
            1 => at += 8,
            5 => at += 4,
            2 => {
                let start = at;
                let length = usize::try_from(read_varint(input, &mut at)?).ok()?;
                let end = at.checked_add(length)?;
                fields.push(Delimited { whole: start..end, value: at..end });
                at = end;
            }
            _ => return None,
        }
        if at > input.len() {
            return None;
        }
    }
    Some(fields)
}

fn read_varint(input: &[u8], at: &mut usize) -> Option<u64> {
    let mut number = 0;
    for place in 0..10 {
        let byte = *input.get(*at)?;
        *at += 1;
        number |= u64::from(byte & 0x7f) << (7 * place).min(63);
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

fn varint(mut number: usize) -> Vec<u8> {
    let mut out = Vec::new();
    loop {
        let low = u8::try_from(number & 0x7f).unwrap_or(0);
        number >>= 7;
        if number == 0 {
            out.push(low);
            return out;
        }
        out.push(low | 0x80);
    }
}

/// Redacts in the frames of a gRPC body. `None` when a frame cannot be searched.
pub(crate) fn grpc(
    run: &mut Run<'_>,
    at: At<'_>,
    encoding: Option<Coding>,
    input: &[u8],
) -> Option<Vec<Edit>> {
    let mut edits = Vec::new();
    let mut start = 0;
    while let Some(header) = input.get(start..start + 5) {
        let length = u32::from_be_bytes([header[1], header[2], header[3], header[4]]) as usize;
        let from = start + 5;
        let end = from.saturating_add(length).min(input.len());
        let cut = end - from < length;
        let frame = &input[from..end];
        let inner = frame_edits(run, at, (header[0] & 1 == 1).then_some(encoding), frame, cut)?;
        if let Some(edit) = inner {
            let mut with = vec![header[0]];
            let grown = (length + edit.with.len()).saturating_sub(frame.len());
            with.extend_from_slice(&u32::try_from(grown).unwrap_or(u32::MAX).to_be_bytes());
            with.extend_from_slice(&edit.with);
            edits.push(Edit { range: start..end, with, hits: edit.hits });
        }
        start = end;
    }
    // The start of a frame's header, in a body that was cut.
    Some(edits)
}

/// The frame's message with its edits made; `Some(None)` when nothing changes.
#[expect(clippy::option_option, reason = "cannot be read, or need not change")]
fn frame_edits(
    run: &mut Run<'_>,
    at: At<'_>,
    packed: Option<Option<Coding>>,
    frame: &[u8],
    cut: bool,
) -> Option<Option<Edit>> {
    let unpacked;
    let bytes = match packed {
        None => frame,
        Some(coding) => {
            unpacked = coding::decode(coding?, frame, cut).ok()?;
            &unpacked
        }
    };
    let inner = match message(run, at, bytes) {
        Some(edits) => edits,
        // Cut, or no protobuf: as text, whatever becomes of the lengths in it.
        None => run.text(at.deeper(), bytes),
    };
    let inner = settle(inner);
    if inner.is_empty() {
        return Some(None);
    }
    let changed = apply(bytes, &inner);
    let with = match packed.flatten() {
        None => changed,
        Some(coding) => coding::encode(coding, &changed).ok()?,
    };
    Some(Some(Edit { range: 0..frame.len(), with, hits: hits(&inner) }))
}
