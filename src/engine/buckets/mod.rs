//! The buckets: which rows share a limit, and the queue and the gate of each.
//!
//! A run begins with one bucket for all. Where a 429 pauses it and rows of another workspace wait, one of them is sent
//! as a test: accepted, and every workspace has a bucket of its own; limited, and there is one for all. Rows that
//! name a user name no workspace and stay in the first bucket.

mod detection;
mod recent_calls;

use super::job::Job;
use super::policy::{BucketPolicy, Policy};
use super::ports::{LimitNews, LimitReport, Permit, Want};
use super::rate_gate::{NotUntil, Pace, RateGate};
use super::run_limit::RunLimit;
use crate::model::{BucketKind, TeamId};
use detection::Detection;
use std::collections::{HashMap, VecDeque};
use std::time::Duration;

/// No more rows are requested while this many wait in the only bucket: two batches, so that the reader is never waited for.
const AHEAD: usize = 128;

/// The same for each of several buckets, whose limits let one row out every few seconds.
const AHEAD_OF_TEAM: usize = 4;

/// The index of the bucket for everything that names no workspace, and at first for all.
const COMMON: usize = 0;

/// Rows that share a limit.
#[derive(Debug)]
pub struct RateBucket {
    /// `None` for the common bucket.
    pub team: Option<TeamId>,
    pub gate: RateGate,
    /// Rows to send, in their order.
    pub queue: VecDeque<Job>,
    in_flight: u64,
    /// Rows that still have to be sent, wherever they are.
    left: u64,
    supply: Supply,
}

/// Whether the input has more rows of a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Supply {
    /// As far as is known.
    More,
    Requested,
    Exhausted,
}

impl Supply {
    /// A batch came, of these rows or of others of the same workspace.
    fn received(&mut self, exhausted: bool) {
        *self = if exhausted || *self == Self::Exhausted { Self::Exhausted } else { Self::More };
    }
}

impl RateBucket {
    fn new(team: Option<TeamId>, gate: RateGate, left: u64) -> Self {
        Self { team, gate, queue: VecDeque::new(), in_flight: 0, left, supply: Supply::More }
    }
}

fn gate(pace: Pace, shares_limit: bool) -> RateGate {
    if shares_limit { RateGate::shared(pace) } else { RateGate::new(pace) }
}

/// All buckets of a run.
#[derive(Debug)]
pub struct Buckets {
    pace: Pace,
    shares_limit: bool,
    limit: RunLimit,
    detection: Detection,
    all: Vec<RateBucket>,
    of_team: HashMap<TeamId, usize>,
    left_of: HashMap<TeamId, u64>,
    turn: usize,
    /// Rows in the input's order, for whatever bucket.
    supply: Supply,
}

impl Buckets {
    /// One bucket for all, or with [`BucketPolicy::Team`] one for each workspace.
    pub fn new(policy: &Policy, now: Duration) -> Self {
        let known = match policy.bucket {
            BucketPolicy::Auto if policy.workspaces.len() > 1 => None,
            BucketPolicy::Auto | BucketPolicy::Org => Some(BucketKind::Org),
            BucketPolicy::Team => Some(BucketKind::Team),
        };
        let mut buckets = Self {
            pace: policy.pace,
            shares_limit: policy.shares_limit,
            limit: RunLimit::new(policy.pace, now),
            detection: Detection::new(known),
            all: vec![RateBucket::new(None, gate(policy.pace, policy.shares_limit), policy.to_send)],
            of_team: HashMap::new(),
            left_of: policy.workspaces.iter().cloned().collect(),
            turn: 0,
            supply: Supply::More,
        };
        if policy.bucket == BucketPolicy::Team {
            buckets.split(now);
        }
        buckets
    }

    pub fn kind(&self) -> Option<BucketKind> {
        self.detection.kind()
    }

    /// All buckets, the common one first.
    pub fn iter(&self) -> impl Iterator<Item = &RateBucket> {
        self.all.iter()
    }

    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// The first bucket to ask: the one after the bucket that sent last.
    pub fn turn(&self) -> usize {
        self.turn % self.all.len()
    }

    /// Calls a minute of the whole run at most; `None` without a limit.
    pub fn total_per_minute(&self) -> Option<f64> {
        self.limit.per_minute()
    }

    pub fn of(&self, job: &Job) -> usize {
        job.addressed_team().and_then(|team| self.of_team.get(team).copied()).unwrap_or(COMMON)
    }

    pub fn push(&mut self, job: Job) {
        let index = self.of(&job);
        self.all[index].queue.push_back(job);
    }

