//! Whose token it is: `auth.test`, as often as it takes while the trouble may pass.

use crate::cli::Settings;
use crate::engine::clock::Clock;
use crate::engine::retry;
use crate::model::Stamp;
use crate::slack::{AuthTest, CallError, Client};
use std::time::Duration;

/// How long a clear answer is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// Attempts after the first.
    pub retries: u32,
    /// The pauses that Slack may ask for, all together. They cost no attempt.
    pub longest_pause: Duration,
}

impl Patience {
    /// That of a run.
    pub fn of(settings: &Settings) -> Self {
        Self { retries: settings.remote.calls.retries, longest_pause: settings.remote.calls.max_retry_after }
    }
}

/// A clear answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identified {
    /// Whose token it is, and what it may do.
    pub auth: AuthTest,
    /// This machine's clock before the call.
    pub asked_at: Stamp,
    /// From the call to its answer.
    pub took: Duration,
}

/// Asks whose token it is, until there is a clear answer, or none can be expected.
///
/// # Errors
/// The last answer.
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
                let pause = retry_after.unwrap_or(retry::UNSTATED_PAUSE);
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
        tracing::warn!("auth.test: {error}; asking again in {} s", wait.as_secs_f64().ceil());
        tokio::time::sleep(wait).await;
    }
}
