//! What the filter box says: plain words, the reference's query language, or CEL.

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use serde::Serialize;
use serde_json::{Map, Value};
use weir_filter::{Expressions, Filter, FilterSource, RuleDocument};
use weir_rrpair::{RrPair, json};

use super::{
    index::{Index, Row},
    marks::Mark,
};
use crate::{snapshot::read::Place, view::Way};

/// Answers that are kept.
const KEPT: usize = 8;

/// How the text was understood.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Mode {
    All,
    Words,
    Query,
    Cel,
}

/// Rows that a text selects, by time.
#[derive(Clone, Debug)]
pub(crate) struct Selection {
    pub mode: Mode,
    pub rows: Arc<[u32]>,
}

/// The last answers: scrolling and charts ask the same again and again.
#[derive(Debug, Default)]
pub(crate) struct Answers(Mutex<Vec<(u64, String, Selection)>>);

impl Answers {
    /// The rows that `text` selects.
    ///
    /// # Errors
    ///
    /// What is wrong with the text.
    pub(crate) fn of(&self, index: &Index, text: &str) -> Result<Selection, String> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found =
            kept.iter().find(|(version, known, _)| *version == index.version && known == text);
        if let Some((_, _, selection)) = found {
            return Ok(selection.clone());
        }
        let selection = select(index, text)?;
        kept.retain(|(version, _, _)| *version == index.version);
        if kept.len() == KEPT {
            kept.remove(0);
        }
        kept.push((index.version, text.to_owned(), selection.clone()));
        Ok(selection)
    }
}

/// A text, understood once.
#[derive(Debug)]
pub(crate) enum Question {
    All,
    Words(Vec<Term>),
    /// A rule of the reference says what it drops; a query what is looked for.
    Query(Filter),
    Cel(Filter),
}

impl Question {
    /// # Errors
    ///
    /// What is wrong with the text.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text.is_empty() {
            return Ok(Self::All);
        }
        if let Some(expression) = expression(text)? {
            return Ok(expression);
        }
        Ok(Self::Words(text.split_whitespace().map(Term::new).collect()))
    }

    /// Does it select this document?
    pub(crate) fn selects(&self, body: &Map<String, Value>) -> bool {
        match self {
            Self::All => true,
            Self::Words(terms) => {
                let mut index = Index::default();
                index.add(vec![(Place::of(Path::new("")), Some(body.clone()))]);
                let row = index.get(0);
                row.is_some_and(|row| terms.iter().all(|term| term.holds(&index, row)))
            }
            Self::Query(_) | Self::Cel(_) => {
                json::from_map(body.clone()).is_ok_and(|pair| self.keeps(&pair))
            }
        }
    }

    /// What an expression says of a record.
    fn keeps(&self, pair: &RrPair) -> bool {
        match self {
            Self::Query(filter) => filter.drops(pair),
            Self::Cel(filter) => !filter.drops(pair),
            Self::All | Self::Words(_) => true,
        }
    }
}

fn select(index: &Index, text: &str) -> Result<Selection, String> {
    let question = Question::parse(text)?;
    let rows = index.by_time().iter().copied();
    let keeps = |place: &Place| {
        let pair = place.read().ok().and_then(|body| json::from_map(body).ok());
        pair.is_some_and(|pair| question.keeps(&pair))
    };
    let row = |number: u32| index.get(number);
    Ok(match &question {
        Question::All => Selection { mode: Mode::All, rows: index.by_time().into() },
        Question::Words(terms) => {
            let holds = |row: &Row| terms.iter().all(|term| term.holds(index, row));
            let rows = rows.filter(|&number| row(number).is_some_and(holds)).collect();
            Selection { mode: Mode::Words, rows }
        }
        // Expressions see the whole document, which is in its file.
        Question::Query(_) | Question::Cel(_) => {
            let is_query = matches!(question, Question::Query(_));
            let mode = if is_query { Mode::Query } else { Mode::Cel };
            let rows = rows.filter(|&number| row(number).is_some_and(|row| keeps(&row.place)));
            Selection { mode, rows: rows.collect() }
        }
    })
}

/// An expression, if it is one. What looks like CEL and is wrong is an error and not words.
fn expression(text: &str) -> Result<Option<Question>, String> {
    let looks_like = ["==", "!=", "&&", "||", "(", " in ", "<", ">"];
    if !looks_like.iter().any(|sign| text.contains(sign)) {
        return Ok(None);
    }
    let expressions = Expressions { keep: vec![text.to_owned()], drop: Vec::new() };
    let cel_fault = match Filter::from_expressions(&expressions) {
        Ok(filter) => return Ok(Some(Question::Cel(filter))),
        Err(fault) => fault.to_string(),
    };
    let query = RuleDocument::from_query("filter box", text)
        .ok()
        .and_then(|rule| Filter::new(&FilterSource::Rule(rule)).ok());
    match query {
        Some(filter) => Ok(Some(Question::Query(filter))),
        None => Err(cel_fault.trim_start_matches("keep[0]: ").to_owned()),
    }
}

