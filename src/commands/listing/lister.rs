//! The client of a listing, of sessions or of users.

use super::ListError;
use super::page_retry::{Decision, PageRetry};
use crate::cli::RemoteSettings;
use crate::commands::connection::{self, Connection};
use crate::commands::quota::{self, LimitKey, Quota};
use crate::commands::rehearsal::Rehearsal;
use crate::commands::token;
use crate::commands::waiting::{signals, unless_stopped};
use crate::engine::clock::{Clock, wall};
use crate::engine::ports::{Control, LimitReport, Permit, QuotaStore, Signal};
use crate::error::RunError;
use crate::ledger::listing::REHEARSAL_HOST;
use crate::ledger::manifest::run_id;
use crate::model::{Rate, RateChoice, StopReason};
use crate::signals::Shutdown;
use crate::slack::{CallError, Client, ListQuery, SessionPage, UserPage, UserQuery, method};
use std::collections::BTreeMap;
use std::pin::pin;
use std::time::Duration;

/// The attempts of one method.
type RetryOf = fn(&mut Lister) -> &mut PageRetry;

/// Fetches pages. The first signal ends the listing after the page in flight.
pub struct Lister {
    client: Client,
    settings: RemoteSettings,
    /// Of each method, opened at its first call if other commands may draw on its limit.
    stores: BTreeMap<&'static str, Quota>,
    /// If Slack was asked and said it.
    organization: Option<String>,
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

    /// Uses the client of a run.
    ///
    /// # Errors
    /// If the signal handlers can't be installed.
    pub fn with(client: Client, settings: &RemoteSettings) -> Result<Self, RunError> {
        Ok(Self::of(client, settings, signals()?, None))
    }

    fn of(client: Client, settings: &RemoteSettings, shutdown: Shutdown, rehearsal: Option<Rehearsal>) -> Self {
        let (clock, is_shared) = (quota::clock(), quota::is_shared(settings));
        let seed = wall().as_millis().unsigned_abs() ^ u64::from(std::process::id());
        let retry = |method, rate: RateChoice| {
            PageRetry::new(method, rate.into(), is_shared, clock.elapsed(), &settings.calls, seed)
        };
        Self {
            client,
            settings: settings.clone(),
            stores: BTreeMap::new(),
            organization: None,
            clock,
            sessions: retry(method::LIST, settings.rate),
            users: retry(method::LIST_USERS, rate_of_users(settings.rate)),
            shutdown,
            stopping: None,
            calls: 0,
            _rehearsal: rehearsal,
        }
    }

    #[must_use]
    pub fn calls(&self) -> u64 {
        self.calls
    }

    #[must_use]
    pub fn clock(&self) -> Clock {
        self.clock
    }

    /// The token's organization, or its workspace if it has no organization. `None` if a signal arrives or `auth.test` doesn't
    /// return either; the first page then reports why.
    pub async fn organization(&mut self) -> Option<String> {
        let answer = tokio::select! {
            biased;
            signal = self.shutdown.next() => {
                // Prevents the request for the first page.
                self.stopping = Some(reason_of(signal));
                return None;
            }
            answer = self.client.auth_test() => answer,
        };
        self.organization = match answer {
            Ok(auth) => auth.enterprise_id.or(auth.team_id).map(|id| id.to_string()),
            Err(error) => {
                tracing::debug!("auth.test: {error}");
                None
            }
        };
        self.organization.clone()
    }

    /// Reports to the other commands that share the method's limit, and applies their reports.
    async fn exchange(&mut self, retry: RetryOf, report: LimitReport) -> Result<(), ListError> {
        let method = retry(self).method;
        if !self.stores.contains_key(method) {
            let organization = match self.organization.clone() {
                known @ Some(_) => known,
                None => self.organization().await,
            };
            let api = connection::api(&self.settings)?;
            let limit = LimitKey { api: &api, organization: organization.as_deref(), method };
            self.stores
                .insert(method, quota::open(&self.settings, &limit, self.clock, run_id(wall(), std::process::id())));
        }
        let Some(store) = self.stores.get_mut(method) else { return Ok(()) };
        let news = store.exchange(report).await;
        let now = self.clock.elapsed();
        retry(self).on_news(news, now).map_err(ListError::Stop)
    }

    /// The commands after this one needn't wait for its leases to end.
    pub async fn close(&mut self) {
        let now = self.clock.elapsed();
        for retry in [&mut self.sessions, &mut self.users] {
            if let (Some(store), Some(report)) = (self.stores.get_mut(retry.method), retry.last_report(now)) {
                // The command is over either way.
                let _ = store.exchange(report).await;
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
        self.attempt(|this| &mut this.sessions, |permit| client.list_sessions(permit, query)).await
    }

    /// One page of users, after as many attempts as it takes.
    ///
    /// # Errors
    /// If the listing can't, or mustn't, go on.
    pub async fn users(&mut self, query: &UserQuery) -> Result<UserPage, ListError> {
        let client = self.client.clone();
        self.attempt(|this| &mut this.users, |permit| client.list_users(permit, query)).await
    }

    /// Calls until there is a page. Each method has its own limit.
    async fn attempt<P, F: Future<Output = Result<P, CallError>>>(
        &mut self,
        retry: RetryOf,
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
            tracing::debug!("{}: {error}", retry(self).method);
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
    async fn permit(&mut self, retry: RetryOf) -> Result<Permit, ListError> {
        loop {
            if let Some(reason) = &self.stopping {
                return Err(ListError::Stop(reason.clone()));
            }
            let now = self.clock.elapsed();
            let asked = retry(self).ask(now);
            if let Some(report) = retry(self).report(&asked, now) {
                self.exchange(retry, report).await?;
                continue;
            }
            let at = match asked {
                Ok(permit) => return Ok(permit),
                Err(closed) => retry(self).wakes_at(closed, now),
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
