//! What a manifest says of the runs on one results file. As it is written: later versions and other commands may add members.

use super::{BucketKind, SessionKind, Stamp, TeamId, TokenOwner};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::time::Duration;

/// Members that this version does not know.
pub type Extra = Map<String, Value>;

/// Runs on one results file that are kept from the beginning, and up to now: a timer adds one every night.
pub const FIRST_RUNS: usize = 5;
/// As for [`FIRST_RUNS`].
pub const LAST_RUNS: usize = 45;

/// Runs that are no longer kept one by one.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct LeftOutRuns {
    /// How many.
    pub runs: u64,
    /// What they did together.
    pub counts: RunCounts,
}

impl LeftOutRuns {
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.runs == 0
    }

    pub(crate) fn add(&mut self, run: &Run) {
        let RunCounts { calls, rate_limited, paused_seconds } = &mut self.counts;
        self.runs += 1;
        *calls += run.counts.calls;
        *rate_limited += run.counts.rate_limited;
        *paused_seconds += run.counts.paused_seconds;
    }
}

/// One run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// See [`crate::ledger::manifest::run_id`].
    pub run_id: String,
    /// When it began.
    pub started_at: Stamp,
    /// When it ended; none while it is under way, or where it died.
    pub ended_at: Option<Stamp>,
    /// The machine.
    pub host: String,
    /// The process.
    pub pid: u32,
    /// What it ended with; none as for `ended_at`.
    pub exit_code: Option<u8>,
    /// Why it stopped before the end, in words; none where it did not.
    pub stop_reason: Option<String>,
    /// The host that was called.
    pub api_host: String,
    /// `--rate`, as it was given.
    pub rate: String,
    /// `--max-rate`, calls a minute.
    pub max_rate: Option<f64>,
    /// `--workers`, where given.
    pub workers: Option<u32>,
    /// `--identify-by`, as it was given.
    pub identify_by: String,
    /// `--whole-users`.
    #[serde(default)]
    pub whole_users: bool,
    /// `--only`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub only: Option<SessionKind>,
    /// `--reason`.
    pub reason: Option<String>,
    /// What the run was checked against.
    #[serde(flatten)]
    pub approval: Option<Approval>,
    /// Whether the calls went to the stand-in.
    pub rehearsal: bool,
    /// Whose token it was, as `auth.test` said; none where it was not asked.
    pub identity: Option<Identity>,
    /// Other users whose tokens the run was given when it read the token again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub later_identities: Vec<Identity>,
    /// What was checked before the first row; none in manifests of versions that did not check.
    #[serde(default)]
    pub checks: Vec<Checked>,
    /// The most rows that were recorded when it, or one before it, began.
    #[serde(default)]
    pub recorded_before: u64,
    /// What this run did.
    pub counts: RunCounts,
    /// How the limit showed itself.
    #[serde(flatten)]
    pub pacing: Pacing,
    /// Members that this version does not know.
    #[serde(flatten)]
    pub extra: Extra,
}

/// A plan that a run had to be, or it would have sent nothing.
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

/// How the limit showed itself.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Pacing {
    /// Which rows shared a limit, once known.
    pub bucket: Option<BucketKind>,
    /// Calls a minute that one bucket was found to take; none where the run met no limit, or had a rate of its own.
    #[serde(default)]
    pub learnt_per_minute: Option<f64>,
    /// How the estimate of the limit went.
    pub estimate_history: History<Estimate>,
    /// The 429s that paused a bucket.
    pub rate_limits: History<Pause>,
    /// Pauses that other runs on the same limit were asked for.
    #[serde(default, skip_serializing_if = "History::is_empty")]
    pub pauses_of_others: History<OthersPause>,
    /// How the limit was shared with other runs.
    #[serde(default, skip_serializing_if = "History::is_empty")]
    pub shares: History<Share>,
}

impl Pacing {
    /// Notes that the estimate of a limit changed to `per_minute` calls; `team` as in `Event::Estimate`.
    pub fn note_estimate(&mut self, at: Stamp, team: Option<&TeamId>, per_minute: f64) {
        self.estimate_history.push(Estimate { at, team: team.map(TeamId::to_string), per_minute });
    }

