//! Aligned columns of text.

use std::io::{self, Write};

use crate::style::{Style, Tone};

/// Which side of a column its text stands on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Align {
    Left,
    Right,
}

/// One cell: text that is safe for a terminal, and its colour.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Cell {
    text: String,
    tone: Option<Tone>,
}

impl Cell {
    pub(crate) fn toned(text: impl Into<String>, tone: Tone) -> Self {
        Self { text: text.into(), tone: Some(tone) }
    }

    fn width(&self) -> usize {
        self.text.chars().count()
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self { text: text.into(), tone: None }
    }
}

/// Rows under headings.
#[derive(Debug)]
pub(crate) struct Table<const COLUMNS: usize> {
    headings: [(&'static str, Align); COLUMNS],
    rows: Vec<[Cell; COLUMNS]>,
}

impl<const COLUMNS: usize> Table<COLUMNS> {
    pub(crate) fn new(headings: [(&'static str, Align); COLUMNS]) -> Self {
        Self { headings, rows: Vec::new() }
    }

    pub(crate) fn push(&mut self, row: [Cell; COLUMNS]) {
        self.rows.push(row);
    }

    pub(crate) fn write(&self, style: Style, out: &mut impl Write) -> io::Result<()> {
        let headings = self.headings.map(|(name, _)| Cell::toned(name, Tone::Faint));
        let mut widths = [0; COLUMNS];
        for row in std::iter::once(&headings).chain(&self.rows) {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = cell.width().max(*width);
            }
        }
        for row in std::iter::once(&headings).chain(&self.rows) {
            self.write_row(row, &widths, style, out)?;
        }
        Ok(())
    }

    fn write_row(
        &self,
        row: &[Cell; COLUMNS],
        widths: &[usize; COLUMNS],
        style: Style,
        out: &mut impl Write,
    ) -> io::Result<()> {
        let aligns = self.headings.map(|(_, align)| align);
        for (place, ((cell, width), align)) in row.iter().zip(widths).zip(aligns).enumerate() {
            if place > 0 {
                write!(out, "  ")?;
            }
            let room = width - cell.width();
            if align == Align::Right {
                write!(out, "{:room$}", "")?;
            }
            match cell.tone {
                Some(tone) => write!(out, "{}", style.paint(tone, &cell.text))?,
                None => write!(out, "{}", cell.text)?,
            }
            // No blanks at the end of a line.
            if align == Align::Left && place + 1 < COLUMNS {
                write!(out, "{:room$}", "")?;
            }
        }
        writeln!(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_under_each_other() {
        let mut table =
            Table::new([("NAME", Align::Left), ("N", Align::Right), ("WHY", Align::Left)]);
        table.push(["žluť".into(), "7".into(), "because".into()]);
        table.push([Cell::toned("a", Tone::Good), "100".into(), "".into()]);
        let mut out = Vec::new();
        table.write(Style::PLAIN, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text, "NAME    N  WHY\nžluť    7  because\na     100  \n");
    }
}
