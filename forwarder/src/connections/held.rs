//! Records that wait: for those that belong before them, or until it is known whose they are.

use weir_abi::RecordHeader;

use super::wire::RecordBody;

/// Most payload bytes that wait on one connection.
const MAX_BYTES: usize = 256 * 1024;
/// Most records that wait on one connection.
const MAX_RECORDS: usize = 1024;

/// Copies of records, in order.
#[derive(Default)]
pub(super) struct Held {
    records: Vec<(RecordHeader, Kept)>,
    bytes: usize,
}

enum Kept {
    Data(Box<[u8]>),
    Hole,
    Close { ingress_end: u64 },
}

impl Held {
    /// Keeps a record; false when there is no room for it.
    pub(super) fn push(&mut self, header: &RecordHeader, body: &RecordBody<'_>) -> bool {
        let kept = match body {
            RecordBody::Open(_) => return true,
            RecordBody::Data(bytes) => {
                if self.bytes + bytes.len() > MAX_BYTES {
                    return false;
                }
                self.bytes += bytes.len();
                Kept::Data((*bytes).into())
            }
            RecordBody::Hole => Kept::Hole,
            RecordBody::Close { ingress_end } => Kept::Close { ingress_end: *ingress_end },
        };
        let fits = self.records.len() < MAX_RECORDS;
        if fits {
            self.records.push((*header, kept));
        }
        fits
    }

    pub(super) fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Payload bytes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Hands every record to `take`, in order, and keeps none.
    pub(super) fn release(&mut self, mut take: impl FnMut(&RecordHeader, &RecordBody<'_>)) {
        self.bytes = 0;
        for (header, kept) in std::mem::take(&mut self.records) {
            let body = match &kept {
                Kept::Data(bytes) => RecordBody::Data(bytes),
                Kept::Hole => RecordBody::Hole,
                Kept::Close { ingress_end } => RecordBody::Close { ingress_end: *ingress_end },
            };
            take(&header, &body);
        }
    }
}
