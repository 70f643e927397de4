//! Chunked transfer coding (RFC 9112 §7.1), undone without keeping any of it.

/// Where in the coding the next byte lies.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Chunked {
    /// In the size, of which so many digits were read.
    Size { bytes: u64, digits: u8 },
    /// In blanks or an extension after the size.
    Extension { bytes: u64 },
    /// In the data, of which so much is left (never 0).
    Data { left: u64 },
    /// In the line end after the data.
    DataEnd { after_cr: bool },
}

/// What a step of the decoder found.
#[derive(Debug, PartialEq)]
pub(super) enum Piece {
    /// All bytes were coding.
    Coding,
    /// So many of the bytes are data, from the beginning.
    Data(usize),
    /// The last chunk: the trailer section follows.
    Last,
    Malformed,
}

impl Chunked {
    pub(super) const START: Self = Self::Size { bytes: 0, digits: 0 };

    /// Looks at the beginning of `bytes`, which is not empty, and says what it is and how
    /// many bytes that takes.
    pub(super) fn step(&mut self, bytes: &[u8]) -> (usize, Piece) {
        if let Self::Data { left } = *self {
            let take = usize::try_from(left).map_or(bytes.len(), |left| bytes.len().min(left));
            self.pass(take as u64);
            return (take, Piece::Data(take));
        }
        for (at, &byte) in bytes.iter().enumerate() {
            match self.coding_byte(byte) {
                Some(Piece::Coding) => {}
                Some(end) => return (at + 1, end),
                None => return (at + 1, Piece::Coding),
            }
        }
        (bytes.len(), Piece::Coding)
    }

    /// Data bytes to the end of the chunk, 0 outside of data.
    pub(super) const fn data_left(self) -> u64 {
        match self {
            Self::Data { left } => left,
            _ => 0,
        }
    }

    /// Takes `bytes` of the data as read; at most [`Self::data_left`].
    pub(super) const fn pass(&mut self, bytes: u64) {
        if let Self::Data { left } = self {
            *left = left.saturating_sub(bytes);
            if *left == 0 {
                *self = Self::DataEnd { after_cr: false };
            }
        }
    }

    /// `None` when data begins after this byte.
    fn coding_byte(&mut self, byte: u8) -> Option<Piece> {
        match (*self, byte) {
            (Self::Size { bytes, digits }, _) if byte.is_ascii_hexdigit() => {
                if bytes >> 60 != 0 {
                    return Some(Piece::Malformed);
                }
                let digit = char::from(byte).to_digit(16).map_or(0, u64::from);
                *self = Self::Size { bytes: bytes << 4 | digit, digits: digits.saturating_add(1) };
            }
            (Self::Size { digits: 0, .. }, _) => return Some(Piece::Malformed),
            (Self::Size { bytes, .. } | Self::Extension { bytes }, b'\n') => {
                if bytes == 0 {
                    return Some(Piece::Last);
                }
                *self = Self::Data { left: bytes };
                return None;
            }
            (Self::Size { bytes, .. }, b'\r' | b' ' | b'\t' | b';') => {
                *self = Self::Extension { bytes };
            }
            (Self::Extension { .. }, _) => {}
            (Self::DataEnd { .. }, b'\n') => *self = Self::START,
            (Self::DataEnd { after_cr: false }, b'\r') => {
                *self = Self::DataEnd { after_cr: true };
            }
            (Self::Size { .. } | Self::DataEnd { .. } | Self::Data { .. }, _) => {
                return Some(Piece::Malformed);
            }
        }
        Some(Piece::Coding)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Data, unread rest, and whether the last chunk came.
    fn decode(wire: &[u8], chunk_bytes: usize) -> Result<(Vec<u8>, bool), ()> {
        let mut coding = Chunked::START;
        let mut data = Vec::new();
        for mut bytes in wire.chunks(chunk_bytes) {
            while !bytes.is_empty() {
                let (taken, piece) = coding.step(bytes);
                assert!(taken > 0);
                match piece {
                    Piece::Coding => {}
                    Piece::Data(count) => data.extend_from_slice(&bytes[..count]),
                    Piece::Last => return Ok((data, true)),
                    Piece::Malformed => return Err(()),
                }
                bytes = &bytes[taken..];
            }
        }
        Ok((data, false))
    }

    #[test]
    fn chunks_are_joined_wherever_they_are_cut() {
        let wire = b"3;name=\"v\"\r\nabc\r\n0a \r\n0123456789\r\n1\nx\n00;last\r\n\r\n";
        for chunk_bytes in 1..=wire.len() {
            assert_eq!(decode(wire, chunk_bytes), Ok((b"abc0123456789x".to_vec(), true)));
        }
    }

    #[test]
    fn sizes_that_are_none_are_refused() {
        for wire in ["\r\n", "g\r\n", "-1\r\n", "10000000000000000\r\n", "1\r\nxx\r\n", "1\r\nx\rx"]
        {
            assert_eq!(decode(wire.as_bytes(), 1), Err(()), "{wire:?}");
        }
    }

    #[test]
    fn the_largest_size_is_no_overflow() {
        assert_eq!(decode(b"ffffffffffffffff\r\nabc", 2), Ok((b"abc".to_vec(), false)));
    }
}
