//! The reference's query language (contract §3.3): `(crit OP value OR …) AND (…)`.

#[cfg(test)]
mod tests;

use serde_json::Value;

use crate::document::{
    Criterion, Entry, Group, GroupOperator, KeyValue, MatchOperator, RequestFilter, RuleDocument,
    SampleShare, TimeRange,
};

/// Why a query is none. `column` counts characters from 1.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("column {column}: {fault}")]
pub struct QueryError {
    pub column: usize,
    pub fault: String,
}

impl RuleDocument {
    /// Reads a query. Values in double quotes may hold anything; `\"` is a quote in them.
    ///
    /// # Errors
    ///
    /// [`QueryError`] with the place.
    pub fn from_query(id: &str, query: &str) -> Result<Self, QueryError> {
        let mut parser = Parser { tokens: tokens(query)?, at: 0, end: query.chars().count() + 1 };
        let (conditions, operator) = parser.groups()?;
        Ok(Self { id: id.to_owned(), operator, conditions })
    }
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Open,
    Close,
    Word(String),
    Quoted(String),
}

struct Parser {
    tokens: Vec<(usize, Token)>,
    at: usize,
    end: usize,
}

type Parsed<T> = Result<T, QueryError>;

impl Parser {
    fn column(&self) -> usize {
        self.tokens.get(self.at).map_or(self.end, |(column, _)| *column)
    }

    fn fault<T>(&self, fault: impl Into<String>) -> Parsed<T> {
        Err(QueryError { column: self.column(), fault: fault.into() })
    }

    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at).map(|(_, token)| token)
    }

    fn word(&self) -> Option<&str> {
        match self.peek() {
            Some(Token::Word(word)) => Some(word),
            _ => None,
        }
    }

    fn groups(&mut self) -> Parsed<(Vec<Group>, Option<GroupOperator>)> {
        let (mut groups, mut operator) = (Vec::new(), None);
        loop {
            if self.peek() == Some(&Token::Open) {
                self.at += 1;
                groups.push(self.group(true)?);
            } else {
                groups.push(self.group(false)?);
            }
            match self.peek() {
                None => return Ok((groups, operator)),
                Some(_) => self.join(&mut operator)?,
            }
        }
    }

    /// Criteria up to the closing parenthesis, or, without one, to the end or an open one.
    fn group(&mut self, parenthesised: bool) -> Parsed<Group> {
        let (mut filters, mut operator) = (Vec::new(), None);
        loop {
            filters.push(self.entry()?);
            match self.peek() {
                Some(Token::Close) if parenthesised => {
                    self.at += 1;
                    break;
                }
                None if parenthesised => return self.fault("a closing parenthesis is missing"),
                None => break,
                Some(_) => {
                    let opens = matches!(self.tokens.get(self.at + 1), Some((_, Token::Open)));
                    if opens && !parenthesised {
                        break;
                    }
                    self.join(&mut operator)?;
                }
            }
        }
        Ok(Group { operator, note: None, filters })
    }

    fn join(&mut self, operator: &mut Option<GroupOperator>) -> Parsed<()> {
        let found = match self.word() {
            Some(word) if word.eq_ignore_ascii_case("AND") => GroupOperator::And,
            Some(word) if word.eq_ignore_ascii_case("OR") => GroupOperator::Or,
            _ => return self.fault("AND or OR is expected"),
        };
        if operator.is_some_and(|known| known != found) {
            return self.fault("AND and OR cannot be mixed on one level: use parentheses");
        }
        *operator = Some(found);
        self.at += 1;
        Ok(())
    }

    fn entry(&mut self) -> Parsed<Entry> {
        let Some(word) = self.word().map(str::to_owned) else {
            return self.fault("a criterion is expected, such as location or header[Name]");
        };
        let place = self.at;
        self.at += 1;
        let (include, operator) = self.operator()?;
        let value = match self.peek() {
            Some(Token::Word(value) | Token::Quoted(value)) => value.clone(),
            _ => return self.fault("a value is expected"),
        };
        let criterion = criterion(&word, value).map_err(|fault| QueryError {
            column: self.tokens.get(place).map_or(1, |(column, _)| *column),
            fault,
        })?;
        self.at += 1;
        let compares_text = !matches!(
            criterion,
            Criterion::Sample(_)
                | Criterion::TimeRange(_)
                | Criterion::Uuid(_)
                | Criterion::Direction(_)
        );
        let operator = if compares_text { Some(operator) } else { None };
        Ok(Entry { include, operator, criterion, note: None })
    }

    fn operator(&mut self) -> Parsed<(bool, MatchOperator)> {
        let word = self.word().unwrap_or_default().to_ascii_uppercase();
        let negated = word == "NOT";
        let mut found = match word.as_str() {
            "IS" | "NOT" => MatchOperator::Equal,
            "CONTAINS" => MatchOperator::Contains,
            "REGEX" => MatchOperator::Regex,
            _ => return self.fault("IS, NOT, CONTAINS, NOT CONTAINS or REGEX is expected"),
        };
        self.at += 1;
        let contains = self.word().is_some_and(|word| word.eq_ignore_ascii_case("CONTAINS"));
        if negated && contains {
            found = MatchOperator::Contains;
            self.at += 1;
        }
        Ok((!negated, found))
    }
}

