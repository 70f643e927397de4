//! Ids of records: the same for the same exchange however often it is mapped.

use weir_rrpair::Uuid;

/// A UUID of version 4 in form; its bits come from the nonce, which is random, spread by
/// connection and ordinal.
pub(super) fn derive(nonce: [u8; 16], connection: u64, ordinal: u64) -> Uuid {
    let [high, low] = nonce.as_chunks::<8>().0 else { return Uuid(nonce) };
    let (high, low) = (u64::from_be_bytes(*high), u64::from_be_bytes(*low));
    let first = mix(high ^ mix(connection ^ mix(ordinal ^ low)));
    let second = mix(low ^ mix(ordinal.wrapping_add(GOLDEN) ^ mix(connection ^ high)));
    let mut bytes = (u128::from(first) << 64 | u128::from(second)).to_be_bytes();
    bytes[6] = bytes[6] & 0x0F | 0x40;
    bytes[8] = bytes[8] & 0x3F | 0x80;
    Uuid(bytes)
}

const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

/// A bijection in which every bit of the input moves every bit of the output (the finaliser
/// of SplitMix64).
const fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(GOLDEN);
    let value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn ids_differ_by_nonce_connection_and_ordinal() {
        let mut seen = HashSet::new();
        for nonce in [[0; 16], [1; 16], [0xFF; 16]] {
            for connection in 0..50 {
                for ordinal in 0..50 {
                    assert!(seen.insert(derive(nonce, connection, ordinal).0));
                }
            }
        }
    }

    #[test]
    fn ids_have_the_form_of_version_4_and_are_stable() {
        let id = derive([7; 16], 3, 9);
        assert_eq!(id, derive([7; 16], 3, 9));
        let text = id.to_string();
        assert_eq!(text.as_bytes()[14], b'4');
        assert!(matches!(text.as_bytes()[19], b'8' | b'9' | b'a' | b'b'), "{text}");
    }
}
