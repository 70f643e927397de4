//! One pair, whole, as lines.

use std::path::Path;

use ratatui::{
    style::{Modifier, Style},
    text::{Line, Span},
};
use serde_json::{Map, Value};

use super::text::{look, spans, uri, wrapped};
use crate::{
    browse::{
        index::Row,
        marks::{Mark, Marks},
        pretty::{Body, layout},
    },
    style::Tone,
    view::{Size, View, tone},
    visible::{Part, control_name, parts},
};

/// Bytes of a body that are shown.
const SHOWN: usize = 64 * 1024;

/// How bodies are shown.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Form {
    Pretty,
    Text,
    Hex,
}

impl Form {
    pub(super) fn next(self) -> Self {
        match self {
            Self::Pretty => Self::Text,
            Self::Text => Self::Hex,
            Self::Hex => Self::Pretty,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Pretty => "pretty",
            Self::Text => "text",
            Self::Hex => "hex",
        }
    }
}

/// A pair that is shown.
pub(super) struct Detail {
    pub(super) number: u32,
    /// The document, or why it cannot be read any more.
    document: Result<Map<String, Value>, String>,
    marks: Marks,
    place: String,
    /// Lines as they were laid out last, for a width, a form and with or without colours.
    lines: Vec<Line<'static>>,
    laid_out: Option<(usize, Form, bool)>,
    pub(super) top: usize,
    /// Lines on the screen, as they were drawn last.
    pub(super) height: usize,
}

impl Detail {
    pub(super) fn read(number: u32, row: &Row, directory: &Path) -> Self {
        Self {
            number,
            document: row.place.read().map_err(|error| error.to_string()),
            marks: row.marks,
            place: row.place.below(directory).to_string(),
            lines: Vec::new(),
            laid_out: None,
            top: 0,
            height: 1,
        }
    }

    pub(super) fn scroll(&mut self, lines: usize) {
        let last = self.lines.len().saturating_sub(self.height);
        self.top = self.top.saturating_add(lines).min(last);
    }

    pub(super) fn scroll_back(&mut self, lines: usize) {
        self.top = self.top.saturating_sub(lines);
    }

    /// The lines for this width.
    pub(super) fn lines(&mut self, columns: usize, form: Form, colour: bool) -> &[Line<'static>] {
        if self.laid_out != Some((columns, form, colour)) {
            let page = match &self.document {
                Ok(document) => Page::of(document, self.marks, &self.place, form, colour),
                Err(error) => Page::fault(error, colour),
            };
            self.lines =
                page.lines.into_iter().flat_map(|line| wrapped(line, columns, 4)).collect();
            self.laid_out = Some((columns, form, colour));
            self.scroll(0);
        }
        &self.lines
    }
}

/// Lines of any length.
struct Page {
    lines: Vec<Line<'static>>,
    form: Form,
    colour: bool,
}

impl Page {
    fn fault(error: &str, colour: bool) -> Self {
        let mut page = Self { lines: Vec::new(), form: Form::Pretty, colour };
        page.push(spans(error, look(Tone::Bad, colour), page.marked()));
        page
    }

    fn of(
        document: &Map<String, Value>,
        marks: Marks,
        place: &str,
        form: Form,
        colour: bool,
    ) -> Self {
        let mut page = Self { lines: Vec::new(), form, colour };
        page.top(document, marks);
        if let Some(http) = document.get("http") {
            page.message("Request", http.get("req"));
            page.message("Response", http.get("res"));
        } else {
            page.heading("Document", "");
            page.text(&serde_json::to_string_pretty(document).unwrap_or_default(), "JSON");
        }
        page.facts(document, place);
        page
    }

    fn marked(&self) -> Style {
        look(Tone::Marked, self.colour)
    }

    fn look(&self, tone: Tone) -> Style {
        look(tone, self.colour)
    }

    fn push(&mut self, spans: Vec<Span<'static>>) {
        self.lines.push(Line::from(spans));
    }

