//! Redaction: policies made ready to run, and the only way from `Raw` to `Redacted`. Pure.
//!
//! A [`Redactor`] replaces what its policies name in every copy that a record holds, and
//! changes nothing else. All searches take time linear in their input.

mod act;
mod body;
mod chain;
mod coding;
mod compile;
mod document;
mod edit;
mod engine;
mod fields;
mod finders;
#[cfg(test)]
#[path = "tests/hostile.rs"]
mod hostile;
mod json;
mod keys;
mod layer;
mod multipart;
mod paths;
mod pattern;
mod policy;
mod protobuf;
mod record;
mod signs;
mod sql;
mod text;
mod xml;

pub use compile::{CompileError, Redactor};
pub use document::{ChainFault, DlpDocument, DocumentError, RedactList, Step, TransformChain};
pub use policy::{
    Action, Chain, Detector, Example, Key, Pattern, PolicySource, Profile, SecretKey,
    WhenUndecodable,
};
pub use record::{Failure, Outcome, unrestricted};
