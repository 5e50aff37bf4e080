//! Rows by workspace, or by error: the largest groups by name, the others together.

use crate::model::{Counts, Status};
use std::collections::BTreeMap;

/// Names that are told apart; a file with a name of its own for each row must not fill the memory.
const MOST_NAMES: usize = 10_000;

/// Characters of a name that are kept.
const LONGEST_NAME: usize = 100;

/// Rows by a name and by status.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Groups {
    by_name: BTreeMap<Box<str>, Counts>,
    /// Rows whose names came after the table was full.
    unnamed: Counts,
}

/// The groups that are not shown one by one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Others {
    /// How many there are; at least, where [`Self::uncounted`].
    pub groups: u64,
    /// Their rows.
    pub counts: Counts,
    /// Whether there were more names than are told apart.
    pub uncounted: bool,
}

impl Groups {
    /// Counts one row.
    pub fn add(&mut self, name: &str, status: Status) {
        let end = name.char_indices().nth(LONGEST_NAME).map_or(name.len(), |(end, _)| end);
        let name = &name[..end];
        let is_full = self.by_name.len() >= MOST_NAMES;
        match self.by_name.get_mut(name) {
            Some(counts) => counts.add(status),
            None if is_full => self.unnamed.add(status),
            None => self.by_name.entry(name.into()).or_default().add(status),
        }
    }

    /// The `most` largest groups, the largest first, and the others together. A single other one is shown by its name.
    #[must_use]
    pub fn top(&self, most: usize) -> (Vec<(&str, &Counts)>, Others) {
        let mut all: Vec<_> = self.by_name.iter().map(|(name, counts)| (&**name, counts)).collect();
        // Equal ones stay in the order of their names.
        all.sort_by_key(|(_, counts)| std::cmp::Reverse(counts.ended()));
        let uncounted = self.unnamed.ended() > 0;
        let shown = if all.len() == most + 1 && !uncounted { all.len() } else { most.min(all.len()) };
        let mut others = Others { counts: self.unnamed, uncounted, ..Others::default() };
        for (_, counts) in all.split_off(shown) {
            others.groups += 1;
            others.counts.merge(counts);
        }
        (all, others)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn groups(rows: &[(&str, u64)]) -> Groups {
        let mut groups = Groups::default();
        for (name, count) in rows {
            (0..*count).for_each(|_| groups.add(name, Status::Revoked));
        }
        groups
    }

    #[test]
    fn the_largest_come_first_and_the_rest_together() {
        let groups = groups(&[("T1", 1), ("T2", 5), ("T3", 2), ("T4", 2), ("T5", 1)]);
        let (shown, others) = groups.top(3);
        let shown: Vec<_> = shown.into_iter().map(|(name, counts)| (name, counts.ended())).collect();
        assert_eq!(shown, [("T2", 5), ("T3", 2), ("T4", 2)]);
        assert_eq!((others.groups, others.counts.ended(), others.uncounted), (2, 2, false));
        assert_eq!(groups.top(4).0.len(), 5, "one other is shown");
        assert_eq!(groups.top(9), (groups.top(4).0, Others::default()));
    }

    #[test]
    fn a_name_for_every_row_is_not_remembered_for_ever() {
        let mut groups = Groups::default();
        for row in 0..MOST_NAMES + 50 {
            groups.add(&format!("T{row}"), Status::Failed);
        }
        let (shown, others) = groups.top(20);
        let sum = shown.iter().map(|(_, counts)| counts.ended()).sum::<u64>() + others.counts.ended();
        assert_eq!((sum, others.uncounted), (MOST_NAMES as u64 + 50, true));
        groups.add(&"é".repeat(5_000), Status::Failed);
        assert!(groups.by_name.keys().all(|name| name.chars().count() <= LONGEST_NAME));
    }
}
