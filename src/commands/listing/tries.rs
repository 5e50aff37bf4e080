//! What an answer other than a page means for the listing. Pure: `now` goes in, the next step comes out.

use super::{Halt, Incomplete};
use crate::engine::gate::{Closed, Gate, Pace};
use crate::engine::ports::Permit;
use crate::engine::retry::{self, Class};
use crate::engine::total::Total;
use crate::model::{Answer, ErrorCode, Fault, Reply, StopReason};
use crate::slack::CallError;
use std::time::Duration;

/// What the pacer is told of the pages that may follow: nobody knows how many there are.
const PAGES_AHEAD: u64 = 1000;

/// When a listing gives up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Attempts after the first on transient answers.
    pub retries: u32,
    /// The longest pause that is waited for.
    pub max_retry_after: Duration,
    /// Of the jitter.
    pub seed: u64,
}

/// What to do about an answer that is no page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Ask again, as soon as the gate lets.
    Again,
    /// Ask again with a fresh token; where there is none, stop with this.
    Renew(Halt),
    /// Stop.
    Stop(Halt),
}

/// The attempts at one page after another, one at a time, through one gate.
#[derive(Debug)]
pub struct Tries {
    gate: Gate,
    total: Total,
    limits: Limits,
    /// Transient answers to the page under way.
    failed: u32,
    not_before: Duration,
    renewed: bool,
}

impl Tries {
    /// Before the first call.
    #[must_use]
    pub fn new(pace: Pace, now: Duration, limits: Limits) -> Self {
        Self {
            gate: Gate::new(pace, now),
            total: Total::new(pace, now),
            limits,
            failed: 0,
            not_before: Duration::ZERO,
            renewed: false,
        }
    }

    /// A permit, or when to come back.
    ///
    /// # Errors
    /// The moment before which no call may leave.
    pub fn ask(&mut self, now: Duration) -> Result<Permit, Duration> {
        if now < self.not_before {
            return Err(self.not_before);
        }
        self.total.ask(now, || self.gate.ask(now, PAGES_AHEAD, 0)).map_err(|closed| match closed {
            Closed::Until(at) => at,
            // Calls go one by one, so none is in flight that an answer could come to.
            Closed::UntilAnAnswer => now + Duration::from_secs(1),
        })
    }

    /// A page came.
    pub fn on_page(&mut self, sent_at: Duration) {
        self.gate.accepted(sent_at);
        (self.failed, self.renewed) = (0, false);
    }

    /// No page came.
    pub fn on_error(&mut self, error: CallError, sent_at: Duration, now: Duration) -> Next {
        let (reply, last) = match error {
            CallError::RateLimited { retry_after } => (Reply::bare(Answer::RateLimited { retry_after }), String::new()),
            CallError::Refused { code, detail, wait } => {
                let last = code.to_string();
                (Reply { detail, wait, ..Reply::bare(Answer::Refused(code)) }, last)
            }
            CallError::Fault { fault, detail, wait } => {
                let last = format!("{} ({detail})", fault.name()).replace(" ()", "");
                (Reply { wait, ..Reply::bare(Answer::Fault(fault)) }, last)
            }
        };
        match retry::classify(&reply) {
            Class::RateLimited { pause, .. } => self.pause(pause, sent_at, now),
            Class::Transient { .. } => {
                // A broken connection says nothing of the limit; an answer that made no sense was let through to be made.
                let is_answer = match reply.answer {
                    Answer::Fault(Fault::NotConnected | Fault::Connection | Fault::Timeout) => false,
                    Answer::Fault(Fault::Http(_) | Fault::BadResponse)
                    | Answer::Ok
                    | Answer::Refused(_)
                    | Answer::RateLimited { .. } => true,
                };
                match reply.wait {
                    Some(wait) if wait > self.limits.max_retry_after => return too_long(wait),
                    Some(wait) => self.gate.hold(now, wait),
                    None if is_answer => self.gate.accepted(sent_at),
                    None => {}
                }
                self.back_off(last.into(), now)
            }
            Class::TokenExpired if !self.renewed => {
                self.renewed = true;
                Next::Renew(refused(reply))
            }
            Class::TokenExpired
            | Class::Run
            | Class::Workspace
            | Class::Row
            | Class::SuspectRow
            | Class::NotFound
            | Class::AlreadyGone
            | Class::Revoked => Next::Stop(refused(reply)),
        }
    }

    fn pause(&mut self, pause: Duration, sent_at: Duration, now: Duration) -> Next {
        // What the gate adds to it is our own caution.
        if pause > self.limits.max_retry_after {
            return too_long(pause);
        }
        self.gate.refused(sent_at, now, pause);
        Next::Again
    }

    fn back_off(&mut self, error: Box<str>, now: Duration) -> Next {
        if self.failed >= self.limits.retries {
            return Next::Stop(Halt::Stop(StopReason::Unavailable { error }));
        }
        self.failed += 1;
        self.not_before = now + retry::backoff(self.failed, self.limits.seed ^ u64::from(self.failed));
        Next::Again
    }
}

fn too_long(pause: Duration) -> Next {
    Next::Stop(Halt::Stop(StopReason::RetryAfter { pause }))
}

