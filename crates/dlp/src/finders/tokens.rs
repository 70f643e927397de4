//! Tokens, keys and statements that are found by a literal.

use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use memchr::memmem;

const fn url_safe(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}

fn run(text: &[u8], from: usize, set: impl Fn(u8) -> bool) -> usize {
    text.get(from..).unwrap_or_default().iter().take_while(|byte| set(**byte)).count()
}

/// `eyJ…` at `at`: three parts (RFC 7519) or five (RFC 7516) of base64url, the first of which
/// is a JSON object. A token that was cut after its second part counts.
pub(super) fn jwt(text: &[u8], at: usize, limit: &mut usize) -> Option<Range<usize>> {
    if !text.get(at..)?.starts_with(b"eyJ") || (at > 0 && url_safe(text[at - 1])) {
        return None;
    }
    let header = run(text, at, url_safe);
    *limit = at + header;
    let mut end = at + header;
    let mut parts = 1;
    while parts < 5 && text.get(end) == Some(&b'.') {
        let part = run(text, end + 1, url_safe);
        // The last part is empty with `alg: none`, a middle one in a JWE with a direct key.
        if part == 0 && parts != 2 && parts != 1 {
            break;
        }
        end += 1 + part;
        parts += 1;
    }
    let header = text.get(at..at + header)?;
    // Whole groups of four: the rest may be cut.
    let whole = header.get(..header.len() / 4 * 4)?;
    let json = URL_SAFE_NO_PAD.decode(whole).ok()?;
    let object = json.first() == Some(&b'{') && std::str::from_utf8(&json).is_ok();
    let complete = parts >= 3;
    let cut = parts == 2 && end == text.len();
    (object && json.len() >= 9 && (complete || cut)).then_some(at..end)
}

/// A PEM private key from its first line to its last, or to the end of the text.
pub(super) fn private_key(text: &[u8], at: usize) -> Option<Range<usize>> {
    let rest = text.get(at..)?;
    let first_line = rest.get(..rest.len().min(80))?;
    let label = first_line.get(b"-----BEGIN ".len()..)?;
    let name = memmem::find(label, b"-----").map_or(label, |end| &label[..end]);
    memmem::find(name, b"PRIVATE KEY")?;
    let end = memmem::find(rest, b"-----END ").and_then(|end| {
        let from = end + b"-----END ".len();
        let last = rest.get(from..rest.len().min(from + 64))?;
        memmem::find(last, b"-----").map(|close| from + close + 5)
    });
    Some(at..at + end.unwrap_or(rest.len()))
}

/// The credential after the name of an authentication scheme.
pub(super) fn bearer(text: &[u8], at: usize, scheme: &str) -> Option<Range<usize>> {
    if at > 0 && (text[at - 1].is_ascii_alphanumeric() || text[at - 1] == b'_') {
        return None;
    }
    let mut start = at + scheme.len();
    start += run(text, start, |byte| byte == b' ');
    let token68 = |byte: u8| url_safe(byte) || matches!(byte, b'.' | b'~' | b'+' | b'/' | b'=');
    let length = run(text, start, token68);
    let token = text.get(start..start + length)?;
    // A full stop after a sentence is none of the token's.
    let token = token.strip_suffix(b".").unwrap_or(token);
    let fits = if scheme == "basic " {
        let body = token.iter().position(|byte| *byte == b'=').map_or(token, |end| &token[..end]);
        STANDARD_NO_PAD.decode(body).is_ok_and(|decoded| decoded.contains(&b':'))
    } else {
        // Not the words after "bearer" in prose.
        token.len() >= 20 || (token.len() >= 8 && token.iter().any(u8::is_ascii_digit))
    };
    fits.then_some(start..start + token.len())
}

/// A statement of SQL: its first keyword and one that must follow, up to a semicolon.
pub(super) fn sql(
    text: &[u8],
    at: usize,
    keyword: &str,
    limit: &mut usize,
) -> Option<Range<usize>> {
    if at > 0 && (text[at - 1].is_ascii_alphanumeric() || text[at - 1] == b'_') {
        return None;
    }
    let rest = text.get(at..)?;
    let end = memchr::memchr2(b';', b'\0', rest).unwrap_or(rest.len());
    *limit = at + keyword.len();
    let statement = rest.get(..end.min(4096))?.to_ascii_lowercase();
    let second: &[&[u8]] = match keyword {
        "select " => &[b" from ", b" from\n", b"select 1"],
        "update " => &[b" set "],
        "insert into " => &[b" values", b" select "],
        _ => &[b" where ", b"delete from "],
    };
    let found = second.iter().any(|word| memmem::find(&statement, word).is_some());
    found.then(|| {
        let statement = rest[..end].trim_ascii_end();
        at..at + statement.len()
    })
}
