//! Names of field lines (contract §1.2: canonical case).

#[cfg(test)]
mod tests;

use crate::model::Text;

/// Names of this length that need no allocation.
const fn known(bytes: usize) -> &'static [&'static str] {
    match bytes {
        2 => &["Te"],
        3 => &["Age", "Via"],
        4 => &["Date", "Etag", "From", "Host", "Link", "Vary"],
        5 => &["Allow", "Range"],
        6 => &["Accept", "Cookie", "Expect", "Origin", "Pragma", "Server"],
        7 => &["Expires", "Referer", "Trailer", "Upgrade"],
        8 => &["If-Match", "If-Range", "Location", "X-Scheme"],
        9 => &["Forwarded", "X-Real-Ip"],
        10 => &["Connection", "Keep-Alive", "Set-Cookie", "Tracestate", "User-Agent"],
        11 => &["Grpc-Status", "Retry-After", "Traceparent"],
        12 => &["Content-Type", "Grpc-Message", "X-Powered-By", "X-Request-Id"],
        13 => &[
            "Accept-Ranges",
            "Authorization",
            "Cache-Control",
            "Content-Range",
            "If-None-Match",
            "Last-Modified",
        ],
        14 => &["Content-Length", "Sec-Fetch-Dest", "Sec-Fetch-Mode", "Sec-Fetch-Site"],
        15 => &["Accept-Encoding", "Accept-Language", "X-Forwarded-For", "X-Frame-Options"],
        16 => &[
            "Content-Encoding",
            "Content-Language",
            "Www-Authenticate",
            "X-Correlation-Id",
            "X-Forwarded-Host",
            "X-Forwarded-Port",
            "X-Xss-Protection",
        ],
        17 => &["If-Modified-Since", "Transfer-Encoding", "X-Forwarded-Proto"],
        19 => &["Content-Disposition", "If-Unmodified-Since", "Proxy-Authorization"],
        22 => &["X-Content-Type-Options"],
        23 => &["Content-Security-Policy"],
        25 => &["Strict-Transport-Security", "Upgrade-Insecure-Requests"],
        27 => &["Access-Control-Allow-Origin"],
        _ => &[],
    }
}

/// Canonical form of a field name: the first letter and every letter after a hyphen in upper
/// case, the others in lower case, as Go's `net/textproto` writes it. A name that is no
/// token of RFC 9110 §5.6.2 stays as it is.
pub fn canonical(name: &str) -> Text {
    if let Some(known) = known(name.len()).iter().find(|known| known.eq_ignore_ascii_case(name)) {
        return Text::Borrowed(known);
    }
    if name.is_empty() || !name.bytes().all(is_token) {
        return Text::Owned(name.to_owned());
    }
    let mut upper = true;
    let canonical = name
        .chars()
        .map(|letter| {
            let letter =
                if upper { letter.to_ascii_uppercase() } else { letter.to_ascii_lowercase() };
            upper = letter == '-';
            letter
        })
        .collect();
    Text::Owned(canonical)
}

/// `tchar` of RFC 9110 §5.6.2.
const fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        )
}
