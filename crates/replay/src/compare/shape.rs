//! Kinds of values that are new every time.

/// The kind that both values are of, if it is such a kind.
pub(super) fn same(a: &str, b: &str) -> Option<&'static str> {
    let kind = kind(a)?;
    (self::kind(b) == Some(kind)).then_some(kind)
}

fn kind(text: &str) -> Option<&'static str> {
    if is_uuid(text) {
        Some("a UUID")
    } else if is_time(text) {
        Some("a time")
    } else if is_jwt(text) {
        Some("a JWT")
    } else if is_random(text) {
        Some("a random token")
    } else {
        None
    }
}

fn is_uuid(text: &str) -> bool {
    weir_rrpair::Uuid::parse(text).is_some() && text.len() == 36
}

/// RFC 3339, an HTTP date, or seconds or milliseconds since 1970 in this half of the century.
fn is_time(text: &str) -> bool {
    let rfc3339 = text.len() >= 20 && text.parse::<weir_rrpair::Timestamp>().is_ok();
    let http = text.len() == 29 && text.ends_with(" GMT");
    let epoch = text.parse::<u64>().is_ok_and(|number| {
        let seconds = 1_400_000_000..2_600_000_000;
        seconds.contains(&number) || seconds.contains(&(number / 1000))
    });
    rfc3339 || http || epoch
}

fn is_jwt(text: &str) -> bool {
    text.starts_with("eyJ") && text.split('.').count() == 3
}

/// At least 16 hexadecimal digits with letters among them, or 24 of base64url of every kind.
fn is_random(text: &str) -> bool {
    let digit = text.bytes().any(|byte| byte.is_ascii_digit());
    let hex = text.len() >= 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let url = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    let cases = text.bytes().any(|byte| byte.is_ascii_lowercase())
        && text.bytes().any(|byte| byte.is_ascii_uppercase());
    digit && (hex || (url && cases && text.len() >= 24))
}
