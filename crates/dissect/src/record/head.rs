//! Heads in their normalised form, and whether that form gives the bytes back.

use std::borrow::Cow;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use weir_rrpair::{Fields, Text, header::canonical, text::lossless};

use crate::head::{FieldLines, RequestHead, ResponseHead, Span};

/// Parts of a request target, whichever form it has (RFC 9112 §3.2).
pub(super) struct Target<'a> {
    /// Path and query; for `CONNECT` and `*` the target as it is.
    pub(super) path_and_query: &'a [u8],
    /// Of the absolute form, else the field `Host`; may have a port.
    pub(super) authority: &'a [u8],
    /// End of the path in `path_and_query`.
    path_end: usize,
}

impl<'a> Target<'a> {
    pub(super) fn of(head: &'a RequestHead) -> Self {
        let target = head.target();
        let host = || head.lines.first("host").unwrap_or_default();
        let (authority, path_and_query) = if target.starts_with(b"/") {
            (host(), target)
        } else if let Some((authority, rest)) = absolute(target) {
            (authority, if rest.is_empty() { b"/" } else { rest })
        } else if head.method() == b"CONNECT" {
            (target, target)
        } else {
            (host(), target)
        };
        let path_end = memchr::memchr(b'?', path_and_query).unwrap_or(path_and_query.len());
        Self { path_and_query, authority, path_end }
    }

    pub(super) fn path(&self) -> &'a [u8] {
        self.path_and_query.get(..self.path_end).unwrap_or_default()
    }

    /// Without its question mark.
    pub(super) fn query(&self) -> Option<&'a [u8]> {
        self.path_and_query.get(self.path_end + 1..)
    }
}

/// Authority and the rest of `scheme://authority/path?query`.
fn absolute(target: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = memchr::memchr(b':', target)?;
    let (scheme, rest) = target.split_at(colon);
    let rest = rest.strip_prefix(b"://")?;
    if scheme.is_empty() || !scheme.iter().all(u8::is_ascii_alphanumeric) {
        return None;
    }
    let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?')).unwrap_or(rest.len());
    Some(rest.split_at(end))
}

/// Compares raw bytes with what the normalised form would be written as.
pub(super) struct Rest<'a>(&'a [u8]);

impl Rest<'_> {
    fn expect(rest: &mut Option<Self>, part: &[u8]) {
        *rest = rest.take().and_then(|rest| rest.0.strip_prefix(part).map(Rest));
    }
}

impl RequestHead {
    /// Field lines in canonical form, and the raw head in base64 when it cannot be written
    /// again from them and the request line's parts.
    pub(super) fn normalised(&self, target: &Target<'_>) -> (Fields, Option<String>) {
        let exact_text = std::str::from_utf8(target.path_and_query).is_ok();
        let mut rest = exact_text.then_some(Rest(self.lines.raw()));
        for part in [
            self.method(),
            b" ",
            target.path_and_query,
            b" HTTP/",
            self.version.as_str().as_bytes(),
            b"\r\n",
        ] {
            Rest::expect(&mut rest, part);
        }
        self.lines.normalised(rest)
    }
}

impl ResponseHead {
    /// As for a request.
    pub(super) fn normalised(&self) -> (Fields, Option<String>) {
        let exact_text = std::str::from_utf8(self.reason()).is_ok();
        let mut rest = exact_text.then_some(Rest(self.lines.raw()));
        let digit = |power: u16| b'0' + (self.status / power % 10) as u8;
        for part in [
            b"HTTP/",
            self.version.as_str().as_bytes(),
            &[b' ', digit(100), digit(10), digit(1), b' '],
            self.reason(),
            b"\r\n",
        ] {
            Rest::expect(&mut rest, part);
        }
        self.lines.normalised(rest)
    }
}

