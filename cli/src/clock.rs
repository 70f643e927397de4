//! The wall clock.

use std::time::{SystemTime, UNIX_EPOCH};

use weir_rrpair::Timestamp;

/// The time; the epoch when the clock stands before it.
pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}
