//! An ELF file in, a plan of probes out: where in the file a TLS library's functions can be
//! probed cheaply and soundly, or why not. Pure.
//!
//! Offsets are offsets in the file, as uprobes want them. x86-64 only.

mod code;
mod elf;
mod examine;
mod go;
mod graph;
mod limits;
mod plan;
mod version;

pub use examine::examine;
pub use limits::{
    MAX_ARGUMENT_STEPS, MAX_CANDIDATES, MAX_ELF_BYTES, MAX_PROBES, MAX_SEGMENTS, MAX_STEPS,
    MAX_SYMBOLS,
};
pub use plan::{
    Arguments, Cost, Found, Function, Library, Opaque, Probe, ProbePlan, ResultSite, Version,
    WhyUretprobe,
};
