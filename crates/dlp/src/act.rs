//! What takes the place of a value.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};

use crate::policy::{Action, SecretKey};

/// Place of an [`Act`] in the redactor's list, which is ordered from weak to strict: of two
/// the greater one counts.
pub(crate) type ActId = u8;

/// What a policy does to a value.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    Token,
    KeyedToken(SecretKey),
    Mask,
    Remove,
}

/// Digits of the hash in a token (contract §3.4, measured).
const DIGITS: usize = 20;
const PREFIX: &[u8] = b"REDACTED-";

impl Act {
    pub(crate) fn new(action: Action, key: Option<&SecretKey>) -> Option<Self> {
        Some(match action {
            Action::Token => Self::Token,
            Action::KeyedToken => Self::KeyedToken(key?.clone()),
            Action::Mask => Self::Mask,
            Action::Remove => Self::Remove,
        })
    }

    /// What stands in the place of `original`.
    pub(crate) fn replacement(&self, original: &[u8], category: &str) -> Vec<u8> {
        match self {
            Self::Token => token(category, &Sha256::digest(original)),
            Self::KeyedToken(key) => {
                let mut mac = Hmac::<Sha256>::new_from_slice(&key.0)
                    .expect("HMAC takes keys of every length");
                mac.update(original);
                token(category, &mac.finalize().into_bytes())
            }
            // Characters of UTF-8, else bytes: what continues a character is left out.
            Self::Mask => {
                let characters = original.iter().filter(|byte| **byte & 0xc0 != 0x80).count();
                vec![b'*'; characters]
            }
            Self::Remove => Vec::new(),
        }
    }
}

fn token(category: &str, digest: &[u8]) -> Vec<u8> {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let mut token = Vec::with_capacity(PREFIX.len() + category.len() + 1 + DIGITS);
    token.extend_from_slice(PREFIX);
    token.extend_from_slice(category.as_bytes());
    token.push(b'-');
    for byte in digest.iter().take(DIGITS / 2) {
        token.push(HEX[usize::from(byte >> 4)]);
        token.push(HEX[usize::from(byte & 15)]);
    }
    token
}

/// Length of the token that `text` starts with.
pub(crate) fn token_at(text: &[u8]) -> Option<usize> {
    let rest = text.strip_prefix(PREFIX)?;
    // Categories are short; names of own patterns have at most 63 letters.
    let name = |byte: &u8| {
        byte.is_ascii_uppercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'*' | b'-')
    };
    // A category may end like a hash begins, so the hash is looked for from the right.
    let run = rest.iter().take(64).take_while(|byte| name(byte)).count();
    (1..=run).rev().find_map(|end| {
        let hash = rest.get(end..end + DIGITS)?;
        let hex = |byte: &u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(byte);
        let after = rest.get(end + DIGITS);
        (rest[end - 1] == b'-'
            && end > 1
            && hash.iter().all(hex)
            && !after.is_some_and(u8::is_ascii_hexdigit))
        .then_some(PREFIX.len() + end + DIGITS)
    })
}

/// True when the whole of `text` is a token, or a value that was masked.
pub(crate) fn is_redacted(text: &[u8]) -> bool {
    token_at(text) == Some(text.len()) || (!text.is_empty() && text.iter().all(|b| *b == b'*'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_have_the_form_of_the_contract() {
        let of = |text: &[u8], category| {
            String::from_utf8(Act::Token.replacement(text, category)).unwrap()
        };
        assert_eq!(
            of(b"test-token-1", "UNRECOGNIZED"),
            "REDACTED-UNRECOGNIZED-2ef1ad06c1ae800b179c"
        );
        assert_eq!(of(b"", "UNRECOGNIZED"), "REDACTED-UNRECOGNIZED-e3b0c44298fc1c149afb");
    }

    #[test]
    fn a_token_is_known_again() {
        for category in ["EMAIL", "CREDIT_CARD", "IP4*", "MY-RULE-1", "ABCDEF-0"] {
            let token = Act::Token.replacement(b"x", category);
            assert_eq!(token_at(&token), Some(token.len()), "{category}");
            assert!(is_redacted(&token));
            assert!(!is_redacted(&[token.as_slice(), b"x"].concat()));
        }
        assert_eq!(token_at(b"REDACTED--2ef1ad06c1ae800b179c"), None);
        assert_eq!(token_at(b"REDACTED-EMAIL-2ef1ad06c1ae800b179"), None);
    }

    #[test]
    fn a_keyed_token_depends_on_its_key() {
        let keyed = |key: &[u8]| {
            Act::KeyedToken(SecretKey(key.to_vec())).replacement(b"078-05-1120", "SSN")
        };
        assert_ne!(keyed(b"a"), keyed(b"b"));
        assert_ne!(keyed(b"a"), Act::Token.replacement(b"078-05-1120", "SSN"));
        assert!(is_redacted(&keyed(b"a")));
    }

    #[test]
    fn a_mask_has_the_length_in_characters() {
        assert_eq!(Act::Mask.replacement("für".as_bytes(), "X"), b"***");
    }
}