    fn top(&mut self, document: &Map<String, Value>, marks: Marks) {
        let view = View::new(document);
        let (host, target) = view.target();
        let status = if view.status().is_empty() { "no response" } else { view.status() };
        let bold = Style::new().add_modifier(Modifier::BOLD);
        let mut line = spans(status, self.look(tone(view.status())), self.marked());
        line.push(Span::raw("  "));
        line.extend(spans(view.command(), bold, self.marked()));
        line.push(Span::raw(" "));
        line.extend(spans(host, self.look(Tone::Faint), self.marked()));
        line.extend(uri(target, bold, self.marked()));
        self.push(line);
        let time = view.time().map_or_else(
            || "no time".to_owned(),
            |time| time.strftime("%Y-%m-%d %H:%M:%S.%6f UTC").to_string(),
        );
        let (sent, received) = view.sizes();
        let said = format!(
            "{time} · {} ms · {} · {} · {} → {}",
            view.duration_ms(),
            view.service(),
            view.way().label(),
            Size(sent),
            Size(received)
        );
        self.push(spans(&said, self.look(Tone::Faint), self.marked()));
        for mark in marks.iter() {
            let more = if mark == Mark::ControlInUri { controls(target) } else { String::new() };
            let warning = format!("! {}{more}", mark.text());
            self.push(spans(&warning, self.look(Tone::Warning), self.marked()));
        }
    }

    fn heading(&mut self, title: &str, more: &str) {
        self.push(Vec::new());
        let bold = Style::new().add_modifier(Modifier::BOLD | Modifier::UNDERLINED);
        let mut line = vec![Span::styled(title.to_owned(), bold), Span::raw("  ")];
        line.extend(spans(more, self.look(Tone::Faint), self.marked()));
        self.push(line);
    }

    fn message(&mut self, title: &str, message: Option<&Value>) {
        let Some(message) = message else {
            self.heading(title, "none was seen");
            return;
        };
        let field = |name: &str| message.get(name).and_then(Value::as_str).unwrap_or_default();
        let target = if field("uri").is_empty() { field("url") } else { field("uri") };
        match message.get("statusCode") {
            Some(code) if field("statusMessage").is_empty() => {
                self.heading(title, &code.to_string());
            }
            Some(_) => self.heading(title, field("statusMessage")),
            None => self.heading(title, &format!("{} {target}", field("method"))),
        }
        let headers = message.get("headers").and_then(Value::as_object);
        for (name, values) in headers.into_iter().flatten() {
            let one = std::slice::from_ref(values);
            for value in values.as_array().map_or(one, Vec::as_slice) {
                let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                self.field(name, &text);
            }
        }
        self.body(&Body::of(message));
    }

    fn field(&mut self, name: &str, value: &str) {
        let mut line = spans(name, self.look(Tone::Faint), self.marked());
        line.push(Span::styled(": ", self.look(Tone::Faint)));
        line.extend(spans(value, Style::new(), self.marked()));
        self.push(line);
    }

    fn body(&mut self, body: &Body) {
        if body.bytes.is_empty() {
            let note = if body.note.is_empty() { "no body" } else { &body.note };
            self.note(note);
            return;
        }
        let text = std::str::from_utf8(&body.bytes).ok().filter(|_| self.form != Form::Hex);
        let shown = body.bytes.len().min(SHOWN);
        let Some(text) = text else {
            let name =
                if std::str::from_utf8(&body.bytes).is_ok() { "hex" } else { "hex, not UTF-8" };
            self.body_note(name, body);
            self.hex(body.bytes.get(..shown).unwrap_or_default());
            self.more(body.bytes.len() - shown);
            return;
        };
        let laid_out = match self.form {
            Form::Pretty => layout(text, &body.media_type),
            Form::Text | Form::Hex => None,
        };
        let (name, text) = laid_out.unwrap_or_else(|| ("text", text.to_owned()));
        self.body_note(name, body);
        self.text(&text, name);
    }

    fn body_note(&mut self, form: &str, body: &Body) {
        let note = if body.note.is_empty() { String::new() } else { format!(" ({})", body.note) };
        self.note(&format!("{form}, {} bytes{note}", body.bytes.len()));
    }

    fn note(&mut self, text: &str) {
        let text = format!("── {text}");
        self.push(spans(&text, self.look(Tone::Faint), self.marked()));
    }

