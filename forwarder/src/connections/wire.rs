//! Records of the segment ring, read from bytes.

use std::net::{IpAddr, Ipv6Addr};

use weir_abi::{ConnectionInfo, RECORD_HEADER_BYTES, RecordHeader, RecordKind};

/// A record as it lies in the ring. `Debug` is not derived: it holds captured bytes.
pub(super) struct Record<'a> {
    pub(super) header: RecordHeader,
    pub(super) body: RecordBody<'a>,
}

/// What follows the header.
pub(super) enum RecordBody<'a> {
    Open(ConnectionInfo),
    Data(&'a [u8]),
    Hole,
    Close {
        /// Final ingress position; 0 from a kernel side that does not say it.
        ingress_end: u64,
    },
}

/// Reads native-endian fields one after the other.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (field, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*field)
    }

    fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_ne_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_ne_bytes)
    }

    fn u16(&mut self) -> Option<u16> {
        self.take().map(u16::from_ne_bytes)
    }

    fn header(&mut self) -> Option<RecordHeader> {
        Some(RecordHeader {
            connection: self.u64()?,
            time_ns: self.u64()?,
            position: self.u64()?,
            length: self.u32()?,
            run: self.u32()?,
            tgid: self.u32()?,
            kind: u8::from_ne_bytes(self.take()?),
            direction: u8::from_ne_bytes(self.take()?),
            reason: u8::from_ne_bytes(self.take()?),
            flags: u8::from_ne_bytes(self.take()?),
        })
    }

    fn info(&mut self) -> Option<ConnectionInfo> {
        Some(ConnectionInfo {
            local_address: self.take()?,
            remote_address: self.take()?,
            established_ns: self.u64()?,
            cgroup_id: self.u64()?,
            netns: self.u32()?,
            local_port: self.u16()?,
            remote_port: self.u16()?,
            role: u8::from_ne_bytes(self.take()?),
            first_direction: u8::from_ne_bytes(self.take()?),
            undecided: u8::from_ne_bytes(self.take()?),
            encrypted: u8::from_ne_bytes(self.take()?),
            reserved: self.take()?,
        })
    }
}

impl<'a> Record<'a> {
    /// Reads one record. `None` when it is too short for what it says, or of a kind that this
    /// version does not know. What follows a data record's payload is padding.
    pub(super) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let mut fields = Fields(bytes);
        let header = fields.header()?;
        debug_assert_eq!(bytes.len() - fields.0.len(), RECORD_HEADER_BYTES);
        let body = match RecordKind::from_u8(header.kind)? {
            RecordKind::Open => RecordBody::Open(fields.info()?),
            RecordKind::Data => {
                RecordBody::Data(fields.0.get(..usize::try_from(header.length).ok()?)?)
            }
            RecordKind::Hole => RecordBody::Hole,
            RecordKind::Close => {
                RecordBody::Close { ingress_end: fields.u64().unwrap_or_default() }
            }
        };
        Some(Self { header, body })
    }
}

/// An address as the kernel side gives it, IPv4 where it is an IPv4-mapped one.
pub(super) fn address(bytes: [u8; 16]) -> IpAddr {
    IpAddr::V6(Ipv6Addr::from(bytes)).to_canonical()
}
