//! Names whose values are redacted.

use std::collections::HashMap;
use std::ops::Range;

use aho_corasick::{AhoCorasick, AhoCorasickBuilder, MatchKind};

use crate::act::ActId;
use crate::chain::Condition;
use crate::engine::Place;

/// Names by their lower-case form.
#[derive(Debug, Default)]
pub(crate) struct KeySet {
    names: HashMap<Box<[u8]>, Vec<Use>>,
    /// For each length that a name has, a bit for each first letter.
    shapes: Vec<u32>,
    /// Of all names, for text without a structure that is known.
    searcher: Option<AhoCorasick>,
}

/// Where and when a name counts, and what is done then.
type Use = (Scope, Condition, ActId);

#[derive(Debug)]
enum Scope {
    All,
    /// A protocol or a place.
    Of(String),
}

/// A name in a text, with the value that belongs to it.
#[derive(Debug, PartialEq)]
pub(crate) struct Loose {
    pub(crate) value: Range<usize>,
    pub(crate) act: ActId,
}

impl KeySet {
    pub(crate) fn new<'k>(
        keys: impl Iterator<Item = (&'k str, &'k str, Condition, ActId)>,
    ) -> Option<Self> {
        let mut set = Self::default();
        for (scope, name, condition, act) in keys {
            let scope = match scope {
                "all" => Scope::All,
                other => Scope::Of(other.to_owned()),
            };
            let name = name.to_ascii_lowercase().into_bytes().into_boxed_slice();
            set.shapes.resize(set.shapes.len().max(name.len() + 1), 0);
            set.shapes[name.len()] |= letter_bit(&name);
            set.names.entry(name).or_default().push((scope, condition, act));
        }
        if !set.names.is_empty() {
            let searcher = AhoCorasickBuilder::new()
                .ascii_case_insensitive(true)
                .match_kind(MatchKind::LeftmostLongest)
                .build(set.names.keys())
                .ok()?;
            set.searcher = Some(searcher);
        }
        Some(set)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// What is done to the values of `name` there.
    pub(crate) fn act(&self, place: &Place<'_>, name: &[u8]) -> Option<ActId> {
        // Most names are told by these alone.
        if self.shapes.get(name.len()).is_none_or(|letters| letters & letter_bit(name) == 0) {
            return None;
        }
        // Most names are short; a lower-case copy on the stack finds them.
        let mut buffer = [0; 64];
        let lower: &[u8] = if let Some(buffer) = buffer.get_mut(..name.len()) {
            buffer.copy_from_slice(name);
            buffer.make_ascii_lowercase();
            buffer
        } else {
            &name.to_ascii_lowercase()
        };
        let scopes = self.names.get(lower)?;
        let here = scopes
            .iter()
            .filter(|(scope, condition, _)| condition.holds(place.chains) && scope.covers(place));
        here.map(|(.., act)| *act).max()
    }

    /// `name=value`, `"name": "value"`, `name: value` anywhere in `text`.
    pub(crate) fn loose(&self, place: &Place<'_>, text: &[u8]) -> Vec<Loose> {
        let Some(searcher) = &self.searcher else { return Vec::new() };
        let mut found: Vec<Loose> = Vec::new();
        let mut taken = 0;
        for hit in searcher.find_iter(text) {
            if hit.start() < taken || !begins_a_name(text, hit.start()) {
                continue;
            }
            let Some(value) = value_after(text, hit.start(), hit.end()) else { continue };
            let Some(act) = self.act(place, &text[hit.range()]) else { continue };
            taken = value.end;
            found.push(Loose { value, act });
        }
        found
    }
}

/// A letter in both cases has the same low bits.
fn letter_bit(name: &[u8]) -> u32 {
    1 << (name.first().copied().unwrap_or_default() & 31)
}

impl Scope {
    fn covers(&self, place: &Place<'_>) -> bool {
        let Self::Of(scope) = self else { return true };
        let below = |rest: &str| rest.is_empty() || rest.starts_with('.');
        place.name.strip_prefix(scope.as_str()).is_some_and(below)
            || scope == place.protocol
            || (scope == "http" && place.protocol == "https")
    }
}

/// False inside of a longer name, and for a variable's declaration (`$password: String!`).
fn begins_a_name(text: &[u8], start: usize) -> bool {
    let before = &text[..start];
    let hyphens = before.iter().rev().take(3).take_while(|byte| **byte == b'-').count();
    let joined = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$');
    !before[..start - hyphens].last().is_some_and(joined)
}

/// Quotes, alone or with the backslashes of a text in a text.
fn quote(text: &[u8], at: usize) -> Option<(&[u8], usize)> {
    let rest = text.get(at..)?;
    let slashes = rest.iter().take(7).take_while(|byte| **byte == b'\\').count();
    let mark = rest.get(slashes)?;
    matches!(mark, b'"' | b'\'' | b'`').then(|| (&rest[..=slashes], at + slashes + 1))
}

