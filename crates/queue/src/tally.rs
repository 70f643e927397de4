//! Numbers of records by label.

use crate::Label;

/// Records by label. Few labels, so a list; no label twice, none with zero records.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Tally(Vec<(Label, u64)>);

impl Tally {
    /// Adds `records` of `label`.
    pub fn add(&mut self, label: Label, records: u64) {
        if records == 0 {
            return;
        }
        match self.0.binary_search_by_key(&label, |(label, _)| *label) {
            Ok(place) => {
                if let Some((_, known)) = self.0.get_mut(place) {
                    *known += records;
                }
            }
            Err(place) => self.0.insert(place, (label, records)),
        }
    }

    /// Adds everything of `other`.
    pub fn add_all(&mut self, other: &Self) {
        other.iter().for_each(|(label, records)| self.add(label, records));
    }

    /// Takes everything of `other` away. More than there is leaves nothing: only a file that
    /// contradicts itself comes to that.
    pub(crate) fn remove_all(&mut self, other: &Self) {
        for (label, records) in other.iter() {
            if let Ok(place) = self.0.binary_search_by_key(&label, |(label, _)| *label)
                && let Some((_, known)) = self.0.get_mut(place)
            {
                *known = known.saturating_sub(records);
            }
        }
        self.0.retain(|(_, records)| *records > 0);
    }

    /// The labels with their records.
    pub fn iter(&self) -> impl Iterator<Item = (Label, u64)> + '_ {
        self.0.iter().copied()
    }

    /// Records of all labels.
    pub fn total(&self) -> u64 {
        self.0.iter().map(|(_, records)| records).sum()
    }

    /// True without any record.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<(Label, u64)> for Tally {
    fn from_iter<T: IntoIterator<Item = (Label, u64)>>(records: T) -> Self {
        let mut tally = Self::default();
        records.into_iter().for_each(|(label, records)| tally.add(label, records));
        tally
    }
}
