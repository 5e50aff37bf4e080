//! One limit that several runs draw on: what a run and the quota store say to each other. Times are the run's own.

use crate::model::TeamId;
use std::time::Duration;

/// A call that was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AnsweredCall {
    pub sent_at: Duration,
    pub at: Duration,
    /// From `at` on; `None` if the call was accepted.
    pub pause: Option<Duration>,
}

/// What a run reports of a limit, and whether it wants to call.
#[derive(Debug, Clone, PartialEq)]
pub struct LimitReport {
    /// The workspace that has the limit; `None` for the limit of all.
    pub team: Option<TeamId>,
    pub wants_call: bool,
    pub answers: Vec<AnsweredCall>,
    /// The end of the pause that the run knows of; in the past if there is none.
    pub paused_until: Duration,
    /// Calls a minute at which the run would use the limit, if it finds that out; and whether a refusal taught it.
    pub rate: Option<(f64, bool)>,
    /// Zero at the end of the run.
    pub rows_left: u64,
}

/// What other runs did since the last exchange, and what they leave to this one.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct LimitNews {
    /// The call may leave now, and others know of it.
    pub may_call: bool,
    pub paused_until: Duration,
    /// Calls of others that left.
    pub sent: Vec<Duration>,
    /// Calls of others that were answered.
    pub answers: Vec<AnsweredCall>,
    /// Calls a minute of all runs together, as another run finds it out; `None` if this one does.
    pub rate: Option<f64>,
    /// What runs before learned, and how long ago.
    pub learned: Option<(f64, Duration)>,
    /// Calls a minute that this run may make; `None` if it is alone.
    pub share: Option<f64>,
    pub others: OtherRuns,
}

/// Who else draws on a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OtherRuns {
    pub runs: u32,
    pub rows: u64,
    /// Whether one of them is an incident.
    pub is_incident: bool,
}

/// The state of the limits outside of the process. It's an optimization: a run goes on without it.
pub trait QuotaStore {
    /// Reports, and gets the news. If a call is wanted and nothing speaks against it, the call is recorded before this returns.
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