/// One word of a question: `status:500`, `!service:auth`, `rocket`.
#[derive(Debug)]
pub(crate) struct Term {
    not: bool,
    key: String,
    value: String,
}

impl Term {
    fn new(word: &str) -> Self {
        let (not, word) = match word.strip_prefix(['!', '-']) {
            Some(rest) if !rest.is_empty() => (true, rest),
            _ => (false, word),
        };
        let (key, value) = match word.split_once(':') {
            Some((key, value)) if Self::KEYS.contains(&key) => (key, value),
            _ => ("", word),
        };
        Self { not, key: key.to_owned(), value: value.to_lowercase() }
    }

    const KEYS: [&str; 8] =
        ["service", "status", "method", "host", "path", "direction", "mark", "slower"];

    fn holds(&self, index: &Index, row: &Row) -> bool {
        let has = |text: &str| text.to_lowercase().contains(&self.value);
        let value = self.value.as_str();
        let holds = match self.key.as_str() {
            "service" => has(index.text(row.service)),
            // `5xx`, `50`: as far as it is given.
            "status" => match value {
                "none" => index.text(row.status).is_empty(),
                _ => index.text(row.status).to_lowercase().starts_with(value.trim_end_matches('x')),
            },
            "method" => index.text(row.command).eq_ignore_ascii_case(value),
            "host" => has(index.text(row.host)),
            "path" => has(&row.target),
            "direction" => row.way.label().eq_ignore_ascii_case(value),
            "mark" => row.marks.iter().any(|mark: Mark| mark.word().starts_with(value)),
            "slower" => {
                value.trim_end_matches("ms").parse().is_ok_and(|ms: u64| row.duration_ms > ms)
            }
            _ => match value {
                "failed" | "failing" => row.failed,
                "in" => row.way == Way::In,
                "out" => row.way == Way::Out,
                _ => {
                    has(&row.target)
                        || has(index.text(row.service))
                        || has(index.text(row.host))
                        || has(index.text(row.command))
                        || index.text(row.status) == value
                }
            },
        };
        holds != self.not
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn index() -> Index {
        let mut index = Index::default();
        let pair = |number: u32, service: &str, status: &str, uri: &str| {
            let body = json!({
                "direction": "IN", "service": service, "status": status, "command": "GET",
                "ts": format!("2026-09-01T10:00:0{number}.000000000Z"), "duration": number,
                "http": { "req": { "host": "h", "uri": uri }, "res": {} },
            });
            (Place::of(Path::new(&format!("{number}.json"))), body.as_object().cloned())
        };
        // Not in the order of time.
        index.add(vec![
            pair(3, "rocket", "500", "/api/rocket?id=a%7F"),
            pair(1, "rocket", "200", "/api/rocket?id=a"),
            pair(2, "auth", "404", "/login"),
        ]);
        index
    }

    fn times(text: &str) -> Vec<u64> {
        let index = index();
        let selection = Answers::default().of(&index, text).unwrap();
        selection.rows.iter().map(|&number| index.get(number).unwrap().duration_ms).collect()
    }

    #[test]
    fn words_are_all_of_them_and_may_name_a_field() {
        assert_eq!(times(""), [1, 2, 3]);
        assert_eq!(times("rocket"), [1, 3]);
        assert_eq!(times("service:rocket status:5xx"), [3]);
        assert_eq!(times("!rocket"), [2]);
        assert_eq!(times("failed"), [3]);
        assert_eq!(times("mark:control"), [3]);
        assert_eq!(times("slower:1"), [2, 3]);
        assert_eq!(times("status:none"), [0_u64; 0]);
    }

    #[test]
    fn what_looks_like_cel_and_is_wrong_is_an_error() {
        let error = Answers::default().of(&index(), "nothing.like == 'that'").unwrap_err();
        assert!(error.contains("nothing"), "{error}");
    }

    #[test]
    fn an_answer_is_forgotten_when_the_index_grows() {
        let (mut index, answers) = (index(), Answers::default());
        assert_eq!(answers.of(&index, "auth").unwrap().rows.len(), 1);
        let body = json!({ "direction": "IN", "service": "auth" });
        index.add(vec![(Place::of(Path::new("9.json")), body.as_object().cloned())]);
        assert_eq!(answers.of(&index, "auth").unwrap().rows.len(), 2);
    }
}
