//! How a row ended.

use super::Stamp;

/// The `status` column (contract.md, "Results"); what each means is in its entry of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Status {
    Revoked,
    Requested,
    AlreadyRevoked,
    NotFound,
    Failed,
    Unknown,
    Invalid,
    Duplicate,
    Protected,
}

/// Whether something has to be done about a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unsettled {
    Never,
    /// Under `--strict`.
    Strictly,
    Always,
}

/// How a row with a status is shown: its colour in charts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatusGroup {
    Gone,
    /// Slack has said that it will end it, and `verify` can prove it.
    Requested,
    /// Nothing was done, and nothing has to be.
    Skipped,
    /// Not sent because the session must not end.
    Protected,
    ActionNeeded,
}

/// What the colour of a text means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    Plain,
    Good,
    Bad,
    /// A pause, or something to look at.
    Warning,
}

/// All that is said of a status.
struct StatusEntry {
    status: Status,
    word: &'static str,
    label: &'static str,
    meaning: &'static str,
    group: StatusGroup,
    tone: Tone,
    /// Whether the row fails the run (exit code 1) and stays in the remaining file.
    unsettled: Unsettled,
    /// Whether the row's session is gone, or may be, through one of the run's calls or by itself.
    may_be_gone: bool,
}

/// In the order of the totals. `not_found` counts only under `--strict`: without it, it reads as "was not there". What was
/// requested is left to `verify`, which proves it. A duplicate's session is another row's, and a protected row must not reach
/// the remaining file, which people are asked to run without a word of `--protect`.
const TABLE: [StatusEntry; 9] = [
    StatusEntry {
        status: Status::Revoked,
        word: "revoked",
        label: "Revoked",
        meaning: "Slack ended the session",
        group: StatusGroup::Gone,
        tone: Tone::Good,
        unsettled: Unsettled::Never,
        may_be_gone: true,
    },
    StatusEntry {
        status: Status::Requested,
        word: "requested",
        label: "Requested",
        meaning: "Slack queued the end of all sessions of the row's user (`--whole-users`); `verify` checks that they ended",
        group: StatusGroup::Requested,
        tone: Tone::Good,
        unsettled: Unsettled::Never,
        may_be_gone: false,
    },
    StatusEntry {
        status: Status::AlreadyRevoked,
        word: "already_revoked",
        label: "Already gone",
        meaning: "the session had expired, or was ended by an earlier attempt whose answer was lost",
        group: StatusGroup::Gone,
        tone: Tone::Plain,
        unsettled: Unsettled::Never,
        may_be_gone: true,
    },
    StatusEntry {
        status: Status::NotFound,
        word: "not_found",
        label: "Not found",
        meaning: "Slack doesn't know this session: it is gone, or the ids don't belong together",
        group: StatusGroup::Skipped,
        tone: Tone::Plain,
        unsettled: Unsettled::Strictly,
        may_be_gone: false,
    },
    StatusEntry {
        status: Status::Failed,
        word: "failed",
        label: "Failed",
        meaning: "Slack refused the call, or the connection failed",
        group: StatusGroup::ActionNeeded,
        tone: Tone::Bad,
        unsettled: Unsettled::Always,
        may_be_gone: false,
    },
    StatusEntry {
        status: Status::Unknown,
        word: "unknown",
        label: "Unknown",
        meaning: "no clear answer after the last attempt; one of the attempts may have ended the session",
        group: StatusGroup::ActionNeeded,
        tone: Tone::Bad,
        unsettled: Unsettled::Always,
        may_be_gone: true,
    },
    StatusEntry {
        status: Status::Invalid,
        word: "invalid",
        label: "Invalid",
        meaning: "the row can't be sent as it is",
        group: StatusGroup::ActionNeeded,
        tone: Tone::Plain,
        unsettled: Unsettled::Always,
        may_be_gone: false,
    },
    StatusEntry {
        status: Status::Duplicate,
        word: "duplicate",
        label: "Duplicate",
        meaning: "an earlier line has the same session",
        group: StatusGroup::Skipped,
        tone: Tone::Plain,
        unsettled: Unsettled::Never,
        may_be_gone: false,
    },
    StatusEntry {
        status: Status::Protected,
        word: "protected",
        label: "Protected",
        meaning: "kept intentionally: a `--protect` list names the user or session, or the token's own user has it",
        group: StatusGroup::Protected,
        tone: Tone::Plain,
        unsettled: Unsettled::Never,
        may_be_gone: false,
    },
];

impl Status {
    /// Every status, in the order of the totals.
    pub const ALL: [Self; TABLE.len()] = {
        let mut all = [Self::Revoked; TABLE.len()];
        let mut index = 0;
        while index < all.len() {
            all[index] = TABLE[index].status;
            index += 1;
        }
        all
    };

    fn entry(self) -> &'static StatusEntry {
        &TABLE[self as usize]
    }

    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.entry().word
    }

    #[must_use]
    pub fn label(self) -> &'static str {
        self.entry().label
    }

    /// What it means, without a full stop. Code is between backticks.
    #[must_use]
    pub fn meaning(self) -> &'static str {
        self.entry().meaning
    }

    #[must_use]
    pub fn group(self) -> StatusGroup {
        self.entry().group
    }

    #[must_use]
    pub fn tone(self) -> Tone {
        self.entry().tone
    }

    /// The status that a word in a results file stands for.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == word)
    }

    /// Whether the row's session is gone, or may be, through one of the run's calls or by itself.
    #[must_use]
    pub fn may_be_gone(self) -> bool {
        self.entry().may_be_gone
    }

    /// Whether the row fails the run and stays in `--remaining`: its session is not known to be gone, no other row stands for it,
    /// and it may be sent.
    #[must_use]
    pub fn remains(self, strict: bool) -> bool {
        match self.entry().unsettled {
            Unsettled::Never => false,
            Unsettled::Strictly => strict,
            Unsettled::Always => true,
        }
    }
}

/// The record of a row: everything that the results file says about it beside its own columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    pub status: Status,
    /// Slack's code, the transport's fault, or the rule that an unsent row broke; none on success.
    pub error: Option<Box<str>>,
    /// In words; free of control characters.
    pub detail: Box<str>,
    /// Of the deciding answer.
    pub http_status: Option<u16>,
    /// Calls made for the row. Those answered 429 are counted in `rate_limited` alone: a limit is no attempt.
    pub attempts: u32,
    /// 429s met.
    pub rate_limited: u32,
    /// When the first call was sent; none where none was.
    pub first_sent_at: Option<Stamp>,
    pub finished_at: Stamp,
    /// `x-slack-req-id` of the deciding answer.
    pub request_id: Option<Box<str>>,
}

impl Outcome {
    /// Nothing but a status; the others start from here.
    #[must_use]
    pub fn bare(status: Status, finished_at: Stamp) -> Self {
        Self {
            status,
            error: None,
            detail: Box::default(),
            http_status: None,
            attempts: 0,
            rate_limited: 0,
            first_sent_at: None,
            finished_at,
            request_id: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_read_back_as_themselves() {
        for (place, status) in Status::ALL.into_iter().enumerate() {
            assert_eq!(status as usize, place, "{status:?} is not in its own place");
            assert_eq!(Status::parse(status.as_str()), Some(status));
        }
        assert_eq!(Status::parse("Revoked"), None);
    }
}
