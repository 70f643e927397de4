use weir_abi::{Direction, HoleReason, Role};

use crate::{event::Event, limits::Limits};

/// State of one captured connection.
///
/// Feed it the kernel's records of that connection in ring order. Positions are bytes of
/// the direction since the connection was first seen; `run` is the record's run ordinal;
/// times are kernel monotonic nanoseconds. Events go to `sink`, which is called before the
/// method returns and never after [`Connection::close`] or [`Connection::finish`] did.
#[derive(Debug)]
pub struct Connection {
    _role: Role,
    _limits: Limits,
}

impl Connection {
    /// A connection of which nothing was seen yet.
    pub fn new(role: Role, limits: Limits) -> Self {
        Self { _role: role, _limits: limits }
    }

    /// Takes the bytes of a data record. A position past the expected one is a gap, one
    /// before it is a repetition, of which only the new bytes are used.
    pub fn data(
        &mut self,
        _direction: Direction,
        _position: u64,
        _run: u32,
        _time_ns: u64,
        _bytes: &[u8],
        _sink: &mut impl FnMut(Event),
    ) {
    }

    /// Takes a hole record: `length` bytes from `position` on passed without a copy.
    #[expect(clippy::too_many_arguments, reason = "they are the fields of the record")]
    pub fn hole(
        &mut self,
        _direction: Direction,
        _position: u64,
        _length: u64,
        _reason: HoleReason,
        _run: u32,
        _time_ns: u64,
        _sink: &mut impl FnMut(Event),
    ) {
    }

    /// Takes the close record: `run` is the last run of the connection, `egress_end` the
    /// final egress position. Nothing is reported afterwards.
    pub fn close(
        &mut self,
        _egress_end: u64,
        _run: u32,
        _time_ns: u64,
        _sink: &mut impl FnMut(Event),
    ) {
    }

    /// Ends the connection without a close record: the reader stops, or gives the
    /// connection up. Exchanges under way become half pairs; nothing is reported afterwards.
    pub fn finish(&mut self, _time_ns: u64, _sink: &mut impl FnMut(Event)) {}

    /// Captured bytes held now; at most [`Limits::max_held_bytes`].
    pub fn held_bytes(&self) -> usize {
        0
    }
}
