//! The client of a listing.

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
use crate::model::StopReason;
use crate::signals::Shutdown;
use crate::slack::{Client, ListQuery, ListReply, SessionPage};
use std::pin::pin;

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
