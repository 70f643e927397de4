//! From captured bytes to request/response exchanges: reassembly with gaps, protocol
//! detection, HTTP/1.x, pairing, and the mapping to the record (contract §1).
//!
//! Sans-IO: bytes with a position and a time go in, [`Event`]s come out. No clock, no
//! socket, no task; memory is bounded by [`Limits`] whatever the peers send, and no input
//! makes it panic. `Debug` output never shows captured bytes.

mod connection;
mod detect;
mod event;
mod exchange;
mod head;
mod hello;
mod http1;
mod joining;
mod limits;
mod place;
pub mod record;

pub use connection::Connection;
pub use event::{Event, HalfReason, UndecodableReason, UpgradeProtocol, hole_name};
pub use exchange::{Defect, Defects, Exchange, Message, MessageBody};
pub use head::{FieldLines, RequestHead, ResponseHead, Version};
pub use hello::{Hellos, TlsFacts};
pub use limits::Limits;
pub use place::Place;
pub use weir_abi::{Direction, HoleReason, Role};
