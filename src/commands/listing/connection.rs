//! The client of a listing, and the loop that brings one page after another.

use super::Halt;
use super::tries::{Limits, Next, Tries};
use crate::cli::RemoteSettings;
use crate::commands::waiting::{signals, unless_stopped};
use crate::commands::{run, token};
use crate::engine::clock::{Clock, wall};
use crate::engine::ports::{Control, Permit, Signal};
use crate::error::RunError;
use crate::model::StopReason;
use crate::signals::Shutdown;
use crate::slack::{self, Client, ListQuery, ListReply, Page, Proxy};
use std::pin::pin;

/// Slack, found and not called yet.
pub struct Connection {
    /// The client.
    pub client: Client,
    /// The host that is called.
    pub host: String,
    /// Whether the calls are encrypted.
    pub is_https: bool,
    /// The way there.
    pub proxy: Option<Proxy>,
}

impl Connection {
    /// Builds the client around `token`; nothing is sent.
    ///
    /// # Errors
    /// Where the address or the proxy cannot be used.
    pub fn with(settings: &RemoteSettings, token: slack::Token) -> Result<Self, RunError> {
        let api = run::address::parse(&settings.api_url, &settings.allow_hosts)?;
        let proxy = run::address::proxy(&api)?;
        let (host, is_https) = (api.host().to_owned(), api.is_https());
        let config = slack::Config { api, token, proxy: proxy.clone(), timeout: settings.calls.timeout, now: wall };
        let client =
            Client::new(config).map_err(|error| RunError::unreachable(error.to_string(), "nothing was sent"))?;
        Ok(Self { client, host, is_https, proxy })
    }
}

/// Brings pages. The first signal lets the page in flight come, and ends the listing before the next one.
pub struct Lister {
    client: Client,
    clock: Clock,
    tries: Tries,
    shutdown: Shutdown,
    stopping: Option<StopReason>,
    calls: u64,
}

impl Lister {
    /// Finds the token and builds the client.
    ///
    /// # Errors
    /// Where there is no token, or the address or the proxy cannot be used.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub async fn connect(settings: &RemoteSettings) -> Result<(Self, String), RunError> {
        let mut shutdown = signals()?;
        let token = unless_stopped(&mut shutdown, token::find(settings.token.clone())).await?;
        let Connection { client, host, .. } = Connection::with(settings, token)?;
        let clock = Clock::start();
        let limits = Limits {
            retries: settings.calls.retries,
            max_retry_after: settings.calls.max_retry_after,
            seed: wall().as_millis().unsigned_abs() ^ u64::from(std::process::id()),
        };
        let tries = Tries::new(run::pace_of(settings.rate), clock.elapsed(), limits);
        Ok((Self { client, clock, tries, shutdown, stopping: None, calls: 0 }, host))
    }

    /// Calls made so far.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.calls
    }

    /// The clock that the calls are paced by.
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
    /// Where the listing cannot, or is not to, go on.
    pub async fn page(&mut self, query: &ListQuery) -> Result<Page, Halt> {
        loop {
            let permit = self.permit().await?;
            let sent_at = self.clock.elapsed();
            let error = match self.call(permit, query).await? {
                Ok(page) => {
                    self.tries.on_page(sent_at);
                    return Ok(page);
                }
                Err(error) => error,
            };
            tracing::debug!("admin.users.session.list: {error}");
            match self.tries.on_error(error, sent_at, self.clock.elapsed()) {
                Next::Again => {}
                Next::Renew(otherwise) => self.renew(otherwise).await?,
                Next::Stop(halt) => return Err(halt),
            }
        }
    }

    /// A signal ends it: nothing is in flight that could be lost.
    async fn renew(&mut self, otherwise: Halt) -> Result<(), Halt> {
        let renewed = tokio::select! {
            biased;
            signal = self.shutdown.next() => return Err(Halt::Stop(reason_of(signal))),
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
    async fn permit(&mut self) -> Result<Permit, Halt> {
        loop {
            if let Some(reason) = &self.stopping {
                return Err(Halt::Stop(reason.clone()));
            }
            let at = match self.tries.ask(self.clock.elapsed()) {
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

    async fn call(&mut self, permit: Permit, query: &ListQuery) -> Result<ListReply, Halt> {
        self.calls += 1;
        let mut call = pin!(self.client.list_sessions(permit, query));
        loop {
            tokio::select! {
                biased;
                signal = self.shutdown.next() => match (signal, &self.stopping) {
                    (Signal::Drain(reason), None) => self.stopping = Some(reason),
                    (Signal::Drain(reason), Some(_)) => return Err(Halt::Stop(reason)),
                    (Signal::Abort, reason) => {
                        return Err(Halt::Stop(reason.clone().unwrap_or(StopReason::Interrupted)));
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
