//! What the capture agent and the forwarder of one node say to each other, over a Unix socket
//! that keeps message boundaries: each packet is one message, and the packet of [`Hello`]
//! carries the ring's descriptor.
//!
//! The agent listens. After a connection it says [`FromAgent::Hello`]; the forwarder answers
//! with [`FromForwarder::Targets`], the whole list each time. Then the agent tells of captured
//! processes, always before the kernel side is told to capture them. Either side may end the
//! connection at any time, and both begin anew then.

pub mod cgroup;
mod coverage;
mod message;
mod socket;

pub use coverage::{TlsCoverage, TlsOpaque};
pub use message::{
    Container, FromAgent, FromForwarder, Hello, Kernel, LINK_VERSION, MAX_MESSAGE_BYTES,
    MessageError, ProcessNews, Targets, decode, encode, packets_of_news,
};
pub use socket::{Connection, LinkError, Listener, Packet};
