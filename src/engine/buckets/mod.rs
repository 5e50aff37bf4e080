//! The buckets: which rows share a limit, and the queue and the gate of each.
//!
//! A run begins with one bucket for all. Where a 429 pauses it and rows of another workspace wait, one of them is sent
//! as a test: accepted, and every workspace has a bucket of its own; limited, and there is one for all. Rows that
//! name a user name no workspace and stay in the first bucket.

mod burst;
mod detection;
mod recent_calls;

use super::job::Job;
use super::policy::{BucketPolicy, Policy};
use super::ports::{Permit, Want};
use super::rate_gate::{NotUntil, Pace, RateGate};
use super::run_limit::RunLimit;
use crate::model::{BucketKind, TeamId};
use recent_calls::RecentCalls;
use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Duration;

/// Rows that wait in the one bucket before no more are asked for: two batches, so that the reader is never waited for.
const AHEAD: usize = 128;

/// Rows that wait in each of several buckets: its own limit lets one out every few seconds.
const AHEAD_OF_TEAM: usize = 4;

/// The index of the bucket for everything that names no workspace, and at first for all.
const COMMON: usize = 0;

/// One bucket.
#[derive(Debug)]
pub struct Bucket {
    /// The workspace; none for the common one.
    pub team: Option<TeamId>,
    /// Its gate.
    pub gate: RateGate,
    /// Rows that want to be sent, in the order in which they will be.
    pub queue: VecDeque<Job>,
    /// Calls in flight.
    pub in_flight: u64,
    /// Rows that still want it, wherever they are.
    left: u64,
    /// Rows asked for and not come.
    asked: bool,
    /// Whether the input holds no more rows for it.
    exhausted: bool,
}

impl Bucket {
    fn new(team: Option<TeamId>, gate: RateGate, left: u64) -> Self {
        Self { team, gate, queue: VecDeque::new(), in_flight: 0, left, asked: false, exhausted: false }
    }
}

/// How far the learning is.
#[derive(Debug)]
enum Detection {
    /// The kind is known.
    Done(BucketKind),
    /// No 429 so far, or none that told.
    Waiting,
    /// A 429 came to a row of `limited`; a row of another workspace is looked for.
    Looking { limited: TeamId, accepted: u32, asked: Option<TeamId>, without_rows: HashSet<TeamId> },
    /// The test row is on its way.
    Testing { limited: TeamId, accepted: u32, line: u64 },
}

/// All buckets of a run.
#[derive(Debug)]
pub struct Buckets {
    pace: Pace,
    total: RunLimit,
    detection: Detection,
    all: Vec<Bucket>,
    of_team: HashMap<TeamId, usize>,
    left_of: HashMap<TeamId, u64>,
    recent: RecentCalls,
    turn: usize,
    any_exhausted: bool,
    any_asked: bool,
    /// The opening's workspaces: read or being read from further on in the input, and the one to ask for.
    looked_for: HashSet<TeamId>,
    reopened: bool,
    reading: Option<TeamId>,
    to_read: Option<TeamId>,
    /// While one bucket serves all: the workspaces that were refused in its pause, and until when each is to wait; none
    /// stands for the rows that name no workspace.
    paused: HashMap<Option<TeamId>, Duration>,
}

impl Buckets {
    /// One bucket for all, or with [`BucketPolicy::Team`] one for each workspace.
    pub fn new(policy: &Policy, now: Duration) -> Self {
        let detection = match policy.bucket {
            BucketPolicy::Auto if policy.workspaces.len() > 1 => Detection::Waiting,
            BucketPolicy::Auto | BucketPolicy::Org => Detection::Done(BucketKind::Org),
            BucketPolicy::Team => Detection::Done(BucketKind::Team),
        };
        let mut buckets = Self {
            pace: policy.pace,
            total: RunLimit::new(policy.pace, now),
            detection,
            all: vec![Bucket::new(None, RateGate::new(policy.pace, now), policy.to_send)],
            of_team: HashMap::new(),
            left_of: policy.workspaces.iter().cloned().collect(),
            recent: RecentCalls::default(),
            turn: 0,
            any_exhausted: false,
            any_asked: false,
            looked_for: HashSet::new(),
            reopened: false,
            reading: None,
            to_read: None,
            paused: HashMap::new(),
        };
        if policy.bucket == BucketPolicy::Team {
            buckets.split(now);
        } else if matches!(buckets.detection, Detection::Waiting) {
            // Slack promises the tier's minute to each workspace (slack.md, "Rate limits").
            let workspaces = u32::try_from(policy.workspaces.len()).unwrap_or(u32::MAX);
            buckets.all[COMMON].gate.widen_opening(workspaces);
        }
        buckets
    }

