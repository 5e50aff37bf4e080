//! The client of a listing, of sessions or of users.

use super::ListError;
use super::page_retry::{Decision, PageRetry};
use crate::cli::RemoteSettings;
use crate::commands::connection::Connection;
use crate::commands::rehearsal::Rehearsal;
use crate::commands::token;
use crate::commands::waiting::{signals, unless_stopped};
use crate::engine::clock::{Clock, wall};
use crate::engine::ports::{Control, Permit, Signal};
use crate::error::RunError;
use crate::ledger::listing::REHEARSAL_HOST;
use crate::model::{Rate, RateChoice, StopReason};
use crate::signals::Shutdown;
use crate::slack::{CallError, Client, ListQuery, SessionPage, UserPage, UserQuery};
use std::pin::pin;
use std::time::Duration;

/// Fetches pages. The first signal ends the listing after the page in flight.
pub struct Lister {
    client: Client,
    clock: Clock,
    sessions: PageRetry,
    users: PageRetry,
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
        Ok((Self::of(connection.client, settings, shutdown, rehearsal), host))
    }

    /// With the client of a run.
    ///
    /// # Errors
    /// If the system refuses to tell of signals.
    pub fn with(client: Client, settings: &RemoteSettings) -> Result<Self, RunError> {
        Ok(Self::of(client, settings, signals()?, None))
    }

    fn of(client: Client, settings: &RemoteSettings, shutdown: Shutdown, rehearsal: Option<Rehearsal>) -> Self {
        let clock = Clock::start();
        let seed = wall().as_millis().unsigned_abs() ^ u64::from(std::process::id());
        let retry = |rate: RateChoice| PageRetry::new(rate.into(), clock.elapsed(), &settings.calls, seed);
        let (sessions, users) = (retry(settings.rate), retry(rate_of_users(settings.rate)));
        Self { client, clock, sessions, users, shutdown, stopping: None, calls: 0, _rehearsal: rehearsal }
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

    /// Waits before the next listing.
    ///
    /// # Errors
    /// If a signal came.
    pub async fn pause(&mut self, time: Duration) -> Result<(), ListError> {
        tokio::select! {
            biased;
            signal = self.shutdown.next() => Err(ListError::Stop(reason_of(signal))),
            () = self.clock.sleep_until(self.clock.elapsed() + time) => Ok(()),
        }
    }

    /// One page of sessions, after as many attempts as it takes.
    ///
    /// # Errors
    /// If the listing can't, or mustn't, go on.
    pub async fn page(&mut self, query: &ListQuery) -> Result<SessionPage, ListError> {
        let client = self.client.clone();
        self.attempt(
            "admin.users.session.list",
            |this| &mut this.sessions,
            |permit| client.list_sessions(permit, query),
        )
        .await
    }

    /// One page of users, after as many attempts as it takes.
    ///
    /// # Errors
    /// If the listing can't, or mustn't, go on.
    pub async fn users(&mut self, query: &UserQuery) -> Result<UserPage, ListError> {
        let client = self.client.clone();
        self.attempt("admin.users.list", |this| &mut this.users, |permit| client.list_users(permit, query)).await
    }

    /// Calls until there is a page. Each method has its own limit.
    async fn attempt<P, F: Future<Output = Result<P, CallError>>>(
        &mut self,
        method: &str,
        retry: fn(&mut Self) -> &mut PageRetry,
        call: impl Fn(Permit) -> F,
    ) -> Result<P, ListError> {
        loop {
            let permit = self.permit(retry).await?;
            let sent_at = self.clock.elapsed();
            let reply = self.call(call(permit)).await?;
            let now = self.clock.elapsed();
            let error = match reply {
                Ok(page) => {
                    retry(self).on_page(sent_at, now);
                    return Ok(page);
                }
                Err(error) => error,
            };
            tracing::debug!("{method}: {error}");
            match retry(self).on_error(error, sent_at, now) {
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
    async fn permit(&mut self, retry: fn(&mut Self) -> &mut PageRetry) -> Result<Permit, ListError> {
        loop {
            if let Some(reason) = &self.stopping {
                return Err(ListError::Stop(reason.clone()));
            }
            let now = self.clock.elapsed();
            let at = match retry(self).ask(now) {
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

    async fn call<T>(&mut self, call: impl Future<Output = T>) -> Result<T, ListError> {
        self.calls += 1;
        let mut call = pin!(call);
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

/// `--rate auto` begins at the method's own tier.
fn rate_of_users(rate: RateChoice) -> RateChoice {
    match rate {
        RateChoice::Auto { max, .. } => RateChoice::Auto { start: Rate::TIER_4.slower_of(max), max },
        RateChoice::Fixed(_) | RateChoice::Unlimited => rate,
    }
}

fn reason_of(signal: Signal) -> StopReason {
    match signal {
        Signal::Drain(reason) => reason,
        Signal::Abort => StopReason::Interrupted,
    }
}
