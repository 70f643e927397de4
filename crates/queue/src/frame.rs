//! Bytes of segments: header, frames, footer.

use crc32c::{crc32c, crc32c_append};

use crate::{Label, Tally, labels::Labels};

const SEGMENT_MAGIC: &[u8; 8] = b"weirlog1";
/// Magic, id, checksum.
pub(crate) const SEGMENT_HEADER: usize = 20;
/// Magic, length, records, two checksums.
pub(crate) const FRAME_HEADER: usize = 20;
/// Length of the footer's frame, and a mark.
pub(crate) const TRAILER: usize = 8;
const TRAILER_MAGIC: u32 = u32::from_le_bytes(*b"wEnd");

/// Kinds of frames, by their magic.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    Records,
    Footer,
}

impl Kind {
    const fn magic(self) -> u32 {
        u32::from_le_bytes(match self {
            Self::Records => *b"wRec",
            Self::Footer => *b"wSum",
        })
    }
}

/// A header that holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Header {
    pub(crate) kind: Kind,
    /// Bytes of what follows.
    pub(crate) length: u64,
    /// What it says of the number of records.
    pub(crate) records: u32,
    payload_crc: u32,
}

/// What a payload says before its body.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) counts: Tally,
    /// In the order in which the payload names them.
    pub(crate) labels: Vec<Label>,
    /// Where the body begins.
    pub(crate) body: usize,
}

pub(crate) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

/// The first bytes of a segment.
pub(crate) fn segment_header(id: u64) -> Vec<u8> {
    let mut bytes = SEGMENT_MAGIC.to_vec();
    bytes.extend(id.to_le_bytes());
    bytes.extend(crc32c(&bytes).to_le_bytes());
    bytes
}

/// Bytes that a frame with these records and a body of `body` bytes takes.
pub(crate) fn frame_bytes(counts: &Tally, labels: &Labels, body: usize) -> usize {
    FRAME_HEADER + labels_bytes(counts, labels) + body
}

/// Bytes that a footer with these records takes.
pub(crate) fn footer_bytes(counts: &Tally, labels: &Labels) -> usize {
    frame_bytes(counts, labels, 0) + TRAILER
}

fn labels_bytes(counts: &Tally, labels: &Labels) -> usize {
    2 + counts.iter().map(|(label, _)| 2 + labels.text(label).len() + 8).sum::<usize>()
}

/// Appends a frame that will lie at `offset` of segment `id`. `None` when it is longer than a
/// frame can say.
pub(crate) fn encode(
    out: &mut Vec<u8>,
    kind: Kind,
    (id, offset): (u64, u64),
    (counts, labels): (&Tally, &Labels),
    body: &[&[u8]],
) -> Option<()> {
    let start = out.len();
    let payload_at = start + FRAME_HEADER;
    out.resize(payload_at, 0);
    out.extend(u16::try_from(counts.iter().count()).ok()?.to_le_bytes());
    for (label, records) in counts.iter() {
        let text = labels.text(label);
        out.extend(u16::try_from(text.len()).ok()?.to_le_bytes());
        out.extend(text.as_bytes());
        out.extend(records.to_le_bytes());
    }
    for part in body {
        out.extend_from_slice(part);
    }
    let payload = out.get(payload_at..)?;
    let length = u32::try_from(payload.len()).ok()?;
    let records = u32::try_from(counts.total()).unwrap_or(u32::MAX);
    let payload_crc = crc32c(payload);
    let header = out.get_mut(start..payload_at)?;
    for (place, field) in
        header.chunks_exact_mut(4).zip([kind.magic(), length, records, payload_crc])
    {
        place.copy_from_slice(&field.to_le_bytes());
    }
    let crc = header_crc(header.get(..16)?, id, offset);
    header.get_mut(16..)?.copy_from_slice(&crc.to_le_bytes());
    Some(())
}

/// Binds a header to its place, so that bytes of another segment or place are never taken for
/// a frame.
fn header_crc(fields: &[u8], id: u64, offset: u64) -> u32 {
    crc32c_append(crc32c_append(crc32c(&id.to_le_bytes()), &offset.to_le_bytes()), fields)
}

