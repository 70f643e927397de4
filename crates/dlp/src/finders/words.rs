//! One pass over the words of a text, for the kinds that are told by their digits.

use std::ops::Range;

use super::{Finders, Found, network, numbers};
use crate::policy::Detector;

/// Detectors that this pass serves.
pub(super) const DETECTORS: [Detector; 10] = [
    Detector::Coordinates,
    Detector::CreditCard,
    Detector::DateTime,
    Detector::Hash,
    Detector::Iban,
    Detector::IpAddress,
    Detector::PhoneNumber,
    Detector::Ssn,
    Detector::TraceId,
    Detector::Uuid,
];

/// A word: letters and digits of ASCII, with neither before nor after it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Word<'t> {
    pub(super) text: &'t [u8],
    pub(super) start: usize,
    pub(super) end: usize,
    all_digits: bool,
    hex: bool,
}

const DIGIT: u8 = 1;
const HEX_LETTER: u8 = 2;
const LETTER: u8 = 4;

/// What a byte may be in a word; 0 for what is in none.
const KINDS: [u8; 256] = {
    let mut kinds = [0; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        kinds[byte as usize] = match byte {
            b'0'..=b'9' => DIGIT,
            b'a'..=b'f' | b'A'..=b'F' => HEX_LETTER,
            b'g'..=b'z' | b'G'..=b'Z' => LETTER,
            _ => 0,
        };
        byte += 1;
    }
    kinds
};

impl Word<'_> {
    pub(super) const fn len(&self) -> usize {
        self.end - self.start
    }

    /// Byte before the word.
    pub(super) fn before(&self) -> Option<u8> {
        self.start.checked_sub(1).map(|at| self.text[at])
    }

    /// Byte after the word.
    pub(super) fn after(&self) -> Option<u8> {
        self.text.get(self.end).copied()
    }

    pub(super) const fn all_digits(&self) -> bool {
        self.all_digits
    }
}

pub(super) fn find(text: &[u8], finders: &Finders, found: &mut Vec<Found>) {
    let mut at = 0;
    // Ends of the last card and phone number: their groups of digits are words too.
    let mut taken = 0;
    while at < text.len() {
        if KINDS[usize::from(text[at])] == 0 {
            at += 1;
            continue;
        }
        let start = at;
        let mut kinds = 0;
        while let Some(byte) = text.get(at) {
            let kind = KINDS[usize::from(*byte)];
            if kind == 0 {
                break;
            }
            kinds |= kind;
            at += 1;
        }
        let (all_digits, hex) = (kinds == DIGIT, kinds & LETTER == 0);
        let word = Word { text, start, end: at, all_digits, hex };
        if kinds & DIGIT > 0 || hex {
            look(word, finders, &mut taken, found);
        }
    }
}

fn look(word: Word<'_>, finders: &Finders, taken: &mut usize, found: &mut Vec<Found>) {
    if word.all_digits() {
        look_at_digits(word, finders, taken, found);
    }
    if finders.on(Detector::Iban) && word.len() >= 4 {
        push(found, Detector::Iban, "IBAN", numbers::iban(word));
    }
    if word.hex {
        look_at_hex(word, finders, found);
    }
}

fn push(
    found: &mut Vec<Found>,
    detector: Detector,
    category: &'static str,
    range: Option<Range<usize>>,
) {
    found.extend(range.map(|range| Found { range, category, detector }));
}

fn look_at_digits(word: Word<'_>, finders: &Finders, taken: &mut usize, found: &mut Vec<Found>) {
    if word.start >= *taken {
        let card = finders.on(Detector::CreditCard).then(|| numbers::card(word)).flatten();
        let phone = (card.is_none() && finders.on(Detector::PhoneNumber))
            .then(|| numbers::phone(word))
            .flatten();
        if let Some(range) = card.as_ref().or(phone.as_ref()) {
            *taken = range.end;
        }
        push(found, Detector::CreditCard, "CREDIT_CARD", card);
        push(found, Detector::PhoneNumber, "E164_PHONE_NUMBER", phone);
    }
    if finders.on(Detector::Ssn) && word.len() == 3 {
        push(found, Detector::Ssn, "SSN", numbers::ssn(word));
    }
    if finders.on(Detector::DateTime) && word.len() == 4 {
        push(found, Detector::DateTime, "DATETIME", numbers::date_time(word));
    }
    if word.len() > 3 || word.after() != Some(b'.') {
        return;
    }
    if finders.on(Detector::IpAddress) {
        push(found, Detector::IpAddress, "IP4", network::ipv4(word.text, word.start));
    }
    if finders.on(Detector::Coordinates)
        && let Some((latitude, longitude)) = numbers::coordinates(word)
    {
        push(found, Detector::Coordinates, "LATITUDE", Some(latitude));
        push(found, Detector::Coordinates, "LONGITUDE", Some(longitude));
    }
}

fn look_at_hex(word: Word<'_>, finders: &Finders, found: &mut Vec<Found>) {
    let beside_colon = word.after() == Some(b':') || word.before() == Some(b':');
    if finders.on(Detector::IpAddress) && word.len() <= 4 && beside_colon {
        push(found, Detector::IpAddress, "IP6", network::ipv6(word.text, word.start));
    }
    if finders.on(Detector::Uuid)
        && word.len() == 8
        && let Some((range, category)) = numbers::uuid(word)
    {
        push(found, Detector::Uuid, category, Some(range));
    }
    if word.all_digits() {
        return;
    }
    let hash = match word.len() {
        32 => Some("MD5"),
        40 => Some("SHA1"),
        64 => Some("SHA256"),
        96 => Some("SHA384"),
        128 => Some("SHA512"),
        _ => None,
    };
    let trace = match word.len() {
        16 => Some("SPAN_ID"),
        32 => Some("TRACE_ID"),
        _ => None,
    };
    for (detector, category) in [(Detector::Hash, hash), (Detector::TraceId, trace)] {
        if let (true, Some(category)) = (finders.on(detector), category) {
            push(found, detector, category, Some(word.start..word.end));
        }
    }
}
