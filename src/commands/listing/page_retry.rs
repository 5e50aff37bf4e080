//! The attempts at one page after another.

use super::{Incomplete, ListError};
use crate::cli::CallArgs;
use crate::engine::ports::{LimitNews, LimitReport, Permit};
use crate::engine::rate_gate::{NotUntil, Pace, RateGate};
use crate::engine::retry::{self, Class};
use crate::engine::run_limit::RunLimit;
use crate::model::{Answer, ErrorCode, Fault, Reply, StopReason};
use crate::slack::CallError;
use std::time::Duration;

/// Remaining calls that the gate is given, because the number of pages is unknown.
const PAGES_AHEAD: u64 = 1000;

/// The next step after a failed attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Decision {
    /// Retry as soon as the gate allows.
    Again,
    /// Retry with a new token; stop with this error if there isn't one.
    RefreshToken(ListError),
    Stop(ListError),
}

/// Pacing and retries of a paged listing, one call at a time. Pure: `now` goes in, the next step comes out.
#[derive(Debug)]
pub(super) struct PageRetry {
    pub method: &'static str,
    gate: RateGate,
    total: RunLimit,
    /// Maximum number of retries per page after transient errors.
    retries: u32,
    /// A longer `Retry-After` stops the listing.
    max_retry_after: Duration,
    /// Seed of the backoff's jitter.
    seed: u64,
    /// Transient errors of the current page so far.
    failed: u32,
    not_before: Duration,
    refreshed: bool,
    /// Whether the warning that the limit can't be shared was logged.
    is_alone: bool,
}

impl PageRetry {
    pub fn new(method: &'static str, pace: Pace, is_shared: bool, now: Duration, calls: &CallArgs, seed: u64) -> Self {
        Self {
            method,
            gate: if is_shared { RateGate::shared(pace) } else { RateGate::new(pace) },
            total: RunLimit::new(pace, now),
            retries: calls.retries,
            max_retry_after: calls.max_retry_after,
            seed,
            failed: 0,
            not_before: Duration::ZERO,
            refreshed: false,
            is_alone: false,
        }
    }

    /// A permit for one call, or when to ask again.
    pub fn ask(&mut self, now: Duration) -> Result<Permit, NotUntil> {
        if now < self.not_before {
            return Err(NotUntil::Until(self.not_before));
        }
        self.total.try_acquire(now, || self.gate.try_acquire(now, PAGES_AHEAD, 0))
    }

    /// When to ask again. Earlier than the refusal says if a report to the other commands is due.
    pub fn wakes_at(&self, closed: NotUntil, now: Duration) -> Duration {
        match closed {
            NotUntil::Until(at) => self.gate.report_due(now).map_or(at, |due| due.min(at)),
            // Calls are sent one at a time, so no answer is pending: poll instead.
            NotUntil::UntilAnAnswer | NotUntil::UntilRecorded => now + Duration::from_secs(1),
        }
    }

    /// The report that other commands need before the next call, if any.
    pub fn report(&mut self, asked: &Result<Permit, NotUntil>, now: Duration) -> Option<LimitReport> {
        match asked {
            Ok(_) => None,
            Err(closed) => self.gate.report(now, *closed == NotUntil::UntilRecorded, PAGES_AHEAD),
        }
    }

    /// The report that this command has finished and needs no more calls.
    pub fn last_report(&mut self, now: Duration) -> Option<LimitReport> {
        self.gate.report(now, true, 0).map(|report| LimitReport { wants_call: false, ..report })
    }

    /// Applies what other commands reported. On an error, warns once and paces without them.
    ///
    /// # Errors
    /// If they were given a pause longer than `max_retry_after`.
    pub fn on_news(&mut self, news: Result<LimitNews, Box<str>>, now: Duration) -> Result<(), StopReason> {
        match news {
            Ok(news) => match self.gate.on_news(&news, now) {
                Some(pause) if pause > self.max_retry_after => Err(StopReason::RetryAfter { pause }),
                Some(_) | None => Ok(()),
            },
            Err(why) => {
                self.gate.on_no_news(now);
                if !std::mem::replace(&mut self.is_alone, true) {
                    tracing::warn!("the rate limit isn't shared with other runs: {why}; this command paces on its own");
                }
                Ok(())
            }
        }
    }

