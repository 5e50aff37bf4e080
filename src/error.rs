//! The error of a command: what happened, to what, what to do next, and the exit status.

use crate::cli::UsageError;
use crate::model::ExitStatus;
use std::borrow::Cow;
use std::fmt;

/// The parts are joined only when the error is printed, because a file name may contain any separator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunError {
    exit: ExitStatus,
    what: String,
    place: Option<String>,
    hint: Option<String>,
    is_declined: bool,
}

impl RunError {
    fn new(exit: ExitStatus, what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { exit, what: what.into(), place: None, hint: Some(hint.into()), is_declined: false }
    }

    fn without_hint(exit: ExitStatus, what: impl Into<String>) -> Self {
        Self { exit, what: what.into(), place: None, hint: None, is_declined: false }
    }

    /// The input or another file can't be used.
    pub fn input(what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(ExitStatus::Usage, what, hint)
    }

    /// The input was changed after it was surveyed.
    pub fn input_changed(what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(ExitStatus::Stopped, what, hint)
    }

    /// The token or the permission isn't valid.
    pub fn token(what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(ExitStatus::Denied, what, hint)
    }

    /// No token was found. `unread` is a variable of other programs that is set.
    #[must_use]
    pub fn no_token(unread: Option<&str>) -> Self {
        let but =
            unread.map(|variable| format!(": {variable} is set, which this program doesn't read")).unwrap_or_default();
        Self::token(
            format!("there is no token{but}"),
            "set SLACK_TOKEN, or use --token-file FILE or --token-command CMD; it is a user token (xoxp-…) with the user \
             scope admin.users:write, or admin.users:read to list only",
        )
    }

    /// Slack, or the server at `--api-url`, can't be reached.
    pub fn unreachable(what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(ExitStatus::Unavailable, what, hint)
    }

    pub fn locked(what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(ExitStatus::Locked, what, hint)
    }

    /// The results or another file can't be written.
    pub fn unwritable(what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(ExitStatus::Unwritable, what, hint)
    }

    pub fn internal(fault: impl Into<String>) -> Self {
        let hint = "this is a fault of slack-revoke; run the same command again, and report it if it happens again";
        Self::new(ExitStatus::Internal, fault, hint)
    }

    /// A question was answered with no.
    #[must_use]
    pub fn declined() -> Self {
        let error = Self::without_hint(ExitStatus::Usage, "Canceled. Nothing was sent.");
        Self { is_declined: true, ..error }
    }

    /// SIGINT came before the first row was sent.
    #[must_use]
    pub fn interrupted() -> Self {
        Self::new(ExitStatus::Interrupted, "Interrupted before anything was sent", "run the same command again")
    }

    /// SIGTERM came before the first row was sent.
    #[must_use]
    pub fn terminated() -> Self {
        Self::new(ExitStatus::Terminated, "Terminated before anything was sent", "run the same command again")
    }

    /// Adds the place, such as a file.
    #[must_use]
    pub fn at(self, place: impl fmt::Display) -> Self {
        Self { place: Some(place.to_string()), ..self }
    }

    #[must_use]
    pub fn what(&self) -> Cow<'_, str> {
        match &self.place {
            Some(place) => format!("{place}: {}", self.what).into(),
            None => (&*self.what).into(),
        }
    }

    /// What to do next; `None` if [`Self::what`] includes it or there is nothing to do.
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    #[must_use]
    pub fn exit_status(&self) -> ExitStatus {
        self.exit
    }

    /// Whether the user answered a question with no.
    #[must_use]
    pub fn is_declined(&self) -> bool {
        self.is_declined
    }
}

impl From<UsageError> for RunError {
    fn from(error: UsageError) -> Self {
        Self::without_hint(ExitStatus::Usage, error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_has_its_exit_code_and_a_hint() {
        let (what, hint) = ("cannot open sessions.csv: no such file", "check the path");
        for (error, code) in [
            (RunError::input(what, hint), 2),
            (RunError::declined(), 2),
            (RunError::input_changed(what, hint), 3),
            (RunError::token(what, hint), 4),
            (RunError::no_token(None), 4),
            (RunError::unreachable(what, hint), 5),
            (RunError::locked(what, hint), 6),
            (RunError::unwritable(what, hint), 7),
            (RunError::internal("lost a row"), 70),
            (RunError::interrupted(), 130),
            (RunError::terminated(), 143),
        ] {
            assert_eq!(error.exit_status().code(), code, "{error:?}");
            assert!(!error.what().is_empty(), "{error:?}");
            assert_eq!(error.hint().is_none_or(str::is_empty), error.is_declined(), "{error:?}");
        }
        assert_eq!(RunError::from(UsageError::TwoTokens).exit_status(), ExitStatus::Usage);
        let error = RunError::input("no such file", "check the path; or another one").at("a; b.csv");
        assert_eq!((&*error.what(), error.hint()), ("a; b.csv: no such file", Some("check the path; or another one")));
    }
}