impl FieldLines {
    fn normalised(&self, mut rest: Option<Rest<'_>>) -> (Fields, Option<String>) {
        let fields = fields(self, &mut rest);
        Rest::expect(&mut rest, b"\r\n");
        let exact = rest.is_some_and(|rest| rest.0.is_empty());
        (fields, (!exact).then(|| BASE64_STANDARD.encode(self.raw())))
    }
}

/// Field lines by canonical name. `rest` moves on as long as they give the raw bytes back.
pub(super) fn fields(lines: &FieldLines, rest: &mut Option<Rest<'_>>) -> Fields {
    let mut fields = Fields(Vec::with_capacity(lines.len()));
    // One look at all bytes is cheaper than one at each part.
    let text = std::str::from_utf8(lines.raw()).ok();
    for field in &lines.fields {
        let part = |span: Span| text.and_then(|text| text.get(span.range()));
        let name = match part(field.name) {
            Some(name) => canonical(name),
            None => Text::Owned(lossless(lines.slice(field.name)).0),
        };
        let (value, exact) = match part(field.value) {
            Some(value) if memchr::memchr(b'\n', value.as_bytes()).is_none() => {
                (value.to_owned(), true)
            }
            _ => lossless(&unfolded(lines.slice(field.value))),
        };
        for part in [name.as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
            Rest::expect(rest, part);
        }
        // Lines of one name that others separate lose their place.
        let last = fields.0.last().is_some_and(|(last, _)| *last == name);
        let names = fields.0.len();
        fields.push(name, value);
        if !exact || (fields.0.len() == names && !last) {
            *rest = None;
        }
    }
    fields
}

/// A folded value in one line: every line end with the blanks around it is one space (RFC
/// 9112 §5.2).
fn unfolded(value: &[u8]) -> Cow<'_, [u8]> {
    if !value.contains(&b'\n') {
        return Cow::Borrowed(value);
    }
    let lines: Vec<_> = value.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii).collect();
    Cow::Owned(lines.join(b" ".as_slice()))
}

/// Host without its port; an IPv6 literal without its brackets.
pub(super) fn host_name(host: &str) -> &str {
    if let Some(literal) = host.strip_prefix('[') {
        return literal.split(']').next().unwrap_or_default();
    }
    match host.split_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

pub(super) fn method_text(method: &[u8]) -> Text {
    const KNOWN: [&str; 9] =
        ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "CONNECT", "TRACE"];
    let known = KNOWN.iter().find(|known| known.as_bytes() == method);
    known.map_or_else(|| Text::Owned(lossless(method).0), |known| Text::Borrowed(known))
}

/// Common answers, which need no allocation.
const ANSWERS: [(u16, &str, &str); 16] = [
    (200, "200", "200 OK"),
    (201, "201", "201 Created"),
    (202, "202", "202 Accepted"),
    (204, "204", "204 No Content"),
    (301, "301", "301 Moved Permanently"),
    (302, "302", "302 Found"),
    (304, "304", "304 Not Modified"),
    (400, "400", "400 Bad Request"),
    (401, "401", "401 Unauthorized"),
    (403, "403", "403 Forbidden"),
    (404, "404", "404 Not Found"),
    (409, "409", "409 Conflict"),
    (500, "500", "500 Internal Server Error"),
    (502, "502", "502 Bad Gateway"),
    (503, "503", "503 Service Unavailable"),
    (504, "504", "504 Gateway Timeout"),
];

fn answer(status: u16) -> Option<&'static (u16, &'static str, &'static str)> {
    ANSWERS.iter().find(|(known, _, _)| *known == status)
}

pub(super) fn status_text(status: u16) -> Text {
    answer(status)
        .map_or_else(|| Text::Owned(status.to_string()), |(_, text, _)| Text::Borrowed(text))
}

/// `200 OK`, or `200 ` without a reason.
pub(super) fn status_message(status: u16, reason: &[u8]) -> Text {
    match answer(status) {
        Some((_, _, message)) if message.as_bytes().get(4..) == Some(reason) => {
            Text::Borrowed(message)
        }
        _ => Text::Owned(format!("{status} {}", lossless(reason).0)),
    }
}
