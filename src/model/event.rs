//! What happens in a run, told once to whoever keeps or shows it.

use super::{Counts, ErrorCode, Outcome, Row, StopReason, TeamId, TokenOwner};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// One thing that happened. The results see it first, then the screen, then the totals.
#[derive(Debug)]
pub enum Event {
    /// A row is about to be sent; until its `Ended` is kept, a crash leaves its fate open.
    Sending {
        line: u64,
        /// 1 for the first call of the row.
        call: u32,
    },
    /// A row ended, and leaves the engine.
    Ended {
        /// The row, given up by the engine.
        row: Box<Row>,
        outcome: Outcome,
    },
    /// A transient answer: the row is sent again, not before `wait` from now.
    Retrying {
        line: u64,
        attempt: u32,
        error: Box<str>,
        wait: Duration,
    },
    /// A 429 paused a bucket.
    RateLimited {
        line: u64,
        /// The workspace whose bucket is paused; none where one bucket serves all.
        team: Option<TeamId>,
        /// From now until calls are allowed again.
        pause: Duration,
        /// The pause that Slack named; `None` if it named none. What `pause` has beyond it is our own caution.
        stated: Option<Duration>,
    },
    /// Another run on the same limit, or an earlier one, was asked for a pause that isn't over.
    PausedByOthers {
        team: Option<TeamId>,
        /// From now until calls are allowed again.
        pause: Duration,
    },
    /// Other runs draw on the same limit, or none does any more.
    Shared {
        team: Option<TeamId>,
        /// The others.
        runs: u32,
        /// Whether one of them is an incident.
        is_incident: bool,
        /// Calls a minute that this run may make.
        per_minute: Option<f64>,
    },
    /// The state of the limit can't be shared with other runs; why.
    NotShared(Box<str>),
    /// `--bucket auto` has learnt which rows share a limit.
    BucketKnown(BucketKind),
    /// The pacer's estimate changed: calls a minute.
    Estimate {
        /// The workspace of the bucket; none where one bucket serves all.
        team: Option<TeamId>,
        /// Calls a minute.
        per_minute: f64,
    },
    /// A workspace refuses: its rows are set aside, the others go on.
    Parked {
        team: TeamId,
        code: ErrorCode,
    },
    /// Slack answers nobody: calls are held back to one at a time.
    OutageBegan {
        error: Box<str>,
    },
    OutageEnded,
    /// The token expired and a fresh one was found where the old one came from.
    TokenRefreshed,
    /// The fresh token belongs to a user whose token the run didn't have before.
    OtherOwner {
        owner: Box<TokenOwner>,
        /// Whether the user's rows are left alone from here on.
        is_spared: bool,
    },
    /// A `warning` in a reply, told once for each text.
    Warning(Box<str>),
    /// No further call will be made but those in flight.
    Stopping(StopReason),
}

impl Event {
    /// The row that ended, and how.
    #[must_use]
    pub fn ended(&self) -> Option<(&Row, &Outcome)> {
        let Self::Ended { row, outcome } = self else { return None };
        Some((row, outcome))
    }

    /// The line of a row that is about to be sent for the first time in this run.
    #[must_use]
    pub fn first_sent(&self) -> Option<u64> {
        let Self::Sending { line, call: 1 } = self else { return None };
        Some(*line)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BucketKind {
    Org,
    /// One for each workspace named in a request.
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

/// Why no call is made until a time that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WaitReason {
    /// A 429 paused every bucket that still has rows.
    RateLimited,
    /// The server asked for a pause, but not because of a limit.
    ServerBusy,
    /// The rate allows no call yet.
    Paced,
    /// The share of a rate that other runs use too allows no call yet.
    Shared,
    /// An incident among those runs goes first.
    AfterIncident,
    /// Only rows are left that are sent again after a backoff.
    Backoff,
    /// Slack isn't answering; the next call finds out whether it does again.
    Outage,
}

/// What can be seen of a run at one moment.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Snapshot {
    /// Rows of the whole input by how they ended, those of earlier runs on the same results included.
    pub counts: Counts,
    pub total: u64,
    /// Rows that had ended before this run began.
    pub already_done: u64,
    pub in_flight: u32,
    /// 429s met in this run.
    pub rate_limited: u64,
    pub calls: u64,
    /// Since the run's first call; zero before it.
    pub elapsed: Duration,
    /// Why no call may be made now, and how long from now until one may.
    pub wait: Option<(WaitReason, Duration)>,
    /// Calls a minute that the pacer allows itself now, over all buckets; `None` without a limit.
    pub per_minute: Option<f64>,
    /// Calls ended in the last 60 s.
    pub recent_per_minute: f64,
    /// Time that the rest will take at the present estimate.
    pub eta: Option<Duration>,
    /// The kind of bucket, once known.
    pub bucket: Option<BucketKind>,
    /// Whether Slack isn't answering just now.
    pub outage: bool,
    /// Whether the run is stopping.
    pub stopping: bool,
}
