//! `--start` and `--end`: `now`, `-15m`, or a time (contract §4.1).

use std::{str::FromStr, time::Duration};

use jiff::{civil::DateTime, tz::TimeZone};
use weir_rrpair::Timestamp;

/// A moment as somebody wrote it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Moment {
    Now,
    Ago(Duration),
    At(Timestamp),
}

/// Text that is no moment.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "use `now`, a time ago such as -15m (s, m, h, d), or a time such as 2026-09-01T10:15:30Z; without a zone it is UTC"
)]
pub(crate) struct ParseMoment;

impl FromStr for Moment {
    type Err = ParseMoment;

    fn from_str(text: &str) -> Result<Self, ParseMoment> {
        let text = text.trim();
        // `now-1h` is how proxymock's import says it.
        let relative = text.strip_prefix("now").unwrap_or(text);
        if relative.is_empty() {
            return Ok(Self::Now);
        }
        if let Some(ago) = relative.strip_prefix('-') {
            return span(ago).map(Self::Ago).ok_or(ParseMoment);
        }
        if let Ok(time) = text.parse() {
            return Ok(Self::At(time));
        }
        // Without a zone; a date alone is its midnight.
        let civil: DateTime = text.parse().map_err(|_not_a_time| ParseMoment)?;
        let zoned = civil.to_zoned(TimeZone::UTC).map_err(|_out_of_range| ParseMoment)?;
        let ns = u64::try_from(zoned.timestamp().as_nanosecond());
        ns.map(|ns| Self::At(Timestamp(ns))).map_err(|_before_1970| ParseMoment)
    }
}

/// A length of time such as `15m`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span(pub(crate) Duration);

impl FromStr for Span {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        span(text).map(Self).ok_or("use a number with s, m, h or d, such as 15m")
    }
}

/// `15m`
fn span(text: &str) -> Option<Duration> {
    let unit = text.chars().next_back()?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return None,
    };
    let digits = text.strip_suffix(unit)?;
    let fine = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let number: u64 = fine.then(|| digits.parse().ok())??;
    number.checked_mul(seconds).map(Duration::from_secs)
}

impl Moment {
    /// Where a window starts unless told (contract §4.1).
    pub(crate) const DEFAULT_START: Self = Self::Ago(Duration::from_mins(15));

    fn resolve(self, now: Timestamp) -> Timestamp {
        match self {
            Self::Now => now,
            Self::At(time) => time,
            Self::Ago(span) => {
                let ns = u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
                Timestamp(now.0.saturating_sub(ns))
            }
        }
    }
}

/// From `start` to `end`, both included.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Window {
    pub(crate) start: Timestamp,
    pub(crate) end: Timestamp,
}

/// A window that ends before it starts.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the window ends ({end}) before it starts ({start})")]
pub(crate) struct EndsFirst {
    start: Timestamp,
    end: Timestamp,
}

impl Window {
    pub(crate) fn new(start: Moment, end: Moment, now: Timestamp) -> Result<Self, EndsFirst> {
        let (start, end) = (start.resolve(now), end.resolve(now));
        if end < start { Err(EndsFirst { start, end }) } else { Ok(Self { start, end }) }
    }

    /// Is the moment inside?
    pub(crate) fn contains(&self, time: Timestamp) -> bool {
        (self.start..=self.end).contains(&time)
    }
}

/// Six digits, as the gather scripts write a time.
pub(crate) fn microseconds(time: Timestamp) -> String {
    let text = time.to_string();
    format!("{}Z", text.get(..text.len() - "000Z".len()).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_788_257_730_000_000_000); // 2026-09-01T10:15:30Z

    fn at(text: &str) -> Result<String, ParseMoment> {
        text.parse().map(|moment: Moment| microseconds(moment.resolve(NOW)))
    }

    #[test]
    fn every_form_gives_its_moment() {
        for (text, expected) in [
            ("now", "2026-09-01T10:15:30.000000Z"),
            ("", "2026-09-01T10:15:30.000000Z"),
            ("-15m", "2026-09-01T10:00:30.000000Z"),
            ("now-15m", "2026-09-01T10:00:30.000000Z"),
            ("-90s", "2026-09-01T10:14:00.000000Z"),
            ("-2h", "2026-09-01T08:15:30.000000Z"),
            ("-1d", "2026-08-31T10:15:30.000000Z"),
            ("2026-09-01T10:05:00Z", "2026-09-01T10:05:00.000000Z"),
            ("2026-09-01T12:05:00+02:00", "2026-09-01T10:05:00.000000Z"),
            ("2026-09-01T10:05:00.123456789Z", "2026-09-01T10:05:00.123456Z"),
            ("2026-09-01T10:05:00", "2026-09-01T10:05:00.000000Z"),
            ("2026-09-01T10:05", "2026-09-01T10:05:00.000000Z"),
            ("2026-09-01 10:05:00", "2026-09-01T10:05:00.000000Z"),
            ("2026-09-01", "2026-09-01T00:00:00.000000Z"),
        ] {
            assert_eq!(at(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_moment_is_refused() {
        for text in
            ["yesterday", "-", "-15", "-m", "-1.5h", "--15m", "-15w", "15m", "1969-01-01", "-é"]
        {
            assert_eq!(at(text), Err(ParseMoment), "{text}");
        }
    }

    #[test]
    fn a_window_does_not_end_before_it_starts() {
        let ago = |seconds| Moment::Ago(Duration::from_secs(seconds));
        assert!(Window::new(ago(60), Moment::Now, NOW).is_ok());
        let error = Window::new(Moment::Now, ago(60), NOW).unwrap_err();
        assert!(error.to_string().starts_with("the window ends (2026-09-01T10:14:30"), "{error}");
        // Longer ago than time itself.
        let all = Window::new(ago(u64::MAX), Moment::Now, NOW).unwrap();
        assert!(
            all.contains(Timestamp(0)) && all.contains(NOW) && !all.contains(Timestamp(NOW.0 + 1))
        );
    }
}
