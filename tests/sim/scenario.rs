//! Scenarios: one file each, with the ranges that a run must stay in and a sentence that says why.

use crate::limiter::{Kind, Limits};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;

/// What a server asks for with a 429.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RetryAfter {
    /// The time until a call would be taken, in whole seconds, rounded up.
    Exact,
    /// Nothing.
    Missing,
    /// Always so many seconds.
    Always(u64),
}

/// How long a call takes, there and back; the limit is looked at half way.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct Latency {
    /// Milliseconds, evenly between the two.
    pub ms: (u64, u64),
    /// This share of the calls takes `tail_ms`.
    #[serde(default)]
    pub tail: f64,
    #[serde(default)]
    pub tail_ms: u64,
}

impl Default for Latency {
    fn default() -> Self {
        Self { ms: (200, 200), tail: 0.0, tail_ms: 0 }
    }
}

/// Another process that uses the same limit at its own pace, whatever it is answered.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct Other {
    pub per_minute: f64,
    pub from_s: f64,
    pub until_s: f64,
}

/// A time in which every call is refused.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Storm {
    pub from_s: f64,
    pub until_s: f64,
    pub retry_after: RetryAfter,
}

/// Refusals of this share of the calls, whatever the load.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Random {
    pub share: f64,
    pub retry_after: RetryAfter,
}

/// A second limit, which all rows share.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SharedLimit {
    pub limiter: Kind,
    pub limit: f64,
    #[serde(default = "a_minute")]
    pub window_s: f64,
}

/// The order of rows of several workspaces.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    Sorted,
    Shuffled,
}

/// The workspaces of the rows.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct Teams {
    pub count: usize,
    pub order: Order,
    /// The share of the first one; evenly where none is given.
    pub first: Option<f64>,
    /// Whether each has a limit of its own, or all share one.
    pub own_limits: bool,
}

impl Default for Teams {
    fn default() -> Self {
        Self { count: 1, order: Order::Sorted, first: None, own_limits: false }
    }
}

/// The ranges of one number of rows.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bounds {
    /// Time over the oracle's: at least and at most.
    pub ratio: Option<(f64, f64)>,
    /// Seconds later than the oracle, at most.
    pub late_s: Option<f64>,
    /// The share of 429s, at most.
    pub limited: Option<f64>,
    /// The ratio that is required and that the range above doesn't hold yet. The table shows it.
    pub required: Option<f64>,
    /// The share of 429s that is required and that `limited` doesn't hold yet.
    pub required_limited: Option<f64>,
}

/// One scenario.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    #[serde(skip)]
    pub name: String,
    pub why: String,
    pub limiter: Kind,
    pub limits: Limits,
    #[serde(default = "a_minute")]
    pub window_s: f64,
    #[serde(default = "exact")]
    pub retry_after: RetryAfter,
    #[serde(default)]
    pub latency: Latency,
    #[serde(default)]
    pub others: Vec<Other>,
    #[serde(default)]
    pub storms: Vec<Storm>,
    pub random: Option<Random>,
    /// A refusal closes the limit for so long, and a call inside that time begins it again.
    #[serde(default)]
    pub penalty_s: f64,
    /// Calls that may be under way at the same time.
    pub at_once: Option<usize>,
    pub shared_limit: Option<SharedLimit>,
    /// Refusals are HTTP 503 without a `Retry-After`, as nginx answers.
    #[serde(default)]
    pub answers_503: bool,
    #[serde(default)]
    pub teams: Teams,
    #[serde(default = "tier")]
    pub start: f64,
    #[serde(default = "most")]
    pub most: f64,
    /// Rows, each with its ranges.
    pub rows: BTreeMap<usize, Bounds>,
    #[serde(default)]
    pub seed: u64,
}

fn a_minute() -> f64 {
    60.0
}

fn exact() -> RetryAfter {
    RetryAfter::Exact
}

fn tier() -> f64 {
    20.0
}

fn most() -> f64 {
    300.0
}

impl Scenario {
    /// All scenarios beside this file, by name. Those in `wider` cost a quarter more time and are played if `SIM_WIDER` is set.
    pub fn all() -> Vec<Self> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sim/scenarios");
        let wider = std::env::var_os("SIM_WIDER").map(|_| folder.join("wider"));
        let files = std::iter::once(folder).chain(wider).flat_map(|folder| {
            std::fs::read_dir(folder)
                .expect("the scenarios are there")
                .map(|entry| entry.expect("a readable folder").path())
        });
        let mut all: Vec<Self> = files.filter(|path| path.is_file()).map(|path| Self::read(&path)).collect();
        all.sort_by(|one, other| one.name.cmp(&other.name));
        all
    }

    fn read(path: &Path) -> Self {
        let text = std::fs::read_to_string(path).expect("a readable scenario");
        let read: Self = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        Self { name, ..read }
    }

    /// Whether it is one of pacing.md's own, which are played with all four numbers of rows.
    pub fn is_known(&self) -> bool {
        [10, 100, 1000, 5000].iter().all(|rows| self.rows.contains_key(rows))
    }

    /// The same with other chances, where what it is measured by is chance: their mean is judged.
    pub fn seeds(&self) -> impl Iterator<Item = Self> {
        let count = if self.random.is_some() { 3 } else { 1 };
        (0..count).map(|seed| Self { seed: self.seed + seed, ..self.clone() })
    }

    /// The workspace of every row, in the input's order.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "rows")]
    pub fn teams_of(&self, rows: usize) -> Vec<usize> {
        let Teams { count, order, first, .. } = self.teams;
        let of_first = first.map_or(rows.div_ceil(count), |share| (rows as f64 * share) as usize);
        let rest = (rows - of_first.min(rows)).max(1);
        let others = count.saturating_sub(1).max(1);
        let mut teams: Vec<usize> =
            (0..rows).map(|row| if row < of_first { 0 } else { 1 + (row - of_first) * others / rest }).collect();
        if order == Order::Shuffled {
            fastrand::Rng::with_seed(self.seed ^ 0x00C0_FFEE).shuffle(&mut teams);
        }
        teams
    }
}
