//! Records as OTLP logs (contract §2): one LogRecord per pair, its body a map.
//!
//! [`encode_log_record`] writes protobuf bytes straight from the record. [`encode_request`]
//! puts encoded records into one export request, and [`decode_request`] reads any request.

mod decode;
mod encode;
mod guard;
mod request;
mod wire;

#[cfg(test)]
mod tests;

pub use decode::{
    DecodeRequest, Decoded, DecodedRecord, MAX_MESSAGES, MAX_REQUEST_BYTES, decode_request,
    from_request,
};
pub use encode::encode_log_record;
pub use request::{Resource, encode_request, record_bytes};
