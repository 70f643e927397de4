//! What a person wants to see of a pair, read leniently from its JSON (contract §1).

use std::fmt::{self, Display, Write as _};

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::{
    style::{Style, Tone},
    visible::{self, Part, Visible},
};

/// Longest location that a line shows, in characters.
const LONGEST: usize = 200;

/// One pair, for display. Missing fields are empty or zero (contract §1).
#[derive(Clone, Copy)]
pub struct View<'a> {
    body: &'a Map<String, Value>,
}

/// Which way a call went, as seen from the captured workload.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Way {
    In,
    Out,
    /// The document does not say, or says something else.
    Unknown,
}

impl Way {
    pub fn label(self) -> &'static str {
        match self {
            Self::In => "IN",
            Self::Out => "OUT",
            Self::Unknown => "?",
        }
    }

    fn arrow(self) -> &'static str {
        match self {
            Self::In => "→",
            Self::Out => "↗",
            Self::Unknown => "·",
        }
    }
}

impl<'a> View<'a> {
    pub fn new(body: &'a Map<String, Value>) -> Self {
        Self { body }
    }

    pub fn way(self) -> Way {
        match self.text("direction") {
            "IN" => Way::In,
            "OUT" => Way::Out,
            _ => Way::Unknown,
        }
    }

    pub fn service(self) -> &'a str {
        self.text("service")
    }

    pub(crate) fn command(self) -> &'a str {
        self.text("command")
    }

    pub fn status(self) -> &'a str {
        self.text("status")
    }

    pub fn duration_ms(self) -> u64 {
        whole(self.body.get("duration"))
    }

    /// Time of the request.
    pub fn time(self) -> Option<Timestamp> {
        self.text("ts").parse().ok()
    }

    /// No response, a server's fault (5xx), or a protocol's `ERR:…`. A refusal that names the
    /// client's fault (4xx) is none.
    pub fn failed(self) -> bool {
        let status = self.status();
        status.is_empty() || status.starts_with("ERR") || matches!(status_class(status), Some(5..))
    }

    fn text(self, key: &str) -> &'a str {
        self.body.get(key).and_then(Value::as_str).unwrap_or_default()
    }

    fn http(self, message: &str, key: &str) -> &'a str {
        let value = self.body.get("http").and_then(|http| http.get(message)?.get(key));
        value.and_then(Value::as_str).unwrap_or_default()
    }

    /// Host and URI as sent; the operation's text for anything but HTTP.
    pub(crate) fn target(self) -> (&'a str, &'a str) {
        match self.http("req", "uri") {
            "" => ("", self.text("location")),
            uri => (self.http("req", "host"), uri),
        }
    }

    /// Body bytes of request and response.
    pub(crate) fn sizes(self) -> (usize, usize) {
        let of = |message| decoded_length(self.http(message, "bodyBase64"));
        (of("req"), of("res"))
    }

    /// One line, no line feed, safe for a terminal.
    pub fn line(self, style: Style) -> String {
        let mut line = String::new();
        // Writing to a String cannot fail.
        self.write_line(style, &mut line).ok();
        line
    }

    fn write_line(self, style: Style, out: &mut String) -> fmt::Result {
        let time = self.time().map_or_else(
            || "--:--:--.---Z".to_owned(),
            |time| time.strftime("%H:%M:%S.%3fZ").to_string(),
        );
        let way = self.way();
        write!(out, "{} {} {:<3} ", style.paint(Tone::Faint, time), way.arrow(), way.label())?;
        write!(out, " {:<16} ", visible::shortened(self.service(), 40))?;
        write!(out, " {:<6} ", visible::shortened(self.text("command"), 40))?;
        let (host, location) = self.target();
        write!(out, "{}", visible::shortened(host, 80))?;
        let controls = write_uri(location, style, out)?;
        let status = match self.status() {
            "" => "no response",
            status => status,
        };
        let status = visible::shortened(status, 40);
        let (sent, received) = self.sizes();
        write!(
            out,
            "  {}  {} ms  {} → {}",
            style.paint(tone(self.status()), status),
            self.duration_ms(),
            Size(sent),
            Size(received),
        )?;
        write_note(&controls, style, out)
    }
}

/// Writes a URI with its hidden control characters marked, and returns those.
fn write_uri<'a>(
    uri: &'a str,
    style: Style,
    out: &mut String,
) -> Result<Vec<(&'a str, u8)>, fmt::Error> {
    let end = uri.char_indices().nth(LONGEST).map_or(uri.len(), |(end, _)| end);
    let (shown, hidden) = uri.split_at(end);
    let mut controls = Vec::new();
    for part in visible::parts(shown) {
        match part {
            Part::Plain(text) => write!(out, "{}", Visible(text))?,
            Part::Control { escape, byte } => {
                write!(out, "{}", style.paint(Tone::Marked, escape))?;
                if !controls.contains(&(escape, byte)) {
                    controls.push((escape, byte));
                }
            }
        }
    }
    if !hidden.is_empty() {
        out.push('…');
    }
    Ok(controls)
}

fn write_note(controls: &[(&str, u8)], style: Style, out: &mut String) -> fmt::Result {
    for (escape, byte) in controls {
        let name = visible::control_name(*byte).unwrap_or("control");
        let note = format!("({escape} is \\x{byte:02x}, {name})");
        write!(out, "  {}", style.paint(Tone::Marked, note))?;
    }
    Ok(())
}

pub(crate) fn tone(status: &str) -> Tone {
    match status_class(status) {
        Some(0..=3) => Tone::Good,
        Some(4) => Tone::Warning,
        None if status == "OK" => Tone::Good,
        Some(_) | None => Tone::Bad,
    }
}

/// First digit of an HTTP status code.
fn status_class(status: &str) -> Option<u16> {
    status.parse::<u16>().ok().map(|code| code / 100)
}

/// A number that may have come back from a collector as `12.0` or `"12"`.
fn whole(value: Option<&Value>) -> u64 {
    match value {
        Some(Value::Number(number)) => number.as_u64().or_else(|| {
            let number = number.as_f64().filter(|number| *number >= 0.0)?;
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "not negative; `as` saturates"
            )]
            let whole = number as u64;
            Some(whole)
        }),
        Some(Value::String(text)) => text.parse().ok(),
        _ => None,
    }
    .unwrap_or_default()
}

/// Bytes that padded base64 stands for.
fn decoded_length(base64: &str) -> usize {
    let padding = base64.bytes().rev().take_while(|byte| *byte == b'=').count();
    (base64.len() / 4 * 3).saturating_sub(padding)
}

/// Bytes for people: `512 B`, `1.5 KiB`.
#[derive(Clone, Copy, Debug)]
pub struct Size(pub usize);

impl Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(bytes) = *self;
        match bytes {
            0..1024 => write!(f, "{bytes} B"),
            1024..1_048_576 => write!(f, "{}.{} KiB", bytes >> 10, ((bytes & 1023) * 10) >> 10),
            _ => write!(f, "{}.{} MiB", bytes >> 20, (((bytes >> 10) & 1023) * 10) >> 10),
        }
    }
}

#[cfg(test)]
#[path = "view/tests.rs"]
mod tests;