/// The footer's bytes at `offset` of segment `id`.
pub(crate) fn footer(id: u64, offset: u64, counts: &Tally, labels: &Labels) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    encode(&mut out, Kind::Footer, (id, offset), (counts, labels), &[])?;
    let length = u32::try_from(out.len()).ok()?;
    out.extend(length.to_le_bytes());
    out.extend(TRAILER_MAGIC.to_le_bytes());
    Some(out)
}

/// Length of the footer that ends with this trailer.
pub(crate) fn footer_length(trailer: &[u8]) -> Option<u64> {
    (u32_at(trailer, 4)? == TRAILER_MAGIC).then(|| u32_at(trailer, 0).map(u64::from))?
}

impl Header {
    /// Reads a header at `offset` of segment `id`; `None` when it does not hold.
    pub(crate) fn decode(bytes: &[u8], id: u64, offset: u64) -> Option<Self> {
        let magic = u32_at(bytes, 0)?;
        let kind = [Kind::Records, Kind::Footer].into_iter().find(|kind| kind.magic() == magic)?;
        if u32_at(bytes, 16)? != header_crc(bytes.get(..16)?, id, offset) {
            return None;
        }
        let length = u64::from(u32_at(bytes, 4)?);
        let records = u32_at(bytes, 8)?;
        Some(Self { kind, length, records, payload_crc: u32_at(bytes, 12)? })
    }

    /// Whose records this payload holds; `None` when it is damaged.
    pub(crate) fn open(&self, payload: &[u8], labels: &mut Labels) -> Option<Opened> {
        if crc32c(payload) != self.payload_crc {
            return None;
        }
        let mut at = 2;
        let (mut counts, mut order) = (Tally::default(), Vec::new());
        for _ in 0..u16_at(payload, 0)? {
            let length = usize::from(u16_at(payload, at)?);
            let text = std::str::from_utf8(payload.get(at + 2..at + 2 + length)?).ok()?;
            let records = u64_at(payload, at + 2 + length)?;
            let label = labels.intern(text);
            counts.add(label, records);
            order.push(label);
            at += 2 + length + 8;
        }
        Some(Opened { counts, labels: order, body: at })
    }
}

/// True when these bytes begin segment `id`.
pub(crate) fn begins_segment(bytes: &[u8], id: u64) -> bool {
    bytes.get(..SEGMENT_HEADER).is_some_and(|start| *start == *segment_header(id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_holds_only_where_it_was_written_and_unchanged() {
        let mut labels = Labels::default();
        let counts: Tally =
            [(labels.intern("default/all"), 3), (labels.intern("é"), 1)].into_iter().collect();
        let mut bytes = Vec::new();
        encode(&mut bytes, Kind::Records, (7, 20), (&counts, &labels), &[b"bo", b"dy"]).unwrap();
        assert_eq!(bytes.len(), frame_bytes(&counts, &labels, 4));
        let header = Header::decode(&bytes, 7, 20).unwrap();
        assert_eq!(header.length, (bytes.len() - FRAME_HEADER) as u64);
        let mut other = Labels::default();
        other.intern("of another process");
        let opened = header.open(&bytes[FRAME_HEADER..], &mut other).unwrap();
        assert_eq!((opened.counts.total(), header.records), (4, 4));
        let names: Vec<_> = opened.labels.iter().map(|label| other.text(*label)).collect();
        assert_eq!(names, ["default/all", "é"]);
        assert_eq!(&bytes[FRAME_HEADER + opened.body..], b"body");
        assert_eq!((Header::decode(&bytes, 8, 20), Header::decode(&bytes, 7, 21)), (None, None));
        for place in 0..bytes.len() {
            let mut bad = bytes.clone();
            bad[place] ^= 0x40;
            let whole = Header::decode(&bad, 7, 20)
                .and_then(|header| header.open(&bad[FRAME_HEADER..], &mut Labels::default()));
            assert!(whole.is_none(), "{place}");
        }
    }

    #[test]
    fn a_footer_is_found_from_the_end() {
        let mut labels = Labels::default();
        let counts: Tally = [(labels.intern("a"), 9)].into_iter().collect();
        let bytes = footer(1, 500, &counts, &labels).unwrap();
        assert_eq!(bytes.len(), footer_bytes(&counts, &labels));
        let length = footer_length(&bytes[bytes.len() - TRAILER..]).unwrap();
        assert_eq!(length, (bytes.len() - TRAILER) as u64);
        assert_eq!(Header::decode(&bytes, 1, 500).unwrap().kind, Kind::Footer);
    }
}
