//! Workspace and user ids, each kept once and then named by a number: a list of a million sessions may have as many users.

use std::hash::{BuildHasher, RandomState};
use std::num::NonZeroU32;

/// A name's number, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct NameId(NonZeroU32);

/// Names by number and numbers by name: the texts stand one after another, and an open table finds them by their hash.
#[derive(Debug, Default)]
pub(super) struct Names {
    text: String,
    ends: Vec<u32>,
    /// A power of two of them, at most half taken, so that a search always ends at a free one.
    slots: Vec<Option<NameId>>,
    hasher: RandomState,
}

impl Names {
    /// The number of `name`, given now if it has none.
    ///
    /// # Panics
    /// Where all names together are longer than 4 GiB.
    pub(super) fn intern(&mut self, name: &str) -> NameId {
        if let Some(id) = self.get(name) {
            return id;
        }
        self.text.push_str(name);
        self.ends.push(u32::try_from(self.text.len()).expect("names of less than 4 GiB"));
        if self.ends.len() * 2 > self.slots.len() {
            self.grow();
        } else {
            self.place(self.ends.len());
        }
        number(self.ends.len())
    }

    /// The number of `name`, where it has one.
    pub(super) fn get(&self, name: &str) -> Option<NameId> {
        if self.slots.is_empty() { None } else { self.slots[self.find(name)] }
    }

    /// The name behind a number that these names gave.
    pub(super) fn text(&self, id: NameId) -> &str {
        let index = id.0.get() as usize - 1;
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before] as usize);
        &self.text[start..self.ends[index] as usize]
    }

    /// The slot that `name` stands in, or the free one that it would take.
    fn find(&self, name: &str) -> usize {
        let mask = self.slots.len() - 1;
        let mut slot = usize::try_from(self.hasher.hash_one(name) & mask as u64).expect("masked to the table");
        while self.slots[slot].is_some_and(|id| self.text(id) != name) {
            slot = (slot + 1) & mask;
        }
        slot
    }

    fn place(&mut self, count: usize) {
        let id = number(count);
        let slot = self.find(self.text(id));
        self.slots[slot] = Some(id);
    }

    fn grow(&mut self) {
        self.slots = vec![None; (self.slots.len() * 2).max(16)];
        for count in 1..=self.ends.len() {
            self.place(count);
        }
    }
}

fn number(count: usize) -> NameId {
    NameId(u32::try_from(count).ok().and_then(NonZeroU32::new).expect("one to four billion names"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    proptest! {
        #[test]
        fn a_name_has_one_number_and_a_number_one_name(given in prop::collection::vec("[TU][0-9A-C]{0,2}", 0..300)) {
            let (mut names, mut numbers) = (Names::default(), HashMap::new());
            for name in &given {
                prop_assert_eq!(names.get(name), numbers.get(name).copied());
                let id = names.intern(name);
                prop_assert_eq!(*numbers.entry(name.clone()).or_insert(id), id);
            }
            for (name, &id) in &numbers {
                prop_assert_eq!(names.text(id), name);
            }
            prop_assert_eq!(names.ends.len(), numbers.len());
        }
    }
}
