//! What the engine is told before it starts.

use super::rate_gate::Pace;
pub use crate::model::{BucketPolicy, MaxFailures};
use crate::model::{Counts, TeamId};
use std::time::Duration;

/// A run's rules and the facts of its input that the engine reckons with.
#[derive(Debug, Clone)]
pub struct Policy {
    /// How fast.
    pub pace: Pace,
    /// Which rows share a limit.
    pub bucket: BucketPolicy,
    /// Calls in flight at most; none: sized from the rate and the latency.
    pub workers: Option<u32>,
    /// Attempts after the first on transient answers.
    pub retries: u32,
    /// When failures stop the run.
    pub max_failures: MaxFailures,
    /// From the start of the engine until it stops sending.
    pub deadline: Option<Duration>,
    /// The longest pause that is waited for, and the longest outage.
    pub max_retry_after: Duration,
    /// Whether the first row goes alone.
    pub canary: bool,
    /// Whether a session that was not found is a failure.
    pub strict: bool,
    /// For the jitter of the backoff.
    pub seed: u64,
    /// The workspaces that requests will name, each with its rows still to send.
    pub workspaces: Vec<(TeamId, u64)>,
    /// Rows in the input.
    pub rows: u64,
    /// Rows still to send; where whole users are asked for, the calls that they take.
    pub to_send: u64,
    /// The users still to be asked for, where whole users are; none where sessions are.
    pub whole_users: Option<u64>,
    /// Whether all rows to send belong to the same workspace, by their columns.
    pub is_one_workspace: bool,
    /// Rows that ended in earlier runs on the same results.
    pub earlier: Counts,
    /// The workspaces in which earlier runs have ended sessions.
    pub earlier_teams: Vec<TeamId>,
}
