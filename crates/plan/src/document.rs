//! The plan on its way to the nodes: one versioned document, as gzip of JSON, in one Secret.

use std::io::{self, Read as _, Write as _};

use flate2::{Compression, GzBuilder, read::GzDecoder};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::Plan;

/// Name of the Secret in the operator's namespace.
pub const PLAN_SECRET: &str = "weir-plan";
/// Key of [`PLAN_SECRET`] that holds the document.
pub const PLAN_KEY: &str = "plan.json.gz";
/// Bytes that a Secret may hold in all, as the API server counts them.
pub const MAX_DOCUMENT_BYTES: usize = 1 << 20;

/// Of what [`PlanDocument::encode`] writes.
///
/// 2: policies, which a reader of version 1 would leave out.
const VERSION: u32 = 2;
/// Bytes that a document may have when unpacked: far more than any that fits in a Secret in
/// earnest, and too few to harm a node.
const MAX_JSON_BYTES: u64 = 64 << 20;

/// A plan with its name.
#[derive(Clone, Debug, PartialEq)]
pub struct PlanDocument {
    revision: String,
    plan: Plan,
}

/// Why bytes are no plan of this version.
#[derive(Debug, thiserror::Error)]
pub enum DecodePlan {
    #[error("could not unpack the plan document")]
    Gzip(#[source] io::Error),
    #[error("the plan document has more than {MAX_JSON_BYTES} bytes when unpacked")]
    TooLarge,
    /// Without the source's text, which may quote a header's value.
    #[error("the plan document is no plan of version {VERSION}: line {line}, column {column}")]
    Json { line: usize, column: usize },
    #[error("the plan document has version {found}; this program reads version {VERSION}")]
    Version { found: u32 },
    #[error("the plan document was changed after it was written: its revision is another one")]
    Revision,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Written<'a> {
    version: u32,
    revision: &'a str,
    plan: &'a Plan,
}

#[derive(Deserialize)]
struct Version {
    version: u32,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Stored {
    revision: String,
    plan: Plan,
}

impl PlanDocument {
    /// Names a plan by the SHA-256 of its JSON.
    pub fn new(plan: Plan) -> Self {
        Self { revision: revision(&plan), plan }
    }

    /// Equal for equal plans only.
    pub fn revision(&self) -> &str {
        &self.revision
    }

    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    pub fn into_plan(self) -> Plan {
        self.plan
    }

    /// The bytes for [`PLAN_KEY`]: the same ones for equal plans.
    ///
    /// # Panics
    ///
    /// Never: plans have a JSON form and memory takes every byte.
    pub fn encode(&self) -> Vec<u8> {
        let written = Written { version: VERSION, revision: &self.revision, plan: &self.plan };
        let json = serde_json::to_vec(&written).expect("a plan has a JSON form");
        // No time and no name in the header, so that equal plans have equal bytes.
        let mut gzip = GzBuilder::new().mtime(0).write(Vec::new(), Compression::default());
        gzip.write_all(&json).and_then(|()| gzip.finish()).expect("memory takes every byte")
    }

    /// Reads what [`encode`](Self::encode) wrote.
    ///
    /// # Errors
    ///
    /// [`DecodePlan`]; none of its texts repeats anything of the document.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodePlan> {
        let mut json = Vec::new();
        let mut unpacked = GzDecoder::new(bytes).take(MAX_JSON_BYTES + 1);
        unpacked.read_to_end(&mut json).map_err(DecodePlan::Gzip)?;
        if json.len() as u64 > MAX_JSON_BYTES {
            return Err(DecodePlan::TooLarge);
        }
        let at = |error: serde_json::Error| DecodePlan::Json {
            line: error.line(),
            column: error.column(),
        };
        // The version first: a later one need not have the fields of this one.
        let Version { version } = serde_json::from_slice(&json).map_err(at)?;
        if version != VERSION {
            return Err(DecodePlan::Version { found: version });
        }
        let Stored { revision: named, plan } = serde_json::from_slice(&json).map_err(at)?;
        if revision(&plan) != named {
            return Err(DecodePlan::Revision);
        }
        Ok(Self { revision: named, plan })
    }
}

fn revision(plan: &Plan) -> String {
    use std::fmt::Write as _;
    let json = serde_json::to_vec(plan).expect("a plan has a JSON form");
    let mut text = String::with_capacity(64);
    for byte in Sha256::digest(&json) {
        write!(text, "{byte:02x}").expect("a String takes every text");
    }
    text
}

#[cfg(test)]
mod tests;
