//! What stops a run before or outside its engine. Each error says what happened, to what, and what to do next.

use crate::exit::ExitStatus;
use crate::settings::UsageError;
use std::borrow::Cow;
use std::fmt;

/// A problem: what happened, where, and what to do next. They are put together where they are printed, and nowhere else: a file's
/// name can hold whatever would separate them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    what: String,
    place: Option<String>,
    hint: String,
}

impl Trouble {
    /// What happened, and what to do next.
    #[must_use]
    pub fn new(what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { what: what.into(), place: None, hint: hint.into() }
    }

    /// Adds where it happened: a file, as it was named.
    #[must_use]
    pub fn at(self, place: impl fmt::Display) -> Self {
        Self { place: Some(place.to_string()), ..self }
    }

    /// What happened, and where.
    #[must_use]
    pub fn what(&self) -> Cow<'_, str> {
        match &self.place {
            Some(place) => format!("{place}: {}", self.what).into(),
            None => (&*self.what).into(),
        }
    }

    /// What to do next.
    #[must_use]
    pub fn hint(&self) -> &str {
        &self.hint
    }
}

/// Why there is no run, or no end of it that could be recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunError {
    /// The command line cannot be meant.
    Usage(UsageError),
    /// The input, or a file beside it, cannot be used.
    Input(Trouble),
    /// The input was changed after it was surveyed.
    InputChanged(Trouble),
    /// The token or the permission isn't valid.
    Token(Trouble),
    /// Slack, or whoever is at `--api-url`, cannot be reached.
    Unreachable(Trouble),
    /// Another run holds the output.
    Locked(Trouble),
    /// The results, or a file beside them, cannot be written.
    Unwritable(Trouble),
    /// Somebody was asked, and said no.
    Declined,
    /// A signal came before the first row was sent.
    Interrupted,
    /// SIGTERM came before the first row was sent.
    Terminated,
    /// A fault of the program.
    Internal(String),
}

impl From<UsageError> for RunError {
    fn from(error: UsageError) -> Self {
        Self::Usage(error)
    }
}

impl RunError {
    /// There is no token anywhere that one is looked for; `unread` is a variable of other programs that is set.
    #[must_use]
    pub fn no_token(unread: Option<&str>) -> Self {
        let but =
            unread.map(|variable| format!(": {variable} is set, which this program doesn't read")).unwrap_or_default();
        Self::Token(Trouble::new(
            format!("there is no token{but}"),
            "set SLACK_TOKEN, or use --token-file FILE or --token-command CMD; it is a user token (xoxp-…) with the user \
             scope admin.users:write, or admin.users:read to list only",
        ))
    }

    /// What happened, and to what.
    #[must_use]
    pub fn what(&self) -> Cow<'_, str> {
        match self {
            Self::Usage(error) => error.to_string().into(),
            Self::Input(trouble)
            | Self::InputChanged(trouble)
            | Self::Token(trouble)
            | Self::Unreachable(trouble)
            | Self::Locked(trouble)
            | Self::Unwritable(trouble) => trouble.what(),
            Self::Declined => "Cancelled. Nothing was sent.".into(),
            Self::Interrupted => "interrupted before anything was sent".into(),
            Self::Terminated => "terminated before anything was sent".into(),
            Self::Internal(fault) => fault.into(),
        }
    }

    /// What to do next; `None` if `what` says it, or nothing is to do.
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        match self {
            Self::Usage(_) | Self::Declined => None,
            Self::Input(trouble)
            | Self::InputChanged(trouble)
            | Self::Token(trouble)
            | Self::Unreachable(trouble)
            | Self::Locked(trouble)
            | Self::Unwritable(trouble) => Some(trouble.hint()),
            Self::Interrupted | Self::Terminated => Some("run the same command again"),
            Self::Internal(_) => {
                Some("this is a fault of slack-revoke; run the same command again, and report it if it happens again")
            }
        }
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
            (RunError::no_token(None), 4),
            (RunError::Unreachable(trouble()), 5),
            (RunError::Locked(trouble()), 6),
            (RunError::Unwritable(trouble()), 7),
            (RunError::Internal("lost a row".into()), 70),
            (RunError::Interrupted, 130),
            (RunError::Terminated, 143),
        ] {
            assert_eq!(error.exit_status().code(), code, "{error:?}");
            assert!(!error.what().is_empty(), "{error:?}");
            assert_eq!(error.hint().is_none_or(str::is_empty), error == RunError::Declined, "{error:?}");
        }
        assert_eq!(RunError::from(UsageError::TwoTokens).exit_status(), ExitStatus::Usage);
        let error = RunError::Input(Trouble::new("no such file", "check the path; or another one").at("a; b.csv"));
        assert_eq!((&*error.what(), error.hint()), ("a; b.csv: no such file", Some("check the path; or another one")));
    }
}
