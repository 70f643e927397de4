//! The start line and field lines of a complete head.
//!
//! `httparse` reads what is well-formed. Whatever it refuses is read again by rules that
//! lose nothing a real server may have understood: any byte in the target and in values,
//! any number of blanks, folded values, names that are no tokens.

use std::mem::MaybeUninit;

use super::{FieldLines, FieldSpan, RequestHead, ResponseHead, Span, Version};
use crate::{
    event::UndecodableReason,
    exchange::{Defect, Defects},
    limits::MAX_FIELD_LINES,
};

/// Field lines that the quick way has room for; a head with more goes the other way.
const QUICK_FIELD_LINES: usize = 64;

/// The start line's facts and the places of the field lines.
pub(super) struct Parsed<Start> {
    pub(super) start: Start,
    pub(super) fields: Vec<FieldSpan>,
}

pub(super) struct RequestLine {
    pub(super) method: Span,
    pub(super) target: Span,
    pub(super) version: Version,
}

pub(super) struct StatusLine {
    pub(super) status: u16,
    pub(super) reason: Span,
    pub(super) version: Version,
}

pub(super) fn request(
    bytes: &[u8],
    defects: &mut Defects,
) -> Result<Parsed<RequestLine>, UndecodableReason> {
    let mut room = [const { MaybeUninit::uninit() }; QUICK_FIELD_LINES];
    let mut quick = httparse::Request::new(&mut []);
    let outcome = quick.parse_with_uninit_headers(bytes, &mut room);
    if let (Ok(httparse::Status::Complete(length)), Some(method), Some(target), Some(minor)) =
        (outcome, quick.method, quick.path, quick.version)
        && length == bytes.len()
    {
        let start = RequestLine {
            method: span_in(bytes, method.as_bytes()),
            target: span_in(bytes, target.as_bytes()),
            version: version(minor),
        };
        return Ok(Parsed { start, fields: spans_in(bytes, quick.headers) });
    }
    let (line, rest) = first_line(bytes);
    let start = request_line(bytes.get(..line).unwrap_or_default())?;
    note_forbidden(bytes, start.target, defects);
    Ok(Parsed { start, fields: field_lines(bytes, rest, defects)? })
}

pub(super) fn response(
    bytes: &[u8],
    defects: &mut Defects,
) -> Result<Parsed<StatusLine>, UndecodableReason> {
    let mut room = [const { MaybeUninit::uninit() }; QUICK_FIELD_LINES];
    let mut quick = httparse::Response::new(&mut []);
    let outcome = httparse::ParserConfig::default()
        .parse_response_with_uninit_headers(&mut quick, bytes, &mut room);
    let (line, rest) = first_line(bytes);
    let start = status_line(bytes.get(..line).unwrap_or_default())?;
    if matches!(outcome, Ok(httparse::Status::Complete(length)) if length == bytes.len()) {
        return Ok(Parsed { start, fields: spans_in(bytes, quick.headers) });
    }
    note_forbidden(bytes, start.reason, defects);
    Ok(Parsed { start, fields: field_lines(bytes, rest, defects)? })
}

/// Field lines of a trailer section, its blank line included.
pub(crate) fn trailers(
    raw: Vec<u8>,
    defects: &mut Defects,
) -> Result<FieldLines, UndecodableReason> {
    let fields = field_lines(&raw, 0, defects)?;
    Ok(FieldLines { raw, fields })
}

/// A request line without its line end. The target may hold blanks: the version is the
/// last word.
pub(super) fn request_line(line: &[u8]) -> Result<RequestLine, UndecodableReason> {
    let malformed = UndecodableReason::Malformed;
    let method_end = line.iter().position(|&byte| is_blank(byte)).ok_or(malformed)?;
    let trimmed = line.trim_ascii_end();
    let version_start =
        trimmed.iter().rposition(|&byte| is_blank(byte)).map(|at| at + 1).ok_or(malformed)?;
    let version = version_word(trimmed.get(version_start..).unwrap_or_default());
    let between = line.get(method_end..version_start).unwrap_or_default();
    let target = span_in(line, trim_blanks(between));
    let method = Span::new(0, method_end);
    if version == Err(UndecodableReason::Http2) && line.starts_with(b"PRI * ") {
        return Err(UndecodableReason::Http2);
    }
    let version = version.map_err(|_reason| malformed)?;
    let is_request = target.end > target.start
        && method_end > 0
        && line.get(..method_end).is_some_and(|method| method.iter().all(|&byte| is_token(byte)));
    if is_request { Ok(RequestLine { method, target, version }) } else { Err(malformed) }
}

/// A status line without its line end; blanks may be many and the reason may be missing.
pub(super) fn status_line(line: &[u8]) -> Result<StatusLine, UndecodableReason> {
    let malformed = UndecodableReason::Malformed;
    let version = version_word(line.get(..8).unwrap_or_default()).map_err(|_reason| malformed)?;
    let rest = line.get(8..).unwrap_or_default();
    let after = trim_blanks_start(rest);
    let status = match after {
        [a @ b'1'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9', ..] if after.len() < rest.len() => {
            u16::from(a - b'0') * 100 + u16::from(b - b'0') * 10 + u16::from(c - b'0')
        }
        _ => return Err(malformed),
    };
    let tail = after.get(3..).unwrap_or_default();
    let reason = match tail {
        [] => Span::new(line.len(), line.len()),
        [blank, reason @ ..] if is_blank(*blank) => span_in(line, reason),
        _ => return Err(malformed),
    };
    Ok(StatusLine { status, reason, version })
}

