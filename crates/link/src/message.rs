//! The messages, as JSON: there are few of them, and a person can read them.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use weir_abi::{Loss, LossCounter};

use crate::TlsCoverage;

/// Version of the messages. Both sides come from one image, so another one is refused.
pub const LINK_VERSION: u32 = 2;

/// Longest message, well below what a socket takes as one packet by default.
pub const MAX_MESSAGE_BYTES: usize = 128 << 10;

/// From the agent.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum FromAgent {
    /// First of a connection; the segment ring's descriptor comes with it.
    Hello(Hello),
    /// Changes in the captured processes, in order.
    Processes(Vec<ProcessNews>),
    /// The kernel side, when it changed.
    Kernel(Kernel),
}

/// From the forwarder.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum FromForwarder {
    /// What to capture from now on, in place of all before.
    Targets(Targets),
}

/// Who the agent is, and which ring it fills.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Hello {
    /// [`LINK_VERSION`].
    pub version: u32,
    /// [`weir_abi::ABI_VERSION`]: layout of the ring's records.
    pub abi: u32,
    /// Size of the ring.
    pub ring_bytes: u32,
    /// How the kernel side listens, for people.
    pub hook: String,
    /// Release of the kernel.
    pub kernel: String,
}

/// What to capture.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Targets {
    /// Number of this list; the agent says which it follows.
    pub revision: u64,
    /// Uids of pods. Without any, every hook is detached.
    pub pods: BTreeSet<String>,
    /// Those of them whose encrypted connections nobody wants read.
    pub undisclosed: BTreeSet<String>,
}

/// A change in the captured processes.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum ProcessNews {
    /// It is captured, or will be at once.
    Captured {
        /// Thread group id in the host's namespace.
        pid: u32,
        /// Where it runs.
        container: Container,
    },
    /// What is known of the encrypted connections of a captured process, when that changed.
    Tls {
        /// Thread group id in the host's namespace.
        pid: u32,
        /// Whether they can be read.
        coverage: TlsCoverage,
    },
    /// It ended, or is captured no more.
    Ended {
        /// Thread group id in the host's namespace.
        pid: u32,
    },
}

/// A container of a pod.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Container {
    /// Uid of the pod as the container's control group names it.
    pub pod_uid: String,
    /// The runtime's id of the container; empty when the group does not name it.
    pub id: String,
}

/// State of the kernel side.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Kernel {
    /// [`Targets::revision`] that it follows; 0 before the first of a connection.
    pub revision: u64,
    /// Hooks are attached.
    pub attached: bool,
    /// Why they could not be attached or detached as asked.
    pub error: Option<String>,
    /// Losses since the agent's start: records, bytes and exchanges by [`Loss`].
    pub losses: [[u64; 3]; Loss::COUNT as usize],
    /// Rings that were given up since their reader went away.
    pub abandoned_rings: u64,
    /// Bytes in them that nobody read.
    pub abandoned_bytes: u64,
}

/// Why bytes are no message.
#[derive(Debug, thiserror::Error)]
pub enum MessageError {
    /// Longer than [`MAX_MESSAGE_BYTES`].
    #[error("a message of {bytes} bytes is too long")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// No JSON, or not of a message that this version knows.
    #[error("a message cannot be read")]
    Malformed(#[from] serde_json::Error),
}

impl Kernel {
    /// Takes the counters over.
    #[must_use]
    pub fn with_losses(mut self, counters: &[LossCounter; Loss::COUNT as usize]) -> Self {
        self.losses = counters.map(|counter| [counter.records, counter.bytes, counter.exchanges]);
        self
    }

    /// The counters.
    pub fn loss_counters(&self) -> [LossCounter; Loss::COUNT as usize] {
        self.losses.map(|[records, bytes, exchanges]| LossCounter { records, bytes, exchanges })
    }
}

/// The bytes of a message.
///
/// # Errors
///
/// [`MessageError::TooLong`].
pub fn encode(message: &impl Serialize) -> Result<Vec<u8>, MessageError> {
    let bytes = serde_json::to_vec(message)?;
    if bytes.len() > MAX_MESSAGE_BYTES {
        return Err(MessageError::TooLong { bytes: bytes.len() });
    }
    Ok(bytes)
}

/// The message in these bytes.
///
/// # Errors
///
/// [`MessageError::Malformed`].
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, MessageError> {
    Ok(serde_json::from_slice(bytes)?)
}

/// Any number of news in as many messages as they need.
pub fn packets_of_news(news: Vec<ProcessNews>) -> impl Iterator<Item = FromAgent> {
    // An entry takes less than 300 bytes: ids are bounded where they are parsed.
    const PER_MESSAGE: usize = 256;
    let mut rest = news.into_iter();
    std::iter::from_fn(move || {
        let some: Vec<_> = rest.by_ref().take(PER_MESSAGE).collect();
        (!some.is_empty()).then_some(FromAgent::Processes(some))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn messages_survive_their_encoding() {
        let counters = Loss::ALL.map(|loss| LossCounter {
            records: loss as u64,
            bytes: u64::MAX,
            exchanges: 7,
        });
        let kernel = Kernel { attached: true, ..Kernel::default() }.with_losses(&counters);
        let message = FromAgent::Kernel(kernel.clone());
        assert_eq!(decode::<FromAgent>(&encode(&message).unwrap()).unwrap(), message);
        assert_eq!(kernel.loss_counters(), counters);
    }

    #[test]
    fn a_message_that_no_packet_takes_is_refused() {
        let pods = (0..10_000).map(|number| format!("{number:036}")).collect();
        let error =
            encode(&FromForwarder::Targets(Targets { revision: 1, pods, ..Targets::default() }))
                .unwrap_err();
        assert!(matches!(error, MessageError::TooLong { .. }), "{error}");
    }

    #[test]
    fn news_are_split_into_messages_that_fit() {
        let longest = Container { pod_uid: "u".repeat(64), id: "c".repeat(128) };
        let news: Vec<_> = (0..1000)
            .map(|pid| ProcessNews::Captured { pid, container: longest.clone() })
            .collect();
        let messages: Vec<_> = packets_of_news(news.clone()).collect();
        let mut joined = Vec::new();
        for message in &messages {
            encode(message).unwrap();
            let FromAgent::Processes(part) = message else { unreachable!("only news") };
            joined.extend(part.iter().cloned());
        }
        assert_eq!(joined, news);
        assert_eq!(packets_of_news(Vec::new()).count(), 0);
    }

    proptest! {
        #[test]
        fn bytes_are_refused_or_are_a_message_that_survives(
            bytes in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            if let Ok(message) = decode::<FromAgent>(&bytes) {
                let again = decode::<FromAgent>(&encode(&message).unwrap()).unwrap();
                prop_assert_eq!(again, message);
            }
        }

        #[test]
        fn a_damaged_message_is_refused_or_another_message(
            pod in "[a-z0-9-]{1,36}", at in any::<prop::sample::Index>(), byte in any::<u8>(),
        ) {
            let message = FromForwarder::Targets(Targets { revision: 1, pods: [pod].into(), ..Targets::default() });
            let mut bytes = encode(&message).unwrap();
            let at = at.index(bytes.len());
            let same = bytes[at] == byte;
            bytes[at] = byte;
            if let Ok(read) = decode::<FromForwarder>(&bytes) {
                prop_assert!(same || read != message);
            }
        }
    }
}
