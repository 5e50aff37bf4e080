//! What the engine is told before it starts.

use super::rate_gate::Pace;
pub use crate::model::{BucketPolicy, MaxFailures};
use crate::model::{Counts, TeamId};
use std::time::Duration;

/// A run's settings, and the facts about its input that the engine needs.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "independent settings and facts")]
pub struct Policy {
    pub pace: Pace,
    /// Which rows share a limit.
    pub bucket: BucketPolicy,
    /// Whether other runs may draw on the same limit, so that each call has to be recorded where they look.
    pub shares_limit: bool,
    /// Most calls in flight; `None`: derived from the rate and the latency.
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
    pub rows: u64,
    /// Rows still to send; for whole users, the calls still to make.
    pub to_send: u64,
    /// The users still to be asked for; `None` if sessions are ended one by one.
    pub whole_users: Option<u64>,
    /// Whether all rows to send belong to the same workspace, by their columns.
    pub is_one_workspace: bool,
    /// Rows that ended in earlier runs on the same results.
    pub earlier: Counts,
    /// The workspaces in which earlier runs have ended sessions.
    pub earlier_teams: Vec<TeamId>,
}
