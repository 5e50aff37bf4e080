//! Represents ids by 8 bytes each, without collisions, so that the survey can remember a million users.

use std::collections::HashMap;
use std::num::NonZeroU64;
use std::sync::Arc;

/// An id in 8 bytes. Two keys of the same [`IdInterner`] are equal if and only if their ids are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct PackedId(NonZeroU64);

impl PackedId {
    pub(super) const LEAST: Self = Self(NonZeroU64::MIN);
    pub(super) const MOST: Self = Self(NonZeroU64::MAX);
}

/// 37^12 is smaller, so packed ids never have this bit.
const LONG: NonZeroU64 = NonZeroU64::new(1 << 63).expect("a bit is set");

/// Packs ids of up to 12 capitals and digits in base 37, and numbers longer ones.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct IdInterner {
    keys: HashMap<Arc<str>, PackedId>,
    /// Those that can't be packed, by their number.
    long: Vec<Arc<str>>,
}

impl IdInterner {
    /// The key of an id, which is only valid for this interner.
    pub(super) fn intern(&mut self, id: &str) -> PackedId {
        if let Some(key) = self.known(id) {
            return key;
        }
        let (key, id) = (PackedId(LONG | self.long.len() as u64), Arc::<str>::from(id));
        self.long.push(Arc::clone(&id));
        self.keys.insert(id, key);
        key
    }

    /// The id of a key.
    pub(super) fn text(&self, key: PackedId) -> Option<String> {
        let number = key.0.get();
        if number & LONG.get() == 0 {
            return Some(unpack(number));
        }
        let id = self.long.get(usize::try_from(number & !LONG.get()).ok()?)?;
        Some(id.to_string())
    }

    /// The key of an id that can be packed or has been interned before.
    pub(super) fn known(&self, id: &str) -> Option<PackedId> {
        pack(id).or_else(|| self.keys.get(id).copied())
    }
}

/// `None` if the id is empty, too long, or has other characters.
fn pack(id: &str) -> Option<PackedId> {
    if id.len() > 12 {
        return None;
    }
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(u64::from(byte - b'0') + 1),
        b'A'..=b'Z' => Some(u64::from(byte - b'A') + 11),
        _ => None,
    };
    let packed = id.bytes().try_fold(0, |packed, byte| Some(packed * 37 + digit(byte)?))?;
    NonZeroU64::new(packed).map(PackedId)
}

fn unpack(mut packed: u64) -> String {
    const DIGITS: &[u8; 36] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    let mut id: Vec<u8> = Vec::with_capacity(12);
    while packed > 0 {
        let digit = usize::try_from(packed % 37).ok().and_then(|digit| DIGITS.get(digit.checked_sub(1)?));
        id.extend(digit);
        packed /= 37;
    }
    id.iter().rev().map(|byte| char::from(*byte)).collect()
}

/// Counts distinct keys exactly, with at most 16 bytes per key: a list that is sorted and deduplicated when it is
/// full.
#[derive(Debug)]
pub(super) struct DistinctIds {
    keys: Vec<PackedId>,
}

impl DistinctIds {
    pub(super) fn new() -> Self {
        Self { keys: Vec::with_capacity(1024) }
    }

    pub(super) fn insert(&mut self, key: PackedId) {
        if self.keys.last() == Some(&key) {
            return;
        }
        if self.keys.len() == self.keys.capacity() {
            self.thin();
            if self.keys.len() > self.keys.capacity() / 2 {
                self.keys.reserve_exact(2 * self.keys.capacity() - self.keys.len());
            }
        }
        self.keys.push(key);
    }

    fn thin(&mut self) {
        self.keys.sort_unstable();
        self.keys.dedup();
    }

    pub(super) fn count(mut self) -> u64 {
        self.thin();
        self.keys.len() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    proptest! {
        #[test]
        fn keys_are_equal_where_ids_are(ids in prop::collection::vec("[0A-BZ9]{0,14}", 0..60)) {
            let mut keys = IdInterner::default();
            let of: Vec<PackedId> = ids.iter().map(|id| keys.intern(id)).collect();
            for (id, key) in ids.iter().zip(&of) {
                prop_assert_eq!(keys.text(*key), Some(id.clone()));
            }
            for (left, left_key) in ids.iter().zip(&of) {
                for (right, right_key) in ids.iter().zip(&of) {
                    prop_assert_eq!(left == right, left_key == right_key);
                }
            }
        }

        #[test]
        fn distinct_keys_are_counted_exactly(numbers in prop::collection::vec(0_u64..3000, 0..6000)) {
            let mut distinct = DistinctIds::new();
            for &number in &numbers {
                distinct.insert(PackedId(NonZeroU64::MIN.saturating_add(number)));
            }
            let set: HashSet<u64> = numbers.into_iter().collect();
            prop_assert_eq!(distinct.count(), set.len() as u64);
        }
    }
}
