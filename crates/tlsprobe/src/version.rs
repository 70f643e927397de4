//! Versions, from a compatibility name or from the text that OpenSSL carries.

use memchr::memmem;

use crate::plan::Version;

/// `OPENSSL_3.0.0`, `OPENSSL_1_1_1`, `GNUTLS_3_4`.
pub(crate) fn from_definition(name: &[u8]) -> Option<Version> {
    if let Some(rest) = name.strip_prefix(b"OPENSSL_") {
        let (major, rest) = number(rest)?;
        // The series before 3 counted in its second number; later ones promise compatibility.
        let minor = (major < 3).then(|| number(rest.get(1..)?)).flatten();
        return Some(Version { major, minor: minor.map(|(minor, _)| minor), patch: None });
    }
    let (major, _) = number(name.strip_prefix(b"GNUTLS_")?)?;
    Some(Version { major, minor: None, patch: None })
}

/// `OpenSSL 3.0.15 3 Sep 2024`, somewhere.
pub(crate) fn from_text(text: &[u8]) -> Option<Version> {
    const BEFORE: &[u8] = b"OpenSSL ";
    memmem::find_iter(text, BEFORE).find_map(|at| dated(text.get(at + BEFORE.len()..)?))
}

fn dated(text: &[u8]) -> Option<Version> {
    let (major, rest) = number(text)?;
    let (minor, rest) = number(rest.strip_prefix(b".")?)?;
    let (patch, rest) = number(rest.strip_prefix(b".")?)?;
    let suffix = rest.get(..16).unwrap_or(rest);
    let space = suffix.iter().position(|byte| *byte == b' ')?;
    let (_, rest) = number(rest.get(space + 1..)?)?;
    let [b' ', a, b, c, b' ', year @ ..] = rest else { return None };
    let month = [a, b, c].into_iter().all(u8::is_ascii_alphabetic);
    (month && number(year).is_some_and(|(year, _)| year > 1998)).then_some(Version {
        major,
        minor: Some(minor),
        patch: Some(patch),
    })
}

fn number(text: &[u8]) -> Option<(u16, &[u8])> {
    let end = text.iter().take(5).take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, rest) = text.split_at_checked(end)?;
    Some((str::from_utf8(digits).ok()?.parse().ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(major: u16, minor: Option<u16>, patch: Option<u16>) -> Version {
        Version { major, minor, patch }
    }

    #[test]
    fn a_definition_tells_the_series() {
        assert_eq!(from_definition(b"OPENSSL_3.0.0"), Some(version(3, None, None)));
        assert_eq!(from_definition(b"OPENSSL_1_1_1"), Some(version(1, Some(1), None)));
        assert_eq!(from_definition(b"GNUTLS_3_4"), Some(version(3, None, None)));
        assert_eq!(from_definition(b"GLIBC_2.2.5"), None);
        assert_eq!(from_definition(b"OPENSSL_"), None);
    }

    #[test]
    fn a_dated_text_tells_all() {
        let text =
            b"needs OpenSSL 3.0.0 or later\0OpenSSL 1.1.1w  11\0OpenSSL 3.0.15+quic 3 Sep 2024\0";
        assert_eq!(from_text(text), Some(version(3, Some(0), Some(15))));
        assert_eq!(from_text(b"OpenSSL 99999.1.1 1 Sep 2024"), None);
        assert_eq!(from_text(b"OpenSSL 3.0.1"), None);
    }
}
