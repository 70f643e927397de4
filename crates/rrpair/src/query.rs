//! Query strings: the part of a request target after `?` (contract §1.2, §1.8).

#[cfg(test)]
mod tests;

use std::borrow::Cow;

/// Name and value as bytes; they need not be UTF-8 after decoding.
pub type Pair<'a> = (Cow<'a, [u8]>, Cow<'a, [u8]>);

/// Decoded pairs in order: `&` between pairs, `+` is a space, `%XX` a byte. A `%` without
/// two hexadecimal digits stays as it is, a name without `=` has an empty value, and empty
/// pairs are skipped.
pub fn decode(query: &[u8]) -> impl Iterator<Item = Pair<'_>> {
    query.split(|&byte| byte == b'&').filter(|pair| !pair.is_empty()).map(|pair| {
        let mut halves = pair.splitn(2, |&byte| byte == b'=');
        let name = halves.next().unwrap_or_default();
        (unescape(name), unescape(halves.next().unwrap_or_default()))
    })
}

/// Path and query of a request target; the query is `None` without a `?`.
pub fn split(target: &[u8]) -> (&[u8], Option<&[u8]>) {
    let mut halves = target.splitn(2, |&byte| byte == b'?');
    (halves.next().unwrap_or_default(), halves.next())
}

fn unescape(text: &[u8]) -> Cow<'_, [u8]> {
    if !text.iter().any(|byte| matches!(byte, b'%' | b'+')) {
        return Cow::Borrowed(text);
    }
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        match (first, after) {
            (b'+', _) => out.push(b' '),
            (b'%', [high, low, after @ ..]) => match (hex(*high), hex(*low)) {
                (Some(high), Some(low)) => {
                    out.push(high << 4 | low);
                    rest = after;
                }
                _ => out.push(first),
            },
            _ => out.push(first),
        }
    }
    Cow::Owned(out)
}

const fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}
