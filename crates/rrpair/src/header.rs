//! Names of field lines (contract §1.2: canonical case).

#[cfg(test)]
mod tests;

use crate::model::Text;

/// Names that need no allocation, by length.
const KNOWN: &[&str] = &[
    "Te",
    "Via",
    "Age",
    "Date",
    "Etag",
    "Host",
    "From",
    "Vary",
    "Link",
    "Allow",
    "Range",
    "Accept",
    "Cookie",
    "Origin",
    "Expect",
    "Pragma",
    "Server",
    "Expires",
    "Referer",
    "Trailer",
    "Upgrade",
    "If-Match",
    "If-Range",
    "Location",
    "X-Scheme",
    "Forwarded",
    "Connection",
    "Keep-Alive",
    "Set-Cookie",
    "Tracestate",
    "User-Agent",
    "Retry-After",
    "Traceparent",
    "X-Real-Ip",
    "Content-Type",
    "X-Powered-By",
    "X-Request-Id",
    "Accept-Ranges",
    "Authorization",
    "Cache-Control",
    "Content-Range",
    "Grpc-Status",
    "If-None-Match",
    "Last-Modified",
    "Grpc-Message",
    "X-Frame-Options",
    "Content-Length",
    "Accept-Encoding",
    "Accept-Language",
    "Sec-Fetch-Mode",
    "Sec-Fetch-Site",
    "Sec-Fetch-Dest",
    "X-Forwarded-For",
    "X-Xss-Protection",
    "Content-Encoding",
    "Content-Language",
    "X-Forwarded-Host",
    "X-Forwarded-Port",
    "X-Forwarded-Proto",
    "If-Modified-Since",
    "Transfer-Encoding",
    "Www-Authenticate",
    "X-Correlation-Id",
    "Content-Disposition",
    "X-Content-Type-Options",
    "Proxy-Authorization",
    "If-Unmodified-Since",
    "Strict-Transport-Security",
    "Content-Security-Policy",
    "Upgrade-Insecure-Requests",
    "Access-Control-Allow-Origin",
];

/// Canonical form of a field name: the first letter and every letter after a hyphen in upper
/// case, the others in lower case, as Go's `net/textproto` writes it. A name that is no
/// token of RFC 9110 §5.6.2 stays as it is.
pub fn canonical(name: &str) -> Text {
    if let Some(known) =
        KNOWN.iter().find(|known| known.len() == name.len() && known.eq_ignore_ascii_case(name))
    {
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
