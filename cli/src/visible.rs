//! Captured text made safe for a terminal: a control character is shown, never obeyed.
//!
//! An escape sequence in a captured path could otherwise repaint the screen of whoever
//! looks at it.

use std::fmt::{self, Write};

/// `text` with every character escaped that a terminal obeys or hides.
///
/// Control characters up to U+009F are written `\xHH` (DEL is `\x7f`), Unicode's format
/// characters (direction overrides, zero-width ones, line separators) `\u{…}`, and a
/// backslash is doubled, so that the output has one reading.
#[derive(Clone, Copy, Debug)]
pub struct Visible<'a>(pub &'a str);

impl fmt::Display for Visible<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|char| write_visible(char, f))
    }
}

/// The first `limit` characters of `text`, escaped, with `…` when some are missing.
pub fn shortened(text: &str, limit: usize) -> String {
    match text.char_indices().nth(limit) {
        None => Visible(text).to_string(),
        Some((end, _)) => format!("{}…", Visible(text.get(..end).unwrap_or_default())),
    }
}

/// Writes one character, escaped when it needs to be.
pub fn write_visible(char: char, out: &mut impl Write) -> fmt::Result {
    match char {
        '\\' => out.write_str("\\\\"),
        '\0'..='\x1f' | '\x7f'..='\u{9f}' => write!(out, "\\x{:02x}", u32::from(char)),
        _ if is_invisible(char) => write!(out, "\\u{{{:x}}}", u32::from(char)),
        _ => out.write_char(char),
    }
}

/// Characters that change how others are shown, or show nothing themselves.
fn is_invisible(char: char) -> bool {
    matches!(
        char,
        '\u{ad}'
            | '\u{61c}'
            | '\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}'
    )
}

/// One stretch of a URI.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Part<'a> {
    /// Shown as it is (escaped).
    Plain(&'a str),
    /// A percent-escape such as `%7F` that stands for a control character.
    Control { escape: &'a str, byte: u8 },
}

/// Splits a URI at the percent-escapes that stand for control characters.
///
/// A log viewer shows `falcon%7F` as harmless text; that it is a DEL is what a person
/// debugging must see.
pub fn parts(uri: &str) -> impl Iterator<Item = Part<'_>> {
    let mut rest = uri;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let (part, remaining) = next_part(rest);
        rest = remaining;
        Some(part)
    })
}

fn next_part(text: &str) -> (Part<'_>, &str) {
    let Some((at, byte)) = first_control_escape(text) else { return (Part::Plain(text), "") };
    // A match is ASCII, so both indices are character boundaries.
    if at == 0 {
        let (escape, rest) = text.split_at(3);
        (Part::Control { escape, byte }, rest)
    } else {
        let (plain, rest) = text.split_at(at);
        (Part::Plain(plain), rest)
    }
}

fn first_control_escape(text: &str) -> Option<(usize, u8)> {
    let bytes = text.as_bytes();
    bytes.windows(3).enumerate().find_map(|(at, window)| {
        let [b'%', high, low] = *window else { return None };
        let byte = hex(high)? << 4 | hex(low)?;
        byte.is_ascii_control().then_some((at, byte))
    })
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

/// Name of an ASCII control character, as in RFC 20; `None` for any other byte.
pub fn control_name(byte: u8) -> Option<&'static str> {
    const NAMES: [&str; 32] = [
        "NUL", "SOH", "STX", "ETX", "EOT", "ENQ", "ACK", "BEL", "BS", "HT", "LF", "VT", "FF", "CR",
        "SO", "SI", "DLE", "DC1", "DC2", "DC3", "DC4", "NAK", "SYN", "ETB", "CAN", "EM", "SUB",
        "ESC", "FS", "GS", "RS", "US",
    ];
    if byte == 0x7f { Some("DEL") } else { NAMES.get(usize::from(byte)).copied() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn del_and_escape_are_shown() {
        assert_eq!(Visible("a\x7fb\x1b[2Jc").to_string(), r"a\x7fb\x1b[2Jc");
    }

    #[test]
    fn a_direction_override_and_a_c1_control_are_shown() {
        assert_eq!(Visible("\u{202e}\u{9b}\u{200b}").to_string(), r"\u{202e}\x9b\u{200b}");
    }

    #[test]
    fn a_backslash_is_doubled_so_that_the_text_has_one_reading() {
        assert_ne!(Visible("\\x7f").to_string(), Visible("\x7f").to_string());
    }

    #[test]
    fn long_text_is_cut_at_characters() {
        assert_eq!(shortened("žluťoučký", 3), "žlu…");
        assert_eq!(shortened("žlu", 3), "žlu");
    }

    #[test]
    fn percent_escapes_of_control_characters_stand_alone() {
        let found: Vec<_> = parts("/r?id=a%7Fb%20%0a").collect();
        assert_eq!(
            found,
            [
                Part::Plain("/r?id=a"),
                Part::Control { escape: "%7F", byte: 0x7f },
                Part::Plain("b%20"),
                Part::Control { escape: "%0a", byte: 0x0a },
            ]
        );
    }

    #[test]
    fn control_characters_have_their_names() {
        assert_eq!(control_name(0x7f), Some("DEL"));
        assert_eq!(control_name(0x1f), Some("US"));
        assert_eq!(control_name(b' '), None);
    }

    proptest! {
        #[test]
        fn nothing_a_terminal_obeys_is_left(text in any::<String>()) {
            prop_assert!(!Visible(&text).to_string().chars().any(char::is_control));
        }

        #[test]
        fn the_parts_of_a_uri_give_it_back(uri in any::<String>()) {
            let joined: String = parts(&uri)
                .map(|part| match part {
                    Part::Plain(text) => text,
                    Part::Control { escape, .. } => escape,
                })
                .collect();
            prop_assert_eq!(joined, uri);
        }
    }
}
