//! Colours, only where a person looks: on a terminal, and not when `NO_COLOR` is set.

use std::{
    fmt::{self, Display},
    io::IsTerminal,
};

/// Whether output is coloured.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Style {
    colour: bool,
}

/// What a colour means here.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Tone {
    Good,
    Warning,
    Bad,
    Faint,
    /// Must be seen: a control character.
    Marked,
}

impl Style {
    /// No colours: files, pipes, tests.
    pub const PLAIN: Self = Self { colour: false };
    /// Colours whatever the output is.
    pub const COLOURED: Self = Self { colour: true };

    /// For `stream`, by <https://no-color.org>.
    pub fn of(stream: &impl IsTerminal) -> Self {
        let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|value| value == "dumb");
        Self { colour: stream.is_terminal() && !set("NO_COLOR") && !dumb }
    }

    /// `text`, which must be safe for a terminal, in the colour of `tone`.
    pub fn paint<T: Display>(self, tone: Tone, text: T) -> Painted<T> {
        Painted { tone: self.colour.then_some(tone), text }
    }
}

/// Text with its colour; padding (`{:<8}`) counts the text alone.
#[derive(Clone, Copy, Debug)]
pub struct Painted<T> {
    tone: Option<Tone>,
    text: T,
}

impl<T: Display> Display for Painted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(tone) = self.tone else { return self.text.fmt(f) };
        // SGR parameters (ECMA-48 §8.3.117)
        let code = match tone {
            Tone::Good => "32",
            Tone::Warning => "33",
            Tone::Bad => "31",
            Tone::Faint => "2",
            Tone::Marked => "1;7;31",
        };
        write!(f, "\x1b[{code}m")?;
        self.text.fmt(f)?;
        f.write_str("\x1b[0m")
    }
}
