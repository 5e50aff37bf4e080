//! The client of a listing, and the attempts at one page after another.

use super::{Incomplete, ListError};
use crate::cli::CallArgs;
use crate::cli::RemoteSettings;
use crate::commands::connection::Connection;
use crate::commands::rehearsal::Rehearsal;
use crate::commands::token;
use crate::commands::waiting::{signals, unless_stopped};
use crate::engine::clock::{Clock, wall};
use crate::engine::ports::{Control, Permit, Signal};
use crate::engine::rate_gate::{NotUntil, Pace, RateGate};
use crate::engine::retry::{self, Class};
use crate::engine::run_limit::RunLimit;
use crate::error::RunError;
use crate::ledger::listing::REHEARSAL_HOST;
use crate::model::{Answer, ErrorCode, Fault, Reply, StopReason};
use crate::signals::Shutdown;
use crate::slack::{CallError, Client, ListQuery, ListReply, SessionPage};
use std::pin::pin;
use std::time::Duration;

/// The pages that may follow, for the rate estimator: their number is unknown.
const PAGES_AHEAD: u64 = 1000;

/// Fetches pages. The first signal ends the listing after the page in flight.
pub struct Lister {
    client: Client,
    clock: Clock,
    retry: PageRetry,
    shutdown: Shutdown,
    stopping: Option<StopReason>,
    calls: u64,
    /// Its stand-in stops when this is dropped.
    _rehearsal: Option<Rehearsal>,
}

impl Lister {
    /// Finds the token and builds the client.
    ///
    /// # Errors
    /// If there is no token, or the address or the proxy can't be used.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub async fn connect(settings: &RemoteSettings, rehearsal: Option<Rehearsal>) -> Result<(Self, String), RunError> {
        let mut shutdown = signals()?;
        let (connection, host) = if let Some(rehearsal) = &rehearsal {
            (rehearsal.connect(settings.calls.timeout)?, REHEARSAL_HOST.into())
        } else {
            let token = unless_stopped(&mut shutdown, token::find(settings.token.clone())).await?;
            let connection = Connection::open(settings, token)?;
            let host = connection.api.host().to_owned();
            (connection, host)
        };
        let client = connection.client;
        let clock = Clock::start();
        let seed = wall().as_millis().unsigned_abs() ^ u64::from(std::process::id());
        let retry = PageRetry::new(settings.rate.into(), clock.elapsed(), &settings.calls, seed);
        Ok((Self { client, clock, retry, shutdown, stopping: None, calls: 0, _rehearsal: rehearsal }, host))
    }

    #[must_use]
    pub fn calls(&self) -> u64 {
        self.calls
    }

    #[must_use]
    pub fn clock(&self) -> Clock {
        self.clock
    }

    /// The organization that the token belongs to, or its workspace if it belongs to none; `None` if Slack doesn't say, and then
    /// the first page says why.
    pub async fn organization(&mut self) -> Option<String> {
        let answer = tokio::select! {
            biased;
            signal = self.shutdown.next() => {
                // The first page is not asked for then.
                self.stopping = Some(reason_of(signal));
                return None;
            }
            answer = self.client.auth_test() => answer,
        };
        match answer {
            Ok(auth) => auth.enterprise_id.or(auth.team_id).map(|id| id.to_string()),
            Err(error) => {
                tracing::debug!("auth.test: {error}");
                None
            }
        }
    }

    /// One page, after as many attempts as it takes.
    ///
    /// # Errors
    /// If the listing can't, or mustn't, go on.
    pub async fn page(&mut self, query: &ListQuery) -> Result<SessionPage, ListError> {
        loop {
            let permit = self.permit().await?;
            let sent_at = self.clock.elapsed();
            let error = match self.call(permit, query).await? {
                Ok(page) => {
                    self.retry.on_page(sent_at, self.clock.elapsed());
                    return Ok(page);
                }
                Err(error) => error,
            };
            tracing::debug!("admin.users.session.list: {error}");
            match self.retry.on_error(error, sent_at, self.clock.elapsed()) {
                Decision::Again => {}
                Decision::RefreshToken(otherwise) => self.refresh_token(otherwise).await?,
                Decision::Stop(error) => return Err(error),
            }
        }
    }

    /// A signal ends it: nothing is in flight that could be lost.
    async fn refresh_token(&mut self, otherwise: ListError) -> Result<(), ListError> {
        let renewed = tokio::select! {
            biased;
            signal = self.shutdown.next() => return Err(ListError::Stop(reason_of(signal))),
            renewed = self.client.renew_token() => renewed,
        };
        match renewed {
            Ok(true) => Ok(()),
            Ok(false) => Err(otherwise),
            Err(error) => {
                tracing::error!("the token expired, and no fresh one was found: {error}");
                Err(otherwise)
            }
        }
    }

    /// Waits for the gate. A signal ends the wait: nothing is in flight that could be lost.
    async fn permit(&mut self) -> Result<Permit, ListError> {
        loop {
            if let Some(reason) = &self.stopping {
                return Err(ListError::Stop(reason.clone()));
            }
            let at = match self.retry.ask(self.clock.elapsed()) {
                Ok(permit) => return Ok(permit),
                Err(at) => at,
            };
            tokio::select! {
                biased;
                signal = self.shutdown.next() => self.stopping = Some(reason_of(signal)),
                () = self.clock.sleep_until(at) => {}
            }
        }
    }

    async fn call(&mut self, permit: Permit, query: &ListQuery) -> Result<ListReply, ListError> {
        self.calls += 1;
        let mut call = pin!(self.client.list_sessions(permit, query));
        loop {
            tokio::select! {
                biased;
                signal = self.shutdown.next() => match (signal, &self.stopping) {
                    (Signal::Drain(reason), None) => self.stopping = Some(reason),
                    (Signal::Drain(reason), Some(_)) => return Err(ListError::Stop(reason)),
                    (Signal::Abort, reason) => {
                        return Err(ListError::Stop(reason.clone().unwrap_or(StopReason::Interrupted)));
                    }
                },
                reply = &mut call => return Ok(reply),
            }
        }
    }
}

