use std::fmt;

use weir_abi::HoleReason;

use crate::exchange::Exchange;

/// What a connection tells its reader, in the order in which it became certain.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A request with its response, or one of them when the other was not to be had.
    Exchange(Box<Exchange>),
    /// The connection will not be decoded any further. At most once; its bytes follow as
    /// [`Event::Undecodable`] with the same reason.
    Opaque { reason: UndecodableReason },
    /// Bytes that belong to no exchange.
    Undecodable { bytes: u64, reason: UndecodableReason },
    /// Exchanges of which too little was seen for an [`Event::Exchange`].
    Lost { exchanges: u64, reason: HoleReason },
    /// The connection left HTTP/1 by agreement of both ends.
    Upgraded { protocol: UpgradeProtocol },
}

/// Why bytes were not decoded.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum UndecodableReason {
    /// TLS records.
    Tls,
    /// HTTP/2.
    Http2,
    /// No protocol that is known here.
    UnknownProtocol,
    /// After a switch of protocols (`101`).
    Upgraded,
    /// Inside a tunnel (`CONNECT`).
    Tunnel,
    /// Rest of a message that began before the capture.
    JoinedLate,
    /// Not HTTP where HTTP was expected.
    Malformed,
    /// The connection ended inside a head.
    IncompleteHead,
    /// A head over the limit.
    HeadTooLarge,
    /// Message boundaries were lost in a gap and not found again yet.
    Unaligned,
    /// Responses of a pipelined connection that can no longer be matched to requests.
    Unpaired,
}

impl UndecodableReason {
    /// Every reason.
    pub const ALL: [Self; 11] = [
        Self::Tls,
        Self::Http2,
        Self::UnknownProtocol,
        Self::Upgraded,
        Self::Tunnel,
        Self::JoinedLate,
        Self::Malformed,
        Self::IncompleteHead,
        Self::HeadTooLarge,
        Self::Unaligned,
        Self::Unpaired,
    ];

    /// Name for metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tls => "tls",
            Self::Http2 => "http2",
            Self::UnknownProtocol => "unknown_protocol",
            Self::Upgraded => "upgraded",
            Self::Tunnel => "tunnel",
            Self::JoinedLate => "joined_late",
            Self::Malformed => "malformed",
            Self::IncompleteHead => "incomplete_head",
            Self::HeadTooLarge => "head_too_large",
            Self::Unaligned => "unaligned",
            Self::Unpaired => "unpaired",
        }
    }
}

/// Why an exchange has no response, or no request.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum HalfReason {
    /// The connection ended before a response began.
    NoResponse,
    /// The connection ended inside the response.
    ResponseCut,
    /// The connection ended inside the request.
    RequestCut,
    /// A hole took the request, or a part of it without which its end is unknown.
    RequestLost(HoleReason),
    /// As [`HalfReason::RequestLost`], of the response.
    ResponseLost(HoleReason),
    /// The request is not HTTP, or its framing is contradictory, so its end is unknown.
    RequestMalformed,
    /// The response is not HTTP, or its framing is contradictory.
    ResponseMalformed,
    /// A response that no request asked for, such as a `408` on an idle connection.
    Unsolicited,
    /// Loss on a pipelined connection: which response is whose is unknown from there on.
    Unpaired,
    /// More requests waited than the limits allow.
    TooManyPending,
    /// The capture ended first.
    Unfinished,
}

impl HalfReason {
    /// Name for metrics and for the tag `incomplete`, without the hole's own reason.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoResponse => "no_response",
            Self::ResponseCut => "response_cut",
            Self::RequestCut => "request_cut",
            Self::RequestLost(_) => "request_lost",
            Self::ResponseLost(_) => "response_lost",
            Self::RequestMalformed => "request_malformed",
            Self::ResponseMalformed => "response_malformed",
            Self::Unsolicited => "unsolicited",
            Self::Unpaired => "unpaired",
            Self::TooManyPending => "too_many_pending",
            Self::Unfinished => "unfinished",
        }
    }

    /// The hole behind it, if there is one.
    pub const fn hole(self) -> Option<HoleReason> {
        match self {
            Self::RequestLost(reason) | Self::ResponseLost(reason) => Some(reason),
            _ => None,
        }
    }
}

impl fmt::Display for HalfReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())?;
        match self.hole() {
            Some(reason) => write!(f, ":{}", hole_name(reason)),
            None => Ok(()),
        }
    }
}

/// Name of a hole's reason for metrics and tags.
pub const fn hole_name(reason: HoleReason) -> &'static str {
    match reason {
        HoleReason::NoUserBuffer => "no_user_buffer",
        HoleReason::ReadFault => "read_fault",
        HoleReason::CallLimit => "call_limit",
        HoleReason::Unseen => "unseen",
        HoleReason::RingFull => "ring_full",
    }
}

/// What follows HTTP/1 on the connection.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum UpgradeProtocol {
    WebSocket,
    /// HTTP/2 without TLS, asked for by `Upgrade: h2c`.
    H2c,
    /// `CONNECT`.
    Tunnel,
    Other,
}
