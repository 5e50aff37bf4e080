//! Results of rows.

use super::Timestamp;

/// The `status` column (contract.md, "Results"). The meanings are in the table below.
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

/// Whether a row needs further processing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unsettled {
    Never,
    /// Only with `--strict`.
    Strictly,
    Always,
}

/// Groups of statuses, which have a color in charts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatusGroup {
    Gone,
    /// Slack has queued the logout; `verify` can prove it.
    Requested,
    /// Nothing was done, and nothing is needed.
    Skipped,
    /// Not sent because the session is protected.
    Protected,
    ActionNeeded,
}

/// The meaning of a text's color.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    Plain,
    Good,
    Bad,
    /// A pause, or something to check.
    Warning,
}

/// The properties of a status.
struct StatusEntry {
    status: Status,
    word: &'static str,
    label: &'static str,
    meaning: &'static str,
    group: StatusGroup,
    tone: Tone,
    /// Whether the row causes exit code 1 and stays in the remaining file.
    unsettled: Unsettled,
    /// Whether the session is gone or may be gone.
    may_be_gone: bool,
}

/// In the order of the totals. `not_found` needs processing only with `--strict`. `requested` is left to `verify`. A
/// duplicate's session belongs to another row. A protected row must never be in the remaining file, which may be run
/// without `--protect`.
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
        meaning: "Slack queued the end of all sessions of the row's user (`--whole-users`, `--bulk`); `verify` checks that they ended",
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
    /// In the order of the totals.
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

    /// Without a full stop. Code is in backticks.
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

    /// From the word in a results file.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == word)
    }

    /// Whether the session is gone or may be gone.
    #[must_use]
    pub fn may_be_gone(self) -> bool {
        self.entry().may_be_gone
    }

    /// Whether the row causes exit code 1 and stays in `--remaining`: its session isn't known to be gone, no other
    /// row has it, and it may be sent.
    #[must_use]
    pub fn remains(self, strict: bool) -> bool {
        match self.entry().unsettled {
            Unsettled::Never => false,
            Unsettled::Strictly => strict,
            Unsettled::Always => true,
        }
    }
}

/// The result of a row: its record in the results file, without the input's columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    pub status: Status,
    /// Slack's code, the transport fault, or the rule that an unsent row broke; `None` on success.
    pub error: Option<Box<str>>,
    /// In words, without control characters.
    pub detail: Box<str>,
    /// Of the deciding answer.
    pub http_status: Option<u16>,
    /// Calls made for the row, without those answered 429, which `rate_limited` counts.
    pub attempts: u32,
    pub rate_limited: u32,
    /// `None` if no call was made.
    pub first_sent_at: Option<Timestamp>,
    pub finished_at: Timestamp,
    /// `x-slack-req-id` of the deciding answer.
    pub request_id: Option<Box<str>>,
}

impl Outcome {
    /// Only with a status.
    #[must_use]
    pub fn bare(status: Status, finished_at: Timestamp) -> Self {
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
