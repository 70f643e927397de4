//! Content codings of OTLP/HTTP requests. (OTLP/gRPC has them in its own client.)

use std::io::{self, Write as _};

use bytes::Bytes;
use flate2::{Compression as Level, write::GzEncoder};
use weir_plan::Compression;

/// zstd's fastest level that still searches for repetitions.
const ZSTD_LEVEL: i32 = 1;

/// Name of the coding in `Content-Encoding`, if there is one.
pub(super) const fn coding(compression: Compression) -> Option<&'static str> {
    match compression {
        Compression::None => None,
        Compression::Gzip => Some("gzip"),
        Compression::Zstd => Some("zstd"),
    }
}

/// `request` in that coding. The fastest levels: they take a record's repeated keys to almost
/// nothing and its base64 to three quarters, and higher ones gain little on that.
pub(super) fn encode(compression: Compression, request: Bytes) -> io::Result<Bytes> {
    match compression {
        Compression::None => Ok(request),
        Compression::Gzip => {
            let mut encoder = GzEncoder::new(Vec::with_capacity(request.len() / 2), Level::fast());
            encoder.write_all(&request)?;
            Ok(encoder.finish()?.into())
        }
        Compression::Zstd => Ok(zstd::stream::encode_all(&*request, ZSTD_LEVEL)?.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn every_coding_can_be_read_back_and_says_its_name() {
        let request = Bytes::from("repeated words ".repeat(100));
        let encoded = |compression| encode(compression, request.clone()).unwrap();
        let mut gzip = Vec::new();
        let packed = encoded(Compression::Gzip);
        flate2::read::GzDecoder::new(&*packed).read_to_end(&mut gzip).unwrap();
        assert_eq!((gzip.as_slice(), coding(Compression::Gzip)), (&*request, Some("gzip")));
        assert!(packed.len() < request.len() / 4);
        let zstd = zstd::stream::decode_all(&*encoded(Compression::Zstd)).unwrap();
        assert_eq!((zstd.as_slice(), coding(Compression::Zstd)), (&*request, Some("zstd")));
        assert_eq!((encoded(Compression::None), coding(Compression::None)), (request, None));
    }
}