fn skip(text: &[u8], at: usize, set: &[u8]) -> usize {
    let rest = text.get(at..).unwrap_or_default();
    at + rest.iter().take_while(|byte| set.contains(byte)).count()
}

fn value_after(text: &[u8], name: usize, mut at: usize) -> Option<Range<usize>> {
    let quoted_name = quote(text, at).is_some_and(|(_, after)| {
        at = after;
        true
    });
    if text.get(at) == Some(&b']') {
        at += 1;
    }
    let blank = skip(text, at, b" \t");
    let separator = text.get(blank)?;
    at = match (separator, text.get(blank + 1)) {
        (b'=', Some(b'>')) | (b':', Some(b'=')) => blank + 2,
        (b'=', Some(b'=' | b'~')) => return None,
        (b'=' | b':', _) => blank + 1,
        _ => return None,
    };
    let line_start = name == 0 || text[name - 1] == b'\n';
    let value = skip(text, at, b" \t");
    if let Some((mark, start)) = quote(text, value) {
        let end = closing_quote(text, start, mark);
        return Some(start..end);
    }
    if *separator == b':' && line_start && !quoted_name {
        let rest = text.get(value..)?;
        let line = memchr::memchr2(b'\n', b'\r', rest).unwrap_or(rest.len());
        let length = rest[..line].trim_ascii_end().len();
        return (length > 0).then_some(value..value + length);
    }
    let ends = |byte: &u8| byte.is_ascii_whitespace() || b",;&\"'<>()[]{}|\\".contains(byte);
    let run = |from: usize| {
        let rest = text.get(from..).unwrap_or_default();
        from + rest.iter().position(ends).unwrap_or(rest.len())
    };
    let mut end = run(value);
    // The credential after the name of its scheme, and with it.
    if crate::engine::scheme_length(text.get(value..end + 1).unwrap_or_default()) > 0 {
        end = run(end + 1);
    }
    (end > value).then_some(value..end)
}

/// End of the quoted text that begins at `start`: the same mark again, with no more
/// backslashes than it had. A text that was cut ends with the input.
fn closing_quote(text: &[u8], start: usize, mark: &[u8]) -> usize {
    let (Some(sign), slashes) = (mark.last(), mark.len() - 1) else { return start };
    let mut from = start;
    while let Some(at) = text.get(from..).and_then(|rest| memchr::memchr(*sign, rest)) {
        let at = from + at;
        let before = &text[start..at];
        let escapes = before.iter().rev().take_while(|byte| **byte == b'\\').count();
        if escapes == slashes || (slashes == 0 && escapes % 2 == 0) {
            return at - slashes;
        }
        from = at + 1;
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chain::Chains;

    const ANYWHERE: Place<'_> =
        Place { protocol: "https", name: "http.req.body", chains: Chains::NONE };

    fn values(text: &str) -> Vec<&str> {
        let keys = ["password", "Authorization", "pin"];
        let keys =
            KeySet::new(keys.into_iter().map(|name| ("all", name, Condition::Always, 0))).unwrap();
        let loose = keys.loose(&ANYWHERE, text.as_bytes());
        loose.into_iter().map(|found| text.get(found.value).unwrap()).collect()
    }

    #[test]
    fn values_are_found_in_the_usual_writings() {
        assert_eq!(values("a=1&password=x&b=2"), ["x"]);
        assert_eq!(values(r#"{"PASSWORD" : "a\"b", "pin":12}"#), [r#"a\"b"#, "12"]);
        assert_eq!(values(r#"log {\"password\":\"x y\"} end"#), ["x y"]);
        assert_eq!(values("--password=x --pin 1"), ["x"]);
        assert_eq!(values("SET password = 'it', pin='1'"), ["it", "1"]);
        assert_eq!(values("Host: a\r\nAuthorization: Bearer x y\r\n"), ["Bearer x y"]);
        assert_eq!(values("curl -H 'Authorization: Bearer x' y"), ["Bearer x"]);
        assert_eq!(values("user[password]=x&password='cut"), ["x", "cut"]);
        assert_eq!(values("password => x, password := y"), ["x", "y"]);
    }

    #[test]
    fn other_names_and_declarations_are_no_keys() {
        assert!(values("my_password=x").is_empty());
        assert!(values("passwords=x").is_empty());
        assert!(values("query($password: String!)").is_empty());
        assert!(values("if password == 3").is_empty());
        assert!(values("forgot password?").is_empty());
    }

    #[test]
    fn scopes_limit_a_name_to_its_places() {
        let set = |scope| KeySet::new([(scope, "a", Condition::Always, 0)].into_iter()).unwrap();
        let here = |scope| set(scope).act(&ANYWHERE, b"A").is_some();
        assert!(here("all") && here("http") && here("http.req.body") && here("http.req"));
        assert!(!here("http.res.body") && !here("postgres") && !here("http.re"));
    }
}
