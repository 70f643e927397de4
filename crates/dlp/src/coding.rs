//! Content codings, with limits on what a small body may grow to.

use std::io::{self, Read, Write as _};

use flate2::read::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use flate2::write::{DeflateEncoder, ZlibEncoder};
use flate2::{Compression, GzBuilder};

/// Bytes that a body may have when decoded.
const MOST_BYTES: u64 = 32 << 20;
/// How often its own size, once it is over [`FREE_BYTES`].
const MOST_TIMES: u64 = 256;
const FREE_BYTES: u64 = 1 << 20;
/// RFC 8878 §3.1.1.1.2: decoders should support 8 MiB; more is not allocated.
const ZSTD_WINDOW_LOG: u32 = 23;

/// A coding that can be undone and done again.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Coding {
    Gzip,
    /// zlib, as the standard says.
    Deflate,
    /// What some send instead.
    RawDeflate,
    Brotli,
    Zstd,
}

/// Why the bytes of a coding cannot be searched.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Undecodable {
    Unknown,
    Malformed,
    TooLarge,
}

impl Coding {
    /// By its name in `Content-Encoding`; `Ok(None)` for `identity`.
    pub(crate) fn named(name: &str) -> Result<Option<Self>, Undecodable> {
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        Ok(Some(match name {
            _ if is("gzip") || is("x-gzip") => Self::Gzip,
            _ if is("deflate") => Self::Deflate,
            _ if is("br") => Self::Brotli,
            _ if is("zstd") => Self::Zstd,
            _ if is("identity") || name.is_empty() => return Ok(None),
            _ => return Err(Undecodable::Unknown),
        }))
    }

    /// By the first bytes of what it made.
    pub(crate) fn sniff(bytes: &[u8]) -> Option<Self> {
        match bytes {
            [0x1f, 0x8b, 8, ..] => Some(Self::Gzip),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(Self::Zstd),
            _ => None,
        }
    }
}

/// Undoes the coding; of a body that was `cut`, as far as it goes.
pub(crate) fn decode(coding: Coding, input: &[u8], cut: bool) -> Result<Vec<u8>, Undecodable> {
    match coding {
        Coding::Gzip => read(MultiGzDecoder::new(input), input.len(), cut),
        Coding::Deflate => read(ZlibDecoder::new(input), input.len(), cut),
        Coding::RawDeflate => read(DeflateDecoder::new(input), input.len(), cut),
        Coding::Brotli => read(brotli::Decompressor::new(input, 4096), input.len(), cut),
        Coding::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(input)
                .map_err(|_failed| Undecodable::Malformed)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG).map_err(|_failed| Undecodable::Malformed)?;
            read(decoder, input.len(), cut)
        }
    }
}

fn read(from: impl Read, length: usize, cut: bool) -> Result<Vec<u8>, Undecodable> {
    let limit = (length as u64).saturating_mul(MOST_TIMES).clamp(FREE_BYTES, MOST_BYTES);
    let mut out = Vec::new();
    let result = from.take(limit + 1).read_to_end(&mut out);
    if out.len() as u64 > limit {
        return Err(Undecodable::TooLarge);
    }
    match result {
        Ok(_) => Ok(out),
        // What came out before the end is all there is.
        Err(_) if cut && !out.is_empty() => Ok(out),
        Err(_) => Err(Undecodable::Malformed),
    }
}

/// Does the coding again.
pub(crate) fn encode(coding: Coding, bytes: &[u8]) -> io::Result<Vec<u8>> {
    let fast = Compression::fast();
    match coding {
        Coding::Gzip => {
            let mut encoder = GzBuilder::new().mtime(0).write(Vec::new(), fast);
            encoder.write_all(bytes)?;
            encoder.finish()
        }
        Coding::Deflate => {
            let mut encoder = ZlibEncoder::new(Vec::new(), fast);
            encoder.write_all(bytes)?;
            encoder.finish()
        }
        Coding::RawDeflate => {
            let mut encoder = DeflateEncoder::new(Vec::new(), fast);
            encoder.write_all(bytes)?;
            encoder.finish()
        }
        Coding::Brotli => {
            let mut encoder = brotli::CompressorWriter::new(Vec::new(), 4096, 4, 20);
            encoder.write_all(bytes)?;
            encoder.flush()?;
            Ok(encoder.into_inner())
        }
        Coding::Zstd => zstd::stream::encode_all(bytes, 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Coding; 5] =
        [Coding::Gzip, Coding::Deflate, Coding::RawDeflate, Coding::Brotli, Coding::Zstd];

    #[test]
    fn what_is_encoded_decodes_to_the_same() {
        let text = b"the same text, the same text, the same text".repeat(100);
        for coding in ALL {
            let encoded = encode(coding, &text).unwrap();
            assert!(encoded.len() < text.len());
            assert_eq!(decode(coding, &encoded, false).unwrap(), text, "{coding:?}");
        }
    }

    #[test]
    fn a_cut_body_decodes_as_far_as_it_goes() {
        let text: Vec<u8> = (0..200_000_u32).flat_map(u32::to_le_bytes).collect();
        for coding in ALL {
            let encoded = encode(coding, &text).unwrap();
            let half = &encoded[..encoded.len() / 2];
            assert_eq!(decode(coding, half, false), Err(Undecodable::Malformed), "{coding:?}");
            let part = decode(coding, half, true).unwrap();
            assert!(text.starts_with(&part), "{coding:?}");
        }
    }

    #[test]
    fn bombs_are_refused() {
        let zeros = vec![0; 40 << 20];
        for coding in ALL {
            let bomb = encode(coding, &zeros).unwrap();
            assert_eq!(decode(coding, &bomb, true), Err(Undecodable::TooLarge), "{coding:?}");
        }
    }

    #[test]
    fn a_window_that_is_too_large_is_refused() {
        let mut packer = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
        packer.window_log(27).unwrap();
        packer.write_all(&[0; 1000]).unwrap();
        let frame = packer.finish().unwrap();
        // The frame asks for 128 MiB though it holds a thousand bytes.
        assert_eq!(decode(Coding::Zstd, &frame, false), Err(Undecodable::Malformed));
    }
}
