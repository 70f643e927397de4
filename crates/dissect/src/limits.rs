/// Bounds of one connection's state.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// Largest head (start line and field lines) in bytes; also the bound for trailers.
    pub max_head_bytes: usize,
    /// Bytes of a body that are kept, per message and direction. The rest is counted.
    pub max_body_bytes: usize,
    /// Requests that may wait for their response. One more, and the waiting ones become
    /// half pairs and the connection is no longer paired.
    pub max_pending_exchanges: usize,
    /// Captured bytes held for the whole connection. Above it bodies are cut, and a head
    /// that does not fit ends the pairing as above.
    pub max_buffered_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_head_bytes: 64 * 1024,
            max_body_bytes: 1024 * 1024,
            max_pending_exchanges: 128,
            max_buffered_bytes: 4 * 1024 * 1024,
        }
    }
}

/// Field lines of one head or trailer section; a head with more counts as too large.
pub(crate) const MAX_FIELD_LINES: usize = 1000;

/// Bytes of the index entry of one field line.
pub(crate) const FIELD_INDEX_BYTES: usize = 16;

impl Limits {
    /// Upper bound of [`Connection::held_bytes`](crate::Connection::held_bytes): the
    /// buffered bytes, and the heads and trailers that are being read in both directions.
    pub fn max_held_bytes(&self) -> usize {
        let head_bytes = self.max_head_bytes + MAX_FIELD_LINES * FIELD_INDEX_BYTES;
        self.max_buffered_bytes + 4 * head_bytes
    }
}
