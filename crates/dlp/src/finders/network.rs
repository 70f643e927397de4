//! Mail addresses, URLs, IP addresses.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::ops::Range;

/// RFC 5321 §4.5.3.1.
const LONGEST_LOCAL_PART: usize = 64;
const LONGEST_DOMAIN: usize = 253;

/// The address around the `@` at `at`.
pub(super) fn email(text: &[u8], at: usize) -> Option<Range<usize>> {
    let local = |byte: u8| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'+' | b'-' | b'~' | b'!')
    };
    let before = text[..at].iter().rev().take(LONGEST_LOCAL_PART);
    let length = before.take_while(|byte| local(**byte)).count();
    let name = &text[at - length..at];
    let name = name.trim_ascii_start();
    let skipped = name.iter().take_while(|byte| !byte.is_ascii_alphanumeric()).count();
    let start = at - name.len() + skipped;
    if start >= at || !text[at - 1].is_ascii_alphanumeric() && !b"_+-".contains(&text[at - 1]) {
        return None;
    }
    let domain = text.get(at + 1..)?.iter().take(LONGEST_DOMAIN);
    let set = |byte: &&u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-');
    let length = domain.take_while(set).count();
    let mut domain = text.get(at + 1..at + 1 + length)?;
    while let [shorter @ .., b'.' | b'-'] = domain {
        domain = shorter;
    }
    let top = domain.rsplit(|byte| *byte == b'.').next()?;
    let labels = domain.split(|byte| *byte == b'.');
    let named = labels.clone().count() >= 2 && labels.clone().all(|label| !label.is_empty());
    let top_level = top.len() >= 2
        && (top.iter().all(u8::is_ascii_alphabetic)
            || top.to_ascii_lowercase().starts_with(b"xn--"));
    (named && top_level).then_some(start..at + 1 + domain.len())
}

/// Scheme of the URL whose `://` stands at `at`.
fn scheme(text: &[u8], at: usize) -> Option<Range<usize>> {
    let set = |byte: &&u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
    let length = text[..at].iter().rev().take(16).take_while(set).count();
    let start = at - length;
    (length > 0 && text[start].is_ascii_alphabetic()).then_some(start..at)
}

/// Password, or else user, in `scheme://user:password@host`.
pub(super) fn url_credential(text: &[u8], at: usize) -> Option<Range<usize>> {
    scheme(text, at)?;
    let start = at + 3;
    let rest = text.get(start..)?;
    let ends = |byte: &u8| byte.is_ascii_whitespace() || b"/?#\"'<>\\,".contains(byte);
    let authority = rest.iter().take(1024).position(ends).unwrap_or_else(|| rest.len().min(1024));
    let user_info = rest[..authority].iter().rposition(|byte| *byte == b'@')?;
    let colon = rest[..user_info].iter().position(|byte| *byte == b':');
    let from = colon.map_or(0, |colon| colon + 1);
    (from < user_info).then_some(start + from..start + user_info)
}

/// The whole URL whose `://` stands at `at`.
pub(super) fn url(text: &[u8], at: usize) -> Option<(Range<usize>, &'static str)> {
    let scheme = scheme(text, at)?;
    let rest = text.get(at + 3..)?;
    let ends = |byte: &u8| byte.is_ascii_whitespace() || b"\"'<>\\`{}|^".contains(byte);
    let length = rest.iter().position(ends).unwrap_or(rest.len());
    let mut url = &rest[..length];
    while let [shorter @ .., b'.' | b',' | b';' | b')' | b'!'] = url {
        url = shorter;
    }
    let http = text[scheme.clone()].to_ascii_lowercase().starts_with(b"http");
    let category = if http { "HTTP_URL" } else { "URL" };
    (!url.is_empty()).then_some((scheme.start..at + 3 + url.len(), category))
}

/// The dotted quad that the digits at `at` begin.
pub(super) fn ipv4(text: &[u8], at: usize) -> Option<Range<usize>> {
    if at > 0 && text[at - 1] == b'.' {
        return None;
    }
    let rest = text.get(at..)?;
    let set = |byte: &&u8| byte.is_ascii_digit() || **byte == b'.';
    let length = rest.iter().take(17).take_while(set).count();
    let quad = rest[..length].strip_suffix(b".").unwrap_or(&rest[..length]);
    let after = rest.get(quad.len());
    let address: Option<Ipv4Addr> = std::str::from_utf8(quad).ok()?.parse().ok();
    (address.is_some() && !after.is_some_and(u8::is_ascii_alphanumeric))
        .then_some(at..at + quad.len())
}

/// The IPv6 address that the word at `at` begins, or the colons before it.
pub(super) fn ipv6(text: &[u8], at: usize) -> Option<Range<usize>> {
    let colons = text[..at].iter().rev().take(3).take_while(|byte| **byte == b':').count();
    let start = match colons {
        0 => at,
        2 if at < 3 || !text[at - 3].is_ascii_alphanumeric() => at - 2,
        _ => return None,
    };
    let rest = &text[start..];
    let set = |byte: &&u8| byte.is_ascii_hexdigit() || matches!(**byte, b':' | b'.');
    let mut length = rest.iter().take(46).take_while(set).count();
    if rest.get(length).is_some_and(u8::is_ascii_alphanumeric) {
        return None;
    }
    while length > 2 && matches!(rest[length - 1], b'.' | b':') && !rest[..length].ends_with(b"::")
    {
        length -= 1;
    }
    let address: Option<Ipv6Addr> = std::str::from_utf8(&rest[..length]).ok()?.parse().ok();
    address.filter(|address| !address.is_unspecified())?;
    Some(start..start + length)
}
