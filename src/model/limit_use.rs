//! Who is using a rate limit, for display before a run.

use super::Timestamp;
use serde::Serialize;
use std::time::Duration;

/// The shared state of a rate limit.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct LimitUse {
    /// The limited method, and the workspace if it has its own limit.
    pub limit: String,
    pub runs: Vec<RunOnLimit>,
    /// When calls are allowed again; `None` if they are allowed now.
    pub closed_until: Option<Timestamp>,
    /// The limit in calls a minute, as learned within the last day.
    pub learned_per_minute: Option<f64>,
    pub learned_at: Option<Timestamp>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RunOnLimit {
    pub host: String,
    pub run_id: String,
    pub rows_left: u64,
    pub incident: bool,
}

impl LimitUse {
    /// Whether there is nothing to report.
    #[must_use]
    pub fn is_unused(&self) -> bool {
        self.runs.is_empty() && self.closed_until.is_none() && self.learned_per_minute.is_none()
    }

    /// Age of the learned rate.
    #[must_use]
    pub fn age(&self, now: Timestamp) -> Option<Duration> {
        let age = now.as_millis() - self.learned_at?.as_millis();
        Some(Duration::from_millis(u64::try_from(age).unwrap_or(0)))
    }
}
