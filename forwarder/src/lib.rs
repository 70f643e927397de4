//! Reads the capture's ring, makes pairs of it and delivers them as OpenTelemetry logs.

pub mod export;
pub mod queue;
pub mod ring;
