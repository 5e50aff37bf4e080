//! Why a call other than a revocation brought no answer.

use crate::domain::{Answer, ErrorCode, Fault, Reply};
use std::time::Duration;

/// What stood in the way of `auth.test` or `admin.users.session.list`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// HTTP 429, or its code in a body.
    #[error("Slack asks for a pause{}", pause_words(*retry_after))]
    RateLimited {
        /// How long, where Slack said so; 30 s otherwise (slack.md, "Rate limits").
        retry_after: Option<Duration>,
    },
    /// Slack refused, clearly.
    #[error("Slack answered {code}{}", detail_words(detail))]
    Refused {
        /// The code.
        code: ErrorCode,
        /// Slack's own words; may be empty.
        detail: Box<str>,
    },
    /// No answer that means anything.
    #[error("{}{}", fault_words(*fault), detail_words(detail))]
    Fault {
        /// What kind of trouble.
        fault: Fault,
        /// The transport's words; may be empty.
        detail: Box<str>,
    },
}

impl CallError {
    /// The error that a reply stands for; none where it is a success.
    pub(super) fn of(reply: Reply) -> Option<Self> {
        match reply.answer {
            Answer::Ok => None,
            Answer::RateLimited { retry_after } => Some(Self::RateLimited { retry_after }),
            Answer::Refused(code) => Some(Self::Refused { code, detail: reply.detail }),
            Answer::Fault(fault) => Some(Self::Fault { fault, detail: reply.detail }),
        }
    }

    /// A 200 with `ok: true` that lacks what the method promises.
    pub(super) fn bad_response(detail: &str) -> Self {
        Self::Fault { fault: Fault::BadResponse, detail: detail.into() }
    }
}

fn pause_words(pause: Option<Duration>) -> String {
    pause.map_or_else(String::new, |pause| format!(" of {} s", pause.as_secs()))
}

fn detail_words(detail: &str) -> String {
    if detail.is_empty() { String::new() } else { format!(": {detail}") }
}

fn fault_words(fault: Fault) -> String {
    match fault {
        Fault::NotConnected => "Slack cannot be reached".into(),
        Fault::Connection => "the connection broke".into(),
        Fault::Timeout => "no answer within the time allowed (--timeout)".into(),
        Fault::Http(status) => format!("HTTP {status} in place of an answer of Slack's"),
        Fault::BadResponse => "the answer is not one of Slack's".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_says_what_happened() {
        let refused =
            |code: &str, detail: &str| CallError::Refused { code: ErrorCode::from(code), detail: detail.into() };
        let fault = |fault, detail: &str| CallError::Fault { fault, detail: detail.into() };
        for (error, words) in [
            (CallError::RateLimited { retry_after: None }, "Slack asks for a pause"),
            (CallError::RateLimited { retry_after: Some(Duration::from_secs(30)) }, "Slack asks for a pause of 30 s"),
            (refused("invalid_auth", ""), "Slack answered invalid_auth"),
            (refused("missing_scope", "needed: x"), "Slack answered missing_scope: needed: x"),
            (fault(Fault::NotConnected, "refused"), "Slack cannot be reached: refused"),
            (fault(Fault::Timeout, ""), "no answer within the time allowed (--timeout)"),
        ] {
            assert_eq!(error.to_string(), words);
        }
    }
}
