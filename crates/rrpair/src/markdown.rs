//! The Markdown form of an RRPair (contract §5.1), for people to read and edit.
//!
//! The last section holds the whole document. What the sections before it say differently was
//! edited, and only that is taken over: a file that nobody edited is read back exactly, whatever
//! the sections cannot show.

mod apply;
mod json_text;
mod section;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Map, Value};

use self::section::Sections;
use crate::json::{from_map, object_from_slice, object_to_compact_ascii, to_map};
use crate::model::RrPair;
use crate::time::Timestamp;

const NONE: &str = "-NONE-";
/// Before a signature's value that is no line of text.
const AS_BASE64: &str = "base64:";

/// Why a file could not be read. Says where, never what was there.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ReadMarkdown {
    /// It has no line `### REQUEST ###`.
    #[error("not an RRPair in Markdown: it has no section REQUEST")]
    NoRequest,
    /// The fence of a block is opened and never closed.
    #[error("the block that begins at line {line} has no end")]
    OpenBlock { line: usize },
    /// The section INTERNAL is damaged.
    #[error("the section INTERNAL, at line {line}, holds no RRPair")]
    Internal { line: usize },
    /// The request line cannot be read.
    #[error("line {line}: write METHOD scheme://host:port/path HTTP/version")]
    RequestLine { line: usize },
    /// The status line cannot be read.
    #[error("line {line}: write HTTP/version status reason")]
    StatusLine { line: usize },
    /// A value in METADATA or SIGNATURE cannot be read.
    #[error("the section {section} has a line that cannot be read: {key}")]
    Value { section: &'static str, key: &'static str },
}

/// JSON text with a line for each member; every digit, escape and repeated key stays. `None` for
/// what is no JSON object or array.
pub fn pretty_json(text: &str) -> Option<String> {
    json_text::pretty(&json_text::compact(text)?)
}

/// The Markdown of a document; `None` for what is no HTTP, and has no such form.
pub fn write(document: &Map<String, Value>) -> Option<String> {
    let record = from_map(document.clone()).ok()?;
    let view = View::of(&record)?;
    let mut out = String::new();
    for (name, message) in [("REQUEST", Some(&view.request)), ("RESPONSE", view.response.as_ref())]
    {
        let (head, body) = match message {
            Some(message) => (message.head(), message.shown_body()),
            None => (String::new(), String::new()),
        };
        section::push(&mut out, name, &[head, body]);
    }
    let lines = |entries: &BTreeMap<String, String>, between: &str| {
        entries.iter().flat_map(|(key, value)| [key, between, value, "\n"]).collect::<String>()
    };
    section::push(&mut out, "SIGNATURE", &[lines(&view.signature, " is ")]);
    let tags: Vec<_> = view.tags.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let metadata = format!(
        "direction: {}\nuuid: {}\nts: {}\nduration: {}\ntags: {}\n",
        view.direction,
        view.uuid,
        view.ts,
        view.duration,
        tags.join(", ")
    );
    section::push(&mut out, "METADATA", &[metadata]);
    let internal = format!("json: {}\n", object_to_compact_ascii(document));
    section::push(&mut out, section::INTERNAL, &[internal]);
    out.truncate(out.trim_end().len());
    out.push('\n');
    Some(out)
}

/// Reads the document that a file says.
///
/// # Errors
///
/// When a section is damaged, with its line.
pub fn read(text: &str) -> Result<Map<String, Value>, ReadMarkdown> {
    let sections = Sections::parse(text)?;
    let internal = match sections.blocks(section::INTERNAL).first() {
        None => Map::new(),
        Some(block) => {
            let damaged = ReadMarkdown::Internal { line: block.line };
            let json = block.text.trim().strip_prefix("json:").ok_or(damaged)?;
            object_from_slice(json.trim().as_bytes()).map_err(|_quotes| damaged)?
        }
    };
    let shown = write(&internal).map(|text| View::parse(&Sections::parse(&text)?)).transpose()?;
    let said = View::parse(&sections)?;
    if shown.as_ref() == Some(&said) {
        return Ok(internal);
    }
    let line = sections.blocks(section::INTERNAL).first().map_or(0, |block| block.line);
    let mut record = from_map(internal).map_err(|_quotes| ReadMarkdown::Internal { line })?;
    said.apply(shown.as_ref(), &mut record)?;
    Ok(to_map(&record))
}

/// File name of a document: its time, as `2026-09-01_10-15-30.000250417Z`, without an ending.
pub fn file_stem(ts: Timestamp) -> String {
    ts.to_string().replace('T', "_").replace(':', "-")
}

/// What the sections show.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
struct View {
    request: Shown,
    response: Option<Shown>,
    signature: BTreeMap<String, String>,
    direction: String,
    uuid: String,
    ts: String,
    duration: String,
    tags: BTreeMap<String, String>,
}

/// A message as it is shown.
#[derive(Clone, Default, Eq, PartialEq)]
struct Shown {
    /// Request line or status line.
    start: String,
    /// Without `Content-Length`.
    headers: BTreeMap<String, Vec<String>>,
    /// Compact, where it is JSON; empty where it is no text.
    body: String,
    /// Line of the file that `start` is on.
    line: Line,
}

