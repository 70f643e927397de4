//! The screen.

use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    style::{Modifier, Style},
    text::{Line, Span},
    widgets::{Block, Clear, Paragraph},
};

use super::{
    app::{App, Focus},
    text::{fitted, look, spans, uri},
};
use crate::{
    browse::{
        index::{Index, Row},
        question::Mode,
    },
    style::{Style as Output, Tone},
    view::{Size, tone},
    visible::shortened,
};

/// Columns of the list before and after the target.
const BEFORE: [usize; 4] = [12, 3, 16, 7];
const AFTER: [usize; 3] = [11, 9, 10];
/// Columns below which the list does without hosts, sizes and milliseconds of the time.
const NARROW: usize = 100;
/// Columns of a line of hexadecimal in its frame.
const DETAIL: u16 = 80;

impl App {
    pub(super) fn draw(&mut self, frame: &mut Frame<'_>) {
        let [head, box_, middle, foot] = Layout::vertical([
            Constraint::Length(1),
            Constraint::Length(1),
            Constraint::Min(3),
            Constraint::Length(1),
        ])
        .areas(frame.area());
        self.draw_head(frame, head);
        self.draw_filter(frame, box_);
        let (list, detail) = match self.detail {
            // Beside each other where there is room.
            Some(_) if middle.width >= 2 * DETAIL => {
                let detail = DETAIL.max(middle.width / 2);
                let [list, detail] =
                    Layout::horizontal([Constraint::Min(1), Constraint::Length(detail)])
                        .areas(middle);
                (list, Some(detail))
            }
            Some(_) => {
                let [list, detail] =
                    Layout::vertical([Constraint::Percentage(35), Constraint::Percentage(65)])
                        .areas(middle);
                (list, Some(detail))
            }
            None => (middle, None),
        };
        self.draw_list(frame, list);
        if let Some(area) = detail {
            self.draw_detail(frame, area);
        }
        self.draw_foot(frame, foot);
        if self.focus == Focus::Help {
            draw_help(frame, middle);
        }
    }

    fn colour(&self) -> bool {
        self.style != Output::PLAIN
    }

    fn look(&self, tone: Tone) -> Style {
        look(tone, self.colour())
    }

    fn draw_head(&self, frame: &mut Frame<'_>, area: Rect) {
        let index = self.read();
        let failed = self.rows.iter().filter_map(|number| index.get(*number));
        let failed = failed.filter(|row| row.failed).count();
        let of = if self.rows.len() == index.len() {
            String::new()
        } else {
            format!(" of {}", index.len())
        };
        let reading = if index.loaded { "" } else { " (reading…)" };
        let bold = Style::new().add_modifier(Modifier::BOLD);
        let mut line = vec![
            Span::styled("weir ", bold),
            Span::styled(shortened(&self.directory.to_string_lossy(), 80), self.look(Tone::Faint)),
            Span::raw(format!("   {}{of} pairs{reading}, ", self.rows.len())),
            Span::styled(
                format!("{failed} failed"),
                if failed > 0 { self.look(Tone::Bad) } else { Style::new() },
            ),
        ];
        if index.others > 0 {
            let others = format!("   {} files are no RRPairs", index.others);
            line.push(Span::styled(others, self.look(Tone::Faint)));
        }
        frame.render_widget(Line::from(line), area);
    }

