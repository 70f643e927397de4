//! The space program of `make demo`: three services over a PostgreSQL database, a driver that
//! knows what it sends, and a verifier that holds a captured snapshot against that knowledge.
//!
//! The services know nothing of Weir. `gateway` takes public requests and calls
//! `outerspace-server` (rockets and launches, in the database) and `telemetry` (binary, chunked
//! and compressed bodies). A rocket whose id ends in a DEL character makes `outerspace-server`
//! answer 500: the bug that the demo is there to show.

pub mod database;
pub mod exchange;
pub mod http1;
pub mod process;
pub mod program;
pub mod report;
pub mod requests;
pub mod snapshot;
pub mod verify;
