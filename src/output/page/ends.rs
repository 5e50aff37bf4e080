//! How the charts show each group of statuses.

use crate::model::Counts;
pub use crate::model::StatusGroup as End;

impl End {
    /// Every end, in the order in which bars are stacked, from the ground up.
    pub const ALL: [Self; 4] = [Self::Gone, Self::Asked, Self::Aside, Self::Trouble];

    /// The class in the page's style sheet.
    #[must_use]
    pub fn class(self) -> &'static str {
        match self {
            Self::Gone => "gone",
            Self::Asked => "asked",
            Self::Aside => "aside",
            Self::Trouble => "trouble",
        }
    }

    /// The words of a legend.
    #[must_use]
    pub fn legend(self) -> &'static str {
        match self {
            Self::Gone => "session is gone",
            Self::Asked => "asked for, not proved",
            Self::Aside => "nothing to end",
            Self::Trouble => "needs a hand",
        }
    }

    /// Rows that ended so.
    #[must_use]
    pub fn of(self, counts: &Counts) -> u64 {
        counts.iter().filter(|(status, _)| status.group() == self).map(|(_, rows)| rows).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Status;
    use std::collections::BTreeSet;

    #[test]
    fn every_status_is_told_apart_and_counted_in_one_end() {
        let labels: BTreeSet<_> = Status::ALL.map(Status::label).into();
        assert_eq!(labels.len(), Status::ALL.len());
        let mut counts = Counts::default();
        for status in Status::ALL {
            counts.add(status);
        }
        assert_eq!(End::ALL.map(|end| end.of(&counts)).iter().sum::<u64>(), counts.ended());
    }

    #[test]
    fn what_needs_a_hand_can_be_fed_back() {
        for status in Status::ALL.into_iter().filter(|status| status.group() == End::Trouble) {
            assert!(status.remains(false), "{status:?}");
        }
    }
}
