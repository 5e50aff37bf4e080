//! `admin.users.session.list`, page by page: what `list`, `resolve` and `verify` share.

mod connection;
pub mod filter;
mod progress;
mod tries;

pub use crate::commands::waiting::block_on;
pub use connection::{Connection, Lister};
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
    /// The cursor is no longer known to Slack.
    CursorLost,
    /// What is gathered could not be kept.
    Error(RunError),
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
            Self::CursorLost => Trouble::new(
                "Slack no longer knows where this listing was",
                "remove the output and its .cursor file, and list again from the start",
            ),
            Self::Error(error) => Trouble::new(error.to_string().replace("\n  ", "; "), ""),
        }
    }

    /// How the program exits.
    #[must_use]
    pub fn exit_status(&self) -> ExitStatus {
        match self {
            Self::Stop(reason) => ExitStatus::of_stop(reason),
            Self::CursorLost => ExitStatus::Usage,
            Self::Error(error) => error.exit_status(),
        }
    }

    /// Tells what happened on standard error, with `next` where it is given, and gives the exit status.
    #[must_use]
    pub fn end(&self, next: Option<&str>) -> ExitStatus {
        let told = self.told();
        let (what, advised) = (told.what(), told.next());
        match (next, advised.is_empty()) {
            (Some(next), true) => tracing::error!("{what}; {next}"),
            (Some(next), false) => tracing::error!("{what}; {advised}; {next}"),
            (None, true) => tracing::error!("{what}"),
            (None, false) => tracing::error!("{what}; {advised}"),
        }
        self.exit_status()
    }
}
