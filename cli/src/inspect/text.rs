//! Captured text as spans: what a terminal would obey or hide is marked.

use ratatui::{
    style::{Color, Modifier, Style},
    text::{Line, Span},
};

use crate::{
    style::Tone,
    visible::{Part, parts, write_visible},
};

/// The look of what a [`Tone`] says; without colours by weight alone.
pub(super) fn look(tone: Tone, colour: bool) -> Style {
    let style = Style::new();
    match tone {
        Tone::Marked if colour => {
            style.fg(Color::Red).add_modifier(Modifier::REVERSED | Modifier::BOLD)
        }
        Tone::Marked => style.add_modifier(Modifier::REVERSED | Modifier::BOLD),
        Tone::Faint => style.add_modifier(Modifier::DIM),
        Tone::Bad if colour => style.fg(Color::Red).add_modifier(Modifier::BOLD),
        Tone::Bad => style.add_modifier(Modifier::BOLD),
        Tone::Warning if colour => style.fg(Color::Yellow),
        Tone::Good if colour => style.fg(Color::Green),
        Tone::Warning | Tone::Good => style,
    }
}

/// Spans of one line of text; tabs are blanks, every other control character is marked.
pub(super) fn spans(text: &str, style: Style, marked: Style) -> Vec<Span<'static>> {
    let mut out = Vec::new();
    let mut plain = String::new();
    for char in text.chars() {
        let mut shown = String::new();
        match char {
            '\t' => shown.push_str("    "),
            '\\' => shown.push('\\'), // what is escaped is told by its look here
            _ => write_visible(char, &mut shown).unwrap_or_default(),
        }
        if shown.starts_with('\\') && char != '\\' {
            out.push(Span::styled(std::mem::take(&mut plain), style));
            out.push(Span::styled(shown, marked));
        } else {
            plain.push_str(&shown);
        }
    }
    out.push(Span::styled(plain, style));
    out.retain(|span| !span.content.is_empty());
    out
}

/// Spans of a URI: percent-escapes of control characters are marked, too.
pub(super) fn uri(uri: &str, style: Style, marked: Style) -> Vec<Span<'static>> {
    let mut out = Vec::new();
    for part in parts(uri) {
        match part {
            Part::Plain(text) => out.extend(spans(text, style, marked)),
            Part::Control { escape, .. } => out.push(Span::styled(escape.to_owned(), marked)),
        }
    }
    out
}

/// Columns that a character takes.
fn width(char: char) -> usize {
    if char.is_ascii() { 1 } else { Span::raw(char.to_string()).width() }
}

/// The line in pieces of at most `columns`; `indent` blanks before all but the first.
pub(super) fn wrapped(line: Line<'static>, columns: usize, indent: usize) -> Vec<Line<'static>> {
    let columns = columns.max(indent + 8);
    if line.width() <= columns {
        return vec![line];
    }
    let mut out = Vec::new();
    let mut spans: Vec<Span<'static>> = Vec::new();
    let mut used = 0;
    for span in line.spans {
        let mut piece = String::new();
        for char in span.content.chars() {
            if used + width(char) > columns {
                spans.push(Span::styled(std::mem::take(&mut piece), span.style));
                out.push(Line::from(std::mem::take(&mut spans)));
                spans.push(Span::raw(" ".repeat(indent)));
                used = indent;
            }
            piece.push(char);
            used += width(char);
        }
        spans.push(Span::styled(piece, span.style));
    }
    out.push(Line::from(spans));
    out
}

/// The spans cut, or padded with blanks, to just this many columns.
pub(super) fn fitted(spans: Vec<Span<'static>>, columns: usize) -> Vec<Span<'static>> {
    let whole: usize = spans.iter().map(Span::width).sum();
    if whole <= columns {
        let mut spans = spans;
        spans.push(Span::raw(" ".repeat(columns - whole)));
        return spans;
    }
    let mut out = Vec::new();
    let mut used = 0;
    for span in spans {
        let mut piece = String::new();
        for char in span.content.chars() {
            if used + width(char) + 1 > columns {
                piece.push('…');
                out.push(Span::styled(piece, span.style));
                out.push(Span::raw(" ".repeat(columns.saturating_sub(used + 1))));
                return out;
            }
            piece.push(char);
            used += width(char);
        }
        out.push(Span::styled(piece, span.style));
    }
    out
}