    fn text(&mut self, text: &str, form: &str) {
        let end = text.floor_char_boundary(SHOWN);
        for line in text.get(..end).unwrap_or_default().split('\n') {
            let spans = spans(line, Style::new(), self.marked());
            self.push(if form == "JSON" { self.member(spans) } else { spans });
        }
        self.more(text.len() - end);
    }

    /// The name of a member apart from its value.
    fn member(&self, line: Vec<Span<'static>>) -> Vec<Span<'static>> {
        let Some((first, rest)) = line.split_first() else { return line };
        let Some((name, value)) = first.content.split_once("\": ") else { return line };
        if !name.trim_start().starts_with('"')
            || name.trim_start().get(1..).is_none_or(|name| name.contains('"'))
        {
            return line;
        }
        let mut out = vec![
            Span::styled(format!("{name}\": "), self.look(Tone::Good)),
            Span::raw(value.to_owned()),
        ];
        out.extend(rest.iter().cloned());
        out
    }

    fn more(&mut self, bytes: usize) {
        if bytes > 0 {
            self.note(&format!("… {bytes} bytes more"));
        }
    }

    fn hex(&mut self, bytes: &[u8]) {
        for (number, row) in bytes.chunks(16).enumerate() {
            let mut line =
                vec![Span::styled(format!("{:06x}  ", number * 16), self.look(Tone::Faint))];
            for (place, byte) in row.iter().enumerate() {
                let odd = byte.is_ascii_control() && !b"\t\n\r".contains(byte);
                let style = if odd { self.marked() } else { Style::new() };
                line.push(Span::styled(format!("{byte:02x}"), style));
                line.push(Span::raw(if place == 7 { "  " } else { " " }));
            }
            let missing = 16 - row.len();
            line.push(Span::raw(" ".repeat(missing * 3 + usize::from(missing > 8) + 1)));
            let plain =
                |byte: &u8| if (0x20..0x7f).contains(byte) { char::from(*byte) } else { '·' };
            let text: String = row.iter().map(plain).collect();
            line.push(Span::styled(text, self.look(Tone::Faint)));
            self.push(line);
        }
    }

    fn facts(&mut self, document: &Map<String, Value>, place: &str) {
        self.heading("Connection", "");
        let text = |name: &str| document.get(name).and_then(Value::as_str).unwrap_or_default();
        let peer = |name: &str| {
            let peer = document.get("netinfo").and_then(|netinfo| netinfo.get(name));
            let address = peer.and_then(|peer| peer.get("ipAddress")?.as_str()).unwrap_or_default();
            let port = peer.and_then(|peer| peer.get("port")).map(Value::to_string);
            format!("{address}{}", port.map(|port| format!(":{port}")).unwrap_or_default())
        };
        let tags = document.get("tags").and_then(Value::as_object);
        let tags = tags.into_iter().flatten();
        let tags =
            tags.map(|(key, value)| (key.as_str(), value.as_str().unwrap_or_default().to_owned()));
        let own = [
            ("from", peer("downstream")),
            ("to", peer("upstream")),
            ("protocol", text("l7protocol").to_owned()),
            ("namespace", text("namespace").to_owned()),
            ("cluster", text("cluster").to_owned()),
            ("session", text("session").to_owned()),
            ("file", place.to_owned()),
        ];
        for (name, value) in own.into_iter().chain(tags).filter(|(_, value)| !value.is_empty()) {
            self.field(name, &value);
        }
    }
}

/// Which control characters a URI holds.
fn controls(uri: &str) -> String {
    let mut found = Vec::new();
    let mut add = |byte: u8, form: &str| {
        let name = control_name(byte).unwrap_or("control");
        let text = format!("byte 0x{byte:02x} ({name}) {form}");
        if !found.contains(&text) {
            found.push(text);
        }
    };
    for part in parts(uri) {
        match part {
            Part::Control { escape, byte } => add(byte, &format!("as {escape}")),
            Part::Plain(text) => {
                text.bytes().filter(u8::is_ascii_control).for_each(|byte| add(byte, "raw"));
            }
        }
    }
    if found.is_empty() { String::new() } else { format!(": {}", found.join(", ")) }
}