fn reason_of(signal: Signal) -> StopReason {
    match signal {
        Signal::Drain(reason) => reason,
        Signal::Abort => StopReason::Interrupted,
    }
}

/// What to do about an answer that isn't a page.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Decision {
    /// Ask again, as soon as the gate allows.
    Again,
    /// Ask again with a fresh token; stop with this error if there is none.
    RefreshToken(ListError),
    Stop(ListError),
}

/// The attempts at one page after another, one at a time, through one gate. Pure: `now` goes in, the next step comes out.
#[derive(Debug)]
struct PageRetry {
    gate: RateGate,
    total: RunLimit,
    /// Attempts after the first on transient answers.
    retries: u32,
    /// The longest pause that is waited for.
    max_retry_after: Duration,
    /// Seed of the backoff's jitter.
    seed: u64,
    /// Transient answers to the page under way.
    failed: u32,
    not_before: Duration,
    refreshed: bool,
}

impl PageRetry {
    fn new(pace: Pace, now: Duration, calls: &CallArgs, seed: u64) -> Self {
        Self {
            gate: RateGate::new(pace),
            total: RunLimit::new(pace, now),
            retries: calls.retries,
            max_retry_after: calls.max_retry_after,
            seed,
            failed: 0,
            not_before: Duration::ZERO,
            refreshed: false,
        }
    }

    /// A permit, or the moment before which no call may leave.
    fn ask(&mut self, now: Duration) -> Result<Permit, Duration> {
        if now < self.not_before {
            return Err(self.not_before);
        }
        self.total.try_acquire(now, || self.gate.try_acquire(now, PAGES_AHEAD, 0)).map_err(|closed| match closed {
            NotUntil::Until(at) => at,
            // Calls go one by one, so none is in flight that an answer could come to.
            NotUntil::UntilAnAnswer => now + Duration::from_secs(1),
        })
    }

    fn on_page(&mut self, sent_at: Duration, now: Duration) {
        self.gate.accepted(sent_at, now);
        (self.failed, self.refreshed) = (0, false);
    }

    fn on_error(&mut self, error: CallError, sent_at: Duration, now: Duration) -> Decision {
        let reply = error.into_reply();
        match retry::classify(&reply) {
            Class::RateLimited { pause, .. } if pause > self.max_retry_after => too_long(pause),
            Class::RateLimited { pause, .. } => {
                // What the gate adds to the pause is our own caution.
                self.gate.refused(sent_at, now, pause);
                Decision::Again
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
    use crate::model::UNSTATED_PAUSE;

    const NOW: Duration = Duration::from_secs(100);

    fn retrying(pace: Pace) -> PageRetry {
        let calls = CallArgs { retries: 2, timeout: Duration::from_secs(30), max_retry_after: Duration::from_mins(15) };
        PageRetry::new(pace, NOW, &calls, 7)
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
        assert_eq!(retry.ask(NOW).unwrap_err(), NOW + Duration::from_secs(3));
        assert_eq!(retry.on_error(limit(Some(30)), NOW, NOW), Decision::Again);
        assert_eq!(retry.ask(NOW + Duration::from_secs(29)).unwrap_err(), NOW + Duration::from_secs(30));
        assert!(retry.ask(NOW + Duration::from_secs(30)).is_ok());
        let later = NOW + Duration::from_secs(40);
        assert_eq!(retry.on_error(limit(None), later, later), Decision::Again);
        assert_eq!(retry.ask(later).unwrap_err(), later + UNSTATED_PAUSE);
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
        assert_eq!(retry.ask(NOW + Duration::from_secs(29)).unwrap_err(), NOW + Duration::from_secs(30));
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
            at = retry.ask(at).unwrap_err();
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
