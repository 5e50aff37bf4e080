//! The members of a manifest about runs, as they are written. Later versions and other commands may add members.

use super::{BucketKind, CallCounts, SessionKind, TeamId, Timestamp, TokenOwner};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::time::Duration;

/// Members that this version doesn't know.
pub type Extra = Map<String, Value>;

/// A manifest keeps the first and the last runs, because a timer adds one every night.
pub const FIRST_RUNS: usize = 5;
/// See [`FIRST_RUNS`].
pub const LAST_RUNS: usize = 45;

/// Runs that are only kept as totals.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct LeftOutRuns {
    pub runs: u64,
    /// Their totals.
    pub counts: RunCounts,
}

impl LeftOutRuns {
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.runs == 0
    }

    pub(crate) fn add(&mut self, run: &Run) {
        let RunCounts { calls, paused_seconds } = &mut self.counts;
        self.runs += 1;
        calls.add(run.counts.calls);
        *paused_seconds += run.counts.paused_seconds;
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// See [`crate::ledger::manifest::run_id`].
    pub run_id: String,
    pub started_at: Timestamp,
    /// `None` while the run is going on, and if it died.
    pub ended_at: Option<Timestamp>,
    pub host: String,
    pub pid: u32,
    /// `None` like `ended_at`.
    pub exit_code: Option<u8>,
    /// `None` if the run wasn't stopped.
    pub stop_reason: Option<String>,
    pub api_host: String,
    /// `--rate` as given.
    pub rate: String,
    /// `--max-rate` in calls a minute.
    pub max_rate: Option<f64>,
    /// `--workers`, if given.
    pub workers: Option<u32>,
    /// `--identify-by` as given.
    pub identify_by: String,
    /// `--whole-users`.
    #[serde(default)]
    pub whole_users: bool,
    /// `--only`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub only: Option<SessionKind>,
    /// The listing of `--bulk`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bulk: Option<ListingUsed>,
    /// `--reason`.
    pub reason: Option<String>,
    /// The plan that the run had to match.
    #[serde(flatten)]
    pub approval: Option<Approval>,
    pub rehearsal: bool,
    /// The owner of the token, from `auth.test`; `None` if unknown.
    pub identity: Option<Identity>,
    /// Owners of tokens that were read during the run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub later_identities: Vec<Identity>,
    /// Checks before the first row; empty in manifests of versions that didn't make them.
    #[serde(default)]
    pub checks: Vec<Checked>,
    /// Highest number of records at the start of this or an earlier run.
    #[serde(default)]
    pub recorded_before: u64,
    pub counts: RunCounts,
    /// What was observed of the rate limit.
    #[serde(flatten)]
    pub pacing: Pacing,
    /// Members that this version doesn't know.
    #[serde(flatten)]
    pub extra: Extra,
}

/// A file that decided who is ended as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListingUsed {
    pub path: String,
    pub sha256: String,
}

/// A run with a plan id sends nothing unless it matches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// `--plan-id`.
    pub plan_id: String,
    /// `--approved-by`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approved_by: Option<String>,
}

impl Approval {
    /// `plan 1a2b…, approved by …`; the text of the approver is as it was typed.
    #[must_use]
    pub fn sentence(&self) -> String {
        let by = self.approved_by.as_ref().map(|by| format!(", approved by {by}")).unwrap_or_default();
        format!("plan {}{by}", self.plan_id)
    }
}

/// What was observed of the rate limit.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Pacing {
    /// `None` until it is known.
    pub bucket: Option<BucketKind>,
    /// Calls a minute that one bucket was found to accept; `None` if no limit was reached, or with a fixed rate.
    #[serde(default)]
    pub learnt_per_minute: Option<f64>,
    /// Changes of the estimated limit.
    pub estimate_history: History<Estimate>,
    /// 429s that paused a bucket.
    pub rate_limits: History<Pause>,
    /// Pauses of other runs with the same limit.
    #[serde(default, skip_serializing_if = "History::is_empty")]
    pub pauses_of_others: History<OthersPause>,
    /// Changes of the share of the limit.
    #[serde(default, skip_serializing_if = "History::is_empty")]
    pub shares: History<Share>,
}

impl Pacing {
    /// Adds a change of the estimate; the arguments are those of `Event::Estimate`.
    pub fn note_estimate(&mut self, at: Timestamp, team: Option<&TeamId>, per_minute: f64) {
        self.estimate_history.push(Estimate { at, team: team.map(TeamId::to_string), per_minute });
    }

