//! Cards, social security and phone numbers, IBANs, UUIDs, dates and places.

use std::ops::Range;

use super::words::Word;

/// Longest card number in digits, and in bytes with a separator between groups.
const CARD_DIGITS: usize = 19;
const CARD_BYTES: usize = 26;

/// The card number that the word begins: a known issuer, its lengths, and Luhn's checksum.
/// Digits may stand in groups.
pub(super) fn card(word: Word<'_>) -> Option<Range<usize>> {
    if after_decimal_point(word) || word.len() < 3 {
        return None;
    }
    let rest = &word.text[word.start..];
    let mut digits = [0_u8; CARD_DIGITS];
    let mut count = 0;
    let mut group = 0;
    let mut best = None;
    let mut separator = None;
    for (at, byte) in rest.iter().take(CARD_BYTES).enumerate() {
        if byte.is_ascii_digit() {
            if count == CARD_DIGITS {
                break;
            }
            digits[count] = byte - b'0';
            count += 1;
            group += 1;
            let next = rest.get(at + 1);
            let ends = !next.is_some_and(u8::is_ascii_alphanumeric) && !decimal(rest, at + 1);
            if ends && group >= 3 && is_card(&digits[..count]) {
                best = Some(word.start..word.start + at + 1);
            }
        } else if matches!(byte, b' ' | b'-')
            && group >= 3
            && *separator.get_or_insert(*byte) == *byte
        {
            group = 0;
        } else {
            break;
        }
    }
    best
}

/// A point with digits after it: what stands before is no whole number.
fn decimal(rest: &[u8], at: usize) -> bool {
    rest.get(at) == Some(&b'.') && rest.get(at + 1).is_some_and(u8::is_ascii_digit)
}

fn after_decimal_point(word: Word<'_>) -> bool {
    word.before() == Some(b'.') && word.start >= 2 && word.text[word.start - 2].is_ascii_digit()
}

fn is_card(digits: &[u8]) -> bool {
    let lead = |count: usize| {
        digits.iter().take(count).fold(0_u32, |number, digit| number * 10 + u32::from(*digit))
    };
    let length = digits.len();
    let issuer = match (lead(1), lead(2), lead(4)) {
        (4, ..) => matches!(length, 13 | 16 | 19),
        (_, 51..=55, _) | (_, _, 2221..=2720) => length == 16,
        (_, 34 | 37, _) => length == 15,
        (_, 36 | 38 | 39, _) | (_, _, 3000..=3059) => matches!(length, 14 | 16),
        (_, 35, _) => matches!(length, 16..=19),
        (_, 50 | 56..=58, _) | (6, ..) => matches!(length, 13..=19),
        _ => false,
    };
    issuer && luhn(digits)
}

fn luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(place, digit)| {
            let doubled = u32::from(*digit) << (place % 2);
            if doubled > 9 { doubled - 9 } else { doubled }
        })
        .sum();
    sum.is_multiple_of(10)
}

