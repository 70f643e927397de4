//! Records as requests that can be sent again and as answers that can be given again: writing
//! them byte for byte, reading HTTP/1, and where a request goes instead.
//!
//! Pure: bytes come in as arguments.

pub mod carry;
pub mod coding;
pub mod compare;
pub mod condition;
pub mod head;
pub mod message;
pub mod mock;
pub mod observed;
pub mod report;
pub mod target;
pub mod wire;
