//! The record: RRPair documents as types, JSON and OTLP (contract §1, §2). Pure.

pub mod fields;
pub mod header;
pub mod json;
pub mod markdown;
pub mod model;
pub mod number;
pub mod origin;
pub mod otlp;
pub mod query;
pub mod session;
pub mod signature;
pub mod snapshot;
pub mod tech;
pub mod text;
pub mod time;

#[cfg(test)]
mod arbitrary;
#[cfg(test)]
mod golden;

pub use fields::{Body, Fields, Signature, StringMap, Uuid, Values};
pub use model::{
    Direction, Http, HttpRequest, HttpResponse, NetInfo, Peer, Raw, Redacted, RrPair, Text,
};
pub use origin::Origin;
pub use time::Timestamp;