    /// The kind, once it is known and there is something to tell apart.
    pub fn kind(&self) -> Option<BucketKind> {
        match self.detection {
            Detection::Done(kind) => Some(kind),
            Detection::Waiting | Detection::Looking { .. } | Detection::Testing { .. } => None,
        }
    }

    /// All buckets, the common one first.
    pub fn iter(&self) -> impl Iterator<Item = &Bucket> {
        self.all.iter()
    }

    /// How many buckets there are.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// The bucket that is first in turn: the one after that which sent last.
    pub fn turn(&self) -> usize {
        self.turn % self.all.len()
    }

    /// Calls a minute of the whole run at most; `None` without a limit.
    pub fn total_per_minute(&self) -> Option<f64> {
        self.total.per_minute()
    }

    /// The bucket of a row.
    pub fn of(&self, job: &Job) -> usize {
        job.addressed_team().and_then(|team| self.of_team.get(team).copied()).unwrap_or(COMMON)
    }

    /// Puts a row at the end of its queue.
    pub fn push(&mut self, job: Job) {
        let index = self.of(&job);
        self.all[index].queue.push_back(job);
    }

    /// Puts a row that was sent before ahead of those that were not.
    pub fn push_first(&mut self, job: Job) {
        let index = self.of(&job);
        self.all[index].queue.push_front(job);
    }

    /// Whether a bucket has a row that wants to be sent.
    pub fn has_rows(&self) -> bool {
        self.all.iter().any(|bucket| !bucket.queue.is_empty())
    }

    /// Whether a row that wants to be sent is as `is_wanted` says.
    pub fn any_row(&self, is_wanted: impl Fn(&Job) -> bool) -> bool {
        self.all.iter().any(|bucket| bucket.queue.iter().any(&is_wanted))
    }

    /// Asks a bucket's gate for its first row.
    pub fn ask(&mut self, index: usize, now: Duration) -> Result<(Permit, Job), Option<NotUntil>> {
        let left = self.rows_left(index);
        if self.all[index].queue.is_empty() || (index == COMMON && !self.open_wide(now)) {
            return Err(None);
        }
        let bucket = &mut self.all[index];
        let permit = self.total.ask(now, || bucket.gate.ask(now, left, bucket.in_flight))?;
        self.turn = index + 1;
        let job = bucket.queue.pop_front().expect("looked at just now");
        Ok((permit, job))
    }

    /// Until when the bucket of a row is paused; in the past if it isn't.
    pub fn paused_until(&self, job: &Job) -> Duration {
        self.all[self.of(job)].gate.paused_until()
    }

