//! An export request around records that are encoded already.

use bytes::BufMut as _;

use super::wire::{self, Slot, delimited, put_varint};
use crate::model::Text;

/// Field 1 or 2 of a message, length-delimited.
const FIELD_1: u8 = 0x0a;
const FIELD_2: u8 = 0x12;
/// `InstrumentationScope { name: "rrpair", version: "1" }` (contract golden).
const SCOPE: &[u8] = b"\x0a\x06rrpair\x12\x011";

/// The resource of a request (contract §2.2). Records of one request are of one cluster.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Resource {
    /// Attribute `cluster`: filters, labels and back-fill use it.
    pub cluster: String,
    /// Further string attributes. Keys must differ.
    pub attributes: Vec<(Text, String)>,
}

impl Resource {
    /// The resource of our forwarder: `cluster` and `service.name`.
    pub fn new(cluster: impl Into<String>) -> Self {
        let service = (Text::Borrowed("service.name"), "weir-forwarder".to_owned());
        Self { cluster: cluster.into(), attributes: vec![service] }
    }

    fn encode(&self, out: &mut Vec<u8>) {
        wire::text(out, Slot::member("cluster"), &self.cluster);
        for (key, value) in &self.attributes {
            wire::text(out, Slot::member(key), value);
        }
    }

    /// Upper bound of what a request has beside its records, in bytes.
    pub fn overhead_bytes(&self) -> usize {
        const LENGTHS: usize = 64;
        let attributes = self.attributes.iter().map(|(key, value)| key.len() + value.len() + 32);
        LENGTHS + SCOPE.len() + self.cluster.len() + 32 + attributes.sum::<usize>()
    }
}

/// Bytes that an encoded record of this length takes in a request.
pub fn record_bytes(encoded_bytes: usize) -> usize {
    delimited(encoded_bytes)
}

/// Appends the protobuf bytes of an `ExportLogsServiceRequest` with one resource, one scope
/// and these records, each as [`super::encode_log_record`] wrote it. At most
/// [`Resource::overhead_bytes`] plus the sum of [`record_bytes`].
pub fn encode_request<'a>(
    resource: &Resource,
    records: impl Iterator<Item = &'a [u8]> + Clone,
    out: &mut Vec<u8>,
) {
    let mut attributes = Vec::new();
    resource.encode(&mut attributes);

    let content: usize = records.clone().map(|record| record_bytes(record.len())).sum();
    let scope_logs = delimited(SCOPE.len()) + content;
    let resource_logs = delimited(attributes.len()) + delimited(scope_logs);

    out.reserve(delimited(resource_logs));
    out.put_u8(FIELD_1);
    put_varint(out, resource_logs);
    out.put_u8(FIELD_1);
    put_varint(out, attributes.len());
    out.put_slice(&attributes);
    out.put_u8(FIELD_2);
    put_varint(out, scope_logs);
    out.put_u8(FIELD_1);
    put_varint(out, SCOPE.len());
    out.put_slice(SCOPE);
    for record in records {
        out.put_u8(FIELD_2);
        put_varint(out, record.len());
        out.put_slice(record);
    }
}
