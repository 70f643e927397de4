//! Whether the encrypted connections of a process can be read, and why not.

use serde::{Deserialize, Serialize};

/// What the agent knows of a captured process.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum TlsCoverage {
    /// Nobody looked, or nobody wants its plaintext.
    #[default]
    Unknown,
    /// A TLS library of it is probed.
    Probed {
        /// `CLOCK_MONOTONIC` nanoseconds at which the probes were in place.
        since_ns: u64,
    },
    /// Nothing of it is probed.
    Opaque(TlsOpaque),
}

/// Why encrypted connections are not read.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum TlsOpaque {
    /// Neither the program nor a library that it has mapped names functions of a TLS library.
    NoSymbols,
    /// A TLS library that is known, and that has no place to read at: rustls, NSS, mbed TLS,
    /// wolfSSL, s2n.
    UnsupportedLibrary,
    /// Go's own TLS.
    Go,
    /// Java's own TLS.
    Java,
    /// Linked statically, and its symbols were removed.
    StaticStripped,
    /// Not of this machine's architecture.
    UnsupportedMachine,
    /// A file is too large, malformed or could not be read.
    NotExamined,
    /// The kernel refused the probes, or there are too many.
    ProbeRefused,
    /// The connection began before the probes were in place.
    AttachedLate,
    /// A library of the process is probed, and none of its calls used the connection's socket: it
    /// encrypts in memory (Node, Envoy), or the connection is another library's.
    Unjoined,
    /// Nobody knows of the process.
    Unknown,
}

impl TlsOpaque {
    /// Every reason.
    pub const ALL: [Self; 11] = [
        Self::NoSymbols,
        Self::UnsupportedLibrary,
        Self::Go,
        Self::Java,
        Self::StaticStripped,
        Self::UnsupportedMachine,
        Self::NotExamined,
        Self::ProbeRefused,
        Self::AttachedLate,
        Self::Unjoined,
        Self::Unknown,
    ];

    /// True when it holds for every connection of the process, as far as is known.
    pub const fn is_of_the_program(self) -> bool {
        matches!(
            self,
            Self::UnsupportedLibrary
                | Self::Go
                | Self::Java
                | Self::StaticStripped
                | Self::UnsupportedMachine
        )
    }

    /// Name in counters.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoSymbols => "no_symbols",
            Self::UnsupportedLibrary => "unsupported_library",
            Self::Go => "go",
            Self::Java => "java",
            Self::StaticStripped => "static_stripped",
            Self::UnsupportedMachine => "unsupported_machine",
            Self::NotExamined => "not_examined",
            Self::ProbeRefused => "probe_refused",
            Self::AttachedLate => "attached_late",
            Self::Unjoined => "unjoined",
            Self::Unknown => "unknown",
        }
    }

    /// Name in a Kubernetes condition.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::NoSymbols => "NoSymbols",
            Self::UnsupportedLibrary => "UnsupportedLibrary",
            Self::Go => "Go",
            Self::Java => "Java",
            Self::StaticStripped => "StaticStripped",
            Self::UnsupportedMachine => "UnsupportedMachine",
            Self::NotExamined => "NotExamined",
            Self::ProbeRefused => "ProbeRefused",
            Self::AttachedLate => "AttachedLate",
            Self::Unjoined => "Unjoined",
            Self::Unknown => "Unknown",
        }
    }
}

impl TlsCoverage {
    /// Why a connection of the process gave no plaintext. `older` says that its first bytes were
    /// not seen.
    pub const fn why_opaque(self, older: bool, first_seen_ns: u64) -> TlsOpaque {
        match self {
            Self::Opaque(why) => why,
            Self::Probed { since_ns } if older || first_seen_ns < since_ns => {
                TlsOpaque::AttachedLate
            }
            Self::Probed { .. } => TlsOpaque::Unjoined,
            Self::Unknown => TlsOpaque::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_reason_has_a_name_of_its_own() {
        let names: BTreeSet<_> = TlsOpaque::ALL.map(TlsOpaque::as_str).into();
        let reasons: BTreeSet<_> = TlsOpaque::ALL.map(TlsOpaque::reason).into();
        assert_eq!((names.len(), reasons.len()), (TlsOpaque::ALL.len(), TlsOpaque::ALL.len()));
    }

    #[test]
    fn a_probed_process_has_late_connections_and_unjoined_ones() {
        let probed = TlsCoverage::Probed { since_ns: 10 };
        assert_eq!(probed.why_opaque(true, 20), TlsOpaque::AttachedLate, "older than the capture");
        assert_eq!(probed.why_opaque(false, 9), TlsOpaque::AttachedLate, "older than the probes");
        assert_eq!(probed.why_opaque(false, 11), TlsOpaque::Unjoined);
        assert_eq!(TlsCoverage::Opaque(TlsOpaque::Java).why_opaque(true, 0), TlsOpaque::Java);
        assert_eq!(TlsCoverage::default().why_opaque(false, 1), TlsOpaque::Unknown);
    }
}
