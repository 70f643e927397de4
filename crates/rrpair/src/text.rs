//! Wire bytes as text that can be taken back.

#[cfg(test)]
mod tests;

/// Text of wire bytes, and whether it is exact.
///
/// UTF-8 stays as it is. Of other bytes each one becomes the character of the same number
/// (ISO 8859-1), which cannot be told from UTF-8 that says the same: the flag is then false,
/// and the producer adds the raw head of the message.
pub fn lossless(bytes: &[u8]) -> (String, bool) {
    match std::str::from_utf8(bytes) {
        Ok(text) => (text.to_owned(), true),
        Err(_) => (bytes.iter().copied().map(char::from).collect(), false),
    }
}
