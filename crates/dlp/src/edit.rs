//! Changes to a piece of bytes.

use std::ops::Range;

/// Number of a category's name in its engine.
pub(crate) type CategoryId = u16;

/// Puts `with` in the place of the bytes at `range`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Edit {
    pub(crate) range: Range<usize>,
    pub(crate) with: Vec<u8>,
    /// Categories of the values that go with it: one, or several where an encoding holds them.
    pub(crate) hits: Vec<CategoryId>,
}

/// The hits of all edits.
pub(crate) fn hits(edits: &[Edit]) -> Vec<CategoryId> {
    edits.iter().flat_map(|edit| edit.hits.iter().copied()).collect()
}

/// Brings edits in order. Of edits that overlap the larger one is made, on the bytes of both:
/// what either wanted to go is gone.
pub(crate) fn settle(mut edits: Vec<Edit>) -> Vec<Edit> {
    if edits.len() < 2 {
        return edits;
    }
    edits.sort_by_key(|edit| (edit.range.start, std::cmp::Reverse(edit.range.end)));
    let mut settled: Vec<Edit> = Vec::with_capacity(edits.len());
    for edit in edits {
        match settled.last_mut() {
            Some(last)
                if edit.range.start < last.range.end
                    || (edit.range == last.range && edit.range.is_empty()) =>
            {
                let end = last.range.end.max(edit.range.end);
                if edit.range.len() > last.range.len() {
                    last.with = edit.with;
                    last.hits = edit.hits;
                }
                last.range.end = end;
            }
            _ => settled.push(edit),
        }
    }
    settled
}

/// The input with ordered, disjoint edits made.
pub(crate) fn apply(input: &[u8], edits: &[Edit]) -> Vec<u8> {
    let grown: usize = edits.iter().map(|edit| edit.with.len()).sum();
    let mut out = Vec::with_capacity(input.len() + grown);
    let mut at = 0;
    for edit in edits {
        out.extend_from_slice(input.get(at..edit.range.start).unwrap_or_default());
        out.extend_from_slice(&edit.with);
        at = edit.range.end;
    }
    out.extend_from_slice(input.get(at..).unwrap_or_default());
    out
}

/// The edits of a part of the input that starts at `offset`.
pub(crate) fn shift(edits: Vec<Edit>, offset: usize) -> impl Iterator<Item = Edit> {
    edits
        .into_iter()
        .map(move |edit| Edit { range: edit.range.start + offset..edit.range.end + offset, ..edit })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edit(range: Range<usize>, with: &str) -> Edit {
        Edit { range, with: with.as_bytes().to_vec(), hits: Vec::new() }
    }

    #[test]
    fn overlapping_edits_take_the_bytes_of_both() {
        let edits = settle(vec![edit(4..6, "b"), edit(1..5, "a"), edit(8..9, "c")]);
        assert_eq!(edits, [edit(1..6, "a"), edit(8..9, "c")]);
        assert_eq!(apply(b"0123456789", &edits), b"0a67c9");
    }

    #[test]
    fn edits_that_touch_are_both_made() {
        let edits = settle(vec![edit(2..4, "x"), edit(0..2, "y")]);
        assert_eq!(apply(b"0123", &edits), b"yx");
    }
}
