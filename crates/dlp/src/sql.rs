//! SQL: values that belong to a column by their position.
//!
//! `column = 'value'` is found as loose text ([`crate::keys`]).

use std::ops::Range;
use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, AhoCorasickBuilder};

use crate::act::ActId;
use crate::edit::{Edit, shift};
use crate::engine::{At, Run};

/// Longest list of columns that is looked at.
const LONGEST_COLUMNS: usize = 8 << 10;

static VALUES: LazyLock<AhoCorasick> = LazyLock::new(|| {
    AhoCorasickBuilder::new()
        .ascii_case_insensitive(true)
        .build(["values"])
        .expect("one short literal")
});

/// Redacts in `(column, …) VALUES ('value', …), …`.
pub(crate) fn insert_values(run: &mut Run<'_>, at: At<'_>, text: &[u8]) -> Vec<Edit> {
    let mut edits = Vec::new();
    let mut taken = 0;
    for hit in VALUES.find_iter(text) {
        if hit.start() < taken {
            continue;
        }
        let Some(columns) = columns_before(&text[taken..hit.start()]) else { continue };
        let acts: Vec<Option<ActId>> =
            columns.iter().map(|name| run.engine.keys.act(&at.place, name)).collect();
        if acts.iter().all(Option::is_none) {
            continue;
        }
        taken = hit.end();
        while let Some(row) = row(text, taken) {
            for (item, act) in row.items.iter().zip(&acts) {
                let Some(act) = act else { continue };
                edits.extend(literal(run, At { under: Some(*act), ..at }, text, item.clone()));
            }
            taken = row.end;
        }
    }
    edits
}

/// Redacts one literal of a statement; placeholders and NULL stay.
fn literal(run: &mut Run<'_>, at: At<'_>, text: &[u8], item: Range<usize>) -> Vec<Edit> {
    let value = &text[item.clone()];
    if let Some(open) = memchr::memchr(b'\'', value) {
        let from = open + 1;
        let end = memchr::memrchr(b'\'', value).filter(|end| *end > open).unwrap_or(value.len());
        return shift(run.value(at, &value[from..end]), item.start + from).collect();
    }
    if !value.first().is_some_and(|byte| byte.is_ascii_digit() || *byte == b'-') {
        return Vec::new();
    }
    // A token is no number: it becomes a string.
    let mut edits = run.value(at, value);
    for edit in &mut edits {
        edit.with = [b"'", edit.with.as_slice(), b"'"].concat();
    }
    shift(edits, item.start).collect()
}

/// Names in the brackets that end `before`.
fn columns_before(before: &[u8]) -> Option<Vec<&[u8]>> {
    let before = before.trim_ascii_end().strip_suffix(b")")?;
    let tail = &before[before.len().saturating_sub(LONGEST_COLUMNS)..];
    // Brackets inside end the list: it is one of names.
    let open = memchr::memrchr2(b'(', b')', tail).filter(|at| tail[*at] == b'(')?;
    let names: Vec<&[u8]> = tail[open + 1..]
        .split(|byte| *byte == b',')
        .map(|name| {
            let name = name.trim_ascii();
            let marks = |byte: &u8| matches!(byte, b'"' | b'`' | b'[' | b']');
            let start = name.iter().position(|byte| !marks(byte)).unwrap_or(0);
            let end = name.iter().rposition(|byte| !marks(byte)).map_or(0, |end| end + 1);
            name.get(start..end).unwrap_or_default()
        })
        .collect();
    Some(names)
}

struct Row {
    items: Vec<Range<usize>>,
    end: usize,
}

/// The row that begins at `from`, after white space or a comma.
fn row(text: &[u8], from: usize) -> Option<Row> {
    let skipped = |byte: &&u8| byte.is_ascii_whitespace() || **byte == b',';
    let start = from + text.get(from..)?.iter().take_while(skipped).count();
    if text.get(start) != Some(&b'(') {
        return None;
    }
    let mut items = Vec::new();
    let (mut at, mut begin, mut nesting) = (start + 1, start + 1, 0_usize);
    loop {
        let byte = text.get(at).copied();
        match byte {
            Some(b'\'') => at = string_end(text, at),
            Some(b'(') => {
                nesting += 1;
                at += 1;
            }
            Some(b')') if nesting > 0 => {
                nesting -= 1;
                at += 1;
            }
            Some(b',' | b')') | None if nesting == 0 || byte.is_none() => {
                items.push(trimmed(text, begin..at));
                at = (at + 1).min(text.len());
                begin = at;
                if byte != Some(b',') {
                    return Some(Row { items, end: at });
                }
            }
            _ => at += 1,
        }
    }
}

