//! Reads the token and finds its owner (`auth.test`).

use crate::cli::Settings;
use crate::commands::waiting::{self, blocking};
use crate::engine::clock::Clock;
use crate::engine::retry;
use crate::error::RunError;
use crate::model::{Timestamp, UNSTATED_PAUSE, format_duration};
use crate::slack::{self, AuthTest, CallError, Client, Token, TokenSource, token};
use secrecy::SecretString;
use std::ffi::OsString;
use std::io;
use std::time::Duration;

/// Reads the token from its source. A pipe, a command or the user may take long, so signals are handled meanwhile.
///
/// # Errors
/// If there is no token, it can't be read, or it isn't a user token.
pub async fn find(source: Option<TokenSource>) -> Result<Token, RunError> {
    blocking(move || {
        let source = source.ok_or_else(|| RunError::no_token(slack::unread_variable(&set)))?;
        Token::read(&source, &set, &ask).map_err(|error| refused(&error))
    })
    .await
}

fn set(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

fn ask() -> io::Result<SecretString> {
    if let Ok(terminal) = waiting::controlling_terminal() {
        waiting::discard_typed(terminal);
    }
    token::ask_on_terminal()
}

/// The stand-in's token.
///
/// # Errors
/// Never in practice: it has the form of a user token.
pub fn rehearsal(text: &str) -> Result<Token, RunError> {
    let variable = |name: &str| (name == "SLACK_TOKEN").then(|| OsString::from(text));
    Token::read(&TokenSource::Env, &variable, &ask).map_err(|error| refused(&error))
}

fn refused(error: &slack::TokenError) -> RunError {
    RunError::token(error.to_string(), error.hint())
}

/// How long to wait for a clear answer of `auth.test`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    pub retries: u32,
    /// Maximum total of pauses that Slack asks for. They don't count as attempts.
    pub longest_pause: Duration,
}

impl Patience {
    #[must_use]
    pub fn of(settings: &Settings) -> Self {
        Self { retries: settings.remote.calls.retries, longest_pause: settings.remote.calls.max_retry_after }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identified {
    pub auth: AuthTest,
    /// This machine's clock before the call.
    pub asked_at: Timestamp,
    pub took: Duration,
}

/// Calls `auth.test` until there is a clear answer or no further attempt makes sense.
///
/// # Errors
/// The error of the last attempt.
pub async fn identify(client: &Client, patience: Patience) -> Result<Identified, CallError> {
    let (clock, mut paused, mut attempt) = (Clock::start(), Duration::ZERO, 1);
    loop {
        let asked = clock.now();
        let error = match client.auth_test().await {
            Ok(auth) => {
                let took = clock.elapsed().saturating_sub(asked.at);
                return Ok(Identified { auth, asked_at: asked.wall, took });
            }
            Err(error) => error,
        };
        let wait = match &error {
            CallError::RateLimited { retry_after } => {
                let pause = retry_after.unwrap_or(UNSTATED_PAUSE);
                paused += pause;
                (paused <= patience.longest_pause).then_some(pause)
            }
            CallError::Refused { wait, .. } | CallError::Fault { wait, .. } => {
                let pause = wait.unwrap_or_default();
                paused += pause;
                let backoff = retry::backoff(attempt, u64::from(std::process::id()) ^ u64::from(attempt));
                let may_try = error.may_pass() && attempt <= patience.retries && paused <= patience.longest_pause;
                attempt += 1;
                may_try.then_some(backoff.max(pause))
            }
        };
        let Some(wait) = wait else { return Err(error) };
        tracing::warn!("auth.test: {error}; asking again in {}", format_duration(wait));
        tokio::time::sleep(wait).await;
    }
}