    pub fn on_page(&mut self, sent_at: Duration, now: Duration) {
        self.gate.accepted(sent_at, now);
        (self.failed, self.refreshed) = (0, false);
    }

    pub fn on_error(&mut self, error: CallError, sent_at: Duration, now: Duration) -> Decision {
        let reply = error.into_reply();
        match retry::classify(&reply) {
            Class::RateLimited { pause, .. } => {
                // Compare Slack's own pause: the margin that the gate adds must not stop the listing.
                self.gate.refused(sent_at, now, pause);
                if pause > self.max_retry_after { too_long(pause) } else { Decision::Again }
            }
            Class::Transient { .. } => self.on_transient(reply, sent_at, now),
            Class::TokenExpired if !self.refreshed => {
                self.refreshed = true;
                Decision::RefreshToken(refused(reply))
            }
            Class::TokenExpired
            | Class::Run
            | Class::Workspace
            | Class::Row
            | Class::SuspectRow
            | Class::NotFound
            | Class::AlreadyGone
            | Class::Revoked => Decision::Stop(refused(reply)),
        }
    }

    fn on_transient(&mut self, reply: Reply, sent_at: Duration, now: Duration) -> Decision {
        // A broken connection says nothing about the limit; a senseless answer shows that the call was let through.
        let is_answer =
            !matches!(reply.answer, Answer::Fault(Fault::NotConnected | Fault::Connection | Fault::Timeout));
        match reply.wait {
            Some(wait) if wait > self.max_retry_after => return too_long(wait),
            Some(wait) => self.gate.hold(now, wait),
            None if is_answer => self.gate.accepted(sent_at, now),
            None => {}
        }
        if self.failed >= self.retries {
            return Decision::Stop(ListError::Stop(unavailable(reply)));
        }
        self.failed += 1;
        self.not_before = now + retry::backoff(self.failed, self.seed ^ u64::from(self.failed));
        Decision::Again
    }
}

fn too_long(pause: Duration) -> Decision {
    Decision::Stop(ListError::Stop(StopReason::RetryAfter { pause }))
}

fn unavailable(reply: Reply) -> StopReason {
    let error = retry::error_name(&reply).unwrap_or_default();
    let detail = if matches!(reply.answer, Answer::Fault(_)) { reply.detail } else { "".into() };
    StopReason::Unavailable { error, detail }
}

