use weir_abi::Direction;

/// Where the bytes of a record lie in the conversation, as the kernel side says.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    pub direction: Direction,
    /// Bytes of the direction before it, since the connection was first seen.
    pub position: u64,
    /// Ordinal of its run: it grows by one when the connection turns.
    pub run: u32,
    /// Its bytes are the first of their run. Only there a message may begin when nothing else
    /// tells where messages lie.
    pub begins_run: bool,
    /// Kernel monotonic time.
    pub time_ns: u64,
}
