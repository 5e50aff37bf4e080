//! Why a run stopped early.

use super::{ErrorCode, ExitStatus, Status, clean, counted, error_hint, format_duration, whole_minutes};
use std::borrow::Cow;
use std::time::Duration;

/// The engine keeps the first reason; only an abort replaces it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StopReason {
    /// SIGINT, or Ctrl-C.
    Interrupted,
    /// SIGTERM or SIGHUP.
    Terminated,
    /// `--max-failures` was reached.
    MaxFailures {
        failed: u64,
        /// Rows that were sent and have ended.
        of: u64,
    },
    /// `--deadline` passed.
    Deadline,
    /// Slack asked for a longer pause than `--max-retry-after`.
    RetryAfter { pause: Duration },
    /// The same suspect code five times in a row, with no success so far.
    Breaker { code: ErrorCode },
    /// A refusal that every other row would get too.
    Refused {
        code: ErrorCode,
        /// Slack's message.
        detail: Box<str>,
    },
    /// A code of the workspace class from the only workspace, or from a second one.
    Workspaces { code: ErrorCode },
    /// Slack couldn't be reached, or gave no clear answer for longer than `--max-retry-after`.
    Unavailable {
        error: Box<str>,
        /// The transport's message; may be empty.
        detail: Box<str>,
    },
    /// The results couldn't be written.
    Unwritable(Box<str>),
    /// The input couldn't be read completely.
    Unreadable(Box<str>),
    /// The input changed after the survey.
    InputChanged(Box<str>),
}

/// The properties of a [`StopReason`]. All texts are cleaned.
#[derive(Debug)]
pub struct StopEntry {
    /// For programs.
    pub word: &'static str,
    pub exit: ExitStatus,
    /// As a clause.
    pub why: Cow<'static, str>,
    /// What to do before the run is resumed.
    pub hint: Cow<'static, str>,
    /// Whether it counts even if every row has ended.
    pub outlasts_the_last_row: bool,
}

impl StopReason {
    #[must_use]
    pub fn entry(&self) -> StopEntry {
        match self {
            Self::Interrupted => row("interrupted", ExitStatus::Interrupted, "interrupted", FINISHED),
            Self::Terminated => row("terminated", ExitStatus::Terminated, "terminated", FINISHED),
            Self::MaxFailures { failed, of } => {
                let failed = counted(*failed, "row", "rows");
                let why = format!("{failed} of {of} failed, which is what --max-failures allows");
                let hint = "look at the error column of the results; then continue, with a higher --max-failures if that is how it is";
                row("max_failures", ExitStatus::Stopped, why, hint)
            }
            Self::Deadline => {
                row("deadline", ExitStatus::Stopped, "--deadline has passed", "continue when you have time")
            }
            Self::RetryAfter { pause } => {
                let why =
                    format!("Slack asks for a pause of {}, longer than --max-retry-after", format_duration(*pause));
                let hint = format!("wait {} before you continue", format_duration(whole_minutes(*pause)));
                row("retry_after", ExitStatus::Stopped, why, hint)
            }
            Self::Breaker { code } => {
                let why = format!("every row so far is refused with {}", clean(code.as_str()));
                row("breaker", ExitStatus::Stopped, why, code.hint())
            }
            Self::Refused { code, detail } => {
                let why = format!("Slack refuses: {}", with_detail(code.as_str(), detail));
                row("refused", ExitStatus::Denied, why, code.hint())
            }
            Self::Workspaces { code } => {
                let why = format!("the workspaces refuse: {}", clean(code.as_str()));
                row("workspaces", ExitStatus::Denied, why, code.hint())
            }
            Self::Unavailable { error, detail } => {
                let why = format!("Slack can't be reached: {}", with_detail(error, detail));
                let hint = format!("{}; continue when Slack answers again", error_hint(Status::Unknown, error));
                row("unavailable", ExitStatus::Unavailable, why, hint)
            }
            Self::Unwritable(error) => {
                let why = format!("the results can't be written: {}", clean(error));
                let hint = "nothing is sent unless it can be recorded; free disk space or fix permissions where the results are, then continue";
                lasting("unwritable", ExitStatus::Unwritable, why, hint)
            }
            Self::Unreadable(error) => {
                let why = format!("the input can't be read any further: {}", clean(error));
                let hint = "fix the input at that place without changing the rows before it, then continue";
                lasting("unreadable", ExitStatus::Stopped, why, hint)
            }
            Self::InputChanged(input) => {
                let why = format!("{} was changed during the run", clean(input));
                let hint = "every row that was sent is in the results, and only rows of the original input were sent; restore the original, then continue";
                lasting("input_changed", ExitStatus::Stopped, why, hint)
            }
        }
    }
}