fn criterion(word: &str, value: String) -> Result<Criterion, String> {
    let (name, key) = match word.strip_suffix(']').and_then(|word| word.split_once('[')) {
        Some((name, key)) => (name, Some(key.to_owned())),
        None => (word, None),
    };
    let name = name.to_ascii_lowercase();
    if let Some(key) = key {
        let pair = || KeyValue { key: key.clone(), value: value.clone() };
        return Ok(match name.as_str() {
            "header" => Criterion::Header(pair()),
            "tag" => Criterion::Tag(pair()),
            "req_json" => Criterion::ReqFilter(RequestFilter { key, value, kind: "json".into() }),
            "resp_json" => Criterion::ResponseJson(pair()),
            "req_xml" | "req_xpath" => Criterion::HttpReqXPath(xpath(&key, value)),
            "req_soapxpath" => Criterion::HttpReqSoapXPath(xpath(&key, value)),
            _ => return Err(format!("{name}[…] is no criterion")),
        });
    }
    Ok(match name.as_str() {
        "cluster" => Criterion::Cluster(value),
        "command" | "method" => Criterion::DetectedCommand(value),
        "direction" => Criterion::Direction(value),
        "host" => Criterion::Host(value),
        "l7protocol" => Criterion::L7protocol(value),
        "location" => Criterion::DetectedLocation(value),
        "namespace" => Criterion::Namespace(value),
        "networkaddr" => Criterion::NetworkAddress(value),
        "reqbodyjson" => Criterion::RequestBodyJson(value),
        "sample" => Criterion::Sample(share(&value)?),
        "service" => Criterion::Service(value),
        "session" => Criterion::Session(value),
        "snapshot" => Criterion::SnapshotId(Value::String(value)),
        "source" => Criterion::Tag(KeyValue { key: "source".to_owned(), value }),
        "status" => Criterion::DetectedStatus(value),
        "tech" => Criterion::Tech(value),
        "timerange" => Criterion::TimeRange(span(&value)),
        "url" => Criterion::OptUrl(value),
        "uuid" => Criterion::Uuid(value),
        "header" | "tag" | "req_json" | "resp_json" => return Err(format!("{name} needs a [key]")),
        _ => return Err(format!("{word:?} is no criterion")),
    })
}

fn xpath(key: &str, value: String) -> Value {
    serde_json::json!({ "key": key, "value": value })
}

/// `1/5`: one of five.
fn share(value: &str) -> Result<SampleShare, String> {
    value
        .split_once('/')
        .and_then(|(keep, of)| Some((keep.trim().parse().ok()?, of.trim().parse().ok()?)))
        .map(|(keep, out_of)| SampleShare { keep, out_of })
        .ok_or_else(|| "sample needs a share such as 1/5".to_owned())
}

/// `start,end`; either may be empty.
fn span(value: &str) -> TimeRange {
    let (start, end) = value.split_once(',').unwrap_or((value, ""));
    let time = |text: &str| (!text.trim().is_empty()).then(|| text.trim().to_owned());
    TimeRange { start_time: time(start), end_time: time(end) }
}

fn tokens(query: &str) -> Parsed<Vec<(usize, Token)>> {
    let mut tokens = Vec::new();
    let mut characters = query.chars().zip(1..).peekable();
    while let Some((character, column)) = characters.next() {
        let token = match character {
            '(' => Token::Open,
            ')' => Token::Close,
            '"' => {
                let mut text = String::new();
                loop {
                    match characters.next() {
                        Some(('"', _)) => break,
                        Some(('\\', _)) => match characters.next() {
                            Some((escaped @ ('"' | '\\'), _)) => text.push(escaped),
                            Some((other, _)) => text.extend(['\\', other]),
                            None => {}
                        },
                        Some((other, _)) => text.push(other),
                        None => {
                            let fault = "the quote is never closed".to_owned();
                            return Err(QueryError { column, fault });
                        }
                    }
                }
                Token::Quoted(text)
            }
            space if space.is_whitespace() => continue,
            first => {
                let mut word = String::from(first);
                let mut bracket = first == '[';
                while let Some((next, _)) = characters.next_if(|(next, _)| {
                    bracket || !(next.is_whitespace() || matches!(next, '(' | ')' | '"'))
                }) {
                    bracket = (bracket || next == '[') && next != ']';
                    word.push(next);
                }
                Token::Word(word)
            }
        };
        tokens.push((column, token));
    }
    Ok(tokens)
}