    fn draw_filter(&self, frame: &mut Frame<'_>, area: Rect) {
        let marked = self.look(Tone::Marked);
        let typing = self.focus == Focus::Filter;
        let mut line = vec![Span::styled("/ ", self.look(Tone::Faint))];
        if typing {
            line.extend(spans(&self.typed, Style::new(), marked));
            line.push(Span::styled(" ", Style::new().add_modifier(Modifier::REVERSED)));
            line.push(Span::styled(
                "  Enter: filter  Esc: as it was  Ctrl-U: nothing",
                self.look(Tone::Faint),
            ));
        } else if self.is_stale {
            line.extend(spans(&self.filter, Style::new(), marked));
            line.push(Span::styled("  filtering…", self.look(Tone::Faint)));
        } else if let Some(fault) = &self.fault {
            line.extend(spans(&self.typed, Style::new(), marked));
            line.push(Span::raw("  "));
            line.extend(spans(fault, self.look(Tone::Bad), marked));
        } else {
            line.extend(spans(&self.filter, Style::new(), marked));
            let mode = match self.mode {
                Mode::All => "no filter",
                Mode::Words => "  by words",
                Mode::Query => "  query language",
                Mode::Cel => "  CEL",
            };
            line.push(Span::styled(mode, self.look(Tone::Faint)));
        }
        frame.render_widget(Line::from(line), area);
    }

    fn draw_list(&mut self, frame: &mut Frame<'_>, area: Rect) {
        let [head, area] =
            Layout::vertical([Constraint::Length(1), Constraint::Min(1)]).areas(area);
        let columns = usize::from(area.width);
        self.height = usize::from(area.height);
        // The chosen row stays on the screen.
        self.top = self.top.min(self.selected).max((self.selected + 1).saturating_sub(self.height));
        let faint = self.look(Tone::Faint);
        let title = columns_of(
            ["TIME (UTC)", "", "SERVICE", "METHOD"].map(|name| vec![Span::styled(name, faint)]),
            vec![Span::styled("TARGET", faint)],
            ["STATUS", "MS", "BYTES"].map(|name| vec![Span::styled(name, faint)]),
            columns,
        );
        frame.render_widget(title, head);
        if self.rows.is_empty() {
            let why = if !self.read().loaded {
                "reading…"
            } else if self.filter.is_empty() {
                "there is no RRPair here"
            } else {
                "no pair fits the filter"
            };
            let lines = vec![Line::default(), Line::styled(why, faint).centered()];
            frame.render_widget(Paragraph::new(lines), area);
            return;
        }
        let index = self.read();
        let shown = self.rows.iter().enumerate().skip(self.top).take(self.height);
        let lines = shown.filter_map(|(place, number)| {
            let line = self.row(&index, index.get(*number)?, columns);
            let chosen = place == self.selected;
            Some(if chosen { line.patch_style(Modifier::REVERSED) } else { line })
        });
        let lines: Vec<_> = lines.collect();
        frame.render_widget(Paragraph::new(lines), area);
    }

    fn row(&self, index: &Index, row: &Row, columns: usize) -> Line<'static> {
        let (faint, marked) = (self.look(Tone::Faint), self.look(Tone::Marked));
        let time = i64::try_from(row.time_us).ok().filter(|time| *time > 0);
        let time = time.and_then(|time| jiff::Timestamp::from_microsecond(time).ok());
        let narrow = columns < NARROW;
        let form = if narrow { "%H:%M:%S" } else { "%H:%M:%S.%3f" };
        let time =
            time.map_or_else(|| "--:--:--".to_owned(), |time| time.strftime(form).to_string());
        let status = match index.text(row.status) {
            "" => "no response",
            status => status,
        };
        let host = if narrow { "" } else { index.text(row.host) };
        let mut target = spans(host, faint, marked);
        target.extend(uri(&row.target, Style::new(), marked));
        if row.marks.iter().next().is_some() {
            target.insert(0, Span::styled("!", self.look(Tone::Warning)));
            target.insert(1, Span::raw(" "));
        }
        columns_of(
            [
                vec![Span::styled(time, faint)],
                vec![Span::styled(row.way.label(), faint)],
                spans(index.text(row.service), Style::new(), marked),
                spans(index.text(row.command), Style::new(), marked),
            ],
            target,
            [
                spans(status, self.look(tone(index.text(row.status))), marked),
                vec![Span::raw(row.duration_ms.to_string())],
                vec![Span::styled(Size(row.received).to_string(), faint)],
            ],
            columns,
        )
    }

    fn draw_detail(&mut self, frame: &mut Frame<'_>, area: Rect) {
        let (form, colour) = (self.form, self.colour());
        let has_focus = self.focus == Focus::Detail;
        let Some(detail) = &mut self.detail else { return };
        let look = if has_focus { Style::new() } else { look(Tone::Faint, colour) };
        let block = Block::bordered().border_style(look);
        let inner = block.inner(area);
        detail.height = usize::from(inner.height);
        let (top, height) = (detail.top, detail.height);
        let lines = detail.lines(usize::from(inner.width), form, colour);
        let count = lines.len();
        let shown: Vec<_> = lines.iter().skip(top).take(height).cloned().collect();
        let place = format!(" {}–{} of {count} ", (top + 1).min(count), (top + height).min(count));
        let block = block
            .title_top(format!(" bodies: {} ", form.name()))
            .title_bottom(Line::from(place).right_aligned());
        frame.render_widget(Paragraph::new(shown).block(block), area);
    }

    fn draw_foot(&self, frame: &mut Frame<'_>, area: Rect) {
        let text = match self.focus {
            Focus::Detail => {
                "j k scroll  b pretty, text, hex  n next failing  Tab list  Esc close  ? keys  q leave"
            }
            Focus::Help => "any key closes the help",
            Focus::Filter => {
                "words: service:shop status:5xx !health failed mark:control slower:500   or CEL, or the query language"
            }
            Focus::List => {
                "j k choose  Enter detail  / filter  n next failing  b pretty, text, hex  ? keys  q leave"
            }
        };
        frame.render_widget(Line::styled(text, self.look(Tone::Faint)), area);
    }
}

