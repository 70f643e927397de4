//! When an object was written, by its name.

use jiff::{Span, civil::Date, tz::TimeZone};

/// A time as far as a path tells it: the year first, the second last.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Place {
    /// Year, month, day, hour, minute, second.
    parts: [i16; 6],
    known: usize,
}

/// Names of the folders, `year=2026` and so on; other layouts have the numbers alone.
const NAMES: [&str; 6] = ["year", "month", "day", "hour", "minute", "second"];

impl Place {
    /// The time that the path of a folder or an object tells.
    pub(super) fn of(path: &str) -> Self {
        let mut place = Self::default();
        for segment in path.split('/') {
            place.add(segment);
        }
        place
    }

    fn add(&mut self, segment: &str) {
        // Azure's `logs_10_15_30.json_1234`, below the day.
        if let Some(rest) = segment.strip_prefix("logs_")
            && self.known == 3
        {
            let digits = rest.split(['_', '.']);
            for part in digits.take(3) {
                if !self.push(part) {
                    break;
                }
            }
            return;
        }
        let Some(name) = NAMES.get(self.known) else { return };
        match segment.split_once('=') {
            Some((key, value)) if key == *name => {
                self.push(value);
            }
            Some(_) => {}
            None => {
                self.push(segment);
            }
        }
    }

    fn push(&mut self, text: &str) -> bool {
        let digits = if self.known == 0 { 4 } else { 2 };
        let whole = text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit());
        match (whole.then(|| text.parse().ok()).flatten(), self.parts.get_mut(self.known)) {
            (Some(number), Some(part)) => {
                *part = number;
                self.known += 1;
                true
            }
            _ => false,
        }
    }

    /// How much is known: 0 is nothing, 4 is the hour.
    pub(super) fn known(&self) -> usize {
        self.known
    }

    /// First and last second of what is known, or `None` when it is no time.
    pub(super) fn seconds(&self) -> Option<(i64, i64)> {
        let [year, month, day, hour, minute, second] = self.parts;
        let or_first = |at: usize, part: i16| if at < self.known { part } else { 1 };
        let [month, day] = [or_first(1, month), or_first(2, day)].map(i8::try_from);
        let [hour, minute, second] = [hour, minute, second].map(i8::try_from);
        let date = Date::new(year, month.ok()?, day.ok()?).ok()?;
        // A leap second is the one before.
        let start = date.to_datetime(
            jiff::civil::Time::new(hour.ok()?, minute.ok()?, second.ok()?.min(59), 0).ok()?,
        );
        let span = match self.known {
            0 => return None,
            1 => Span::new().years(1),
            2 => Span::new().months(1),
            3 => Span::new().days(1),
            4 => Span::new().hours(1),
            5 => Span::new().minutes(1),
            _ => Span::new().seconds(1),
        };
        let end = start.checked_add(span).ok()?;
        let [start, end] = [start, end].map(|time| time.to_zoned(TimeZone::UTC));
        Some((start.ok()?.timestamp().as_second(), end.ok()?.timestamp().as_second() - 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(path: &str) -> Option<(String, i64)> {
        let (start, end) = Place::of(path).seconds()?;
        Some((jiff::Timestamp::from_second(start).unwrap().to_string(), end - start + 1))
    }

    #[test]
    fn every_layout_tells_its_time() {
        let minute = Some(("2026-09-01T10:15:00Z".to_owned(), 60));
        let key = "year=2026/month=09/day=01/hour=10/minute=15/logs_1.json";
        assert_eq!(at(&format!("byoc/{key}")), minute);
        assert_eq!(at(&format!("byoc/namespace=a/app=b/{key}")), minute);
        let hour = Some(("2026-09-01T10:00:00Z".to_owned(), 3_600));
        assert_eq!(at("year=2026/month=09/day=01/hour=10/abc-1.json.gz"), hour);
        let second = Some(("2026-09-01T10:15:30Z".to_owned(), 1));
        assert_eq!(at("2026/09/01/10/15/30/abc.gz"), second);
        assert_eq!(at("2026/09/01/logs_10_15_30.json_4711"), second);
        assert_eq!(at("2026/09/01/other.json"), Some(("2026-09-01T00:00:00Z".into(), 86_400)));
        assert_eq!(at("year=2026/month=02"), Some(("2026-02-01T00:00:00Z".into(), 28 * 86_400)));
    }

    #[test]
    fn what_tells_none_is_none() {
        for path in ["", "byoc/logs.json", "year=26/x", "year=2026/month=13/x", "123/2"] {
            assert_eq!(at(path), None, "{path}");
        }
    }
}