fn version_word(word: &[u8]) -> Result<Version, UndecodableReason> {
    match word {
        b"HTTP/1.0" => Ok(Version::Http10),
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'0'..=b'9'] => Ok(Version::Http11),
        b"HTTP/2.0" => Err(UndecodableReason::Http2),
        _ => Err(UndecodableReason::Malformed),
    }
}

fn version(minor: u8) -> Version {
    if minor == 0 { Version::Http10 } else { Version::Http11 }
}

/// Field lines from `start` on; lines that are none stay in the raw bytes alone.
fn field_lines(
    bytes: &[u8],
    start: usize,
    defects: &mut Defects,
) -> Result<Vec<FieldSpan>, UndecodableReason> {
    let mut fields: Vec<FieldSpan> = Vec::new();
    let section = bytes.get(start..).unwrap_or_default();
    for line in section.split(|&byte| byte == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            continue;
        }
        if is_blank(line[0])
            && let Some(folded) = fields.last_mut()
        {
            defects.insert(Defect::FoldedField);
            let rest = span_in(bytes, trim_blanks(line));
            note_forbidden(bytes, rest, defects);
            if rest.end > rest.start {
                if folded.value.start == folded.value.end {
                    folded.value.start = rest.start;
                }
                folded.value.end = rest.end;
            }
            continue;
        }
        let Some(colon) = memchr::memchr(b':', line) else {
            defects.insert(Defect::BadField);
            continue;
        };
        let (name, value) = line.split_at(colon);
        if name.is_empty() || !name.iter().all(|&byte| is_token(byte)) {
            defects.insert(Defect::BadField);
        }
        let value = span_in(bytes, trim_blanks(value.get(1..).unwrap_or_default()));
        note_forbidden(bytes, value, defects);
        if fields.len() == MAX_FIELD_LINES {
            return Err(UndecodableReason::HeadTooLarge);
        }
        fields.push(FieldSpan { name: span_in(bytes, trim_blanks(name)), value });
    }
    Ok(fields)
}

fn note_forbidden(bytes: &[u8], span: Span, defects: &mut Defects) {
    let part = bytes.get(span.start as usize..span.end as usize).unwrap_or_default();
    if part.iter().any(|&byte| (byte < b' ' && byte != b'\t') || byte == 0x7f) {
        defects.insert(Defect::ForbiddenByte);
    }
}

/// Length of the first line without its line end, and where the next one starts.
fn first_line(bytes: &[u8]) -> (usize, usize) {
    let end = memchr::memchr(b'\n', bytes).unwrap_or(bytes.len());
    let line = bytes.get(..end).unwrap_or_default();
    (line.strip_suffix(b"\r").unwrap_or(line).len(), end + 1)
}

fn spans_in(bytes: &[u8], headers: &[httparse::Header<'_>]) -> Vec<FieldSpan> {
    let span = |header: &httparse::Header<'_>| FieldSpan {
        name: span_in(bytes, header.name.as_bytes()),
        value: span_in(bytes, header.value),
    };
    headers.iter().map(span).collect()
}

/// Place of `part`, which is a slice of `bytes`.
fn span_in(bytes: &[u8], part: &[u8]) -> Span {
    let start = part.as_ptr().addr().wrapping_sub(bytes.as_ptr().addr());
    Span::new(start, start.wrapping_add(part.len()))
}

fn trim_blanks_start(bytes: &[u8]) -> &[u8] {
    let start = bytes.iter().position(|&byte| !is_blank(byte)).unwrap_or(bytes.len());
    bytes.get(start..).unwrap_or_default()
}

fn trim_blanks(bytes: &[u8]) -> &[u8] {
    let bytes = trim_blanks_start(bytes);
    let end = bytes.iter().rposition(|&byte| !is_blank(byte)).map_or(0, |at| at + 1);
    bytes.get(..end).unwrap_or_default()
}

pub(super) const fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// `tchar` of RFC 9110 §5.6.2.
pub(super) const fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~'
        )
}

impl Span {
    /// Heads are shorter than 4 GiB: their limit is far below.
    pub(super) fn new(start: usize, end: usize) -> Self {
        Self {
            start: u32::try_from(start).unwrap_or(u32::MAX),
            end: u32::try_from(end).unwrap_or(u32::MAX),
        }
    }
}

impl RequestHead {
    pub(super) fn assemble(raw: Vec<u8>, parsed: Parsed<RequestLine>) -> Self {
        let Parsed { start: RequestLine { method, target, version }, fields } = parsed;
        Self { lines: FieldLines { raw, fields }, version, method, target }
    }
}

impl ResponseHead {
    pub(super) fn assemble(raw: Vec<u8>, parsed: Parsed<StatusLine>) -> Self {
        let Parsed { start: StatusLine { status, reason, version }, fields } = parsed;
        Self { lines: FieldLines { raw, fields }, version, status, reason }
    }
}
