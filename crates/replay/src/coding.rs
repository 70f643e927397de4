//! Content codings undone (RFC 9110 §8.4), up to a limit.

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::io::Read;

/// Why a body stays as it came.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Undecodable {
    #[error("its content coding is unknown")]
    UnknownCoding,
    #[error("its content coding is damaged")]
    Damaged,
    #[error("it is larger than the limit after decoding")]
    TooLarge,
}

/// Codings that may be nested; more is an attack.
const MAX_CODINGS: usize = 4;

/// The body without its content codings. `codings` is the value of `Content-Encoding`, or
/// empty.
///
/// # Errors
///
/// When it cannot be decoded, or gets larger than `limit`.
pub fn decode<'a>(
    codings: &str,
    body: &'a [u8],
    limit: usize,
) -> Result<Cow<'a, [u8]>, Undecodable> {
    let names: Vec<_> = codings.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
    if names.len() > MAX_CODINGS {
        return Err(Undecodable::UnknownCoding);
    }
    let mut body = Cow::Borrowed(body);
    for name in names.iter().rev() {
        if let Some(decoded) = one(name, &body, limit)? {
            body = Cow::Owned(decoded);
        }
    }
    Ok(body)
}

fn one(name: &str, body: &[u8], limit: usize) -> Result<Option<Vec<u8>>, Undecodable> {
    if body.is_empty() {
        return Ok(None);
    }
    let decoded = match name.to_ascii_lowercase().as_str() {
        "identity" => return Ok(None),
        "gzip" | "x-gzip" => read(flate2::read::MultiGzDecoder::new(body), limit),
        // RFC 9110 means zlib; some servers send bare deflate.
        "deflate" => {
            read(flate2::read::ZlibDecoder::new(body), limit).or_else(|error| match error {
                Undecodable::Damaged => read(flate2::read::DeflateDecoder::new(body), limit),
                other => Err(other),
            })
        }
        "br" => read(brotli_decompressor::Decompressor::new(body, 4096), limit),
        "zstd" => {
            let decoder = zstd::stream::Decoder::new(body).map_err(|_io| Undecodable::Damaged)?;
            read(decoder, limit)
        }
        _ => return Err(Undecodable::UnknownCoding),
    };
    decoded.map(Some)
}

fn read(decoder: impl Read, limit: usize) -> Result<Vec<u8>, Undecodable> {
    let mut plain = Vec::new();
    // The reader's error says nothing that a person could use.
    let read = decoder.take(limit as u64 + 1).read_to_end(&mut plain);
    read.map_err(|_io| Undecodable::Damaged)?;
    if plain.len() > limit { Err(Undecodable::TooLarge) } else { Ok(plain) }
}