/// One line of the list.
fn columns_of(
    before: [Vec<Span<'static>>; 4],
    target: Vec<Span<'static>>,
    after: [Vec<Span<'static>>; 3],
    columns: usize,
) -> Line<'static> {
    let mut line = Vec::new();
    let mut left = columns;
    let narrow = columns < NARROW;
    let mut put = |spans: Vec<Span<'static>>, width: usize| {
        line.extend(fitted(spans, width));
        line.push(Span::raw(" "));
    };
    for (width, spans) in BEFORE.into_iter().zip(before) {
        let width = if narrow { width.min(10) } else { width };
        left = left.saturating_sub(width + 1);
        put(spans, width);
    }
    // The size is the first to go.
    let after: Vec<_> = AFTER.into_iter().zip(after).take(if narrow { 2 } else { 3 }).collect();
    let behind: usize = after.iter().map(|(width, _)| width + 1).sum();
    put(target, left.saturating_sub(behind + 1));
    for (width, spans) in after {
        put(spans, width);
    }
    Line::from(line)
}

const KEYS: [(&str, &str); 12] = [
    ("j k ↓ ↑", "next, previous; in the detail: scroll"),
    ("Space PageDown PageUp", "a screen on, back"),
    ("g G", "first, last"),
    ("n", "next failing pair"),
    ("Enter", "the pair whole: headers and bodies"),
    ("Tab", "from the list to the detail and back"),
    ("b", "bodies pretty, as text, in hexadecimal"),
    ("Esc", "close the detail"),
    ("/", "filter, as in weir web"),
    ("", "service: status: method: host: path: direction: mark: slower:"),
    ("", "failed, ! before a word negates; or CEL over the record"),
    ("q Ctrl-C", "leave"),
];

fn draw_help(frame: &mut Frame<'_>, area: Rect) {
    let [area] = Layout::vertical([Constraint::Length(14)]).areas(area);
    let [area] = Layout::horizontal([Constraint::Max(92)]).areas(area);
    let bold = Style::new().add_modifier(Modifier::BOLD);
    let lines = KEYS.map(|(keys, text)| {
        Line::from(vec![Span::styled(format!(" {keys:<24}"), bold), Span::raw(text)])
    });
    frame.render_widget(Clear, area);
    let block = Block::bordered().title(" keys ");
    frame.render_widget(Paragraph::new(lines.to_vec()).block(block), area);
}