    /// Puts a row that was sent before ahead of those that were not.
    pub fn push_first(&mut self, job: Job) {
        let index = self.of(&job);
        self.all[index].queue.push_front(job);
    }

    /// Whether any queue has a row.
    pub fn has_rows(&self) -> bool {
        self.all.iter().any(|bucket| !bucket.queue.is_empty())
    }

    /// Whether any queue has a row for which `is_wanted` holds.
    pub fn any_row(&self, is_wanted: impl Fn(&Job) -> bool) -> bool {
        self.all.iter().any(|bucket| bucket.queue.iter().any(&is_wanted))
    }

    /// Takes the first row of a bucket, if its gate and the run's limit allow a call.
    ///
    /// # Errors
    /// When to try again, or `None` if there is no row.
    pub fn take_row(&mut self, index: usize, now: Duration) -> Result<(Permit, Job), Option<NotUntil>> {
        let left = self.rows_left(index);
        if self.all[index].queue.is_empty() {
            return Err(None);
        }
        let bucket = &mut self.all[index];
        let permit = self.limit.try_acquire(now, || bucket.gate.try_acquire(now, left, bucket.in_flight))?;
        self.turn = index + 1;
        let job = bucket.queue.pop_front().expect("looked at just now");
        Ok((permit, job))
    }

    /// The end of the pause of a row's bucket; in the past if there is none.
    pub fn paused_until(&self, job: &Job) -> Duration {
        self.all[self.of(job)].gate.paused_until()
    }

    /// A call for a row was made.
    pub fn sent(&mut self, job: &Job, now: Duration) {
        let index = self.of(job);
        self.all[index].in_flight += 1;
        let is_detecting = matches!(self.pace, Pace::Auto { .. }) && self.kind().is_none();
        if let (true, Some(team)) = (is_detecting, job.addressed_team()) {
            self.detection.recent.push(now, team);
        }
    }

    /// A row was refused, and its workspace has to wait until then.
    pub fn record_pause(&mut self, job: &Job, now: Duration, until: Duration) {
        self.detection.record_pause(job, now, until);
    }

    /// A row sent at `sent_at` met a limit.
    pub fn on_limited(&mut self, job: &Job, sent_at: Duration, now: Duration) {
        self.detection.on_limited(job, sent_at, now, &self.all[COMMON].gate);
    }

    /// What other runs must know of a bucket, and whether a call waits for that.
    pub fn report(&mut self, index: usize, now: Duration, wants_call: bool) -> Option<LimitReport> {
        let RateBucket { team, gate, left, .. } = &mut self.all[index];
        gate.report(now, wants_call, *left).map(|report| LimitReport { team: team.clone(), ..report })
    }

    /// What other runs did. Returns the pause that they met, if it is longer than what was known.
    pub fn on_news(&mut self, index: usize, news: &LimitNews, now: Duration) -> Option<Duration> {
        self.all[index].gate.on_news(news, now)
    }

    /// The store of the other runs can't be used.
    pub fn on_no_news(&mut self, now: Duration) {
        self.all.iter_mut().for_each(|bucket| bucket.gate.on_no_news(now));
    }

    /// Takes a row to send as a test, past the pause of the common bucket.
    ///
    /// # Errors
    /// `None` if no test is due or no row is there for it; or when the run's limit allows a call.
    pub fn take_test_row(&mut self, now: Duration) -> Result<(Permit, Job), Option<NotUntil>> {
        let common = &mut self.all[COMMON];
        let place = self.detection.test_row(common, &self.left_of, now).ok_or(None)?;
        let permit = self.limit.try_acquire(now, || Ok(common.gate.issue_past_the_pause()))?;
        let job = common.queue.remove(place).ok_or(None)?;
        self.detection.start_test(job.line());
        Ok((permit, job))
    }

    /// The answer to a call that may be the test; `accepted` is `None` if it shows nothing. Gives the kind if it is known now.
    pub fn on_test_answer(
        &mut self,
        job: &Job,
        accepted: Option<bool>,
        sent_at: Duration,
        now: Duration,
    ) -> Option<BucketKind> {
        let kind = self.detection.on_answer(job.line(), accepted, sent_at, now, &self.all[COMMON].gate)?;
        if kind == BucketKind::Team {
            self.split(now);
        }
        self.detection.recent.clear();
        Some(kind)
    }

    /// A row's call was answered, or broke off.
    pub fn answered(&mut self, job: &Job) -> &mut RateGate {
        let index = self.of(job);
        let bucket = &mut self.all[index];
        bucket.in_flight = bucket.in_flight.saturating_sub(1);
        &mut bucket.gate
    }