    /// Adds a pause of another run; the arguments are those of `Event::PausedByOthers`.
    pub fn note_others_pause(&mut self, at: Timestamp, team: Option<&TeamId>, pause: Duration) {
        let (team, pause_seconds) = (team.map(TeamId::to_string), pause.as_secs_f64());
        self.pauses_of_others.push(OthersPause { at, team, pause_seconds });
    }

    /// Adds a change of the share; the arguments are those of `Event::Shared`.
    pub fn note_share(
        &mut self,
        at: Timestamp,
        team: Option<&TeamId>,
        runs: u32,
        is_incident: bool,
        per_minute: Option<f64>,
    ) {
        self.shares.push(Share { at, team: team.map(TeamId::to_string), other_runs: runs, is_incident, per_minute });
    }

    /// Adds a 429; the arguments are those of `Event::RateLimited`.
    pub fn note_rate_limit(&mut self, at: Timestamp, team: Option<&TeamId>, pause: Duration, stated: Option<Duration>) {
        let (team, pause_seconds) = (team.map(TeamId::to_string), pause.as_secs_f64());
        let stated_seconds = stated.map(|stated| stated.as_secs_f64());
        self.rate_limits.push(Pause { at, team, pause_seconds, stated: stated.is_some(), stated_seconds });
    }
}

/// The owner of a token, from `auth.test`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Identity {
    /// `U…` or `W…`.
    pub user_id: String,
    pub user: String,
    /// `T…`, or `E…`.
    pub team_id: String,
    pub team: String,
    /// `E…`, if the workspace belongs to an organization.
    pub enterprise_id: Option<String>,
    pub url: String,
}

impl From<&TokenOwner> for Identity {
    fn from(owner: &TokenOwner) -> Self {
        let id = |team: &Option<TeamId>| team.as_ref().map(TeamId::to_string);
        Self {
            user_id: owner.id.to_string(),
            user: owner.name.to_string(),
            team_id: id(&owner.team_id).unwrap_or_default(),
            team: owner.team.to_string(),
            enterprise_id: id(&owner.enterprise_id),
            url: owner.url.to_string(),
        }
    }
}

/// A check before the run, as in `doctor`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checked {
    /// `token`, `proxy`, `connection`, `identity`, `organization`, `scopes`, `expiry`, `clock`, `round trip`.
    pub name: String,
    pub mark: CheckMark,
    pub what: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckMark {
    Ok,
    Warning,
    Failed,
}

#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct RunCounts {
    #[serde(flatten)]
    pub calls: CallCounts,
    /// Time during which no call was allowed.
    pub paused_seconds: f64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    pub at: Timestamp,
    /// The workspace of the bucket; `None` if all rows share one bucket.
    pub team: Option<String>,
    pub per_minute: f64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Pause {
    pub at: Timestamp,
    /// The workspace of the bucket; `None` if all rows share one bucket.
    pub team: Option<String>,
    /// From `at` on.
    pub pause_seconds: f64,
    /// Whether Slack named the length of the pause.
    pub stated: bool,
    /// The pause that Slack named; `pause_seconds` may be longer as a precaution. `None` if Slack named none, and in
    /// manifests of versions that didn't record it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stated_seconds: Option<f64>,
}

/// A pause of another run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OthersPause {
    pub at: Timestamp,
    /// The workspace of the bucket; `None` if all rows share one bucket.
    pub team: Option<String>,
    /// From `at` on.
    pub pause_seconds: f64,
}

/// A change of the share of the limit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Share {
    pub at: Timestamp,
    /// The workspace of the bucket; `None` if all rows share one bucket.
    pub team: Option<String>,
    pub other_runs: u32,
    /// Whether another run is an incident.
    pub is_incident: bool,
    /// This run's share in calls a minute; `None` without other runs.
    pub per_minute: Option<f64>,
}

/// A list of limited length, so that the manifest of a long run stays small.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct History<T> {
    pub entries: Vec<T>,
    /// Number of entries that weren't kept.
    pub left_out: u64,
}

impl<T> History<T> {
    /// Enough for a chart, and about 100 KB.
    const MOST: usize = 1000;

    fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn push(&mut self, entry: T) {
        if self.entries.len() < Self::MOST { self.entries.push(entry) } else { self.left_out += 1 }
    }
}

impl<T> Default for History<T> {
    fn default() -> Self {
        Self { entries: Vec::new(), left_out: 0 }
    }
}
