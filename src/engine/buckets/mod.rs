//! The buckets: which rows share a limit, with a queue and a gate each.
//!
//! A run starts with one bucket for sessions, and one for calls for whole users, which are another method with its own
//! limits. What the answers show about the buckets is weighed ([`belief`]): if every workspace has its own, the first is split,
//! and joined again if that turns out to be wrong. Rows sent by user don't name a workspace and stay in the first bucket.

mod belief;
mod detection;
mod load;
mod supply;

use super::job::Job;
use super::policy::{BucketPolicy, Policy};
use super::ports::{LimitNews, LimitReport, Permit};
use super::rate_gate::{NotUntil, Pace, RateGate};
use super::run_limit::RunLimit;
use super::user_batch::bulk_calls;
use crate::model::{BucketKind, TeamId};
use belief::Belief;
pub use belief::Shown;
use detection::Detection;
use std::collections::{HashMap, VecDeque};
use std::time::Duration;
use supply::Supply;

/// The index of the bucket for sessions without a workspace, and at first for all sessions.
const COMMON: usize = 0;

/// The index of the bucket for calls for whole users, if there are any.
const BULK: usize = 1;

/// Rows that share a limit.
#[derive(Debug)]
pub struct RateBucket {
    /// `None` for the common bucket and for that of whole users.
    pub team: Option<TeamId>,
    pub gate: RateGate,
    /// Rows to send, in order.
    pub queue: VecDeque<Job>,
    in_flight: u64,
    /// Number of rows to send, including those not read yet.
    left: u64,
    supply: Supply,
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
    /// Whether there is a bucket for whole users.
    has_bulk: bool,
    turn: usize,
    /// Rows in input order, for any bucket of sessions.
    supply: Supply,
}

