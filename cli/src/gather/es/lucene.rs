//! A pattern in the language of Elasticsearch's `regexp` query.
//!
//! Lucene anchors every expression, takes `^` and `$` for letters, and gives `#`, `@`, `&`, `~`
//! and `<` meanings of their own. So the expression is parsed and written anew. What Lucene
//! cannot say is widened, never narrowed: the result may match more, which the caller sorts out
//! by the pattern itself.

use regex_syntax::hir::{Class, Hir, HirKind, Repetition};

/// Elasticsearch's `index.max_regex_length`.
const MAX_BYTES: usize = 1000;
/// A class of more ranges than this (`\w` has hundreds) becomes any character.
const MAX_RANGES: usize = 80;

/// The expression, or `None` when it says nothing or is too long to be asked.
pub(super) fn regexp(pattern: &str) -> Option<String> {
    let hir = regex_syntax::parse(pattern).ok()?;
    let mut out = String::new();
    write(&hir, &mut out);
    (out.len() <= MAX_BYTES && out != ".*").then_some(out)
}

fn write(hir: &Hir, out: &mut String) {
    match hir.kind() {
        // An assertion only narrows: left out.
        HirKind::Empty | HirKind::Look(_) => out.push_str("()"),
        HirKind::Literal(literal) => match std::str::from_utf8(&literal.0) {
            Ok(text) => text.chars().for_each(|char| push_escaped(char, out)),
            Err(_) => out.push_str(".*"),
        },
        HirKind::Class(class) => write_class(class, out),
        HirKind::Repetition(repetition) => write_repetition(repetition, out),
        HirKind::Capture(capture) => write(&capture.sub, out),
        HirKind::Concat(parts) => parts
            .iter()
            .filter(|part| !matches!(part.kind(), HirKind::Look(_) | HirKind::Empty))
            .for_each(|part| write(part, out)),
        HirKind::Alternation(choices) => {
            out.push('(');
            for (place, choice) in choices.iter().enumerate() {
                if place > 0 {
                    out.push('|');
                }
                write(choice, out);
            }
            out.push(')');
        }
    }
}

fn write_repetition(repetition: &Repetition, out: &mut String) {
    out.push('(');
    write(&repetition.sub, out);
    out.push(')');
    match (repetition.min, repetition.max) {
        (0, None) => out.push('*'),
        (1, None) => out.push('+'),
        (0, Some(1)) => out.push('?'),
        (min, max) => {
            let max = max.map(|max| max.to_string()).unwrap_or_default();
            out.extend(["{", &min.to_string(), ",", &max, "}"]);
        }
    }
}

fn write_class(class: &Class, out: &mut String) {
    let Class::Unicode(class) = class else {
        out.push('.');
        return;
    };
    let ranges = class.ranges();
    // Everything, or everything but a line feed, and what is too much to list.
    let covered: u64 =
        ranges.iter().map(|range| u64::from(range.end()) - u64::from(range.start()) + 1).sum();
    if ranges.is_empty() || ranges.len() > MAX_RANGES || covered > 0x10_0000 {
        out.push('.');
        return;
    }
    out.push('[');
    for range in ranges {
        push_escaped(range.start(), out);
        if range.start() != range.end() {
            out.push('-');
            push_escaped(range.end(), out);
        }
    }
    out.push(']');
}

fn push_escaped(char: char, out: &mut String) {
    if char.is_ascii_punctuation() {
        out.push('\\');
    }
    out.push(char);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_written_for_lucene() {
        for (pattern, expected) in [
            ("^/api/.+$", r"\/api\/(.)+"),
            ("/api/v[12]/x", r"\/api\/v[1-2]\/x"),
            ("GET|POST", "(GET|POST)"),
            ("5..", "5.."),
            (r"5\d{2}", "5([0-9"),
            ("/a@b#c~d&e<1-2>\"", r#"\/a\@b\#c\~d\&e\<1\-2\>\""#),
            ("(?i)a", "[Aa]"),
            (r"/x\b.*", r"\/x(.)*"),
            ("a{2,3}b?", "(a){2,3}(b)?"),
            (r"\w+", "(.)+"),
        ] {
            let regexp = regexp(pattern).unwrap_or_default();
            assert!(regexp.starts_with(expected), "{pattern}: {regexp}");
        }
    }

    #[test]
    fn what_says_nothing_is_not_asked() {
        assert_eq!(regexp(&"a".repeat(2000)), None);
        assert_eq!(regexp("("), None);
    }
}