const FINISHED: &str = "calls in flight were finished; continue when ready";

fn with_detail(code: &str, detail: &str) -> String {
    if detail.is_empty() { clean(code).into_owned() } else { format!("{} ({})", clean(code), clean(detail)) }
}

fn row(
    word: &'static str,
    exit: ExitStatus,
    why: impl Into<Cow<'static, str>>,
    hint: impl Into<Cow<'static, str>>,
) -> StopEntry {
    StopEntry { word, exit, why: why.into(), hint: hint.into(), outlasts_the_last_row: false }
}

fn lasting(word: &'static str, exit: ExitStatus, why: String, hint: &'static str) -> StopEntry {
    StopEntry { outlasts_the_last_row: true, ..row(word, exit, why, hint) }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Every reason, with `text` in the variants that have a text.
    pub(crate) fn every_reason(text: &str) -> Vec<StopReason> {
        let code = || ErrorCode::from(text);
        vec![
            StopReason::Interrupted,
            StopReason::Terminated,
            StopReason::MaxFailures { failed: 10, of: 50 },
            StopReason::Deadline,
            StopReason::RetryAfter { pause: Duration::from_mins(90) },
            StopReason::Breaker { code: code() },
            StopReason::Refused { code: code(), detail: text.into() },
            StopReason::Workspaces { code: code() },
            StopReason::Unavailable { error: text.into(), detail: text.into() },
            StopReason::Unwritable(text.into()),
            StopReason::Unreadable(text.into()),
            StopReason::InputChanged(text.into()),
        ]
    }

    #[test]
    fn every_stop_says_why_and_what_to_do_without_a_control_character() {
        for text in ["invalid_arguments", "http_503", "\u{1b}]0;x\u{7}\u{202e}\u{9b}2J\n"] {
            for entry in every_reason(text).iter().map(StopReason::entry) {
                for said in [&entry.why, &entry.hint] {
                    assert!(!said.is_empty() && !said.ends_with('.') && clean(said) == *said, "{entry:?}");
                }
            }
        }
    }

    #[test]
    fn every_stop_has_a_word_of_its_own_and_an_exit_code() {
        let entries: Vec<_> = every_reason("x").iter().map(StopReason::entry).collect();
        let words: std::collections::BTreeSet<_> = entries.iter().map(|entry| entry.word).collect();
        assert_eq!(words.len(), entries.len());
        let codes: Vec<_> = entries.iter().map(|entry| entry.exit.code()).collect();
        assert_eq!(codes, [130, 143, 3, 3, 3, 3, 4, 4, 5, 7, 3, 3]);
        let lasting = entries.iter().filter(|entry| entry.outlasts_the_last_row).map(|entry| entry.word);
        assert_eq!(lasting.collect::<Vec<_>>(), ["unwritable", "unreadable", "input_changed"]);
    }

    #[test]
    fn an_advice_names_what_it_is_about() {
        for (reason, next) in [
            (StopReason::MaxFailures { failed: 10, of: 50 }, "--max-failures"),
            (StopReason::RetryAfter { pause: Duration::from_mins(90) }, "1h 30m"),
            (StopReason::Breaker { code: ErrorCode::InvalidArguments }, "--identify-by"),
            (StopReason::Refused { code: ErrorCode::MissingScope, detail: "needed: x".into() }, "admin.users:write"),
            (StopReason::Unwritable("disk full".into()), "disk"),
        ] {
            assert!(reason.entry().hint.contains(next), "{reason:?}");
        }
    }
}
