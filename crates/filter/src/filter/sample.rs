//! Which sessions a sample keeps.

use weir_rrpair::Uuid;

/// Keeps `keep` of every `out_of` sessions, whole sessions only: the choice depends on the
/// session's value, or on the pair's uuid when it has none, and on nothing else.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Sample {
    keep: u32,
    out_of: u32,
}

/// Numbers that are no share.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("keep {keep} out of {out_of} is no share: out_of must be at least keep, keep at least 1")]
pub struct NoShare {
    pub keep: u32,
    pub out_of: u32,
}

impl Sample {
    /// A sample; `out_of >= keep >= 1`.
    ///
    /// # Errors
    ///
    /// [`NoShare`] for other numbers.
    pub fn new(keep: u32, out_of: u32) -> Result<Self, NoShare> {
        if keep == 0 || out_of < keep {
            return Err(NoShare { keep, out_of });
        }
        Ok(Self { keep, out_of })
    }

    /// True when the sample has this session, or this pair when there is no session.
    pub fn keeps(&self, session: Option<&str>, uuid: &Uuid) -> bool {
        let hash = match session {
            Some(session) if !session.is_empty() => hash(session.as_bytes()),
            _ => hash(&uuid.0),
        };
        // Scales the hash to 0..out_of without the bias of a remainder.
        let place = (u128::from(hash) * u128::from(self.out_of)) >> 64;
        place < u128::from(self.keep)
    }
}

/// FNV-1a, then the finaliser of MurmurHash3 since FNV's upper bits are poor. Never changed:
/// nodes of different versions must agree.
fn hash(bytes: &[u8]) -> u64 {
    let fnv = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let mixed = (fnv ^ (fnv >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    let mixed = (mixed ^ (mixed >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    mixed ^ (mixed >> 33)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uuid(number: u32) -> Uuid {
        let mut bytes = [0; 16];
        bytes[..4].copy_from_slice(&number.to_be_bytes());
        Uuid(bytes)
    }

    #[test]
    fn a_session_is_kept_whole_or_not_at_all() {
        let sample = Sample::new(1, 5).unwrap();
        for session in 0..100 {
            let session = format!("user-{session}");
            let first = sample.keeps(Some(&session), &uuid(0));
            assert!((1..20).all(|pair| sample.keeps(Some(&session), &uuid(pair)) == first));
        }
    }

    #[test]
    fn the_share_is_what_it_says() {
        let sample = Sample::new(1, 5).unwrap();
        let kept = (0..10_000).filter(|pair| sample.keeps(None, &uuid(*pair))).count();
        assert!((1_800..2_200).contains(&kept), "{kept}");
        let all = Sample::new(3, 3).unwrap();
        assert!((0..100).all(|pair| all.keeps(None, &uuid(pair))));
    }

    #[test]
    fn the_choice_is_the_same_on_every_node_and_in_every_version() {
        assert_eq!(hash(b""), 0xefd0_1f60_ba99_2926);
        assert_eq!(hash(b"user-1"), 0x41a2_fca5_c684_01c5);
    }

    #[test]
    fn what_is_no_share_is_refused() {
        assert!(Sample::new(0, 5).is_err());
        assert!(Sample::new(6, 5).is_err());
        assert!(Sample::new(1, 1).is_ok());
    }
}