fn refused(reply: Reply) -> Halt {
    match reply.answer {
        Answer::Refused(ErrorCode::InvalidCursor) => Halt::Incomplete(Incomplete::CursorUnknown),
        Answer::Refused(ErrorCode::NoActiveSessions) => Halt::Incomplete(Incomplete::EndedEarly),
        Answer::Refused(code) => Halt::Stop(StopReason::Refused { code, detail: reply.detail }),
        Answer::Ok | Answer::RateLimited { .. } | Answer::Fault(_) => {
            Halt::Stop(StopReason::Unavailable { error: "bad_response".into() })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(100);

    fn tries(pace: Pace) -> Tries {
        let limits = Limits { retries: 2, max_retry_after: Duration::from_mins(15), seed: 7 };
        Tries::new(pace, NOW, limits)
    }

    fn refusal(code: &str) -> CallError {
        CallError::Refused { code: ErrorCode::from(code), detail: "".into(), wait: None }
    }

    fn limit(seconds: Option<u64>) -> CallError {
        CallError::RateLimited { retry_after: seconds.map(Duration::from_secs) }
    }

    #[test]
    fn no_call_leaves_within_a_pause_or_ahead_of_the_pace() {
        let mut tries = tries(Pace::Every(Duration::from_secs(3)));
        assert!(tries.ask(NOW).is_ok());
        assert_eq!(tries.ask(NOW).unwrap_err(), NOW + Duration::from_secs(3));
        assert_eq!(tries.on_error(limit(Some(30)), NOW, NOW), Next::Again);
        assert_eq!(tries.ask(NOW + Duration::from_secs(29)).unwrap_err(), NOW + Duration::from_secs(30));
        assert!(tries.ask(NOW + Duration::from_secs(30)).is_ok());
        let later = NOW + Duration::from_secs(40);
        assert_eq!(tries.on_error(limit(None), later, later), Next::Again);
        assert_eq!(tries.ask(later).unwrap_err(), later + retry::UNSTATED_PAUSE);
    }

    #[test]
    fn a_demand_beyond_the_patience_stops() {
        let stop = tries(Pace::Unlimited).on_error(limit(Some(901)), NOW, NOW);
        let pause = Duration::from_secs(901);
        assert_eq!(stop, Next::Stop(Halt::Stop(StopReason::RetryAfter { pause })));
    }

    #[test]
    fn a_503_may_ask_for_a_pause_too() {
        let asks = |seconds| {
            let wait = Some(Duration::from_secs(seconds));
            CallError::Fault { fault: Fault::Http(503), detail: "".into(), wait }
        };
        let mut tries = tries(Pace::Unlimited);
        assert_eq!(tries.on_error(asks(30), NOW, NOW), Next::Again);
        assert_eq!(tries.ask(NOW + Duration::from_secs(29)).unwrap_err(), NOW + Duration::from_secs(30));
        assert!(tries.ask(NOW + Duration::from_secs(30)).is_ok());
        assert_eq!(tries.on_error(asks(901), NOW, NOW), too_long(Duration::from_secs(901)));
    }

    #[test]
    fn the_gates_own_caution_is_not_beyond_the_patience() {
        let mut tries = tries(Pace::Unlimited);
        tries.limits.max_retry_after = Duration::from_secs(30);
        let mut at = NOW;
        for _ in 0..10 {
            assert_eq!(tries.on_error(limit(Some(1)), at, at), Next::Again);
            at = tries.ask(at).unwrap_err();
            assert!(tries.ask(at).is_ok());
        }
        assert!(at > NOW + Duration::from_mins(3), "{at:?}");
    }

    #[test]
    fn trouble_is_tried_again_as_often_as_allowed_and_a_page_forgets_it() {
        let mut tries = tries(Pace::Unlimited);
        let fault = || CallError::Fault { fault: Fault::Http(503), detail: "".into(), wait: None };
        assert_eq!(tries.on_error(fault(), NOW, NOW), Next::Again);
        assert_eq!(tries.on_error(refusal("internal_error"), NOW, NOW), Next::Again);
        tries.on_page(NOW);
        assert_eq!(tries.on_error(fault(), NOW, NOW), Next::Again);
        assert_eq!(tries.on_error(fault(), NOW, NOW), Next::Again);
        let unavailable = StopReason::Unavailable { error: "http_503".into() };
        assert_eq!(tries.on_error(fault(), NOW, NOW), Next::Stop(Halt::Stop(unavailable)));
    }

    #[test]
    fn refusals_stop_and_an_expired_token_is_renewed_once_a_page() {
        for (code, exit) in [
            ("missing_scope", 4),
            ("invalid_auth", 4),
            ("user_not_found", 4),
            ("invalid_cursor", 1),
            ("no_active_sessions", 1),
        ] {
            match tries(Pace::Unlimited).on_error(refusal(code), NOW, NOW) {
                Next::Stop(halt) => assert_eq!(halt.exit_status().code(), exit, "{code}"),
                other => panic!("{code}: {other:?}"),
            }
        }
        let mut tries = tries(Pace::Unlimited);
        assert!(matches!(tries.on_error(refusal("token_expired"), NOW, NOW), Next::Renew(_)));
        assert!(matches!(tries.on_error(refusal("token_expired"), NOW, NOW), Next::Stop(_)));
        tries.on_page(NOW);
        assert!(matches!(tries.on_error(refusal("token_expired"), NOW, NOW), Next::Renew(_)));
    }
}
