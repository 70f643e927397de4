//! How far a gather is: a line that renews itself on a terminal, now and then one in a log.

use std::{
    io::{self, Write},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// Shared by the one who asks and the one who writes.
#[derive(Clone, Debug, Default)]
pub(super) struct Progress(Arc<Counters>);

#[derive(Debug, Default)]
struct Counters {
    /// Records on disk; those of an earlier run too.
    written: AtomicU64,
    /// Records that the store gave, written or not.
    received: AtomicU64,
    /// Records that the store gave and that are no RRPairs.
    foreign: AtomicU64,
    /// How many the store counts; 0 is unknown.
    total: AtomicU64,
    hint: Mutex<Option<String>>,
}

impl Progress {
    pub(super) fn add_written(&self, records: u64) {
        self.0.written.fetch_add(records, Ordering::Relaxed);
    }

    pub(super) fn add_received(&self, records: u64) {
        self.0.received.fetch_add(records, Ordering::Relaxed);
    }

    pub(super) fn add_foreign(&self, records: u64) {
        self.0.foreign.fetch_add(records, Ordering::Relaxed);
    }

    pub(super) fn set_total(&self, records: u64) {
        self.0.total.store(records, Ordering::Relaxed);
    }

    pub(super) fn written(&self) -> u64 {
        self.0.written.load(Ordering::Relaxed)
    }

    pub(super) fn received(&self) -> u64 {
        self.0.received.load(Ordering::Relaxed)
    }

    pub(super) fn foreign(&self) -> u64 {
        self.0.foreign.load(Ordering::Relaxed)
    }

    pub(super) fn total(&self) -> Option<u64> {
        Some(self.0.total.load(Ordering::Relaxed)).filter(|total| *total > 0)
    }

    /// What may be wrong when nothing matches.
    pub(super) fn set_hint(&self, hint: String) {
        *self.0.hint.lock().unwrap_or_else(PoisonError::into_inner) = Some(hint);
    }

    pub(super) fn take_hint(&self) -> Option<String> {
        self.0.hint.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// One line. `since_start` counts what this run wrote from `before` on.
    pub(super) fn line(&self, before: u64, since_start: Duration) -> String {
        let written = self.written();
        let seconds = since_start.as_secs_f64().max(0.001);
        #[expect(clippy::cast_precision_loss, reason = "for people")]
        let rate = written.saturating_sub(before) as f64 / seconds;
        let count = grouped(written);
        let Some(total) = self.total() else {
            return format!("gathered {count}  {rate:.0}/s");
        };
        let left = total.saturating_sub(self.received().max(written));
        let percent = (total - left) * 100 / total;
        #[expect(clippy::cast_precision_loss, reason = "for people")]
        let eta = if rate >= 1.0 { left as f64 / rate } else { 0.0 };
        format!("gathered {count} of {}  {percent} %  {rate:.0}/s  {eta:.0} s left", grouped(total))
    }
}

/// Writes the line over the one before; ends it where there is no terminal.
pub(super) fn show(line: &str, terminal: bool, out: &mut impl Write) -> io::Result<()> {
    if terminal {
        write!(out, "\r{line}\x1b[K")?;
    } else {
        writeln!(out, "{line}")?;
    }
    out.flush()
}

/// Takes the line away.
pub(super) fn clear(terminal: bool, out: &mut impl Write) -> io::Result<()> {
    if terminal {
        write!(out, "\r\x1b[K")?;
    }
    Ok(())
}

/// `1,234,567`
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_count_rate_and_time_left() {
        let progress = Progress::default();
        progress.add_written(1_500);
        progress.add_received(2_000);
        assert_eq!(progress.line(500, Duration::from_secs(2)), "gathered 1,500  500/s");
        progress.set_total(10_000);
        let line = progress.line(500, Duration::from_secs(2));
        assert_eq!(line, "gathered 1,500 of 10,000  20 %  500/s  16 s left");
    }

    #[test]
    fn numbers_are_grouped() {
        assert_eq!(
            ["0", "999", "1,000", "12,345,678"],
            [0, 999, 1_000, 12_345_678].map(grouped).each_ref().map(String::as_str)
        );
    }
}
