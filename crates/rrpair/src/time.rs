//! Record time (contract §1): RFC 3339 UTC, always nine digits when written.

#[cfg(test)]
mod tests;

use std::fmt;
use std::str::FromStr;

use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Nanoseconds since 1970-01-01T00:00:00Z; reaches the year 2554.
#[derive(Clone, Copy, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Timestamp(pub u64);

/// Text that is no RFC 3339 time, or one before 1970 or after 2554.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not an RFC 3339 time between 1970 and 2554")]
pub struct ParseTimestamp;

const NS_PER_SECOND: u64 = 1_000_000_000;
const SECONDS_PER_DAY: u64 = 86_400;

/// Length of the written form.
pub const TEXT_BYTES: usize = "1970-01-01T00:00:00.000000000Z".len();

impl Timestamp {
    /// Nanoseconds since the epoch.
    pub const fn as_nanoseconds(self) -> u64 {
        self.0
    }

    /// The written form, e.g. `2026-09-01T10:15:30.000250417Z`; ASCII.
    pub fn to_ascii(self) -> [u8; TEXT_BYTES] {
        let (seconds, nanoseconds) = (self.0 / NS_PER_SECOND, self.0 % NS_PER_SECOND);
        let (days, second) = (seconds / SECONDS_PER_DAY, seconds % SECONDS_PER_DAY);
        let (year, month, day) = civil(days);
        let mut text = *b"0000-00-00T00:00:00.000000000Z";
        let mut pair = |at: usize, value: u64| {
            text[at] = b'0' + (value / 10 % 10) as u8;
            text[at + 1] = b'0' + (value % 10) as u8;
        };
        pair(0, year / 100);
        pair(2, year % 100);
        pair(5, month);
        pair(8, day);
        pair(11, second / 3600);
        pair(14, second / 60 % 60);
        pair(17, second % 60);
        pair(20, nanoseconds / 10_000_000);
        pair(22, nanoseconds / 100_000 % 100);
        pair(24, nanoseconds / 1_000 % 100);
        pair(26, nanoseconds / 10 % 100);
        text[28] = b'0' + (nanoseconds % 10) as u8;
        text
    }
}

/// Year, month and day of the day with this number since 1970-01-01, in the proleptic
/// Gregorian calendar. Years are counted from March so that the leap day comes last, and in
/// cycles of 400 years, all of which have the same length.
fn civil(days_since_epoch: u64) -> (u64, u64, u64) {
    const DAYS_PER_CYCLE: u64 = 146_097;
    const DAYS_FROM_MARCH_0000_TO_1970: u64 = 719_468;

    let days = days_since_epoch + DAYS_FROM_MARCH_0000_TO_1970;
    let cycle = days / DAYS_PER_CYCLE;
    let day_of_cycle = days % DAYS_PER_CYCLE;
    let year_of_cycle = (day_of_cycle - day_of_cycle / 1_460 + day_of_cycle / 36_524
        - day_of_cycle / (DAYS_PER_CYCLE - 1))
        / 365;
    let day_of_year =
        day_of_cycle - (365 * year_of_cycle + year_of_cycle / 4 - year_of_cycle / 100);
    // March to July and August to December both have 153 days in five months.
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = 400 * cycle + year_of_cycle + u64::from(month <= 2);
    (year, month, day)
}

impl FromStr for Timestamp {
    type Err = ParseTimestamp;

    /// Any offset and up to nine fractional digits.
    fn from_str(text: &str) -> Result<Self, ParseTimestamp> {
        let nanoseconds = text.parse().map(jiff::Timestamp::as_nanosecond).ok();
        nanoseconds.and_then(|ns| ns.try_into().ok()).map(Self).ok_or(ParseTimestamp)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_ascii().iter().try_for_each(|&byte| fmt::Write::write_char(f, char::from(byte)))
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Timestamp;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an RFC 3339 time")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Timestamp, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Text)
    }
}
