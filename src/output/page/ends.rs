//! What a status means, in words and as one of the few colours of the charts.

use crate::model::{Counts, Status};

/// How a row ended, as the charts tell it apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The session is gone.
    Gone,
    /// Slack has said that it will end it, and `verify` can prove it.
    Asked,
    /// Nothing was done, and nothing has to be.
    Aside,
    /// Somebody has to look at it.
    Trouble,
}

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
        counts.iter().filter(|(status, _)| explained(*status).end == self).map(|(_, rows)| rows).sum()
    }
}

/// A status in words.
#[derive(Debug, Clone, Copy)]
pub struct Explained {
    /// Its name for people.
    pub label: &'static str,
    /// What it says, in a sentence.
    pub meaning: &'static str,
    /// Its colour.
    pub end: End,
}

/// What a status means; the same as README's table, for those who have only the page.
#[must_use]
pub fn explained(status: Status) -> Explained {
    let (label, meaning, end) = match status {
        Status::Revoked => ("Revoked", "Slack ended the session.", End::Gone),
        Status::Requested => {
            ("Requested", "Slack has queued the end of all of the user's sessions; verify proves it.", End::Asked)
        }
        Status::AlreadyRevoked => (
            "Already gone",
            "The session had expired, or was gone after an earlier attempt of ours whose answer was lost.",
            End::Gone,
        ),
        Status::NotFound => {
            ("Not found", "Slack knows no such session: it is gone, or the two ids do not belong together.", End::Aside)
        }
        Status::Failed => ("Failed", "Slack refused, or could not be connected to for this row.", End::Trouble),
        Status::Unknown => (
            "Unknown",
            "The attempts are used up, one of them may have ended the session, and no clear answer came.",
            End::Trouble,
        ),
        Status::Invalid => ("Invalid", "The row cannot be sent.", End::Trouble),
        Status::Duplicate => ("Duplicate", "The same session stands on an earlier line.", End::Aside),
        Status::Protected => ("Protected", "The row must not be sent, and was not.", End::Aside),
    };
    Explained { label, meaning, end }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_status_is_told_apart_and_counted_in_one_end() {
        let labels: BTreeSet<_> = Status::ALL.map(|status| explained(status).label).into();
        assert_eq!(labels.len(), Status::ALL.len());
        let mut counts = Counts::default();
        for status in Status::ALL {
            counts.add(status);
        }
        assert_eq!(End::ALL.map(|end| end.of(&counts)).iter().sum::<u64>(), counts.ended());
    }

    #[test]
    fn what_needs_a_hand_can_be_fed_back() {
        for status in Status::ALL.into_iter().filter(|status| explained(*status).end == End::Trouble) {
            assert!(status.remains(false), "{status:?}");
        }
    }
}
