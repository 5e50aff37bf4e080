//! `admin.users.session.list`, page by page: what `list`, `resolve` and `verify` share.

mod connection;
pub mod filter;
mod pages;
mod progress;
mod tries;

pub use crate::commands::waiting::block_on;
pub use connection::{Connection, Lister};
pub use pages::Pages;
pub use progress::{Progress, count};

use crate::advice;
use crate::domain::{ErrorCode, StopReason};
use crate::error::{RunError, Trouble};
use crate::exit::ExitStatus;
use crate::report;

/// Sessions on a page: the most that the method gives (slack.md, "The sibling methods").
pub const PAGE: u16 = 1000;

/// The scope that a listing needs.
pub const SCOPE: &str = "admin.users:read";

/// Why a listing ended before its last page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Halt {
    /// As a run would have been stopped.
    Stop(StopReason),
    /// Slack's pages end before the listing does.
    Incomplete(Incomplete),
    /// What is gathered could not be kept.
    Error(RunError),
}

/// Why there are sessions that no page brings.
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
    /// What happened.
    #[must_use]
    pub fn why(self) -> &'static str {
        match self {
            Self::CursorUnknown => "Slack no longer knows this position in the listing (invalid_cursor)",
            Self::CursorRepeated => "Slack's pages repeat: the cursor of the next page is one that was followed before",
            Self::EndedEarly => "Slack announced another page and then answered no_active_sessions",
        }
    }
}

impl From<RunError> for Halt {
    fn from(error: RunError) -> Self {
        Self::Error(error)
    }
}

impl Halt {
    /// What happened, and what to do next where the command has nothing better to say.
    #[must_use]
    pub fn told(&self) -> Trouble {
        match self {
            Self::Stop(StopReason::Refused { code: ErrorCode::MissingScope, detail }) => Trouble::new(
                format!("Slack refused with missing_scope: {detail}"),
                format!("the token lacks the user scope {SCOPE}: add it to the app, then install it again"),
            ),
            Self::Stop(reason) => Trouble::new(report::why(reason), advice::advice(reason)),
            Self::Incomplete(reason) => Trouble::new(format!("{}; the listing is not complete", reason.why()), ""),
            Self::Error(error) => Trouble::new(error.to_string().replace("\n  ", "; "), ""),
        }
    }

    /// How the program exits.
    #[must_use]
    pub fn exit_status(&self) -> ExitStatus {
        match self {
            Self::Stop(reason) => ExitStatus::of_stop(reason),
            Self::Incomplete(_) => ExitStatus::RowsFailed,
            Self::Error(error) => error.exit_status(),
        }
    }

    /// Prints what happened and what to do `next`, and returns the exit status.
    #[must_use]
    pub fn end(&self, next: Option<&str>) -> ExitStatus {
        self.tell(next);
        self.exit_status()
    }

    /// Prints what happened and what to do `next`.
    pub fn tell(&self, next: Option<&str>) {
        let told = self.told();
        let (what, advised) = (told.what(), told.next());
        match (next, advised.is_empty()) {
            (Some(next), true) => tracing::error!("{what}; {next}"),
            (Some(next), false) => tracing::error!("{what}; {advised}; {next}"),
            (None, true) => tracing::error!("{what}"),
            (None, false) => tracing::error!("{what}; {advised}"),
        }
    }
}