fn number(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0_u32, |number, digit| {
        let digit = char::from(*digit).to_digit(10)?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

/// `AAA-GG-SSSS` with areas, groups and serials that are given out.
pub(super) fn ssn(word: Word<'_>) -> Option<Range<usize>> {
    let text = word.text.get(word.start..word.start + 11)?;
    let separator = text[3];
    if !matches!(separator, b'-' | b' ') || text[6] != separator {
        return None;
    }
    let (area, group, serial) = (number(&text[..3])?, number(&text[4..6])?, number(&text[7..])?);
    let after = word.text.get(word.start + 11);
    let joined = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    let alone = !after.is_some_and(|byte| joined(*byte)) && word.before() != Some(b'-');
    let given = (1..=899).contains(&area) && area != 666 && group > 0 && serial > 0;
    (alone && given).then_some(word.start..word.start + 11)
}

/// `+` with 8 to 15 digits (E.164), or a number of North America with its separators.
pub(super) fn phone(word: Word<'_>) -> Option<Range<usize>> {
    let rest = &word.text[word.start..];
    if word.before() == Some(b'+') {
        let joined = word.start >= 2 && word.text[word.start - 2].is_ascii_alphanumeric();
        if joined || rest.first() == Some(&b'0') {
            return None;
        }
        let (mut digits, mut end) = (0, 0);
        for (at, byte) in rest.iter().take(28).enumerate() {
            match byte {
                b'0'..=b'9' => {
                    digits += 1;
                    end = at + 1;
                }
                b' ' | b'-' | b'.' | b'(' | b')' if at < end + 2 => {}
                _ => break,
            }
        }
        let whole = !rest.get(end).is_some_and(u8::is_ascii_alphanumeric);
        return ((8..=15).contains(&digits) && whole).then_some(word.start - 1..word.start + end);
    }
    north_american(word, rest)
}

fn north_american(word: Word<'_>, rest: &[u8]) -> Option<Range<usize>> {
    if word.len() != 3 || matches!(word.before(), Some(b'-' | b'.')) {
        return None;
    }
    let bracket = word.before() == Some(b'(') && rest.get(3) == Some(&b')');
    let mut at = 3;
    if bracket {
        at += 1;
        at += usize::from(rest.get(at) == Some(&b' '));
    } else {
        if !matches!(rest.get(at), Some(b'-' | b'.')) {
            return None;
        }
        at += 1;
    }
    let exchange = rest.get(at..at + 3)?;
    let separator = rest.get(at + 3)?;
    let line = rest.get(at + 4..at + 8)?;
    let after = rest.get(at + 8);
    let fits = matches!(rest[0], b'2'..=b'9')
        && matches!(exchange[0], b'2'..=b'9')
        && number(exchange).is_some()
        && number(line).is_some()
        && matches!(separator, b'-' | b'.' | b' ')
        && !after.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'-');
    fits.then(|| word.start - usize::from(bracket)..word.start + at + 8)
}

/// Countries with an IBAN and its length in each (ISO 13616 registry).
const IBAN_LENGTHS: &[u8] = b"AD24AE23AL28AT20AZ28BA20BE16BG22BH22BR29BY28CH21CR22CY28CZ24DE22DK18\
DO28EE20EG29ES24FI18FO18FR27GB22GE22GI23GL18GR27GT28HR21HU28IE22IL23IQ23IS26IT27JO30KW30KZ20LB28\
LC32LI21LT20LU20LV21LY25MC27MD24ME22MK19MR27MT31MU30NL18NO15PK24PL28PS29PT25QA29RO24RS22SA24SC31\
SD18SE24SI19SK24SM27ST25SV28TL23TN24TR26UA29VA22VG24XK20";

/// The IBAN that the word begins, in one piece or in groups of four.
pub(super) fn iban(word: Word<'_>) -> Option<Range<usize>> {
    let rest = &word.text[word.start..];
    let [first, second, third, fourth, ..] = rest else { return None };
    let country = first.is_ascii_uppercase() && second.is_ascii_uppercase();
    let checked = third.is_ascii_digit() && fourth.is_ascii_digit();
    if !(country && checked) {
        return None;
    }
    let entry = IBAN_LENGTHS.chunks_exact(4).find(|entry| entry[..2] == rest[..2])?;
    let length = usize::try_from(number(&entry[2..])?).ok()?;
    let mut compact = Vec::with_capacity(length);
    let mut end = 0;
    for (at, byte) in rest.iter().enumerate().take(length * 2) {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' => compact.push(*byte),
            b' ' | b'-' if compact.len() % 4 == 0 => continue,
            _ => break,
        }
        end = at + 1;
        if compact.len() == length {
            break;
        }
    }
    let whole = !rest.get(end).is_some_and(u8::is_ascii_alphanumeric);
    (compact.len() == length && whole && mod_97(&compact)).then_some(word.start..word.start + end)
}

fn mod_97(iban: &[u8]) -> bool {
    let turned = iban[4..].iter().chain(&iban[..4]);
    let rest = turned.fold(0_u32, |rest, byte| match char::from(*byte).to_digit(36) {
        Some(digit @ 0..=9) => (rest * 10 + digit) % 97,
        Some(letter) => (rest * 100 + letter) % 97,
        None => 0,
    });
    rest == 1
}

