//! Why an agent could not start. Each text names the remedy: it is what a user sees.

use crate::btf::BtfError;

/// See the variants; `Display` is one clear message with what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(
        "capturing needs the capabilities {missing}: run as root, or grant them \
         (in a container: securityContext.capabilities.add)"
    )]
    NotPermitted {
        /// Missing capabilities, comma-separated.
        missing: String,
    },
    #[error(
        "the processes here are numbered otherwise than the kernel does it: run with the machine's \
         own processes (hostPID: true); on nodes that are containers themselves, as those of kind, \
         nothing can be captured"
    )]
    ProcessNamespace,
    #[error(
        "this kernel shows no type information at {path}: use a kernel built with \
         CONFIG_DEBUG_INFO_BTF=y (every current distribution kernel from 5.8 on has it)"
    )]
    NoBtf {
        path: &'static str,
        #[source]
        source: std::io::Error,
    },
    #[error(
        "this kernel's type information lacks what capture needs: it may be too old or too new"
    )]
    Offsets(#[from] BtfError),
    #[error("the ring must be a power of two from 4096 bytes to 1 GiB, not {bytes}")]
    RingSize { bytes: u32 },
    #[error("the kernel refused to {action}: run `weir doctor` for what this kernel can do")]
    Kernel {
        action: String,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("could not {action}")]
    Io {
        action: &'static str,
        #[source]
        source: std::io::Error,
    },
}

impl StartError {
    pub(crate) fn kernel(
        action: impl Into<String>,
        source: impl std::error::Error + Send + Sync + 'static,
    ) -> Self {
        Self::Kernel { action: action.into(), source: Box::new(source) }
    }
}
