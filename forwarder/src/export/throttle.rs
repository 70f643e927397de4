//! At most one log line per reason and minute.

use std::{collections::HashMap, hash::Hash, time::Duration};

use tokio::time::Instant;

const INTERVAL: Duration = Duration::from_mins(1);

/// Remembers when each reason was last logged.
#[derive(Debug)]
pub(super) struct Throttle<R>(HashMap<R, (Instant, u64)>);

impl<R: Eq + Hash> Throttle<R> {
    pub(super) fn new() -> Self {
        Self(HashMap::new())
    }

    /// `Some` with the number of lines left out since the last one, when it is time for one.
    pub(super) fn allow(&mut self, reason: R) -> Option<u64> {
        let now = Instant::now();
        match self.0.get_mut(&reason) {
            Some((last, left_out)) if now.duration_since(*last) < INTERVAL => {
                *left_out += 1;
                None
            }
            Some(entry) => Some(std::mem::replace(entry, (now, 0)).1),
            None => {
                self.0.insert(reason, (now, 0));
                Some(0)
            }
        }
    }

    /// Logs the next one of every reason at once: things have changed.
    pub(super) fn reset(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_reason_is_logged_once_a_minute_and_says_how_many_were_left_out() {
        let mut throttle = Throttle::new();
        assert_eq!(throttle.allow("a"), Some(0));
        assert_eq!(throttle.allow("a"), None);
        assert_eq!(throttle.allow("b"), Some(0));
        tokio::time::advance(Duration::from_secs(59)).await;
        assert_eq!(throttle.allow("a"), None);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(throttle.allow("a"), Some(2));
    }
}