/// 8-4-4-4-12 hexadecimal digits; the category says which version of RFC 9562.
pub(super) fn uuid(word: Word<'_>) -> Option<(Range<usize>, &'static str)> {
    let text = word.text.get(word.start..word.start + 36)?;
    let shaped = text.iter().enumerate().all(|(at, byte)| match at {
        8 | 13 | 18 | 23 => *byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    });
    let after = word.text.get(word.start + 36);
    let alone = !after.is_some_and(u8::is_ascii_alphanumeric);
    let category = match text[14] {
        b'3' => "UUID3",
        b'4' => "UUID4",
        b'5' => "UUID5",
        _ => "UUID_RFC4122",
    };
    (shaped && alone).then_some((word.start..word.start + 36, category))
}

/// `YYYY-MM-DD`, with a time and an offset or without (RFC 3339, ISO 8601).
pub(super) fn date_time(word: Word<'_>) -> Option<Range<usize>> {
    let rest = &word.text[word.start..];
    let two = |at: usize| number(rest.get(at..at + 2)?);
    let year = number(&rest[..4])?;
    let separator = *rest.get(4)?;
    if !matches!(separator, b'-' | b'/') || rest.get(7) != Some(&separator) {
        return None;
    }
    let (month, day) = (two(5)?, two(8)?);
    let dated =
        (1000..=2999).contains(&year) && (1..=12).contains(&month) && (1..=31).contains(&day);
    if !dated || rest.get(10).is_some_and(u8::is_ascii_digit) {
        return None;
    }
    let mut end = 10;
    if matches!(rest.get(10), Some(b'T' | b't' | b' ')) && two(11).is_some_and(|hour| hour < 24) {
        let set = |byte: &&u8| byte.is_ascii_digit() || matches!(**byte, b':' | b'.');
        let time = rest[11..].iter().take(18).take_while(set).count();
        if time >= 5 && rest.get(13) == Some(&b':') {
            end = 11 + time;
            if matches!(rest.get(end), Some(b'Z' | b'z')) {
                end += 1;
            } else if matches!(rest.get(end), Some(b'+' | b'-')) && two(end + 1).is_some() {
                let zone = rest[end + 1..].iter().take(5);
                end += 1 + zone.take_while(set).count();
            }
        }
    }
    let alone = !rest.get(end).is_some_and(u8::is_ascii_alphanumeric);
    alone.then_some(word.start..word.start + end)
}

/// Latitude and longitude in degrees with at least three decimals, joined by a comma.
pub(super) fn coordinates(word: Word<'_>) -> Option<(Range<usize>, Range<usize>)> {
    let (latitude, end) = degrees(word.text, word.start, 90.0)?;
    let mut at = end;
    at += usize::from(word.text.get(at) == Some(&b','));
    if at == end {
        return None;
    }
    at += usize::from(word.text.get(at) == Some(&b' '));
    let sign = usize::from(word.text.get(at) == Some(&b'-'));
    let (longitude, _) = degrees(word.text, at + sign, 180.0)?;
    Some((latitude, longitude))
}

fn degrees(text: &[u8], at: usize, most: f64) -> Option<(Range<usize>, usize)> {
    let rest = text.get(at..)?;
    let set = |byte: &&u8| byte.is_ascii_digit() || **byte == b'.';
    let length = rest.iter().take(24).take_while(set).count();
    let digits = rest[..length].strip_suffix(b".").unwrap_or(&rest[..length]);
    let value = std::str::from_utf8(digits).ok()?;
    let length = value.len();
    let (whole, decimals) = value.split_once('.')?;
    let fits = (1..=3).contains(&whole.len()) && decimals.len() >= 3;
    let number: f64 = value.parse().ok()?;
    let start = at - usize::from(at > 0 && text[at - 1] == b'-');
    (fits && number <= most).then_some((start..at + length, at + length))
}
