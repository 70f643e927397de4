//! Sections and their fenced blocks.

use std::collections::BTreeMap;

use super::{Line, ReadMarkdown, Shown, View, json_text};

pub(super) const INTERNAL: &str = "INTERNAL - DO NOT MODIFY";
const FENCE: &str = "```";

/// The sections of a file, by name.
pub(super) struct Sections<'a>(Vec<(&'a str, Vec<Block<'a>>)>);

pub(super) struct Block<'a> {
    /// Of its fence, from 1.
    pub(super) line: usize,
    /// With the line end of its last line.
    pub(super) text: &'a str,
}

/// Adds a section with these blocks; each is empty or ends with a line end.
pub(super) fn push(out: &mut String, name: &str, blocks: &[String]) {
    out.extend(["### ", name, " ###\n"]);
    for block in blocks {
        out.extend([FENCE, "\n", block, FENCE, "\n\n"]);
    }
}

/// A header's value among others on one line.
pub(super) fn escape(value: &str) -> String {
    value.replace('\\', "\\\\").replace(',', "\\,")
}

impl<'a> Sections<'a> {
    pub(super) fn parse(text: &'a str) -> Result<Self, ReadMarkdown> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut sections: Vec<(&str, Vec<Block<'_>>)> = Vec::new();
        let mut open: Option<(usize, usize)> = None; // line of the fence, start of the text
        let mut at = 0;
        for (number, line) in text.split_inclusive('\n').enumerate() {
            let start = at;
            at += line.len();
            let word = line.trim_end();
            match open {
                Some((fence, begin)) if word == FENCE => {
                    let text = text.get(begin..start).unwrap_or_default();
                    if let Some((_, blocks)) = sections.last_mut() {
                        blocks.push(Block { line: fence, text });
                    }
                    open = None;
                }
                Some(_) => {}
                None if word.starts_with(FENCE) => open = Some((number + 1, at)),
                None => {
                    let name = word.strip_prefix("### ").and_then(|name| name.strip_suffix(" ###"));
                    if let Some(name) = name {
                        sections.push((name.trim(), Vec::new()));
                    }
                }
            }
        }
        match open {
            Some((line, _)) => Err(ReadMarkdown::OpenBlock { line }),
            None => Ok(Self(sections)),
        }
    }

    /// Blocks of a section, whose name may go on, as in `REQUEST (TEST)`.
    pub(super) fn blocks(&self, name: &str) -> &[Block<'a>] {
        let is = |known: &str| {
            known.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
        };
        self.0.iter().find(|(known, _)| is(known)).map_or(&[], |(_, blocks)| blocks)
    }

    /// The lines of a section, each taken apart.
    fn entries(&self, name: &str, between: &str) -> BTreeMap<String, String> {
        let lines = self.blocks(name).first().map_or("", |block| block.text).lines();
        let parted = lines.filter_map(|line| {
            // A value may be missing: the separator's own blank then is, too.
            let (key, value) = line
                .split_once(between)
                .or_else(|| line.strip_suffix(between.trim_end()).map(|key| (key, "")))?;
            Some((key.trim().to_owned(), value.trim().to_owned()))
        });
        parted.collect()
    }

    fn message(&self, name: &str) -> Option<Shown> {
        let blocks = self.blocks(name);
        let head = blocks.first()?;
        let mut lines = head.text.lines().filter(|line| !line.trim().is_empty());
        let start = lines.next()?.trim().to_owned();
        let mut headers: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for line in lines {
            let (name, value) = line.split_once(':').unwrap_or((line, ""));
            if !name.trim().eq_ignore_ascii_case("content-length") {
                headers.entry(name.trim().to_owned()).or_default().extend(unescape(value.trim()));
            }
        }
        let body = blocks.get(1).map_or("", |block| block.text);
        let body = body.strip_suffix('\n').unwrap_or(body);
        let body = json_text::compact(body).unwrap_or_else(|| body.to_owned());
        Some(Shown { start, headers, body, line: Line(head.line + 1) })
    }
}

impl View {
    pub(super) fn parse(sections: &Sections<'_>) -> Result<Self, ReadMarkdown> {
        let metadata = sections.entries("METADATA", ": ");
        let entry = |key: &str| metadata.get(key).cloned().unwrap_or_default();
        let tags = entry("tags");
        let tags = tags.split(", ").filter_map(|tag| tag.split_once('='));
        Ok(Self {
            request: sections.message("REQUEST").ok_or(ReadMarkdown::NoRequest)?,
            response: sections.message("RESPONSE"),
            signature: sections.entries("SIGNATURE", " is "),
            direction: entry("direction"),
            uuid: entry("uuid"),
            ts: entry("ts"),
            duration: entry("duration"),
            tags: tags
                .map(|(key, value)| (key.trim().to_owned(), value.trim().to_owned()))
                .collect(),
        })
    }
}

/// The values of one line.
fn unescape(line: &str) -> Vec<String> {
    let mut values = vec![String::new()];
    let mut chars = line.chars().peekable();
    let push = |values: &mut Vec<String>, c| {
        if let Some(last) = values.last_mut() {
            last.push(c);
        }
    };
    while let Some(c) = chars.next() {
        match c {
            '\\' if chars.peek().is_some_and(|next| matches!(next, '\\' | ',')) => {
                if let Some(next) = chars.next() {
                    push(&mut values, next);
                }
            }
            ',' if chars.peek() == Some(&' ') => {
                chars.next();
                values.push(String::new());
            }
            c => push(&mut values, c),
        }
    }
    values.iter().map(|value| value.trim().to_owned()).collect()
}
