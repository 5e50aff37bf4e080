//! What the engine is told before it starts.

use super::gate::Pace;
use crate::model::{Counts, TeamId};
use std::time::Duration;

/// Which rows share a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BucketPolicy {
    /// Find out (pacing.md, "Learn the buckets").
    Auto,
    /// One bucket for the token.
    Org,
    /// One bucket for each workspace that a request names.
    Team,
}

/// When failed rows stop the run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum MaxFailures {
    /// So many rows.
    Rows(u64),
    /// Such a share of the rows ended by an answer or by exhaustion, 0 to 1, once 50 of them have ended.
    Share(f64),
}

/// Rows that have to have ended before [`MaxFailures::Share`] is looked at (contract.md, `--max-failures`).
const ENOUGH_FOR_A_SHARE: u64 = 50;

impl MaxFailures {
    /// Whether `failed` of `ended` rows are too many.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "counts of rows")]
    pub fn reached(self, failed: u64, ended: u64) -> bool {
        match self {
            Self::Rows(most) => failed >= most.max(1),
            Self::Share(most) => failed > 0 && ended >= ENOUGH_FOR_A_SHARE && failed as f64 / ended as f64 >= most,
        }
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_counted_or_weighed() {
        for (rule, failed, ended, reached) in [
            (MaxFailures::Rows(3), 2, 1000, false),
            (MaxFailures::Rows(3), 3, 3, true),
            (MaxFailures::Rows(0), 0, 3, false),
            (MaxFailures::Share(0.2), 49, 49, false),
            (MaxFailures::Share(0.2), 10, 50, true),
            (MaxFailures::Share(0.2), 9, 50, false),
            (MaxFailures::Share(0.0), 0, 50, false),
        ] {
            assert_eq!(rule.reached(failed, ended), reached, "{rule:?} {failed}/{ended}");
        }
    }
}
