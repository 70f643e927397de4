use std::io::Write as _;

use flate2::{Compression, write};

use super::{Undecodable, decode};

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = write::GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn codings_are_undone() {
    let mut zlib = write::ZlibEncoder::new(Vec::new(), Compression::fast());
    zlib.write_all(b"text").unwrap();
    let mut bare = write::DeflateEncoder::new(Vec::new(), Compression::fast());
    bare.write_all(b"text").unwrap();
    let zstd = zstd::stream::encode_all(b"text".as_slice(), 1).unwrap();
    // An uncompressed brotli meta-block (RFC 7932 §9.2).
    let brotli = [0x8b, 0x01, 0x80, b't', b'e', b'x', b't', 0x03];
    for (name, body) in [
        ("gzip", gzip(b"text")),
        ("X-GZIP", gzip(b"text")),
        ("deflate", zlib.finish().unwrap()),
        ("deflate", bare.finish().unwrap()),
        ("zstd", zstd),
        ("br", brotli.to_vec()),
        ("gzip, gzip", gzip(&gzip(b"text"))),
        ("identity", b"text".to_vec()),
        ("", b"text".to_vec()),
    ] {
        assert_eq!(decode(name, &body, 100).unwrap().as_ref(), b"text", "{name}");
    }
}

#[test]
fn damage_bombs_and_unknown_codings_are_told() {
    assert_eq!(decode("gzip", b"nonsense", 100), Err(Undecodable::Damaged));
    assert_eq!(decode("rot13", b"x", 100), Err(Undecodable::UnknownCoding));
    assert_eq!(decode("gzip", &gzip(&vec![0; 1_000_000]), 1000), Err(Undecodable::TooLarge));
    assert_eq!(decode("gzip,gzip,gzip,gzip,gzip", b"x", 9), Err(Undecodable::UnknownCoding));
    assert_eq!(decode("gzip", b"", 9).unwrap().as_ref(), b"");
}