    /// Notes a pause of another run; the arguments are those of `Event::PausedByOthers`.
    pub fn note_others_pause(&mut self, at: Stamp, team: Option<&TeamId>, pause: Duration) {
        let (team, pause_seconds) = (team.map(TeamId::to_string), pause.as_secs_f64());
        self.pauses_of_others.push(OthersPause { at, team, pause_seconds });
    }

    /// Notes who else draws on the limit; the arguments are those of `Event::Shared`.
    pub fn note_share(
        &mut self,
        at: Stamp,
        team: Option<&TeamId>,
        runs: u32,
        is_incident: bool,
        per_minute: Option<f64>,
    ) {
        self.shares.push(Share { at, team: team.map(TeamId::to_string), other_runs: runs, is_incident, per_minute });
    }

    /// Notes a 429; `team` and `stated` as in `Event::RateLimited`.
    pub fn note_rate_limit(&mut self, at: Stamp, team: Option<&TeamId>, pause: Duration, stated: Option<Duration>) {
        let (team, pause_seconds) = (team.map(TeamId::to_string), pause.as_secs_f64());
        let stated_seconds = stated.map(|stated| stated.as_secs_f64());
        self.rate_limits.push(Pause { at, team, pause_seconds, stated: stated.is_some(), stated_seconds });
    }
}

/// The owner of a token, as `auth.test` names it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Identity {
    /// `U…` or `W…`.
    pub user_id: String,
    /// The user's name.
    pub user: String,
    /// `T…`, or `E…`.
    pub team_id: String,
    /// The workspace's name.
    pub team: String,
    /// `E…`, in an organisation.
    pub enterprise_id: Option<String>,
    /// The workspace's address.
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

/// One thing that was looked at before a run, as `doctor` looks at it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checked {
    /// `token`, `proxy`, `connection`, `identity`, `organisation`, `scopes`, `expiry`, `clock`, `round trip`.
    pub name: String,
    /// What came of it.
    pub mark: CheckMark,
    /// In words.
    pub what: String,
}

/// What came of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckMark {
    /// Fit.
    Ok,
    /// Worth a look.
    Warning,
    /// It will not do.
    Failed,
}

/// What one run did.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct RunCounts {
    /// Calls made.
    pub calls: u64,
    /// 429s met.
    pub rate_limited: u64,
    /// Time in which no call was allowed.
    pub paused_seconds: f64,
}

/// One change of the estimate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// When.
    pub at: Stamp,
    /// The workspace of the bucket; none where one bucket serves all.
    pub team: Option<String>,
    /// Calls a minute.
    pub per_minute: f64,
}

/// One 429 that paused a bucket.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Pause {
    /// When.
    pub at: Stamp,
    /// The workspace of the bucket; none where one bucket serves all.
    pub team: Option<String>,
    /// From then until calls were allowed again.
    pub pause_seconds: f64,
    /// Whether Slack named the pause.
    pub stated: bool,
    /// The pause that Slack named; what `pause_seconds` has beyond it is the program's own caution. None if Slack named
    /// none, and in manifests of versions that did not tell the two apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stated_seconds: Option<f64>,
}

/// A pause that another run was asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OthersPause {
    pub at: Stamp,
    /// The workspace of the bucket; `None` if one bucket serves all.
    pub team: Option<String>,
    /// From then until calls were allowed again.
    pub pause_seconds: f64,
}

/// A change of who draws on the limit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Share {
    pub at: Stamp,
    /// The workspace of the bucket; `None` if one bucket serves all.
    pub team: Option<String>,
    pub other_runs: u32,
    /// Whether one of the others is an incident.
    pub is_incident: bool,
    /// Calls a minute of this run; `None` if it is alone.
    pub per_minute: Option<f64>,
}

/// A list that stops growing: a long run must not make its manifest long.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct History<T> {
    /// The first 1,000.
    pub entries: Vec<T>,
    /// How many more there were.
    pub left_out: u64,
}

impl<T> History<T> {
    /// What a chart can show, and about 100 KB.
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
