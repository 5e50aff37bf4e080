//! `admin.users.session.list` and `admin.users.list`, page by page: what `list`, `resolve` and `verify` share.

mod directory;
pub mod filter;
mod lister;
mod page_retry;
mod pages;

pub use crate::commands::waiting::block_on;
pub use directory::Directory;
pub use lister::Lister;
pub use pages::{ListProgress, Pages, count};

use crate::error::RunError;
use crate::model::{ErrorCode, ExitStatus, StopReason};
use std::borrow::Cow;

/// Sessions per page: the method's maximum (slack.md, "The sibling methods").
pub const PAGE: u16 = 1000;

/// The scope that a listing needs.
pub const SCOPE: &str = "admin.users:read";

/// Why a listing ended before its last page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListError {
    /// For a reason that would stop a run too.
    Stop(StopReason),
    /// Slack's pages end before the listing is complete.
    Incomplete(Incomplete),
    Error(RunError),
}

/// Why some sessions are on no page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Incomplete {
    /// The cursor isn't known to Slack any more.
    CursorUnknown,
    /// A page names a cursor as its next one that was followed before.
    CursorRepeated,
    /// `no_active_sessions` after a page that another one should follow.
    EndedEarly,
}

impl Incomplete {
    #[must_use]
    pub fn why(self) -> &'static str {
        match self {
            Self::CursorUnknown => "Slack no longer knows this position in the listing (invalid_cursor)",
            Self::CursorRepeated => "Slack's pages repeat: the cursor of the next page is one that was followed before",
            Self::EndedEarly => "Slack announced another page and then answered no_active_sessions",
        }
    }
}

/// Refusals that are about the ids in the query, not about the token.
#[must_use]
pub fn is_about_the_query(code: &ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::UserNotFound
            | ErrorCode::InvalidArguments
            | ErrorCode::TeamNotFound
            | ErrorCode::MissingTeam
            | ErrorCode::MissingUser
    )
}

impl From<RunError> for ListError {
    fn from(error: RunError) -> Self {
        Self::Error(error)
    }
}

impl ListError {
    fn what(&self) -> Cow<'_, str> {
        match self {
            Self::Stop(StopReason::Refused { code: ErrorCode::MissingScope, detail }) => {
                format!("Slack refused with missing_scope: {detail}").into()
            }
            Self::Stop(reason) => reason.entry().why,
            Self::Incomplete(reason) => format!("{}; the listing is not complete", reason.why()).into(),
            Self::Error(error) => error.what(),
        }
    }

    /// The hint that applies in every command.
    fn hint(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::Stop(StopReason::Refused { code: ErrorCode::MissingScope, .. }) => {
                Some(format!("the token lacks the user scope {SCOPE}: add it to the app, then install it again").into())
            }
            Self::Stop(StopReason::Refused { code, .. }) if is_about_the_query(code) => {
                Some("check that the ids of --team and --user belong to this organization".into())
            }
            Self::Stop(reason) => Some(reason.entry().hint),
            Self::Incomplete(_) => None,
            Self::Error(error) => error.hint().map(Cow::from),
        }
    }

    #[must_use]
    pub fn exit_status(&self) -> ExitStatus {
        match self {
            Self::Stop(reason) => reason.entry().exit,
            Self::Incomplete(_) => ExitStatus::RowsFailed,
            Self::Error(error) => error.exit_status(),
        }
    }

    /// As the error of a command that ends by it.
    #[must_use]
    pub fn into_error(self, next: &str) -> RunError {
        let what = self.what().into_owned();
        let hint = self.hint().map_or_else(|| next.to_owned(), |hint| format!("{hint}; {next}"));
        match self {
            Self::Error(error) => error,
            Self::Stop(StopReason::Interrupted) => RunError::interrupted(),
            Self::Stop(StopReason::Terminated) => RunError::terminated(),
            Self::Stop(_) | Self::Incomplete(_) => match self.exit_status() {
                ExitStatus::Denied => RunError::token(what, hint),
                ExitStatus::Stopped => RunError::input_changed(what, hint),
                _ => RunError::unreachable(what, hint),
            },
        }
    }

    /// Prints what happened and what to do `next`, and returns the exit status.
    #[must_use]
    pub fn end(&self, next: Option<&str>) -> ExitStatus {
        self.print(next);
        self.exit_status()
    }

    /// Prints what happened and what to do `next`.
    pub fn print(&self, next: Option<&str>) {
        let all: Vec<_> = [Some(self.what()), self.hint(), next.map(Cow::from)].into_iter().flatten().collect();
        tracing::error!("{}", all.join("; "));
    }
}
