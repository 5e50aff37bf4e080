//! What an answer means for its row and for the run (slack.md, "What each answer means"), and the backoff between attempts.

use crate::model::{Answer, CodeClass, ErrorCode, Reply, Status, UNSTATED_PAUSE};
use std::time::Duration;

/// Before jitter.
const FIRST_BACKOFF: Duration = Duration::from_secs(1);

/// Before jitter.
const LONGEST_BACKOFF: Duration = Duration::from_mins(1);

/// One line of slack.md's table each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// This call ended the session.
    Revoked,
    /// Slack says that the session had ended before.
    AlreadyGone,
    /// Slack doesn't know the session. What that means depends on the calls before.
    NotFound,
    /// The bucket is paused.
    RateLimited {
        pause: Duration,
        /// Whether Slack named the length of the pause.
        stated: bool,
    },
    /// Worth another attempt.
    Transient {
        /// Whether the call may have ended the session.
        ambiguous: bool,
    },
    /// This row fails, which says nothing about other rows.
    Row,
    /// This row fails. Five such failures in a row, with no success so far, are the run's problem (the breaker).
    SuspectRow,
    /// Every row of this workspace would fail.
    Workspace,
    /// A fresh token continues the run; without one, the same as [`Class::Run`].
    TokenExpired,
    /// Every later row would fail.
    Run,
}

impl Class {
    /// Whether Slack accepted the token and decided about the request itself.
    #[must_use]
    pub fn is_decision(self) -> bool {
        match self {
            Self::Revoked | Self::AlreadyGone | Self::NotFound | Self::Row | Self::SuspectRow | Self::Workspace => true,
            Self::RateLimited { .. } | Self::Transient { .. } | Self::TokenExpired | Self::Run => false,
        }
    }
}

#[must_use]
pub fn classify(reply: &Reply) -> Class {
    match &reply.answer {
        Answer::Ok => Class::Revoked,
        Answer::RateLimited { retry_after } => {
            Class::RateLimited { pause: retry_after.unwrap_or(UNSTATED_PAUSE), stated: retry_after.is_some() }
        }
        Answer::Fault(fault) => Class::Transient { ambiguous: fault.is_ambiguous() },
        Answer::Refused(code) => classify_code(code),
    }
}

fn classify_code(code: &ErrorCode) -> Class {
    match code.class() {
        CodeClass::AlreadyGone => Class::AlreadyGone,
        CodeClass::NotFound => Class::NotFound,
        CodeClass::RateLimited => Class::RateLimited { pause: UNSTATED_PAUSE, stated: false },
        CodeClass::Transient => Class::Transient { ambiguous: true },
        CodeClass::Row => Class::Row,
        // A code of the listing methods is as unexpected here as an unknown one.
        CodeClass::SuspectRow | CodeClass::Listing => Class::SuspectRow,
        CodeClass::Workspace => Class::Workspace,
        CodeClass::TokenExpired => Class::TokenExpired,
        CodeClass::Run => Class::Run,
    }
}

/// The `error` column for an answer; `None` for success.
#[must_use]
pub fn error_name(reply: &Reply) -> Option<Box<str>> {
    match &reply.answer {
        Answer::Ok => None,
        Answer::RateLimited { .. } => Some(ErrorCode::Ratelimited.as_str().into()),
        Answer::Refused(code) => Some(code.as_str().into()),
        Answer::Fault(fault) => Some(fault.name().into()),
    }
}

/// The status of a row that ends with this refusal. If an attempt may have taken effect, it is `failed` only if the refusal
/// shows that the session is alive.
#[must_use]
pub fn refused_status(answer: &Answer, may_be_gone: bool) -> Status {
    let it_lives = matches!(answer, Answer::Refused(code) if code.rules_out_any_effect());
    if may_be_gone && !it_lives { Status::Unknown } else { Status::Failed }
}

/// The status of a row whose session Slack doesn't know: an earlier attempt may have ended it.
#[must_use]
pub fn not_found_status(may_be_gone: bool) -> Status {
    if may_be_gone { Status::AlreadyRevoked } else { Status::NotFound }
}

/// Exponential backoff with full jitter: between zero and a delay that is 1 s for the first attempt, doubles with each
/// attempt, and is at most 60 s. `attempt` counts from 1. The same seed gives the same delay.
#[must_use]
pub fn backoff(attempt: u32, seed: u64) -> Duration {
    let doubled = FIRST_BACKOFF.saturating_mul(1 << attempt.saturating_sub(1).min(16));
    let ceiling = doubled.min(LONGEST_BACKOFF);
    ceiling.mul_f64(fastrand::Rng::with_seed(seed).f64())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Fault;

    fn class_of(code: &str) -> Class {
        classify(&Reply::bare(Answer::Refused(ErrorCode::from(code))))
    }

    #[test]
    fn codes_get_the_class_of_the_code_table() {
        for (code, class) in [
            ("session_expired", Class::AlreadyGone),
            ("session_not_found", Class::NotFound),
            ("rate_limited", Class::RateLimited { pause: UNSTATED_PAUSE, stated: false }),
            ("fatal_error", Class::Transient { ambiguous: true }),
            ("user_not_found", Class::Row),
            ("access_denied", Class::SuspectRow),
            ("never_seen_before", Class::SuspectRow),
            ("team_not_found", Class::SuspectRow),
            ("no_permission", Class::Workspace),
            ("token_expired", Class::TokenExpired),
            ("restricted_action", Class::Run),
        ] {
            assert_eq!(class_of(code), class, "{code}");
        }
    }

    #[test]
    fn all_faults_but_a_connection_never_made_are_ambiguous() {
        for (kind, ambiguous) in [
            (Fault::NotConnected, false),
            (Fault::Connection, true),
            (Fault::Timeout, true),
            (Fault::Http(503), true),
            (Fault::BadResponse, true),
        ] {
            assert_eq!(classify(&Reply::bare(Answer::Fault(kind))), Class::Transient { ambiguous });
        }
    }

    #[test]
    fn a_pause_is_as_long_as_stated_or_thirty_seconds() {
        let limited = |retry_after| classify(&Reply::bare(Answer::RateLimited { retry_after }));
        let three = Duration::from_secs(3);
        assert_eq!(limited(Some(three)), Class::RateLimited { pause: three, stated: true });
        assert_eq!(limited(None), Class::RateLimited { pause: Duration::from_secs(30), stated: false });
    }

    #[test]
    fn backoff_doubles_its_ceiling_up_to_a_minute() {
        for (attempt, ceiling) in [(1, 1), (2, 2), (3, 4), (4, 8), (5, 16), (6, 32), (7, 60), (40, 60)] {
            let delays: Vec<_> = (0..500).map(|seed| backoff(attempt, seed)).collect();
            let ceiling = Duration::from_secs(ceiling);
            assert!(delays.iter().all(|delay| *delay <= ceiling));
            assert!(delays.iter().any(|delay| *delay > ceiling.mul_f64(0.9)), "attempt {attempt} uses its range");
            assert!(delays.iter().any(|delay| *delay < ceiling.mul_f64(0.1)), "attempt {attempt} uses its range");
        }
        assert_eq!(backoff(3, 7), backoff(3, 7));
    }
}