    /// A row left the engine, or was set aside.
    pub fn ended(&mut self, job: &Job) {
        let index = self.of(job);
        self.all[index].left = self.all[index].left.saturating_sub(1);
        if let Some(left) = job.addressed_team().and_then(|team| self.left_of.get_mut(team)) {
            *left = left.saturating_sub(1);
        }
    }

    /// Corrects the number of calls still to make. For whole users, who share one bucket.
    pub fn expect(&mut self, calls: u64) {
        self.all[COMMON].left = calls;
    }

    /// One call was replaced with two.
    pub fn was_split(&mut self) {
        self.all[COMMON].left += 1;
    }

    pub fn rows_left(&self, index: usize) -> u64 {
        self.all[index].left
    }

    /// Gives every workspace a bucket of its own, with the calls it has had and the pause it was asked for.
    fn split(&mut self, now: Duration) {
        let mut teams: Vec<TeamId> = self.left_of.keys().cloned().collect();
        teams.sort_unstable();
        let waiting = std::mem::take(&mut self.all[COMMON].queue);
        let paused = self.detection.take_pauses();
        let keep_pause = |gate: &mut RateGate, team: Option<TeamId>| {
            if let Some(until) = paused.get(&team).filter(|until| **until > now) {
                gate.refused(now, now, until.saturating_sub(now));
            }
        };
        let common = &mut self.all[COMMON];
        common.gate = gate(self.pace, self.shares_limit);
        common.left = common.left.saturating_sub(self.left_of.values().sum());
        common.supply = if common.left == 0 { Supply::Exhausted } else { common.supply };
        keep_pause(&mut common.gate, None);
        for team in teams {
            let mut gate = gate(self.pace, self.shares_limit);
            self.detection.recent.moments(&team).for_each(|at| gate.remember(at));
            keep_pause(&mut gate, Some(team.clone()));
            self.of_team.insert(team.clone(), self.all.len());
            let left = self.left_of[&team];
            self.all.push(RateBucket::new(Some(team), gate, left));
        }
        for job in waiting {
            self.push(job);
        }
    }

    /// Counts anew the calls in flight of each bucket, after a split.
    pub fn recount<'a>(&mut self, in_flight: impl Iterator<Item = &'a Job>) {
        self.all.iter_mut().for_each(|bucket| bucket.in_flight = 0);
        for job in in_flight {
            let index = self.of(job);
            self.all[index].in_flight += 1;
        }
    }

    /// What to request from the input now.
    pub fn requests(&mut self) -> Vec<Want> {
        let mut wants = Vec::new();
        wants.extend(self.detection.request_row(&self.all[COMMON].queue, &self.left_of).map(Want::Of));
        let is_split = self.all.len() > 1;
        let mut buckets_have_more = false;
        for bucket in self.all.iter_mut().filter(|bucket| is_split && bucket.supply != Supply::Exhausted) {
            buckets_have_more = true;
            if bucket.queue.len() < AHEAD_OF_TEAM && bucket.supply == Supply::More {
                bucket.supply = Supply::Requested;
                wants.push(bucket.team.clone().map_or(Want::OfNoTeam, Want::Of));
            }
        }
        let has_room = self.all[COMMON].queue.len() < AHEAD;
        if has_room && !buckets_have_more && self.supply == Supply::More {
            self.supply = Supply::Requested;
            wants.push(Want::Any);
        }
        wants
    }

    /// A batch came: what it was requested for is no longer outstanding.
    pub fn received(&mut self, want: &Want, rows: usize, exhausted: bool) {
        match want {
            Want::Any => self.supply.received(exhausted),
            Want::OfNoTeam => self.all[COMMON].supply.received(exhausted),
            Want::Of(team) => {
                self.detection.received(team, rows);
                if let Some(&index) = self.of_team.get(team) {
                    self.all[index].supply.received(exhausted);
                }
            }
        }
    }

    /// Whether the input has given all its rows.
    pub fn exhausted(&self) -> bool {
        self.supply == Supply::Exhausted
    }

    /// Whether a batch is outstanding.
    pub fn outstanding(&self) -> bool {
        let is_requested = |bucket: &RateBucket| bucket.supply == Supply::Requested;
        self.supply == Supply::Requested || self.detection.awaits_row() || self.all.iter().any(is_requested)
    }

    /// Takes the rows for which `is_wanted` holds out of their queues.
    pub fn take_rows(&mut self, is_wanted: impl Fn(&Job) -> bool) -> Vec<Job> {
        let mut taken = Vec::new();
        for bucket in &mut self.all {
            for row in std::mem::take(&mut bucket.queue) {
                if is_wanted(&row) { taken.push(row) } else { bucket.queue.push_back(row) }
            }
        }
        taken
    }
}
