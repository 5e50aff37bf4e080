//! Numbers names, so that a session needs little memory.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::Arc;

/// Counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct NameId(NonZeroU32);

#[derive(Debug, Default)]
pub(super) struct Interner {
    by_number: Vec<Arc<str>>,
    by_name: HashMap<Arc<str>, NameId>,
}

impl Interner {
    /// The number of `name`, which is assigned if it is new.
    ///
    /// # Panics
    /// If there are four billion names.
    pub(super) fn intern(&mut self, name: &str) -> NameId {
        if let Some(id) = self.get(name) {
            return id;
        }
        let name: Arc<str> = name.into();
        self.by_number.push(Arc::clone(&name));
        let number = u32::try_from(self.by_number.len()).ok().and_then(NonZeroU32::new);
        let id = NameId(number.expect("fewer than four billion names"));
        self.by_name.insert(name, id);
        id
    }

    /// `None` if the name is unknown.
    pub(super) fn get(&self, name: &str) -> Option<NameId> {
        self.by_name.get(name).copied()
    }

    /// In the order of their numbers.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.by_number.iter().map(|name| &**name)
    }

    pub(super) fn text(&self, id: NameId) -> &str {
        &self.by_number[id.0.get() as usize - 1]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_name_has_one_number_and_a_number_one_name(given in prop::collection::vec("[TU][0-9A-C]{0,2}", 0..300)) {
            let (mut interner, mut numbers) = (Interner::default(), HashMap::new());
            for name in &given {
                prop_assert_eq!(interner.get(name), numbers.get(name).copied());
                let id = interner.intern(name);
                prop_assert_eq!(*numbers.entry(name.clone()).or_insert(id), id);
            }
            for (name, &id) in &numbers {
                prop_assert_eq!(interner.text(id), name);
            }
            prop_assert_eq!(interner.by_number.len(), numbers.len());
        }
    }
}
