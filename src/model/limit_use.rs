//! Who draws on a rate limit, for people who are about to use it too.

use super::Stamp;
use serde::Serialize;
use std::time::Duration;

/// A rate limit as the runs left it that share it.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct LimitUse {
    /// The method of Slack's that is limited, and the workspace if it has a limit of its own.
    pub limit: String,
    pub runs: Vec<RunOnLimit>,
    /// When calls are allowed again; `None` if they are now.
    pub closed_until: Option<Stamp>,
    /// Calls a minute that were found to be accepted, less than a day ago.
    pub learned_per_minute: Option<f64>,
    pub learned_at: Option<Stamp>,
}

/// One of those runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RunOnLimit {
    pub host: String,
    pub run_id: String,
    pub rows_left: u64,
    pub incident: bool,
}

impl LimitUse {
    /// Whether there is nothing to say about it.
    #[must_use]
    pub fn is_unused(&self) -> bool {
        self.runs.is_empty() && self.closed_until.is_none() && self.learned_per_minute.is_none()
    }

    /// How long ago the rate was learned.
    #[must_use]
    pub fn age(&self, now: Stamp) -> Option<Duration> {
        let age = now.as_millis() - self.learned_at?.as_millis();
        Some(Duration::from_millis(u64::try_from(age).unwrap_or(0)))
    }
}
