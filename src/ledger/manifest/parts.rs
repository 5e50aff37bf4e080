//! The members of a manifest.

use super::Extra;
use crate::model::{BucketKind, ColumnNames, Counts, Fields, IdColumn, IdColumns, Stamp, Status, TeamId, TokenOwner};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

/// A stamp, in RFC 3339, UTC, with milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct At(pub Stamp);

impl Serialize for At {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0.rfc3339())
    }
}

impl<'de> Deserialize<'de> for At {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        Stamp::parse(&text).map(Self).ok_or_else(|| D::Error::custom(format!("{text:?} is no timestamp")))
    }
}

/// Runs that are no longer kept one by one.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct LeftOutRuns {
    /// How many.
    pub runs: u64,
    /// What they did together.
    pub counts: RunCounts,
}

impl LeftOutRuns {
    pub(super) fn is_none(&self) -> bool {
        self.runs == 0
    }

    pub(super) fn add(&mut self, run: &Run) {
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
    /// See [`super::run_id`].
    pub run_id: String,
    /// When it began.
    pub started_at: At,
    /// When it ended; none while it is under way, or where it died.
    pub ended_at: Option<At>,
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
    /// `--reason`.
    pub reason: Option<String>,
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
    /// Which rows shared a limit, once known.
    pub bucket: Option<Bucket>,
    /// Calls a minute that one bucket was found to take; none where the run met no limit, or had a rate of its own.
    #[serde(default)]
    pub learnt_per_minute: Option<f64>,
    /// How the estimate of the limit went.
    pub estimate_history: History<Estimate>,
    /// The 429s that paused a bucket.
    pub rate_limits: History<Pause>,
    /// Members that this version does not know.
    #[serde(flatten)]
    pub extra: Extra,
}

impl Run {
    /// Notes that the estimate of a limit changed to `per_minute` calls; `team` as in `Event::Estimate`.
    pub fn note_estimate(&mut self, at: Stamp, team: Option<&TeamId>, per_minute: f64) {
        self.estimate_history.push(Estimate { at: At(at), team: team.map(TeamId::to_string), per_minute });
    }

    /// Notes a 429; `team` and `stated` as in `Event::RateLimited`.
    pub fn note_rate_limit(&mut self, at: Stamp, team: Option<&TeamId>, pause: Duration, stated: Option<Duration>) {
        let (team, pause_seconds) = (team.map(TeamId::to_string), pause.as_secs_f64());
        let stated_seconds = stated.map(|stated| stated.as_secs_f64());
        self.rate_limits.push(Pause { at: At(at), team, pause_seconds, stated: stated.is_some(), stated_seconds });
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

/// [`BucketKind`] as it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bucket {
    /// One for the token.
    Org,
    /// One for each workspace.
    Team,
}

impl From<BucketKind> for Bucket {
    fn from(kind: BucketKind) -> Self {
        match kind {
            BucketKind::Org => Self::Org,
            BucketKind::Team => Self::Team,
        }
    }
}

/// One change of the estimate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// When.
    pub at: At,
    /// The workspace of the bucket; none where one bucket serves all.
    pub team: Option<String>,
    /// Calls a minute.
    pub per_minute: f64,
}

/// One 429 that paused a bucket.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Pause {
    /// When.
    pub at: At,
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

    fn push(&mut self, entry: T) {
        if self.entries.len() < Self::MOST { self.entries.push(entry) } else { self.left_out += 1 }
    }
}

impl<T> Default for History<T> {
    fn default() -> Self {
        Self { entries: Vec::new(), left_out: 0 }
    }
}

/// The input: the file as it is, and what it unpacks to, which is what a resumption compares.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Input {
    /// As it was given; `-` for standard input.
    pub path: String,
    /// Of the file, in lower-case hexadecimal, as `sha256sum` prints it.
    pub sha256: String,
    /// The file's length.
    pub bytes: u64,
    /// Of the unpacked content.
    pub content_sha256: String,
    /// The unpacked content's length.
    pub content_bytes: u64,
    /// Rows, the header not counted.
    pub rows: u64,
    /// Which of its columns were read as which id; empty in manifests of versions that didn't record it.
    #[serde(default)]
    pub columns: Columns,
    /// Members that this version does not know.
    #[serde(flatten)]
    pub extra: Extra,
}

