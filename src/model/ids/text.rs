//! The text of an id, without a heap allocation where it is as short as Slack's are.

use std::cmp::Ordering;

/// Slack's longest have 12 characters. With length and tag these are 16 bytes, as many as a pointer and a length take.
const SHORT: usize = 14;

/// A text of at most 255 bytes. Each text has one form only, so what is derived compares texts.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) enum IdText {
    /// At most [`SHORT`] bytes, zeros behind them.
    Short { len: u8, bytes: [u8; SHORT] },
    /// Longer. Boxed twice, for a wide pointer would make every id longer.
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
        match self {
            // Never the default: the bytes came from a text, whole.
            Self::Short { len, bytes } => str::from_utf8(&bytes[..usize::from(*len)]).unwrap_or_default(),
            Self::Long(text) => text,
        }
    }
}

impl PartialOrd for IdText {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for IdText {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_str().cmp(other.as_str())
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
