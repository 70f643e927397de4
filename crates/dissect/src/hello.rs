//! What a TLS connection tells in the clear: the two hellos with which it begins (RFC 8446 §4.1,
//! RFC 5246 §7.4.1). A protocol that is agreed on after them (TLS 1.3) is not known here.

#[cfg(test)]
mod tests;

use weir_abi::{Direction, MAX_HELLO_BYTES};

/// As far as it was told.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct TlsFacts {
    /// Server that the client asked for (SNI, RFC 6066 §3).
    pub server_name: Option<String>,
    /// Version that the server chose: `1.0` to `1.3`.
    pub version: Option<&'static str>,
    /// Protocol that the server chose in its hello (ALPN, RFC 7301), as until TLS 1.2.
    pub alpn: Option<String>,
}

/// Reads the hellos of one connection. Holds a few kilobytes, until both are read.
#[derive(Debug, Default)]
pub struct Hellos {
    sides: [Side; 2],
    facts: TlsFacts,
}

/// One direction.
enum Side {
    Reads(Vec<u8>),
    Done,
}

impl Default for Side {
    fn default() -> Self {
        Self::Reads(Vec::new())
    }
}

impl std::fmt::Debug for Side {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Reads(bytes) => write!(f, "Reads({} bytes)", bytes.len()),
            Self::Done => f.write_str("Done"),
        }
    }
}

const HANDSHAKE: u8 = 22;
const CLIENT_HELLO: u8 = 1;
const SERVER_HELLO: u8 = 2;
const SERVER_NAME: u16 = 0;
const ALPN: u16 = 16;
const SUPPORTED_VERSIONS: u16 = 43;
/// `HostName` of RFC 6066 is a name of the DNS.
const MAX_NAME_BYTES: usize = 253;

impl Hellos {
    /// Takes the bytes at a position of one direction, in order. With a gap that direction is
    /// given up.
    pub fn data(&mut self, direction: Direction, position: u64, bytes: &[u8]) {
        let Self { sides, facts } = self;
        let [ingress, egress] = sides;
        let side = if direction == Direction::Ingress { ingress } else { egress };
        let Side::Reads(held) = side else { return };
        if position != held.len() as u64 {
            *side = Side::Done;
            return;
        }
        let room = usize::from(MAX_HELLO_BYTES).saturating_sub(held.len());
        held.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
        let Some(end) = record_end(held) else {
            if held.len() >= HEADER_BYTES {
                *side = Side::Done;
            }
            return;
        };
        if held.len() < end.min(usize::from(MAX_HELLO_BYTES)) {
            return;
        }
        if let Some(record) = held.get(HEADER_BYTES..end.min(held.len())) {
            facts.take(record);
        }
        *side = Side::Done;
    }

    /// What is known so far.
    pub fn facts(&self) -> &TlsFacts {
        &self.facts
    }

    /// Bytes that wait for the rest of their hello.
    pub fn held_bytes(&self) -> usize {
        let held = |side: &Side| match side {
            Side::Reads(bytes) => bytes.len(),
            Side::Done => 0,
        };
        self.sides.iter().map(held).sum()
    }
}

const HEADER_BYTES: usize = 5;

/// End of the record that `bytes` begin with; `None` when it is none of a handshake, or when that
/// is not known yet.
fn record_end(bytes: &[u8]) -> Option<usize> {
    let mut header = Cursor(bytes);
    let (kind, major, _) = (header.u8()?, header.u8()?, header.u8()?);
    let length = usize::from(header.u16()?);
    (kind == HANDSHAKE && major == 3).then_some(HEADER_BYTES + length)
}

impl TlsFacts {
    /// Reads a hello, which may be cut: what is not whole is not taken.
    fn take(&mut self, record: &[u8]) {
        let mut cursor = Cursor(record);
        let Some(kind) = cursor.u8() else { return };
        let Some([_, high, low]) = cursor.array() else { return };
        let length = usize::from(u16::from_be_bytes([high, low]));
        let mut hello = Cursor(cursor.0.get(..length).unwrap_or(cursor.0));
        match kind {
            CLIENT_HELLO => {
                self.server_name = self.server_name.take().or_else(|| asked_for(&mut hello));
            }
            SERVER_HELLO => {
                let _ = self.chosen(&mut hello);
            }
            _ => {}
        }
    }

    fn chosen(&mut self, hello: &mut Cursor<'_>) -> Option<()> {
        let version = hello.u16()?;
        hello.skip(32)?;
        hello.short()?;
        // Cipher suite and compression.
        hello.skip(3)?;
        self.version = version_name(version);
        let mut extensions = Cursor(hello.rest_of_long()?);
        while let Some((kind, content)) = extensions.extension() {
            match kind {
                SUPPORTED_VERSIONS => {
                    self.version = Cursor(content).u16().and_then(version_name);
                }
                ALPN => self.alpn = Cursor(content).long().and_then(protocol),
                _ => {}
            }
        }
        Some(())
    }
}

/// Server name in a ClientHello.
fn asked_for(hello: &mut Cursor<'_>) -> Option<String> {
    hello.skip(2 + 32)?;
    hello.short()?;
    hello.long()?;
    hello.short()?;
    let mut extensions = Cursor(hello.rest_of_long()?);
    while let Some((kind, content)) = extensions.extension() {
        if kind == SERVER_NAME {
            let mut names = Cursor(Cursor(content).long()?);
            let (kind, name) = (names.u8()?, names.long()?);
            return (kind == 0).then(|| host_name(name)).flatten();
        }
    }
    None
}

fn host_name(name: &[u8]) -> Option<String> {
    let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let valid = !name.is_empty() && name.len() <= MAX_NAME_BYTES && name.iter().all(allowed);
    valid.then(|| String::from_utf8_lossy(name).into_owned())
}

/// The one protocol of a server's list.
fn protocol(list: &[u8]) -> Option<String> {
    let mut list = Cursor(list);
    let name = list.short()?;
    let valid = !name.is_empty() && list.0.is_empty() && name.iter().all(u8::is_ascii_graphic);
    valid.then(|| String::from_utf8_lossy(name).into_owned())
}

const fn version_name(version: u16) -> Option<&'static str> {
    match version {
        0x0301 => Some("1.0"),
        0x0302 => Some("1.1"),
        0x0303 => Some("1.2"),
        0x0304 => Some("1.3"),
        _ => None,
    }
}

/// Reads one field after the other; `None` where one is not whole.
struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (field, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*field)
    }

    fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_be_bytes)
    }

    fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    fn skip(&mut self, count: usize) -> Option<&'a [u8]> {
        let (field, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(field)
    }

    /// A vector of at most 255 bytes.
    fn short(&mut self) -> Option<&'a [u8]> {
        let length = self.u8()?;
        self.skip(usize::from(length))
    }

    /// A longer one.
    fn long(&mut self) -> Option<&'a [u8]> {
        let length = self.u16()?;
        self.skip(usize::from(length))
    }

    /// What there is of a longer one, which may be cut.
    fn rest_of_long(&mut self) -> Option<&'a [u8]> {
        let length = usize::from(self.u16()?);
        Some(self.0.get(..length).unwrap_or(self.0))
    }

    fn extension(&mut self) -> Option<(u16, &'a [u8])> {
        Some((self.u16()?, self.long()?))
    }
}
