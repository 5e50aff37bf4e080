//! Events of a run, and its state at a moment.

use super::{CallCounts, Counts, ErrorCode, Outcome, Row, StopReason, TeamId, TokenOwner};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Recorded first, then shown.
#[derive(Debug)]
pub enum Event {
    /// A row is about to be sent. If the process dies before its `Ended` is recorded, the outcome is unknown.
    Sending {
        line: u64,
        /// 1 for the first call of the row.
        call: u32,
        /// Whether the call is for whole users.
        is_bulk: bool,
    },
    Ended {
        row: Box<Row>,
        outcome: Outcome,
    },
    /// After a transient answer, the row is sent again once `wait` has passed.
    Retrying {
        line: u64,
        attempt: u32,
        error: Box<str>,
        wait: Duration,
    },
    /// A 429 paused a bucket.
    RateLimited {
        line: u64,
        /// The workspace of the paused bucket; `None` if all rows share one bucket.
        team: Option<TeamId>,
        /// Whether it is the bucket of calls for whole users.
        is_bulk: bool,
        /// From now on.
        pause: Duration,
        /// The pause that Slack named; `None` if it named none. `pause` may be longer as a precaution.
        stated: Option<Duration>,
    },
    /// Users can't be ended as a whole: their rows are sent one by one.
    OneByOne {
        /// The first of the rows.
        line: u64,
        users: u64,
        error: Box<str>,
    },
    /// Slack asked another run with the same limit, or an earlier one, for a pause that isn't over.
    PausedByOthers {
        team: Option<TeamId>,
        /// From now on.
        pause: Duration,
    },
    /// Other runs started or stopped using the same limit.
    Shared {
        team: Option<TeamId>,
        /// Number of other runs.
        runs: u32,
        /// Whether one of them is an incident.
        is_incident: bool,
        /// This run's share, in calls a minute.
        per_minute: Option<f64>,
    },
    /// Why the state of the limit can't be shared with other runs.
    NotShared(Box<str>),
    /// `--bucket auto` has detected which rows share a limit.
    BucketKnown(BucketKind),
    /// The estimated limit changed.
    Estimate {
        /// The workspace of the bucket; `None` if all rows share one bucket.
        team: Option<TeamId>,
        /// Calls a minute.
        per_minute: f64,
    },
    /// A workspace was suspended: its rows aren't sent, other workspaces continue.
    Parked {
        team: TeamId,
        code: ErrorCode,
    },
    /// Slack isn't answering. Calls are made one at a time until it does.
    OutageBegan {
        error: Box<str>,
    },
    OutageEnded,
    /// The token expired, and a fresh one was read from its source.
    TokenRefreshed,
    /// The fresh token belongs to a user whose token the run didn't have before.
    OtherOwner {
        owner: Box<TokenOwner>,
        /// Whether the user's rows are protected from now on.
        is_spared: bool,
    },
    /// A `warning` of Slack; each text is reported once.
    Warning(Box<str>),
    /// The run makes no further calls, and waits for those in flight.
    Stopping(StopReason),
}

impl Event {
    /// The row of an `Ended` event.
    #[must_use]
    pub fn ended(&self) -> Option<(&Row, &Outcome)> {
        let Self::Ended { row, outcome } = self else { return None };
        Some((row, outcome))
    }

    /// The line of a row that is sent for the first time in this run.
    #[must_use]
    pub fn first_sent(&self) -> Option<u64> {
        let Self::Sending { line, call: 1, .. } = self else { return None };
        Some(*line)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BucketKind {
    Org,
    /// One bucket per workspace that requests name.
    Team,
}

impl BucketKind {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Org => "org",
            Self::Team => "team",
        }
    }
}

/// What the run waits for until a known time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WaitReason {
    /// A 429 paused every bucket that still has rows.
    RateLimited,
    /// The server asked for a pause, but not because of a limit.
    ServerBusy,
    /// The spacing of calls.
    Paced,
    /// The spacing of calls at this run's share of the limit.
    Shared,
    /// An incident run with the same limit goes first.
    AfterIncident,
    /// All remaining rows are in their backoff.
    Backoff,
    /// Slack isn't answering; the next call tests whether it does.
    Outage,
}

/// The state of a run at a moment.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Snapshot {
    /// Rows by status, including those of earlier runs with the same results.
    pub counts: Counts,
    pub total: u64,
    /// Rows that ended in earlier runs.
    pub already_done: u64,
    pub in_flight: u32,
    /// Of this run.
    pub calls: CallCounts,
    /// Since the first call; zero before it.
    pub elapsed: Duration,
    /// What the run is waiting for, and for how long from now.
    pub wait: Option<(WaitReason, Duration)>,
    /// Current rate of all buckets in calls a minute; `None` without a limit.
    pub per_minute: Option<f64>,
    /// Calls that ended in the last 60 s.
    pub recent_per_minute: f64,
    /// Remaining time at the current estimate.
    pub eta: Option<Duration>,
    /// `None` until it is known.
    pub bucket: Option<BucketKind>,
    /// Whether an outage is declared.
    pub outage: bool,
    pub stopping: bool,
}