impl std::fmt::Debug for Shown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Shown(line {})", self.line.0)
    }
}

/// Where something is, which does not count in comparisons.
#[derive(Clone, Copy, Debug, Default)]
struct Line(usize);

impl PartialEq for Line {
    fn eq(&self, _other: &Self) -> bool {
        true
    }
}

impl Eq for Line {}

impl View {
    fn of(record: &RrPair) -> Option<Self> {
        let http = record.http.as_ref()?;
        let request = Shown::new(request_line(record)?, &http.req.headers, &http.req.body.0);
        let version = if http.req.version.is_empty() { "1.1" } else { &http.req.version };
        let response = http.res.as_ref().filter(|response| response.status_code != 0);
        let response = response.map(|response| {
            let code = response.status_code.to_string();
            let message = response.status_message.as_ref();
            let reason = message.strip_prefix(&code).unwrap_or(message).trim();
            let start = format!("HTTP/{version} {code} {reason}");
            Shown::new(start.trim_end().to_owned(), &response.headers, &response.body.0)
        });
        let signature = record.signature.iter().flat_map(|signature| &signature.0);
        let tags = record.tags.0.iter();
        Some(Self {
            request,
            response,
            signature: signature.map(|(key, value)| (one_line(key), shown_value(value))).collect(),
            direction: record.direction.as_str().to_owned(),
            uuid: record.uuid.to_string(),
            ts: short_time(record.ts),
            duration: format!("{}ms", record.duration),
            tags: tags.map(|(key, value)| (one_line(key), one_line(value))).collect(),
        })
    }
}

impl Shown {
    fn new(start: String, headers: &crate::Fields, body: &[u8]) -> Self {
        let lines = headers.iter().filter(|(name, _)| !name.eq_ignore_ascii_case("content-length"));
        let headers = lines.map(|(name, values)| {
            (one_line(name), values.iter().map(|value| one_line(value)).collect())
        });
        let text = std::str::from_utf8(body).ok().filter(|text| is_readable(text));
        let body = text.map_or_else(String::new, |text| {
            json_text::compact(text).unwrap_or_else(|| text.to_owned())
        });
        Self { start: one_line(&start), headers: headers.collect(), body, line: Line::default() }
    }

    fn head(&self) -> String {
        let mut out = format!("{}\n", self.start);
        for (name, values) in &self.headers {
            let escaped: Vec<_> = values.iter().map(|value| section::escape(value)).collect();
            out.extend([name, ": ", &escaped.join(", "), "\n"]);
        }
        out
    }

    fn shown_body(&self) -> String {
        if self.body.is_empty() {
            return String::new();
        }
        let mut shown = json_text::pretty(&self.body).unwrap_or_else(|| self.body.clone());
        shown.push('\n');
        shown
    }
}

/// `METHOD scheme://host:port/path?query HTTP/x`
fn request_line(record: &RrPair) -> Option<String> {
    let req = &record.http.as_ref()?.req;
    let tls = record.is_tls || record.l7protocol == "https";
    let scheme = if tls { "https" } else { "http" };
    let target = if req.uri.is_empty() { &req.url } else { &req.uri };
    let version = if req.version.is_empty() { "1.1" } else { &req.version };
    let has_port = |host: &str| {
        host.rsplit_once(':').is_some_and(|(_, port)| {
            !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit())
        })
    };
    let network = record.network_address.as_deref().unwrap_or_default();
    let host = if req.host.is_empty() { network } else { &req.host };
    let port = match network.rsplit_once(':') {
        _ if has_port(host) => String::new(),
        Some((_, port)) => format!(":{port}"),
        None => if tls { ":443" } else { ":80" }.to_owned(),
    };
    Some(format!("{} {scheme}://{host}{port}{target} HTTP/{version}", req.method))
}

/// Can stand in a block as it is.
fn is_readable(text: &str) -> bool {
    let odd = |c: char| c.is_control() && !matches!(c, '\n' | '\t');
    !text.contains(odd)
        && !text.lines().any(|line| line.starts_with("```") || line.starts_with("### "))
}

/// What cannot stand on a line is shown as blanks.
fn one_line(text: &str) -> String {
    text.replace(['\n', '\r'], " ").trim().to_owned()
}

fn shown_value(value: &[u8]) -> String {
    if value.is_empty() {
        return NONE.to_owned();
    }
    match std::str::from_utf8(value) {
        Ok(text) if is_plain(text) => text.to_owned(),
        _ => format!("{AS_BASE64}{}", BASE64_STANDARD.encode(value)),
    }
}

fn is_plain(text: &str) -> bool {
    !text.contains(['\n', '\r'])
        && text.trim() == text
        && text != NONE
        && !text.starts_with(AS_BASE64)
}

/// RFC 3339 with trailing zeros cut.
fn short_time(ts: Timestamp) -> String {
    let text = ts.to_string();
    let (seconds, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let fraction = fraction.trim_end_matches('Z').trim_end_matches('0');
    let seconds = seconds.trim_end_matches('Z');
    if fraction.is_empty() { format!("{seconds}Z") } else { format!("{seconds}.{fraction}Z") }
}
