//! A limit shared by several runs: the messages between a run and the quota store. Times are those of the run.

use crate::model::TeamId;
use std::time::Duration;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AnsweredCall {
    pub sent_at: Duration,
    pub at: Duration,
    /// Starting at `at`; `None` if the call was accepted.
    pub pause: Option<Duration>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct LimitReport {
    /// The workspace of the limit; `None` for the common limit.
    pub team: Option<TeamId>,
    /// Whether it is the limit of calls for whole users.
    pub is_bulk: bool,
    pub wants_call: bool,
    pub answers: Vec<AnsweredCall>,
    /// The end of the pause that the run knows; in the past if there is none.
    pub paused_until: Duration,
    /// The estimated limit in calls a minute, and whether it was learned from a refusal; `None` if the run doesn't
    /// estimate it.
    pub rate: Option<(f64, bool)>,
    /// Zero at the end of the run.
    pub rows_left: u64,
}

/// What other runs did since the last exchange, and this run's share.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct LimitNews {
    /// Whether the call may be made now; it is recorded then.
    pub may_call: bool,
    pub paused_until: Duration,
    /// Other runs' calls that were sent.
    pub sent: Vec<Duration>,
    /// Other runs' calls that were answered.
    pub answers: Vec<AnsweredCall>,
    /// Total rate in calls a minute, as estimated by another run; `None` if this run estimates it.
    pub rate: Option<f64>,
    /// The limit that earlier runs learned, and its age.
    pub learned: Option<(f64, Duration)>,
    /// This run's share in calls a minute; `None` if it is alone.
    pub share: Option<f64>,
    pub others: OtherRuns,
}

/// The other runs with a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OtherRuns {
    pub runs: u32,
    pub rows: u64,
    /// Whether one of them is an incident.
    pub is_incident: bool,
}

/// The state of the limits outside the process. An optimization: a run continues without it.
pub trait QuotaStore {
    /// Sends the report and returns the news. If the call is allowed, it is recorded before this returns.
    ///
    /// # Errors
    /// Why the store can't be used now.
    fn exchange(&mut self, report: LimitReport) -> impl Future<Output = Result<LimitNews, Box<str>>>;
}

/// For runs that share nothing.
#[derive(Debug)]
pub struct NoStore;

impl QuotaStore for NoStore {
    async fn exchange(&mut self, _: LimitReport) -> Result<LimitNews, Box<str>> {
        Err("there is no store".into())
    }
}
