//! Reasons as sentences.

use std::fmt::{self, Display};

use crate::facts::{Fact, Place, Shape};
use crate::search::Reason;

impl Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Query(name) => write!(f, "`{}`", Safe(name.as_bytes())),
            Self::Segment(number) => write!(f, "segment {number} of the path"),
            Self::Json(path) if path.is_empty() => write!(f, "the JSON body"),
            Self::Json(path) => write!(f, "`{}` of the JSON body", Safe(path.as_bytes())),
            Self::Form(name) => write!(f, "`{}` of the form", Safe(name.as_bytes())),
            Self::Statement => write!(f, "the statement"),
            Self::Header(name) => write!(f, "the header `{}`", Safe(name.as_bytes())),
            Self::Body => write!(f, "the body"),
            Self::Time => write!(f, "the time"),
        }
    }
}

impl Display for Fact {
    /// As it follows "30 of 30 failures".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = &self.place;
        if *place == Place::Time {
            return match self.shape {
                Shape::Above(second) => write!(f, "came after {}", Second(second)),
                Shape::Below(second) => write!(f, "came before {}", Second(second)),
                _ => write!(f, "came at some time"),
            };
        }
        match &self.shape {
            Shape::EndsWith(byte) => write!(f, "end {place} with {}", Byte(*byte)),
            Shape::StartsWith(byte) => write!(f, "start {place} with {}", Byte(*byte)),
            Shape::Contains(byte) => write!(f, "have {} in {place}", Byte(*byte)),
            Shape::NotUtf8 => write!(f, "have bytes in {place} that are no UTF-8"),
            Shape::Empty => write!(f, "leave {place} empty"),
            Shape::Repeated => write!(f, "say {place} more than once"),
            Shape::Kind(kind) => write!(f, "have {kind} as {place}"),
            Shape::Missing => write!(f, "lack {place}"),
            Shape::Present => write!(f, "have {place}"),
            Shape::Equals(value) => write!(f, "have {place} = \"{}\"", Safe(value)),
            Shape::Above(limit) => write!(f, "have more than {limit} as {place}"),
            Shape::Below(limit) => write!(f, "have less than {limit} as {place}"),
            Shape::Longer(limit) => write!(f, "have more than {limit} bytes or items in {place}"),
            Shape::Shorter(limit) => write!(f, "have less than {limit} bytes or items in {place}"),
        }
    }
}

impl Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { fact, failures, of_failures, passes, of_passes, weak, .. } = self;
        write!(
            f,
            "{failures} of {of_failures} failures {fact}, {passes} of {of_passes} passes do"
        )?;
        if *weak { write!(f, " (so few that it may be chance)") } else { Ok(()) }
    }
}

/// `0x7f (DEL)`, `'`
struct Byte(u8);

impl Display for Byte {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.0 {
            0x00 => "NUL",
            0x09 => "TAB",
            0x0a => "LF",
            0x0d => "CR",
            0x1b => "ESC",
            b' ' => "blank",
            0x7f => "DEL",
            byte if byte.is_ascii_graphic() => return write!(f, "{}", char::from(byte)),
            byte => return write!(f, "0x{byte:02x}"),
        };
        write!(f, "0x{:02x} ({name})", self.0)
    }
}

/// Bytes that a terminal may show.
struct Safe<'a>(&'a [u8]);

impl Display for Safe<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.0.get(..80).unwrap_or(self.0);
        for byte in shown {
            match byte {
                b'\\' => f.write_str("\\\\")?,
                0x20..=0x7e => write!(f, "{}", char::from(*byte))?,
                _ => write!(f, "\\x{byte:02x}")?,
            }
        }
        if shown.len() < self.0.len() { f.write_str("…") } else { Ok(()) }
    }
}

struct Second(i64);

impl Display for Second {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ns = u64::try_from(self.0).unwrap_or_default().saturating_mul(1_000_000_000);
        let text = weir_rrpair::Timestamp(ns).to_string();
        write!(f, "{}Z", text.get(..19).unwrap_or_default())
    }
}