fn trimmed(text: &[u8], range: Range<usize>) -> Range<usize> {
    let value = &text[range.clone()];
    let start = range.start + (value.len() - value.trim_ascii_start().len());
    start..(start + value.trim_ascii().len()).max(start)
}

/// After the string that begins at `at`; `''` and `\'` are quotes inside.
fn string_end(text: &[u8], at: usize) -> usize {
    let mut at = at + 1;
    loop {
        match text.get(at) {
            None => return text.len(),
            Some(b'\\') => at = (at + 2).min(text.len()),
            Some(b'\'') if text.get(at + 1) == Some(&b'\'') => at += 2,
            Some(b'\'') => return at + 1,
            Some(_) => at += 1,
        }
    }
}

/// Columns that the placeholders of a statement stand for: `$1` → place 0. What is compared
/// or set with `=`, and what is inserted by position.
pub(crate) fn parameters(statement: &[u8]) -> Vec<(usize, Vec<u8>)> {
    let mut found = Vec::new();
    for hit in VALUES.find_iter(statement) {
        let Some(columns) = columns_before(&statement[..hit.start()]) else { continue };
        let mut from = hit.end();
        while let Some(row) = row(statement, from) {
            for (item, name) in row.items.iter().zip(&columns) {
                if let Some(place) = placeholder(&statement[item.clone()]) {
                    found.push((place, name.to_vec()));
                }
            }
            from = row.end;
        }
    }
    for at in memchr::memchr_iter(b'$', statement) {
        let Some(place) = placeholder(&statement[at..]) else { continue };
        let before = statement[..at].trim_ascii_end();
        let Some(before) = before.strip_suffix(b"=") else { continue };
        let before = before.trim_ascii_end();
        let before = before.strip_suffix(b"\"").unwrap_or(before);
        let named = |byte: &&u8| byte.is_ascii_alphanumeric() || **byte == b'_';
        let length = before.iter().rev().take(256).take_while(named).count();
        found.push((place, before[before.len() - length..].to_vec()));
    }
    found
}

/// `$1` → 0.
fn placeholder(text: &[u8]) -> Option<usize> {
    let digits = text.strip_prefix(b"$")?;
    let length = digits.iter().take(5).take_while(|byte| byte.is_ascii_digit()).count();
    let number: usize = std::str::from_utf8(&digits[..length]).ok()?.parse().ok()?;
    number.checked_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_belong_to_columns() {
        let of = |statement: &str| {
            let names = parameters(statement.as_bytes());
            let text = |(place, name): (usize, Vec<u8>)| (place, String::from_utf8(name).unwrap());
            names.into_iter().map(text).collect::<Vec<_>>()
        };
        let pair = |place: usize, name: &str| (place, name.to_owned());
        assert_eq!(
            of(r#"INSERT INTO t ("id", card) VALUES ($1, $2), ($3, upper($4))"#),
            [pair(0, "id"), pair(1, "card"), pair(2, "id")]
        );
        assert_eq!(
            of("UPDATE t SET a=$1 WHERE u.ssn = $2 AND b > $3"),
            [pair(0, "a"), pair(1, "ssn")]
        );
    }

    #[test]
    fn rows_end_where_they_should() {
        let text = b" ('a''b)', 2, f(3, 4)) , ('cut";
        let first = row(text, 0).unwrap();
        let items: Vec<&[u8]> = first.items.iter().map(|item| &text[item.clone()]).collect();
        assert_eq!(items, [&b"'a''b)'"[..], b"2", b"f(3, 4)"]);
        let second = row(text, first.end).unwrap();
        assert_eq!(&text[second.items[0].clone()], b"'cut");
    }
}
