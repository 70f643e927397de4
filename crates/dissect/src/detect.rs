//! Which protocol a connection speaks, by its first bytes.
//!
//! HTTP/1 is what its parser accepts. What it refuses is named here, if we know it: this is
//! the place to recognise further protocols, and [`crate::connection`] the place to give
//! them a dissector.

use crate::{event::UndecodableReason, head::kind::Start};

/// Names the protocol of bytes that begin no HTTP/1 message.
pub(crate) fn not_http(first: &[u8]) -> Start {
    match first {
        [] | [CLIENT_HELLO] => Start::Undecided,
        [CLIENT_HELLO, TLS_MAJOR, ..] => Start::Impossible(UndecodableReason::Tls),
        _ => Start::Impossible(UndecodableReason::Malformed),
    }
}

/// True for the beginning of a TLS record of any type (RFC 8446 §5.1): what a run of a
/// connection that was joined late begins with.
pub(crate) fn is_tls_record(first: &[u8]) -> bool {
    matches!(first, [20..=23, TLS_MAJOR, 0..=4, ..])
}

/// True while too few bytes are there to say so.
pub(crate) fn may_be_tls_record(first: &[u8]) -> bool {
    matches!(first, [] | [20..=23] | [20..=23, TLS_MAJOR])
}

/// Record type `handshake`, the first byte of a ClientHello.
const CLIENT_HELLO: u8 = 0x16;
const TLS_MAJOR: u8 = 3;
