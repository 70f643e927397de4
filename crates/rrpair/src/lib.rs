//! The record: RRPair documents as types, JSON and OTLP (contract §1, §2). Pure.

pub mod model;
pub mod number;
pub mod time;

pub use model::{
    Body, Direction, Fields, Http, HttpRequest, HttpResponse, NetInfo, Peer, Raw, Redacted, RrPair,
    Signature, StringMap, Uuid,
};
pub use time::Timestamp;
