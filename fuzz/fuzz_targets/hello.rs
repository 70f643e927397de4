//! The two hellos of a TLS connection: whatever they hold, where they are cut changes nothing,
//! memory is bounded, and what is said of them is printable.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use weir_dissect::{Direction, Hellos, TlsFacts};

#[derive(Arbitrary, Debug)]
struct Beginning<'a> {
    /// Gives the bytes the headers of a record and of a message of this kind.
    kinds: [Option<u8>; 2],
    hellos: [&'a [u8]; 2],
    piece_bytes: u8,
}

fuzz_target!(|beginning: Beginning<'_>| {
    let whole = read(&beginning, usize::MAX);
    let pieces = read(&beginning, usize::from(beginning.piece_bytes).max(1));
    assert_eq!(whole, pieces, "cuts show");
    for text in [whole.server_name, whole.alpn].into_iter().flatten() {
        assert!(!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic()));
    }
});

fn read(beginning: &Beginning<'_>, piece_bytes: usize) -> TlsFacts {
    let mut hellos = Hellos::default();
    let directions = [Direction::Ingress, Direction::Egress];
    for ((direction, bytes), kind) in directions.into_iter().zip(beginning.hellos).zip(beginning.kinds) {
        let bytes = kind.map_or_else(|| bytes.to_vec(), |kind| framed(kind, bytes));
        let mut position = 0;
        for piece in bytes.chunks(piece_bytes) {
            hellos.data(direction, position, piece);
            position += piece.len() as u64;
            assert!(hellos.held_bytes() <= 2 * 4056);
        }
    }
    hellos.facts().clone()
}

fn framed(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).unwrap_or(u32::MAX).to_be_bytes();
    let message = [&[kind % 4], &length[1..], body].concat();
    let record = u16::try_from(message.len()).unwrap_or(u16::MAX).to_be_bytes();
    [&[22, 3, 1][..], &record, &message].concat()
}
