//! Where a head or trailer section ends.

/// Finds the blank line that ends a section, over any number of chunks, looking at every
/// byte once. Lines end in CRLF or in LF alone.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct EndScanner {
    line: Line,
    bare_lf: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Line {
    #[default]
    Empty,
    CarriageReturn,
    /// Something else, and whether its last byte was a carriage return.
    Text(bool),
}

impl EndScanner {
    /// Number of bytes of `bytes` up to the end of the section, or `None` when it goes on.
    pub(crate) fn find(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut start = 0;
        for end in memchr::memchr_iter(b'\n', bytes) {
            self.extend(bytes.get(start..end).unwrap_or_default());
            let line = std::mem::take(&mut self.line);
            self.bare_lf |= !matches!(line, Line::CarriageReturn | Line::Text(true));
            start = end + 1;
            if !matches!(line, Line::Text(_)) {
                return Some(start);
            }
        }
        self.extend(bytes.get(start..).unwrap_or_default());
        None
    }

    /// True when a line so far ended in LF alone.
    pub(crate) fn saw_bare_lf(self) -> bool {
        self.bare_lf
    }

    fn extend(&mut self, bytes: &[u8]) {
        let Some(&last) = bytes.last() else { return };
        self.line = match self.line {
            Line::Empty if bytes == b"\r" => Line::CarriageReturn,
            _ => Line::Text(last == b'\r'),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end_in_chunks(wire: &[u8], chunk_bytes: usize) -> (Option<usize>, bool) {
        let mut scanner = EndScanner::default();
        let mut before = 0;
        for chunk in wire.chunks(chunk_bytes) {
            if let Some(end) = scanner.find(chunk) {
                return (Some(before + end), scanner.saw_bare_lf());
            }
            before += chunk.len();
        }
        (None, scanner.saw_bare_lf())
    }

    #[test]
    fn a_section_ends_at_its_blank_line_wherever_it_is_cut() {
        let cases: &[(&[u8], _)] = &[
            (b"a: b\r\n\r\nrest", (Some(8), false)),
            (b"a: b\n\nrest", (Some(6), true)),
            (b"a: b\r\n\nrest", (Some(7), true)),
            (b"a: b\n\r\nrest", (Some(7), true)),
            (b"\r\nrest", (Some(2), false)),
            (b"a\r\n\r", (None, false)),
            (b"a\r\r\n\r\n", (Some(6), false)),
            (b"a\r\n\r\r\n\r\n", (Some(8), false)),
        ];
        for &(wire, expect) in cases {
            for chunk_bytes in 1..=wire.len() {
                assert_eq!(end_in_chunks(wire, chunk_bytes), expect, "chunks of {chunk_bytes}");
            }
        }
    }
}
