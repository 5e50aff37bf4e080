//! How a row ended.

use super::Stamp;

/// The `status` column (contract.md, "Results").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Status {
    /// Slack ended the session for us.
    Revoked,
    /// Slack has queued the end of all sessions of the row's user. It says so before it is done.
    Requested,
    /// It was gone already, or went in an attempt whose answer was lost.
    AlreadyRevoked,
    /// Slack knows no such session under this id: gone, or a wrong pair of ids.
    NotFound,
    /// Slack refused, clearly.
    Failed,
    /// The attempts are used up, one of them may have taken effect, and no clear answer came.
    Unknown,
    /// The row cannot be sent.
    Invalid,
    /// The same session stands on an earlier line.
    Duplicate,
    /// The row must not be sent.
    Protected,
}

impl Status {
    /// Every status, in the order of the totals.
    pub const ALL: [Self; 9] = [
        Self::Revoked,
        Self::Requested,
        Self::AlreadyRevoked,
        Self::NotFound,
        Self::Failed,
        Self::Unknown,
        Self::Invalid,
        Self::Duplicate,
        Self::Protected,
    ];

    /// The word in the results.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Revoked => "revoked",
            Self::Requested => "requested",
            Self::AlreadyRevoked => "already_revoked",
            Self::NotFound => "not_found",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
            Self::Invalid => "invalid",
            Self::Duplicate => "duplicate",
            Self::Protected => "protected",
        }
    }

    /// The status that a word in a results file stands for.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == word)
    }

    /// Whether the row's session is gone, or may be, through one of the run's calls or by itself.
    #[must_use]
    pub fn may_be_gone(self) -> bool {
        match self {
            Self::Revoked | Self::AlreadyRevoked | Self::Unknown => true,
            Self::Requested | Self::NotFound | Self::Failed | Self::Invalid | Self::Duplicate | Self::Protected => {
                false
            }
        }
    }

    /// Whether the row stays in `--remaining`: its session is not known to be gone, no other row stands for it, and it may be
    /// sent: people are asked to run that file, with no word of `--protect`.
    /// `not_found` stays only under `--strict`: without it, it reads as "was not there". What was requested is left to
    /// `verify`, which proves it.
    #[must_use]
    pub fn remains(self, strict: bool) -> bool {
        match self {
            Self::Revoked | Self::Requested | Self::AlreadyRevoked | Self::Duplicate | Self::Protected => false,
            Self::NotFound => strict,
            Self::Failed | Self::Unknown | Self::Invalid => true,
        }
    }
}

/// The record of a row: everything that the results file says about it beside its own columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// How it ended.
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
    /// When the row ended.
    pub finished_at: Stamp,
    /// `x-slack-req-id` of the deciding answer.
    pub request_id: Option<Box<str>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_read_back_as_themselves() {
        for status in Status::ALL {
            assert_eq!(Status::parse(status.as_str()), Some(status));
        }
        assert_eq!(Status::parse("Revoked"), None);
    }
}
