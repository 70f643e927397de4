//! What a receiver's answer means for the records of the request.

use std::time::Duration;

use crate::queue::RefusalReason;

/// The receiver took the request.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Answer {
    /// Records of the request that it will never take (partial success).
    pub rejected: u64,
    /// Its explanation, or a warning when nothing was rejected; often empty.
    pub message: String,
}

/// The receiver did not take the request.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Failure {
    /// Try again, not before `after` if the receiver named a time.
    Retry { cause: RetryCause, text: String, after: Option<Duration> },
    /// These records will never be taken, whoever sends them again.
    Refused { reason: RefusalReason, text: String },
}

/// Why a request should be sent again. Closed, for metrics and for the log's rate limit.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum RetryCause {
    /// No connection, or it broke.
    Connection,
    /// No answer in time.
    Timeout,
    /// The receiver asks to come back later.
    Busy,
    /// 401, 403, 407, `UNAUTHENTICATED`, `PERMISSION_DENIED`: a secret has to be put right.
    Unauthorized,
    /// 404, 405, `UNIMPLEMENTED`: no receiver of logs is there, yet.
    NotFound,
    /// Any other answer that does not blame the records.
    Unexpected,
    /// The receiver speaks the other OTLP transport.
    WrongTransport,
}

impl RetryCause {
    /// Name for metrics and log lines.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connection => "connection",
            Self::Timeout => "timeout",
            Self::Busy => "busy",
            Self::Unauthorized => "unauthorized",
            Self::NotFound => "not_found",
            Self::Unexpected => "unexpected",
            Self::WrongTransport => "wrong_transport",
        }
    }
}

/// Characters of a receiver's text that are kept.
const TEXT_CHARS: usize = 200;

/// A receiver's own words, short and on one line.
pub(super) fn excerpt(text: &str) -> String {
    text.chars().take(TEXT_CHARS).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// An error with its causes, in one line.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        // Some libraries repeat the cause in their own text.
        if !text.ends_with(&next) {
            text = format!("{text}: {next}");
        }
        cause = error.source();
    }
    excerpt(&text)
}

impl Failure {
    /// The connection failed or broke.
    pub(super) fn connection(error: &dyn std::error::Error) -> Self {
        Self::Retry { cause: RetryCause::Connection, text: chain(error), after: None }
    }

    /// No answer within the exporter's timeout.
    pub(super) fn timeout(timeout: Duration) -> Self {
        let text = format!("no answer within {timeout:?}");
        Self::Retry { cause: RetryCause::Timeout, text, after: None }
    }
}
