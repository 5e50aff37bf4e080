//! The text of an id, without a heap allocation for the usual lengths.

use std::cmp::Ordering;
use std::hash::{Hash, Hasher};

/// Slack's longest ids have 12 characters. With length and tag, this makes 16 bytes, the same as a wide pointer.
const SHORT: usize = 14;

/// A text of at most 255 bytes. Each text has only one representation, so the derived comparisons are correct.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum IdText {
    /// At most [`SHORT`] bytes, padded with zeros.
    Short { len: u8, bytes: [u8; SHORT] },
    /// Longer texts. Boxed twice, because a wide pointer would enlarge every id.
    Long(Box<Box<str>>),
}

impl IdText {
    pub(super) fn new(text: &str) -> Self {
        let mut bytes = [0; SHORT];
        match (u8::try_from(text.len()), bytes.get_mut(..text.len())) {
            (Ok(len), Some(start)) => {
                start.copy_from_slice(text.as_bytes());
                Self::Short { len, bytes }
            }
            (Ok(_) | Err(_), _) => Self::Long(Box::new(text.into())),
        }
    }

    pub(super) fn as_str(&self) -> &str {
        // The bytes are valid UTF-8, so the default is never used.
        str::from_utf8(self.as_bytes()).unwrap_or_default()
    }

    fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Short { len, bytes } => &bytes[..usize::from(*len)],
            Self::Long(text) => text.as_bytes(),
        }
    }
}

/// Without the padding.
impl Hash for IdText {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_bytes().hash(state);
    }
}

impl PartialOrd for IdText {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for IdText {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_bytes().cmp(other.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_id_is_no_larger_than_a_pointer_and_a_length() {
        assert_eq!(size_of::<IdText>(), 16);
        assert_eq!(size_of::<Option<IdText>>(), 16);
    }

    proptest! {
        #[test]
        fn it_reads_back_and_sorts_as_its_text(one in "[A-Z0-9]{0,18}", other in "[A-Z0-9]{0,18}") {
            let (short, long) = (IdText::new(&one), IdText::new(&other));
            prop_assert_eq!((short.as_str(), long.as_str()), (one.as_str(), other.as_str()));
            prop_assert_eq!(short.cmp(&long), one.cmp(&other));
            prop_assert_eq!(short == long, one == other);
        }
    }
}