    /// A row is on its way.
    pub fn sent(&mut self, job: &Job, now: Duration) {
        let index = self.of(job);
        self.all[index].in_flight += 1;
        let learns = matches!(self.pace, Pace::Auto { .. }) && !matches!(self.detection, Detection::Done(_));
        if let (true, Some(team)) = (learns, job.addressed_team()) {
            self.recent.push(now, team);
        }
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

    /// So many calls are still to be made, now that it is better known. For whole users, who share one bucket.
    pub fn expect(&mut self, calls: u64) {
        self.all[COMMON].left = calls;
    }

    /// A call became two.
    pub fn was_split(&mut self) {
        self.all[COMMON].left += 1;
    }

    /// Rows that still want a bucket.
    pub fn rows_left(&self, index: usize) -> u64 {
        self.all[index].left
    }

    /// Gives every workspace a bucket of its own, with the calls it has had and the pause it was asked for.
    fn split(&mut self, now: Duration) {
        let mut teams: Vec<TeamId> = self.left_of.keys().cloned().collect();
        teams.sort_unstable();
        let waiting = std::mem::take(&mut self.all[COMMON].queue);
        let paused = std::mem::take(&mut self.paused);
        let keep_pause = |gate: &mut RateGate, team: Option<TeamId>| {
            if let Some(until) = paused.get(&team).filter(|until| **until > now) {
                gate.refused(now, now, until.saturating_sub(now));
            }
        };
        let common = &mut self.all[COMMON];
        common.gate = RateGate::new(self.pace, now);
        common.left = common.left.saturating_sub(self.left_of.values().sum());
        common.exhausted = common.left == 0;
        keep_pause(&mut common.gate, None);
        for team in teams {
            let mut gate = RateGate::new(self.pace, now);
            self.recent.moments(&team).for_each(|at| gate.remember(at));
            keep_pause(&mut gate, Some(team.clone()));
            self.of_team.insert(team.clone(), self.all.len());
            let left = self.left_of[&team];
            self.all.push(Bucket::new(Some(team), gate, left));
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

    // ---- asking for rows ----

    /// What to ask the input for now.
    pub fn wants(&mut self) -> Vec<Want> {
        let mut wants = Vec::new();
        wants.extend(self.to_read.take().map(Want::Of));
        self.want_test(&mut wants);
        let is_split = self.all.len() > 1;
        let mut buckets_have_more = false;
        for bucket in self.all.iter_mut().filter(|bucket| is_split && !bucket.exhausted) {
            buckets_have_more = true;
            if bucket.queue.len() < AHEAD_OF_TEAM && !bucket.asked {
                bucket.asked = true;
                wants.push(bucket.team.clone().map_or(Want::OfNoTeam, Want::Of));
            }
        }
        let room = self.all[COMMON].queue.len() < AHEAD;
        if room && !buckets_have_more && !self.any_asked && !self.any_exhausted {
            self.any_asked = true;
            wants.push(Want::Any);
        }
        wants
    }

    /// A batch came: what it was for is no longer outstanding.
    pub fn came(&mut self, want: &Want, rows: usize, exhausted: bool) {
        match want {
            Want::Any => {
                self.any_asked = false;
                self.any_exhausted |= exhausted;
            }
            Want::OfNoTeam => {
                self.all[COMMON].asked = false;
                self.all[COMMON].exhausted |= exhausted;
            }
            Want::Of(team) => {
                if self.reading.as_ref() == Some(team) {
                    self.reading = None;
                }
                if let Detection::Looking { asked, without_rows, .. } = &mut self.detection
                    && asked.as_ref() == Some(team)
                {
                    *asked = None;
                    if rows == 0 {
                        without_rows.insert(team.clone());
                    }
                }
                if let Some(&index) = self.of_team.get(team) {
                    self.all[index].asked = false;
                    self.all[index].exhausted |= exhausted;
                }
            }
        }
    }

    /// Whether the input has given all its rows.
    pub fn exhausted(&self) -> bool {
        self.any_exhausted
    }

    /// Whether a batch is on its way.
    pub fn outstanding(&self) -> bool {
        let testing = matches!(&self.detection, Detection::Looking { asked: Some(_), .. });
        self.any_asked || testing || self.reading.is_some() || self.all.iter().any(|bucket| bucket.asked)
    }

    /// Takes rows out of their queues.
    pub fn take_rows_of(&mut self, parked: impl Fn(&Job) -> bool) -> Vec<Job> {
        let mut taken = Vec::new();
        for bucket in &mut self.all {
            for row in std::mem::take(&mut bucket.queue) {
                if parked(&row) { taken.push(row) } else { bucket.queue.push_back(row) }
            }
        }
        taken
    }
}
