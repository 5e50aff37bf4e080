//! The settings of a run, and the facts about its input that the engine needs.

use super::rate_gate::Pace;
pub use crate::model::{BucketPolicy, MaxFailures};
use crate::model::{Counts, TeamId};
use std::time::Duration;

#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "independent settings and facts")]
pub struct Policy {
    pub pace: Pace,
    /// Which rows share a limit.
    pub bucket: BucketPolicy,
    /// Whether other runs may use the same limit, so that each call has to be recorded in the quota store.
    pub shares_limit: bool,
    /// Maximum number of calls in flight; if `None`, derived from rate and latency.
    pub workers: Option<u32>,
    /// Attempts after the first one, on transient answers.
    pub retries: u32,
    pub max_failures: MaxFailures,
    /// Counts from the start of the engine.
    pub deadline: Option<Duration>,
    /// Longest pause to wait for, and longest outage; anything longer stops the run.
    pub max_retry_after: Duration,
    /// Whether the first row is sent alone.
    pub canary: bool,
    /// Whether `not_found` counts as a failure.
    pub strict: bool,
    /// Seed of the backoff's jitter.
    pub seed: u64,
    /// The workspaces that requests will name, with the number of rows to send.
    pub workspaces: Vec<(TeamId, u64)>,
    pub rows: u64,
    /// Rows to send one by one.
    pub to_send: u64,
    /// Users to end as a whole, many in a call.
    pub bulk_users: u64,
    /// Whether all rows to send have the same `team_id`.
    pub is_one_workspace: bool,
    /// Rows that ended in earlier runs with the same results file.
    pub earlier: Counts,
    /// The workspaces in which earlier runs have ended sessions.
    pub earlier_teams: Vec<TeamId>,
}