/// Headers by the name of the id: `session_id`, `user_id`, `team_id`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Columns(BTreeMap<String, String>);

impl Columns {
    /// Those that were found in a header.
    #[must_use]
    pub fn of(found: IdColumns, header: &Fields) -> Self {
        let header = |column: IdColumn| found.of(column).and_then(|index| header.get(index));
        Self(IdColumn::ALL.into_iter().filter_map(|id| Some((id.as_str().into(), header(id)?.into()))).collect())
    }

    /// As names to find them by again, in results with the same columns.
    #[must_use]
    pub fn names(&self) -> ColumnNames {
        let mut names = ColumnNames::default();
        for (id, header) in &self.0 {
            if let Some(column) = IdColumn::parse(id) {
                names.set(column, header);
            }
        }
        names
    }

    /// The first id that was read from another column than now, with its header of then.
    #[must_use]
    pub fn first_other(&self, now: &Self) -> Option<(&str, &str)> {
        self.0.iter().find(|(id, header)| now.0.get(*id) != Some(header)).map(|(id, header)| (&**id, &**header))
    }
}

/// The results.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Results {
    /// Where they were written.
    pub path: String,
    /// Once the run has ended; none while they change.
    pub sha256: Option<String>,
    /// As for `sha256`.
    pub bytes: Option<u64>,
    /// Members that this version does not know.
    #[serde(flatten)]
    pub extra: Extra,
}

/// The remaining file: only what is still this is replaced or removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remaining {
    /// Where it was written.
    pub path: String,
    /// Its rows.
    pub rows: u64,
    /// Of the file, in lower-case hexadecimal.
    pub sha256: String,
    /// The file's length.
    pub bytes: u64,
}

/// From the first call to the last record, in UTC: what an alert is matched to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// The first.
    pub from: At,
    /// The last.
    pub to: At,
}

/// Rows by how they ended, over all runs. They add up to the input's.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Totals {
    /// Each status with its rows.
    #[serde(flatten)]
    pub by_status: StatusRows,
    /// Rows that have not ended.
    pub not_reached: u64,
}

impl Totals {
    /// From the rows that have ended, of an input of `rows` rows.
    #[must_use]
    pub fn of(ended: &Counts, rows: u64) -> Self {
        let not_reached = rows.saturating_sub(ended.ended());
        Self { by_status: ended.iter().collect(), not_reached }
    }

    /// All rows; none where the sum is beyond any number of rows.
    pub(super) fn rows(&self) -> Option<u64> {
        self.by_status.0.iter().try_fold(self.not_reached, |sum, (_, rows)| sum.checked_add(*rows))
    }
}

/// Statuses with their rows, in the order of the totals. A list, and not a map: most of the 100,000 users that there can
/// be have one entry, and a map takes eight times its memory.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StatusRows(Box<[(Status, u64)]>);

impl StatusRows {
    /// From counts, without the statuses that have none.
    pub(super) fn some(counts: &Counts) -> Self {
        counts.iter().filter(|(_, rows)| *rows > 0).collect()
    }

    /// Each status that has rows, with their number.
    pub fn iter(&self) -> impl Iterator<Item = (Status, u64)> {
        self.0.iter().copied()
    }

    /// Rows of this status.
    #[must_use]
    pub fn of(&self, status: Status) -> u64 {
        self.0.iter().find(|(named, _)| *named == status).map_or(0, |(_, rows)| *rows)
    }
}

impl FromIterator<(Status, u64)> for StatusRows {
    fn from_iter<I: IntoIterator<Item = (Status, u64)>>(rows: I) -> Self {
        let mut rows: Vec<_> = rows.into_iter().collect();
        rows.sort_unstable();
        Self(rows.into())
    }
}

impl Serialize for StatusRows {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(status, rows)| (status.as_str(), rows)))
    }
}

impl<'de> Deserialize<'de> for StatusRows {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let read = |(word, rows): (String, u64)| match Status::parse(&word) {
            Some(status) => Ok((status, rows)),
            None => Err(D::Error::custom(format!("{word:?} is no status"))),
        };
        BTreeMap::<String, u64>::deserialize(deserializer)?.into_iter().map(read).collect()
    }
}
