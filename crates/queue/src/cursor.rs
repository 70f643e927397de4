//! How far a log was acknowledged, as two slots that are written in turn: a torn write leaves
//! the other one.

use crc32c::crc32c;

use crate::frame::{u32_at, u64_at};

/// Bytes of one slot: sequence, segment, offset, checksum, and room.
pub(crate) const SLOT_BYTES: usize = 64;
/// Bytes of the file.
pub(crate) const FILE_BYTES: usize = 2 * SLOT_BYTES;
const FIELDS: usize = 24;

/// A place in the log: every frame before it is done with.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Position {
    pub(crate) segment: u64,
    pub(crate) offset: u64,
}

/// A position, and how many came before it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Cursor {
    pub(crate) sequence: u64,
    pub(crate) position: Position,
}

impl Cursor {
    /// Its bytes and where they go.
    pub(crate) fn encode(self) -> (u64, [u8; SLOT_BYTES]) {
        let mut slot = [0; SLOT_BYTES];
        let fields = [self.sequence, self.position.segment, self.position.offset];
        let mut place = slot.chunks_exact_mut(8);
        for field in fields {
            if let Some(place) = place.next() {
                place.copy_from_slice(&field.to_le_bytes());
            }
        }
        let crc = crc32c(slot.get(..FIELDS).unwrap_or_default());
        if let Some(place) = slot.get_mut(FIELDS..FIELDS + 4) {
            place.copy_from_slice(&crc.to_le_bytes());
        }
        ((self.sequence % 2) * SLOT_BYTES as u64, slot)
    }

    /// The newer of the slots that hold.
    pub(crate) fn decode(file: &[u8]) -> Option<Self> {
        file.chunks(SLOT_BYTES).filter_map(Self::slot).max_by_key(|cursor| cursor.sequence)
    }

    fn slot(slot: &[u8]) -> Option<Self> {
        if u32_at(slot, FIELDS)? != crc32c(slot.get(..FIELDS)?) {
            return None;
        }
        let position = Position { segment: u64_at(slot, 8)?, offset: u64_at(slot, 16)? };
        Some(Self { sequence: u64_at(slot, 0)?, position })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(cursors: [Cursor; 2]) -> Vec<u8> {
        let mut file = vec![0; FILE_BYTES];
        for cursor in cursors {
            let (offset, slot) = cursor.encode();
            let offset = usize::try_from(offset).unwrap();
            file[offset..offset + SLOT_BYTES].copy_from_slice(&slot);
        }
        file
    }

    #[test]
    fn a_torn_write_leaves_the_position_before_it() {
        let at = |sequence, offset| Cursor { sequence, position: Position { segment: 7, offset } };
        let (old, new) = (at(4, 100), at(5, 200));
        let whole = file([old, new]);
        assert_eq!(Cursor::decode(&whole), Some(new));
        for torn in SLOT_BYTES..SLOT_BYTES + FIELDS + 4 {
            let mut file = whole.clone();
            file[torn] ^= 1;
            assert_eq!(Cursor::decode(&file), Some(old));
        }
        assert_eq!(Cursor::decode(&whole[..SLOT_BYTES]), Some(old));
        assert_eq!(Cursor::decode(&[]), None);
        assert_eq!(Cursor::decode(&[0; FILE_BYTES]), None);
    }
}
