//! What one program knows of one HTTP exchange that it made: the truth to verify against.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::sync::Mutex;

use anyhow::Context;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The header that carries the id of the driver's request through every hop.
pub const ID_HEADER: &str = "x-request-id";
/// The header that tells the hops of one request apart: `0` from the driver, then `1`, `2`, …
pub const HOP_HEADER: &str = "x-hop";

/// Body bytes; base64 in JSON, and only their number in `Debug` output.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Bytes(pub Vec<u8>);

impl std::fmt::Debug for Bytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        STANDARD.decode(text).map(Self).map_err(serde::de::Error::custom)
    }
}

/// One request and its response as their client saw them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exchange {
    /// Value of [`ID_HEADER`].
    pub id: String,
    /// Value of [`HOP_HEADER`].
    pub hop: u32,
    /// Name of the service that was called.
    pub server: String,
    pub method: String,
    /// Request target as sent: path and raw query.
    pub target: String,
    /// Request body without its transfer coding.
    pub request_body: Bytes,
    pub status: u16,
    /// Response body without its transfer coding (a content coding is kept).
    pub response_body: Bytes,
    /// A health probe: the exporter's `standard` rule has to keep it out of the snapshot.
    pub probe: bool,
}

/// Appends exchanges to a file, one JSON object a line.
#[derive(Debug)]
pub struct Journal(Mutex<File>);

impl Journal {
    /// Starts an empty journal at `path`.
    ///
    /// # Errors
    ///
    /// When the file cannot be created.
    pub fn create(path: &Path) -> anyhow::Result<Self> {
        let file = File::create(path).with_context(|| format!("create {}", path.display()))?;
        Ok(Self(Mutex::new(file)))
    }

    /// Writes one exchange, whole, before it returns.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub fn write(&self, exchange: &Exchange) -> anyhow::Result<()> {
        let mut line = serde_json::to_vec(exchange).context("encode exchange")?;
        line.push(b'\n');
        let mut file = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        file.write_all(&line).context("write exchange")
    }
}

/// Reads a journal back, in the order written.
///
/// # Errors
///
/// When the file cannot be read or a line is not an exchange.
pub fn read(path: &Path) -> anyhow::Result<Vec<Exchange>> {
    let file = File::open(path).with_context(|| format!("open {}", path.display()))?;
    BufReader::new(file)
        .lines()
        .map(|line| {
            let line = line.with_context(|| format!("read {}", path.display()))?;
            serde_json::from_str(&line).with_context(|| format!("decode {}", path.display()))
        })
        .collect()
}