impl Buckets {
    /// One bucket, or with [`BucketPolicy::Team`] one per workspace.
    pub fn new(policy: &Policy, now: Duration) -> Self {
        let known = match policy.bucket {
            BucketPolicy::Auto if policy.workspaces.len() > 1 => None,
            BucketPolicy::Auto | BucketPolicy::Org => Some(BucketKind::Org),
            BucketPolicy::Team => Some(BucketKind::Team),
        };
        let bulk_calls = bulk_calls(policy.bulk_users, policy.canary);
        let bucket = |left| RateBucket::new(None, gate(policy.pace, policy.shares_limit), left);
        let bulk = (bulk_calls > 0).then(|| bucket(bulk_calls));
        let mut buckets = Self {
            pace: policy.pace,
            shares_limit: policy.shares_limit,
            limit: RunLimit::new(policy.pace, now),
            detection: Detection::new(known, policy.pace, policy.workspaces.len()),
            has_bulk: bulk.is_some(),
            turn: if bulk.is_some() { BULK } else { COMMON },
            all: [bucket(policy.to_send)].into_iter().chain(bulk).collect(),
            of_team: HashMap::new(),
            left_of: policy.workspaces.iter().cloned().collect(),
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

    /// The common one first.
    pub fn iter(&self) -> impl Iterator<Item = &RateBucket> {
        self.all.iter()
    }

    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// The bucket after the one that sent last.
    pub fn turn(&self) -> usize {
        self.turn % self.all.len()
    }

    /// Maximum rate of the run in calls a minute; `None` without a limit.
    pub fn total_per_minute(&self) -> Option<f64> {
        self.limit.per_minute()
    }

    pub fn of(&self, job: &Job) -> usize {
        if job.is_bulk() {
            return BULK;
        }
        job.addressed_team().and_then(|team| self.of_team.get(team).copied()).unwrap_or(COMMON)
    }

    pub fn push(&mut self, job: Job) {
        let index = self.of(&job);
        self.all[index].queue.push_back(job);
    }

    /// Puts a row at the head of its queue.
    pub fn push_first(&mut self, job: Job) {
        let index = self.of(&job);
        self.all[index].queue.push_front(job);
    }

    pub fn has_rows(&self) -> bool {
        self.all.iter().any(|bucket| !bucket.queue.is_empty())
    }

    /// The bucket for calls for whole users, if there are any.
    fn bulk(&self) -> Option<&RateBucket> {
        self.all.get(BULK).filter(|_| self.has_bulk)
    }

    /// Whether a call for whole users waits for its turn.
    pub fn has_bulk_rows(&self) -> bool {
        self.bulk().is_some_and(|bucket| !bucket.queue.is_empty())
    }

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

    pub fn sent(&mut self, job: &Job, now: Duration) {
        let index = self.of(job);
        self.all[index].in_flight += 1;
        if !self.is_bulk(index) {
            self.detection.on_sent(job, now);
        }
    }

    /// Records a pause for the row's workspace.
    pub fn record_pause(&mut self, job: &Job, now: Duration, until: Duration) {
        self.detection.record_pause(job, now, until);
    }

    /// The report of a bucket for other runs. `wants_call`: whether a call waits for it.
    pub fn report(&mut self, index: usize, now: Duration, wants_call: bool) -> Option<LimitReport> {
        let is_bulk = self.is_bulk(index);
        let RateBucket { team, gate, left, .. } = self.all.get_mut(index)?;
        gate.report(now, wants_call, *left).map(|report| LimitReport { team: team.clone(), is_bulk, ..report })
    }

    /// Applies what other runs did. Returns their pause, if it is longer than the known one.
    pub fn on_news(&mut self, index: usize, news: &LimitNews, now: Duration) -> Option<Duration> {
        // Buckets that were asked about may have been joined meanwhile.
        self.all.get_mut(index)?.gate.on_news(news, now)
    }

    /// Notes that the store can't be used.
    pub fn on_no_news(&mut self, now: Duration) {
        self.all.iter_mut().for_each(|bucket| bucket.gate.on_no_news(now));
    }

    /// Takes a row to send as a probe during the pause of the common bucket.
    ///
    /// # Errors
    /// `None` if no probe is due or no row is available; otherwise when the run's limit allows a call.
    pub fn take_test_row(&mut self, now: Duration) -> Result<(Permit, Job), Option<NotUntil>> {
        let common = &mut self.all[COMMON];
        let place = self.detection.test_row(common, now).ok_or(None)?;
        let permit = self.limit.try_acquire(now, || Ok(common.gate.issue_past_the_pause()))?;
        let job = common.queue.remove(place).ok_or(None)?;
        self.detection.start_test(job.line());
        Ok((permit, job))
    }

    /// A call was answered, or broke off: what it shows. Gives the kind of the buckets if another one is concluded.
    pub fn on_answer(&mut self, job: &Job, sent_at: Duration, now: Duration, shown: Shown) -> Option<BucketKind> {
        if self.is_bulk(self.of(job)) {
            return None;
        }
        let kind = self.detection.on_answer(job, sent_at, now, shown)?;
        match kind {
            BucketKind::Team => self.split(now),
            BucketKind::Org => self.join(now),
        }
        Some(kind)
    }

    /// Notes that a probe was not sent after all.
    pub fn cancel_test(&mut self, job: &Job) {
        self.detection.cancel_test(job);
    }

    /// Notes that a row's call was answered or broke off. Returns its gate.
    pub fn answered(&mut self, job: &Job) -> &mut RateGate {
        let index = self.of(job);
        let bucket = &mut self.all[index];
        bucket.in_flight = bucket.in_flight.saturating_sub(1);
        &mut bucket.gate
    }

    /// Notes that a row ended or was dropped.
    pub fn ended(&mut self, job: &Job) {
        let index = self.of(job);
        self.all[index].left = self.all[index].left.saturating_sub(1);
        if let Some(left) = job.addressed_team().and_then(|team| self.left_of.get_mut(team)) {
            *left = left.saturating_sub(1);
        }
    }

    /// A row that was part of a call for whole users is sent by itself.
    pub fn push_single(&mut self, job: Job) {
        let index = self.of(&job);
        self.all[index].left += 1;
        if let Some(left) = job.addressed_team().and_then(|team| self.left_of.get_mut(team)) {
            *left += 1;
        }
        self.all[index].queue.push_back(job);
    }

    /// Whether a bucket is that of whole users.
    pub fn is_bulk(&self, index: usize) -> bool {
        self.has_bulk && index == BULK
    }

    /// Sets the number of calls to make for whole users.
    pub fn expect(&mut self, calls: u64) {
        self.all[BULK].left = calls;
    }

    /// Notes that a call for whole users was replaced by two.
    pub fn was_split(&mut self) {
        self.all[BULK].left += 1;
    }

    pub fn rows_left(&self, index: usize) -> u64 {
        self.all[index].left
    }

    /// Gives every workspace its own bucket, with its calls and its pause.
    fn split(&mut self, now: Duration) {
        let mut teams: Vec<TeamId> = self.left_of.keys().cloned().collect();
        teams.sort_unstable();
        let waiting = std::mem::take(&mut self.all[COMMON].queue);
        let (paused, belief) = (self.detection.pauses(), self.detection.belief.as_ref());
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
            belief.into_iter().flat_map(|belief| belief.recent(&team)).for_each(|at| gate.remember(at));
            keep_pause(&mut gate, Some(team.clone()));
            self.of_team.insert(team.clone(), self.all.len());
            let left = self.left_of[&team];
            self.all.push(RateBucket::new(Some(team), gate, left));
        }
        for job in waiting {
            self.push(job);
        }
    }

    /// Workspaces that were refused together share a bucket after all.
    fn join(&mut self, now: Duration) {
        let split = self.all.split_off(COMMON + 1 + usize::from(self.has_bulk));
        if split.is_empty() {
            return;
        }
        self.of_team.clear();
        let common = &mut self.all[COMMON];
        let gates = || split.iter().map(|bucket| &bucket.gate);
        let last = |until: fn(&RateGate) -> Duration| gates().map(until).fold(until(&common.gate), Duration::max);
        let (paused, held) = (last(RateGate::paused_until), last(RateGate::held_until));
        let mut gate = gate(self.pace, self.shares_limit);
        let recent = self.detection.belief.iter().flat_map(Belief::recent_of_all);
        recent.for_each(|at| gate.remember(at));
        gate.refused(now, now, paused.saturating_sub(now));
        gate.hold(now, held.saturating_sub(now));
        common.gate = gate;
        for bucket in split {
            common.left += bucket.left;
            common.queue.extend(bucket.queue);
        }
    }

    /// Counts the calls in flight of each bucket again, after another kind was concluded.
    pub fn recount<'a>(&mut self, in_flight: impl Iterator<Item = &'a Job>) {
        self.all.iter_mut().for_each(|bucket| bucket.in_flight = 0);
        for job in in_flight {
            let index = self.of(job);
            self.all[index].in_flight += 1;
        }
    }

    /// Removes the wanted rows from their queues.
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
