//! One exchange on its way to being reported.

use weir_abi::{HoleReason, Role};

use crate::{
    event::HalfReason,
    exchange::{Exchange, Message},
    head::{
        RequestHead, ResponseHead,
        kind::{HeadKind, held_bytes},
    },
};

/// One side of an exchange.
#[derive(Debug, Default)]
pub(super) enum Part<Head> {
    /// Nothing usable was seen of it yet.
    #[default]
    Absent,
    /// Being read by its stream.
    Open,
    Whole(Box<Message<Head>>),
    /// Its head was read, its end is unknown.
    Broken(Box<Message<Head>>, HalfReason),
}

impl<Head: HeadKind> Part<Head> {
    pub(super) fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }

    pub(super) fn is_open(&self) -> bool {
        matches!(self, Self::Open)
    }

    /// Its message was seen, whole or in part.
    fn is_settled(&self) -> bool {
        matches!(self, Self::Whole(_) | Self::Broken(..))
    }

    pub(super) fn message(&self) -> Option<&Message<Head>> {
        match self {
            Self::Absent | Self::Open => None,
            Self::Whole(message) | Self::Broken(message, _) => Some(message),
        }
    }

    fn into_message(self) -> Option<(Box<Message<Head>>, Option<HalfReason>)> {
        match self {
            Self::Absent | Self::Open => None,
            Self::Whole(message) => Some((message, None)),
            Self::Broken(message, reason) => Some((message, Some(reason))),
        }
    }
}

/// A request that waits for its response, or what else is known of an exchange.
#[derive(Debug, Default)]
pub(super) struct Slot {
    /// The exchange's request run: its response lies in the next one.
    pub(super) key: i64,
    pub(super) request: Part<RequestHead>,
    pub(super) response: Part<ResponseHead>,
    /// A hole took something of it.
    pub(super) lost: Option<HoleReason>,
    pub(super) interim_responses: u32,
    /// It may have begun before the capture: no loss when its request is not there.
    pub(super) joined_late: bool,
    /// Its response came while nothing was asked.
    pub(super) unsolicited: bool,
}

/// What a slot comes to.
pub(super) enum Outcome {
    Exchange(Box<Exchange>),
    Lost(HoleReason),
    /// Nothing that counts.
    Nothing,
}

impl Slot {
    pub(super) fn new(key: i64) -> Self {
        Self { key, ..Self::default() }
    }

    /// Nothing more is to come for it.
    pub(super) fn is_finished(&self) -> bool {
        self.response.is_settled() && (self.request.is_settled() || self.request.is_absent())
    }

    pub(super) fn held_bytes(&self) -> usize {
        self.request.message().map_or(0, held_bytes) + self.response.message().map_or(0, held_bytes)
    }

    /// Ends the exchange; `otherwise` says why it is half when the slot does not know.
    pub(super) fn finish(self, role: Role, ordinal: u64, otherwise: HalfReason) -> Outcome {
        let Self { request, response, lost, interim_responses, joined_late, unsolicited, .. } =
            self;
        let exchange = |request, response, half| {
            let (request, response): (Option<Box<_>>, Option<Box<_>>) = (request, response);
            Outcome::Exchange(Box::new(Exchange {
                request: request.map(|message| *message),
                response: response.map(|message| *message),
                role,
                ordinal,
                half,
                interim_responses,
            }))
        };
        match (request.into_message(), response.into_message()) {
            (Some((request, None)), Some((response, None))) => {
                exchange(Some(request), Some(response), None)
            }
            (Some((request, broken)), response) => {
                let half = broken
                    .or_else(|| response.and_then(|(_message, broken)| broken))
                    .or_else(|| lost.map(HalfReason::ResponseLost))
                    .unwrap_or(otherwise);
                exchange(Some(request), None, Some(half))
            }
            (None, _) if joined_late => Outcome::Nothing,
            (None, Some((response, broken))) => {
                let unasked = if unsolicited {
                    HalfReason::Unsolicited
                } else {
                    HalfReason::RequestMalformed
                };
                let half = lost.map(HalfReason::RequestLost).or(broken).unwrap_or(unasked);
                exchange(None, Some(response), Some(half))
            }
            (None, None) => lost.map_or(Outcome::Nothing, Outcome::Lost),
        }
    }
}
