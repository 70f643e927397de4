use proptest::prelude::*;

use super::{ParseTimestamp, Timestamp};

fn parse(text: &str) -> Result<u64, ParseTimestamp> {
    text.parse::<Timestamp>().map(Timestamp::as_nanoseconds)
}

#[test]
fn golden_time_is_exact_to_the_nanosecond() {
    assert_eq!(parse("2026-09-01T10:15:30.000250417Z"), Ok(1_788_257_730_000_250_417));
    assert_eq!(Timestamp(1_788_257_730_000_250_417).to_string(), "2026-09-01T10:15:30.000250417Z");
}

#[test]
fn zero_is_written_with_nine_digits() {
    assert_eq!(Timestamp::default().to_string(), "1970-01-01T00:00:00.000000000Z");
}

#[test]
fn any_offset_and_any_number_of_digits_are_read() {
    assert_eq!(parse("1970-01-01T00:00:01Z"), Ok(1_000_000_000));
    assert_eq!(parse("1970-01-01T00:00:01.5Z"), Ok(1_500_000_000));
    assert_eq!(parse("1970-01-01T02:00:01.000000001+02:00"), Ok(1_000_000_001));
    assert_eq!(parse("1969-12-31T18:30:00.123-05:30"), Ok(123_000_000));
}

#[test]
fn what_is_no_time_in_range_is_refused() {
    for text in [
        "",
        "now",
        "2026-09-01",
        "2026-13-01T00:00:00Z",
        "1969-12-31T23:59:59Z",
        "2600-01-01T00:00:00Z",
        "2026-09-01T10:15:30",
        "2026-09-01T10:15:30.0000000001Z",
    ] {
        assert_eq!(parse(text), Err(ParseTimestamp), "{text}");
    }
}

#[test]
fn every_day_of_the_range_is_written_as_jiff_writes_it() {
    for day in 0..u64::MAX / 86_400_000_000_000 {
        let timestamp = Timestamp(day * 86_400_000_000_000);
        let theirs = jiff::Timestamp::from_nanosecond(i128::from(timestamp.0)).unwrap();
        assert_eq!(timestamp.to_string(), format!("{theirs:.9}"));
    }
}

proptest! {
    #[test]
    fn writes_what_jiff_writes(nanoseconds: u64) {
        let theirs = jiff::Timestamp::from_nanosecond(i128::from(nanoseconds)).unwrap();
        prop_assert_eq!(Timestamp(nanoseconds).to_string(), format!("{theirs:.9}"));
    }

    #[test]
    fn reads_what_it_wrote(nanoseconds: u64) {
        prop_assert_eq!(parse(&Timestamp(nanoseconds).to_string()), Ok(nanoseconds));
    }

    #[test]
    fn text_without_a_date_is_refused(text in "[^-]*") {
        prop_assert_eq!(parse(&text), Err(ParseTimestamp));
    }
}
