//! Waiting for a condition instead of for a time.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};

/// Bound of every wait. Long, since it only matters when something is broken.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// Calls `probe` until it gives a value.
///
/// # Errors
///
/// When [`PATIENCE`] is over; the message names `what` was waited for.
pub fn until<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> Result<T> {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = probe() {
            return Ok(value);
        }
        if Instant::now() >= end {
            bail!("waited {} s in vain for {what}", PATIENCE.as_secs());
        }
        thread::sleep(Duration::from_millis(20));
    }
}
