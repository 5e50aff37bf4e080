//! What stops a run before or outside its engine. Each error says what happened, to what, and what to do next.

use crate::exit::ExitStatus;
use crate::settings::UsageError;
use std::fmt;

/// A problem and its way out; a `RunError` cannot be made without either.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    what: String,
    next: String,
}

impl Trouble {
    /// What happened and to what, in one line; and what to do next, in another.
    #[must_use]
    pub fn new(what: impl Into<String>, next: impl Into<String>) -> Self {
        Self { what: what.into(), next: next.into() }
    }

    /// What happened, and to what.
    #[must_use]
    pub fn what(&self) -> &str {
        &self.what
    }

    /// What to do next.
    #[must_use]
    pub fn next(&self) -> &str {
        &self.next
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n  {}", self.what, self.next)
    }
}

impl std::error::Error for Trouble {}

/// Why there is no run, or no end of it that could be recorded. Shown as `error: {this}`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RunError {
    /// The command line cannot be meant.
    #[error(transparent)]
    Usage(#[from] UsageError),
    /// The input, or a file beside it, cannot be used.
    #[error(transparent)]
    Input(Trouble),
    /// The input was changed after it was surveyed.
    #[error(transparent)]
    InputChanged(Trouble),
    /// The token or the permission will not do.
    #[error(transparent)]
    Token(Trouble),
    /// Slack, or whoever is at `--api-url`, cannot be reached.
    #[error(transparent)]
    Unreachable(Trouble),
    /// Another run holds the output.
    #[error(transparent)]
    Locked(Trouble),
    /// The results, or a file beside them, cannot be written.
    #[error(transparent)]
    Unwritable(Trouble),
    /// Somebody was asked, and said no.
    #[error("Cancelled. Nothing was sent.")]
    Declined,
    /// A signal came before the first row was sent.
    #[error("interrupted before anything was sent\n  run the same command again")]
    Interrupted,
    /// SIGTERM came before the first row was sent.
    #[error("terminated before anything was sent\n  run the same command again")]
    Terminated,
    /// A fault of the program.
    #[error("{0}\n  this is a fault of slack-revoke; run the same command again, and report it where it stays")]
    Internal(String),
}

impl RunError {
    /// There is no token anywhere that one is looked for.
    #[must_use]
    pub fn no_token() -> Self {
        Self::Token(Trouble::new(
            "there is no token",
            "set SLACK_TOKEN, or use --token-file FILE or --token-command CMD; it is a user token (xoxp-…) with the user \
             scope admin.users:write",
        ))
    }

    /// How the program exits.
    #[must_use]
    pub fn exit_status(&self) -> ExitStatus {
        match self {
            Self::Usage(_) | Self::Input(_) | Self::Declined => ExitStatus::Usage,
            Self::InputChanged(_) => ExitStatus::Stopped,
            Self::Token(_) => ExitStatus::Denied,
            Self::Unreachable(_) => ExitStatus::Unavailable,
            Self::Locked(_) => ExitStatus::Locked,
            Self::Unwritable(_) => ExitStatus::Unwritable,
            Self::Interrupted => ExitStatus::Interrupted,
            Self::Terminated => ExitStatus::Terminated,
            Self::Internal(_) => ExitStatus::Internal,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_has_its_code_and_says_what_to_do_next() {
        let trouble = || Trouble::new("cannot open sessions.csv: no such file", "check the path");
        for (error, code) in [
            (RunError::Input(trouble()), 2),
            (RunError::Declined, 2),
            (RunError::InputChanged(trouble()), 3),
            (RunError::Token(trouble()), 4),
            (RunError::no_token(), 4),
            (RunError::Unreachable(trouble()), 5),
            (RunError::Locked(trouble()), 6),
            (RunError::Unwritable(trouble()), 7),
            (RunError::Internal("lost a row".into()), 70),
            (RunError::Interrupted, 130),
            (RunError::Terminated, 143),
        ] {
            assert_eq!(error.exit_status().code(), code, "{error:?}");
            let lines = if error == RunError::Declined { 1 } else { 2 };
            assert_eq!(error.to_string().lines().count(), lines, "{error:?}");
        }
        assert_eq!(RunError::from(UsageError::TwoTokens).exit_status(), ExitStatus::Usage);
        assert_eq!(RunError::Input(trouble()).to_string(), "cannot open sessions.csv: no such file\n  check the path");
    }
}
