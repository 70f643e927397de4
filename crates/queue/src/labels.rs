//! Labels: text on disk, a number in memory.

/// What some records have in common, such as where they come from: a number in place of a text
/// of [`crate::Log::label`]. Numbers count from zero in the order in which the log met the texts.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Label(pub(crate) u32);

impl Label {
    /// Its place among the labels of its log.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// All labels that a log has met.
#[derive(Debug, Default)]
pub(crate) struct Labels(Vec<Box<str>>);

impl Labels {
    /// Bytes of a text that are kept: what a frame can say of its length.
    const MAX_BYTES: usize = u16::MAX as usize;

    pub(crate) fn intern(&mut self, text: &str) -> Label {
        let text = text.get(..text.floor_char_boundary(Self::MAX_BYTES)).unwrap_or(text);
        let known = self.0.iter().position(|known| **known == *text);
        let place = known.unwrap_or_else(|| {
            self.0.push(text.into());
            self.0.len() - 1
        });
        Label(u32::try_from(place).unwrap_or(u32::MAX))
    }

    pub(crate) fn text(&self, label: Label) -> &str {
        self.0.get(label.index()).map_or("", |text| text)
    }

    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = (Label, &str)> {
        let number = |place| Label(u32::try_from(place).unwrap_or(u32::MAX));
        self.0.iter().enumerate().map(move |(place, text)| (number(place), &**text))
    }
}
