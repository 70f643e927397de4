//! The kernel side: connections that write records to a simulated ring.

use std::{collections::HashMap, os::fd::OwnedFd};

use weir_abi::{Direction, RecordKind, Role};

use crate::ring::simulated::{Commit, SimulatedRing};

/// Writes what the programs of the kernel side would.
pub(crate) struct Kernel {
    ring: SimulatedRing,
    connections: HashMap<u64, Stream>,
    /// Time of the next record.
    pub(crate) time_ns: u64,
}

#[derive(Default)]
struct Stream {
    positions: [u64; 2],
    last: Option<Direction>,
    run: u32,
}

/// Who makes the calls on a new connection.
#[derive(Clone, Copy)]
pub(crate) struct Call {
    pub(crate) role: Role,
    pub(crate) tgid: u32,
    pub(crate) local_port: u16,
    pub(crate) remote_port: u16,
}

impl Call {
    /// Process that the tests' attribution knows.
    pub(crate) const TGID: u32 = 77;

    /// A server on port 8080.
    pub(crate) const SERVER: Self =
        Self { role: Role::Server, tgid: Self::TGID, local_port: 8080, remote_port: 50_000 };

    /// A client of port 9090.
    pub(crate) const CLIENT: Self =
        Self { role: Role::Client, tgid: Self::TGID, local_port: 50_001, remote_port: 9090 };
}

impl Kernel {
    /// Bytes of the ring; a few hundred small exchanges fit.
    const RING_BYTES: usize = 1 << 22;

    pub(crate) fn new() -> Self {
        let ring = SimulatedRing::new(Self::RING_BYTES, 0);
        Self { ring, connections: HashMap::new(), time_ns: 1_000_000_000 }
    }

    pub(crate) fn ring(&self) -> (OwnedFd, u32) {
        (self.ring.fd().try_clone_to_owned().unwrap(), self.ring.bytes())
    }

    /// `connection` is seen for the first time.
    pub(crate) fn open(&mut self, connection: u64, call: Call) {
        self.connections.insert(connection, Stream::default());
        let address = |last| [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, last];
        let mut record = self.header(connection, RecordKind::Open, 0, 0, 0, call.tgid);
        record.extend(address(1));
        record.extend(address(2));
        record.extend(self.time_ns.to_ne_bytes());
        record.extend(4711_u64.to_ne_bytes());
        record.extend(1_u32.to_ne_bytes());
        record.extend(call.local_port.to_ne_bytes());
        record.extend(call.remote_port.to_ne_bytes());
        record.push(call.role as u8);
        record.extend([0; 7]);
        self.push(&record);
    }

    /// The process reads (ingress) or writes (egress) `bytes`.
    pub(crate) fn data(&mut self, connection: u64, direction: Direction, bytes: &[u8]) {
        for chunk in bytes.chunks(weir_abi::MAX_CHUNK_BYTES) {
            let (position, run, flags) = self.advance(connection, direction, chunk.len());
            let length = u32::try_from(chunk.len()).unwrap();
            let mut record =
                self.header(connection, RecordKind::Data, position, length, run, Call::TGID);
            record[37] = direction as u8;
            record[39] = flags;
            record.extend(chunk);
            self.push(&record);
        }
    }

    /// One request and its response, as the process of `call` sees them.
    pub(crate) fn exchange(
        &mut self,
        connection: u64,
        call: Call,
        request: &[u8],
        response: &[u8],
    ) {
        let (first, second) = match call.role {
            Role::Client => (Direction::Egress, Direction::Ingress),
            _ => (Direction::Ingress, Direction::Egress),
        };
        self.data(connection, first, request);
        self.data(connection, second, response);
    }

    /// The socket is gone.
    pub(crate) fn close(&mut self, connection: u64) {
        let stream = self.connections.remove(&connection).unwrap();
        let [ingress, egress] = stream.positions;
        let mut record =
            self.header(connection, RecordKind::Close, egress, 8, stream.run, Call::TGID);
        record.extend(ingress.to_ne_bytes());
        self.push(&record);
    }

    /// Any record at all.
    pub(crate) fn push(&mut self, record: &[u8]) {
        self.time_ns += 1000;
        assert!(self.ring.push(record, Commit::Submitted).is_some(), "the ring is full");
    }

    fn advance(&mut self, connection: u64, direction: Direction, length: usize) -> (u64, u32, u8) {
        let stream = self.connections.get_mut(&connection).unwrap();
        if stream.last.is_some_and(|last| last != direction) {
            stream.run += 1;
        }
        let flags = if stream.last == Some(direction) { 0 } else { weir_abi::BEGINS_RUN };
        stream.last = Some(direction);
        let position = &mut stream.positions[direction as usize];
        *position += length as u64;
        (*position - length as u64, stream.run, flags)
    }

    pub(crate) fn header(
        &self,
        connection: u64,
        kind: RecordKind,
        position: u64,
        length: u32,
        run: u32,
        tgid: u32,
    ) -> Vec<u8> {
        let mut record = Vec::new();
        record.extend(connection.to_ne_bytes());
        record.extend(self.time_ns.to_ne_bytes());
        record.extend(position.to_ne_bytes());
        record.extend(length.to_ne_bytes());
        record.extend(run.to_ne_bytes());
        record.extend(tgid.to_ne_bytes());
        record.extend([kind as u8, 0, 0, 0]);
        record
    }
}

/// A request for `path` with a body.
pub(crate) fn request(path: &str, body: &[u8]) -> Vec<u8> {
    let mut bytes = format!(
        "POST {path} HTTP/1.1\r\nHost: shop.local\r\nContent-Length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    bytes.extend(body);
    bytes
}

/// A `200` response with a body.
pub(crate) fn response(body: &[u8]) -> Vec<u8> {
    let mut bytes =
        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()).into_bytes();
    bytes.extend(body);
    bytes
}