fn refused(reply: Reply) -> ListError {
    match reply.answer {
        Answer::Refused(ErrorCode::InvalidCursor) => ListError::Incomplete(Incomplete::CursorUnknown),
        Answer::Refused(ErrorCode::NoActiveSessions) => ListError::Incomplete(Incomplete::EndedEarly),
        Answer::Refused(code) => ListError::Stop(StopReason::Refused { code, detail: reply.detail }),
        Answer::Ok | Answer::RateLimited { .. } | Answer::Fault(_) => {
            ListError::Stop(StopReason::Unavailable { error: "bad_response".into(), detail: "".into() })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Priority, QuotaChoice, UNSTATED_PAUSE};

    const NOW: Duration = Duration::from_secs(100);

    fn retrying(pace: Pace) -> PageRetry {
        let calls = CallArgs {
            retries: 2,
            timeout: Duration::from_secs(30),
            max_retry_after: Duration::from_mins(15),
            quota: QuotaChoice::None,
            priority: Priority::Normal,
        };
        PageRetry::new("list", pace, false, NOW, &calls, 7)
    }

    fn refusal(code: &str) -> CallError {
        CallError::Refused { code: ErrorCode::from(code), detail: "".into(), wait: None }
    }

    fn limit(seconds: Option<u64>) -> CallError {
        CallError::RateLimited { retry_after: seconds.map(Duration::from_secs) }
    }

    #[test]
    fn no_call_is_permitted_during_a_pause_or_above_the_pace() {
        let mut retry = retrying(Pace::Every(Duration::from_secs(3)));
        assert!(retry.ask(NOW).is_ok());
        assert_eq!(retry.ask(NOW).unwrap_err(), NotUntil::Until(NOW + Duration::from_secs(3)));
        assert_eq!(retry.on_error(limit(Some(30)), NOW, NOW), Decision::Again);
        assert_eq!(
            retry.ask(NOW + Duration::from_secs(29)).unwrap_err(),
            NotUntil::Until(NOW + Duration::from_secs(30))
        );
        let open = NOW + Duration::from_secs(30);
        assert!(retry.ask(open).is_ok());
        retry.on_page(open, open);
        let later = NOW + Duration::from_secs(40);
        assert_eq!(retry.on_error(limit(None), later, later), Decision::Again);
        assert_eq!(retry.ask(later).unwrap_err(), NotUntil::Until(later + UNSTATED_PAUSE));
    }

    #[test]
    fn a_pause_longer_than_max_retry_after_stops() {
        let stop = retrying(Pace::Unlimited).on_error(limit(Some(901)), NOW, NOW);
        let pause = Duration::from_secs(901);
        assert_eq!(stop, Decision::Stop(ListError::Stop(StopReason::RetryAfter { pause })));
    }

    #[test]
    fn a_503_may_ask_for_a_pause_too() {
        let asks = |seconds| {
            let wait = Some(Duration::from_secs(seconds));
            CallError::Fault { fault: Fault::Http(503), detail: "".into(), wait }
        };
        let mut retry = retrying(Pace::Unlimited);
        assert_eq!(retry.on_error(asks(30), NOW, NOW), Decision::Again);
        assert_eq!(
            retry.ask(NOW + Duration::from_secs(29)).unwrap_err(),
            NotUntil::Until(NOW + Duration::from_secs(30))
        );
        assert!(retry.ask(NOW + Duration::from_secs(30)).is_ok());
        assert_eq!(retry.on_error(asks(901), NOW, NOW), too_long(Duration::from_secs(901)));
    }

    #[test]
    fn a_pause_that_the_gate_lengthened_does_not_stop() {
        let mut retry = retrying(Pace::Unlimited);
        retry.max_retry_after = Duration::from_secs(30);
        let mut at = NOW;
        for _ in 0..10 {
            assert_eq!(retry.on_error(limit(Some(1)), at, at), Decision::Again);
            let Err(NotUntil::Until(open)) = retry.ask(at) else { panic!("a pause") };
            at = open;
            assert!(retry.ask(at).is_ok());
        }
        assert!(at > NOW + Duration::from_mins(3), "{at:?}");
    }

    #[test]
    fn transient_errors_are_retried_and_a_page_resets_the_count() {
        let mut retry = retrying(Pace::Unlimited);
        let fault = || CallError::Fault { fault: Fault::Http(503), detail: "".into(), wait: None };
        assert_eq!(retry.on_error(fault(), NOW, NOW), Decision::Again);
        assert_eq!(retry.on_error(refusal("internal_error"), NOW, NOW), Decision::Again);
        retry.on_page(NOW, NOW);
        assert_eq!(retry.on_error(fault(), NOW, NOW), Decision::Again);
        assert_eq!(retry.on_error(fault(), NOW, NOW), Decision::Again);
        let unavailable = StopReason::Unavailable { error: "http_503".into(), detail: "".into() };
        assert_eq!(retry.on_error(fault(), NOW, NOW), Decision::Stop(ListError::Stop(unavailable)));
    }

    #[test]
    fn refusals_stop_and_an_expired_token_is_refreshed_once_per_page() {
        for (code, exit) in [
            ("missing_scope", 4),
            ("invalid_auth", 4),
            ("user_not_found", 4),
            ("invalid_cursor", 1),
            ("no_active_sessions", 1),
        ] {
            match retrying(Pace::Unlimited).on_error(refusal(code), NOW, NOW) {
                Decision::Stop(error) => assert_eq!(error.exit_status().code(), exit, "{code}"),
                other => panic!("{code}: {other:?}"),
            }
        }
        let mut retry = retrying(Pace::Unlimited);
        assert!(matches!(retry.on_error(refusal("token_expired"), NOW, NOW), Decision::RefreshToken(_)));
        assert!(matches!(retry.on_error(refusal("token_expired"), NOW, NOW), Decision::Stop(_)));
        retry.on_page(NOW, NOW);
        assert!(matches!(retry.on_error(refusal("token_expired"), NOW, NOW), Decision::RefreshToken(_)));
    }
}
