//! The buckets: which rows share a limit, and the queue and the gate of each.
//!
//! A run begins with one bucket for all. Where the first 429 pauses it and rows of another workspace wait, one of them is
//! sent as a test: accepted, and every workspace has a bucket of its own; limited, and there is one for all. Rows that
//! name a user name no workspace and stay in the first bucket.

use super::gate::{Closed, Gate, Pace};
use super::pending::Pending;
use super::policy::{BucketPolicy, Policy};
use super::ports::{Permit, Want};
use super::trail::MINUTE;
use crate::domain::{BucketKind, TeamId};
use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Duration;

/// Rows that wait in the one bucket before no more are asked for: two batches, so that the reader is never waited for.
const AHEAD: usize = 128;

/// Rows that wait in a workspace's bucket: its own limit lets one out every few seconds.
const AHEAD_OF_TEAM: usize = 4;

/// So seldom may the test rows be taken by chance.
const RIGHT_BY_CHANCE: f64 = 0.01;

/// A test is not worth a row that would be taken by chance more often than this.
const TOO_MUCH_BY_CHANCE: f64 = 0.1;

/// Pauses are rounded up to whole seconds.
const WHOLE_SECONDS: Duration = Duration::from_secs(1);

/// Pauses in seconds that servers name whatever their limit is.
const FIXED_PAUSES: [u64; 2] = [30, 60];

/// Test rows at most.
const MOST_TESTS: u32 = 4;

/// The index of the bucket for everything that names no workspace, and at first for all.
const COMMON: usize = 0;

/// One bucket.
#[derive(Debug)]
pub struct Bucket {
    /// The workspace; none for the common one.
    pub team: Option<TeamId>,
    /// Its gate.
    pub gate: Gate,
    /// Rows that want to be sent, in the order in which they will be.
    pub queue: VecDeque<Pending>,
    /// Calls in flight.
    pub in_flight: u64,
    /// Rows asked for and not come.
    asked: bool,
    /// Whether the input holds no more rows for it.
    exhausted: bool,
}

impl Bucket {
    fn new(team: Option<TeamId>, gate: Gate) -> Self {
        Self { team, gate, queue: VecDeque::new(), in_flight: 0, asked: false, exhausted: false }
    }
}

/// How far the learning is.
#[derive(Debug)]
enum Learning {
    /// The kind is known.
    Done(BucketKind),
    /// No 429 so far, or none that told.
    Waiting,
    /// A 429 came to a row of `limited`; a row of another workspace is looked for.
    Looking { limited: TeamId, accepted: u32, asked: Option<TeamId>, without_rows: HashSet<TeamId> },
    /// The test row is on its way.
    Testing { limited: TeamId, accepted: u32, line: u64 },
}

/// The whole calls in a rate.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count of calls, at least 1")]
fn calls_of(per_minute: f64) -> usize {
    per_minute as usize
}

fn bring_forward(queue: &mut VecDeque<Pending>, place: usize) {
    if let Some(row) = queue.remove(place) {
        queue.push_front(row);
    }
}

fn looking(limited: TeamId, accepted: u32) -> Learning {
    Learning::Looking { limited, accepted, asked: None, without_rows: HashSet::new() }
}

/// All buckets of a run.
#[derive(Debug)]
pub struct Buckets {
    pace: Pace,
    learning: Learning,
    all: Vec<Bucket>,
    of_team: HashMap<TeamId, usize>,
    left: u64,
    left_of: HashMap<TeamId, u64>,
    recent: VecDeque<(Duration, TeamId)>,
    turn: usize,
    any_exhausted: bool,
    any_asked: bool,
    /// The opening's workspaces: read or being read from further on in the input, and the one to ask for.
    looked_for: HashSet<TeamId>,
    reopened: bool,
    reading: Option<TeamId>,
    to_read: Option<TeamId>,
}

impl Buckets {
    /// One bucket for all, or with [`BucketPolicy::Team`] one for each workspace.
    pub fn new(policy: &Policy, now: Duration) -> Self {
        let learning = match policy.bucket {
            BucketPolicy::Auto if policy.workspaces.len() > 1 => Learning::Waiting,
            BucketPolicy::Auto | BucketPolicy::Org => Learning::Done(BucketKind::Org),
            BucketPolicy::Team => Learning::Done(BucketKind::Team),
        };
        let mut buckets = Self {
            pace: policy.pace,
            learning,
            all: vec![Bucket::new(None, Gate::new(policy.pace, now))],
            of_team: HashMap::new(),
            left: policy.to_send,
            left_of: policy.workspaces.iter().cloned().collect(),
            recent: VecDeque::new(),
            turn: 0,
            any_exhausted: false,
            any_asked: false,
            looked_for: HashSet::new(),
            reopened: false,
            reading: None,
            to_read: None,
        };
        if policy.bucket == BucketPolicy::Team {
            buckets.split(now);
        } else if matches!(buckets.learning, Learning::Waiting) {
            // Slack promises the tier's minute to each workspace (slack.md, "Rate limits").
            let workspaces = u32::try_from(policy.workspaces.len()).unwrap_or(u32::MAX);
            buckets.all[COMMON].gate.widen_opening(workspaces);
        }
        buckets
    }

    /// The kind, once it is known and there is something to tell apart.
    pub fn kind(&self) -> Option<BucketKind> {
        match self.learning {
            Learning::Done(kind) => Some(kind),
            Learning::Waiting | Learning::Looking { .. } | Learning::Testing { .. } => None,
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

    /// The bucket that is first in turn; every workspace comes first as often as any other.
    pub fn next_turn(&mut self) -> usize {
        self.turn = (self.turn + 1) % self.all.len();
        self.turn
    }

    /// The bucket of a row.
    pub fn of(&self, pending: &Pending) -> usize {
        pending.addressed_team().and_then(|team| self.of_team.get(team).copied()).unwrap_or(COMMON)
    }

    /// Puts a row at the end of its queue.
    pub fn push(&mut self, pending: Pending) {
        let index = self.of(&pending);
        self.all[index].queue.push_back(pending);
    }

    /// Puts a row that was sent before ahead of those that were not.
    pub fn push_first(&mut self, pending: Pending) {
        let index = self.of(&pending);
        self.all[index].queue.push_front(pending);
    }

    /// Whether a bucket has a row that wants to be sent.
    pub fn has_rows(&self) -> bool {
        self.all.iter().any(|bucket| !bucket.queue.is_empty())
    }

    /// Asks a bucket's gate for its first row.
    pub fn ask(&mut self, index: usize, now: Duration) -> Result<(Permit, Pending), Option<Closed>> {
        let left = self.rows_left(index);
        if self.all[index].queue.is_empty() || (index == COMMON && !self.open_wide(now)) {
            return Err(None);
        }
        let bucket = &mut self.all[index];
        let permit = bucket.gate.ask(now, left, bucket.in_flight)?;
        let pending = bucket.queue.pop_front().expect("looked at just now");
        Ok((permit, pending))
    }

    /// While the kind is unknown and nothing was ever refused: whether the common bucket is ready to send its first row.
    ///
    /// The opening goes on while the workspace of the next row has not used up its own promise. Then one more of its
    /// rows is sent: refused, the test row tells the kind at once; accepted, the opening goes on with the promises of
    /// the other workspaces, from further on in the input where it is sorted.
    fn open_wide(&mut self, now: Duration) -> bool {
        let Pace::Auto { start, .. } = self.pace else { return true };
        if !matches!(self.learning, Learning::Waiting) {
            return true;
        }
        let counts = self.recent_by_team();
        #[expect(clippy::cast_precision_loss, reason = "calls of a minute")]
        let used_up = |team: &TeamId| counts.get(team).copied().unwrap_or(0) as f64 >= start.floor();
        let common = &mut self.all[COMMON];
        let first = common.queue.front().and_then(Pending::addressed_team);
        match (common.gate.is_opening(), self.reopened) {
            (true, false) => {
                if first.is_some_and(used_up) {
                    common.gate.end_opening(now);
                }
                true
            }
            (false, false) => {
                let beyond = |team| counts.get(team).is_some_and(|&calls| calls > calls_of(start));
                if common.in_flight == 0 && first.is_some_and(beyond) {
                    self.reopened = true;
                    common.gate.reopen(u32::try_from(self.left_of.len()).unwrap_or(u32::MAX), now);
                }
                true
            }
            (true, true) => {
                let fresh = |row: &Pending| row.addressed_team().is_none_or(|team| !used_up(team));
                let Some(place) = common.queue.iter().position(fresh) else {
                    let unread = |team: &TeamId| !used_up(team) && !self.looked_for.contains(team);
                    let mut unread: Vec<&TeamId> =
                        self.left_of.iter().filter(|(team, left)| **left > 0 && unread(team)).map(|it| it.0).collect();
                    unread.sort_unstable();
                    // One of them stays untouched: it is the one to be tested.
                    let next = unread.get(1).map(|_| unread[0].clone());
                    return self.read_on(next, now);
                };
                bring_forward(&mut common.queue, place);
                true
            }
            (false, true) => {
                // One workspace after another is brought to its limit: spread evenly, no limit would ever be met.
                let calls = |row: &Pending| row.addressed_team().and_then(|team| counts.get(team).copied());
                let most = (0..common.queue.len())
                    .max_by_key(|&place| (calls(&common.queue[place]), std::cmp::Reverse(place)));
                bring_forward(&mut common.queue, most.unwrap_or(0));
                true
            }
        }
    }

    /// Reads rows of the next workspace for the opening; without one it ends. False while they are being read.
    fn read_on(&mut self, next: Option<TeamId>, now: Duration) -> bool {
        if self.reading.is_some() {
            return false;
        }
        let Some(next) = next else {
            self.all[COMMON].gate.end_opening(now);
            return true;
        };
        self.looked_for.insert(next.clone());
        self.reading = Some(next.clone());
        self.to_read = Some(next);
        false
    }

    fn recent_by_team(&self) -> HashMap<TeamId, usize> {
        let mut calls = HashMap::new();
        for (_, team) in &self.recent {
            match calls.get_mut(team) {
                Some(count) => *count += 1,
                None => drop(calls.insert(team.clone(), 1)),
            }
        }
        calls
    }

    /// Calls of the last minute that named this workspace.
    fn recent_calls(&self, team: &TeamId) -> usize {
        self.recent.iter().filter(|(_, of)| of == team).count()
    }

    /// A row is on its way.
    pub fn sent(&mut self, pending: &Pending, now: Duration) {
        let index = self.of(pending);
        self.all[index].in_flight += 1;
        let learns = matches!(self.pace, Pace::Auto { .. }) && !matches!(self.learning, Learning::Done(_));
        if let (true, Some(team)) = (learns, pending.addressed_team()) {
            self.recent.push_back((now, team.clone()));
            while self.recent.front().is_some_and(|(at, _)| *at + MINUTE <= now) {
                self.recent.pop_front();
            }
        }
    }

    /// A row's call was answered, or broke off.
    pub fn answered(&mut self, pending: &Pending) -> &mut Gate {
        let index = self.of(pending);
        let bucket = &mut self.all[index];
        bucket.in_flight = bucket.in_flight.saturating_sub(1);
        &mut bucket.gate
    }

    /// A row left the engine, or was set aside.
    pub fn ended(&mut self, pending: &Pending) {
        self.left = self.left.saturating_sub(1);
        if let Some(left) = pending.addressed_team().and_then(|team| self.left_of.get_mut(team)) {
            *left = left.saturating_sub(1);
        }
    }

    /// Rows that still want a bucket.
    pub fn rows_left(&self, index: usize) -> u64 {
        match &self.all[index].team {
            Some(team) => self.left_of.get(team).copied().unwrap_or(0),
            None if self.all.len() == 1 => self.left,
            None => self.left.saturating_sub(self.left_of.values().sum()),
        }
    }

    // ---- learning ----

    /// A row sent at `sent_at` met a limit: where the kind is not known, and chance would not answer, a test is due.
    pub fn limited(&mut self, pending: &Pending, sent_at: Duration, now: Duration) {
        let latency = now.saturating_sub(sent_at);
        let refused = |(at, team): &(Duration, TeamId)| *at == sent_at && Some(team) == pending.addressed_team();
        if let Some(place) = self.recent.iter().position(refused) {
            self.recent.remove(place);
        }
        if let (Learning::Waiting, Some(team)) = (&self.learning, pending.addressed_team()) {
            if self.pause_is_of_a_window(latency, now) || self.by_chance(latency) <= TOO_MUCH_BY_CHANCE {
                self.learning = looking(team.clone(), 0);
            }
        }
    }

    /// Whether the pause says that no token comes while a test row is under way. The two that servers name whatever
    /// their limit is (slack.md, "Rate limits") say nothing.
    fn pause_is_of_a_window(&self, latency: Duration, now: Duration) -> bool {
        let pause = self.all[COMMON].gate.closed_until().saturating_sub(now);
        pause > 2 * latency + WHOLE_SECONDS && !FIXED_PAUSES.contains(&pause.as_secs())
    }

    /// How likely one bucket for all, a token bucket, takes a row during its pause: about the rate times the latency.
    fn by_chance(&self, latency: Duration) -> f64 {
        let rate = self.all[COMMON].gate.per_minute().unwrap_or(0.0);
        rate / MINUTE.as_secs_f64() * latency.as_secs_f64()
    }

    /// The row to be sent as a test, past the pause of the common bucket; none where it is not there yet, or not wanted.
    pub fn take_test(&mut self, now: Duration) -> Option<(Permit, Pending)> {
        let Learning::Looking { limited, accepted, .. } = &self.learning else { return None };
        let (limited, accepted) = (limited.clone(), *accepted);
        if now >= self.all[COMMON].gate.closed_until() {
            self.learning = Learning::Waiting;
            return None;
        }
        let place =
            self.least_used(&limited).filter(|(_, calls)| self.would_tell(*calls, &limited)).map(|(place, _)| place);
        let Some(place) = place else {
            let Learning::Looking { asked, without_rows, .. } = &self.learning else { return None };
            let unread = |(team, left): (&TeamId, &u64)| {
                *team != limited
                    && *left > 0
                    && !without_rows.contains(team)
                    && self.would_tell(self.recent_calls(team), &limited)
            };
            if asked.is_none() && !self.left_of.iter().any(unread) {
                self.learning = Learning::Waiting;
            }
            return None;
        };
        let bucket = &mut self.all[COMMON];
        let pending = bucket.queue.remove(place)?;
        self.learning = Learning::Testing { limited, accepted, line: pending.line() };
        Some((bucket.gate.ask_past_the_pause(), pending))
    }

    /// A workspace with so many calls that it may be used up itself would tell nothing.
    fn would_tell(&self, calls: usize, limited: &TeamId) -> bool {
        calls * 5 <= self.recent_calls(limited) * 4
    }

    /// The place in the queue of a row of the workspace, other than `limited`, that had the fewest calls.
    fn least_used(&self, limited: &TeamId) -> Option<(usize, usize)> {
        let mut calls: HashMap<&TeamId, usize> = HashMap::new();
        for (_, team) in &self.recent {
            *calls.entry(team).or_default() += 1;
        }
        let of = |pending: &Pending| {
            let team = pending.addressed_team().filter(|team| *team != limited)?;
            Some(calls.get(team).copied().unwrap_or(0))
        };
        let places = self.all[COMMON].queue.iter().enumerate();
        places.filter_map(|(place, row)| Some((place, of(row)?))).min_by_key(|&(place, calls)| (calls, place))
    }

    /// The answer to the test row, if `pending` is it: `accepted` is none where it told nothing. Gives the kind that is
    /// known from now on.
    ///
    /// A token may have dripped into one bucket for all while the test row was under way. Where the pause does not rule
    /// that out, more rows have to be accepted, so many that chance would take all of them once in a hundred runs.
    pub fn tested(
        &mut self,
        pending: &Pending,
        accepted: Option<bool>,
        sent_at: Duration,
        now: Duration,
    ) -> Option<BucketKind> {
        let Learning::Testing { limited, line, accepted: before } = &self.learning else { return None };
        if *line != pending.line() {
            return None;
        }
        let (limited, before) = (limited.clone(), *before);
        let Some(accepted) = accepted else {
            self.learning = Learning::Waiting;
            return None;
        };
        if accepted && before + 1 < self.tests_wanted(sent_at, now) {
            self.learning = looking(limited, before + 1);
            return None;
        }
        let kind = if accepted { BucketKind::Team } else { BucketKind::Org };
        self.learning = Learning::Done(kind);
        if accepted {
            let closed_until = self.all[COMMON].gate.closed_until();
            self.split(now);
            let index = self.of_team.get(&limited).copied().unwrap_or(COMMON);
            self.all[index].gate.refused(now, now, closed_until.saturating_sub(now));
        }
        self.recent = VecDeque::new();
        Some(kind)
    }

    fn tests_wanted(&self, sent_at: Duration, now: Duration) -> u32 {
        let latency = now.saturating_sub(sent_at);
        if self.pause_is_of_a_window(latency, sent_at) {
            return 1;
        }
        let chance = self.by_chance(latency);
        (1..MOST_TESTS).find(|&tests| chance.powi(tests.cast_signed()) < RIGHT_BY_CHANCE).unwrap_or(MOST_TESTS)
    }

    /// Gives every workspace a bucket of its own, with the calls it has had.
    fn split(&mut self, now: Duration) {
        let mut teams: Vec<TeamId> = self.left_of.keys().cloned().collect();
        teams.sort_unstable();
        let waiting = std::mem::take(&mut self.all[COMMON].queue);
        self.all[COMMON].gate = Gate::new(self.pace, now);
        for team in teams {
            let mut gate = Gate::new(self.pace, now);
            self.recent.iter().filter(|(_, of)| *of == team).for_each(|(at, _)| gate.remember(*at));
            self.of_team.insert(team.clone(), self.all.len());
            self.all.push(Bucket::new(Some(team), gate));
        }
        for pending in waiting {
            self.push(pending);
        }
    }

    /// Counts anew the calls in flight of each bucket, after a split.
    pub fn recount<'a>(&mut self, flying: impl Iterator<Item = &'a Pending>) {
        self.all.iter_mut().for_each(|bucket| bucket.in_flight = 0);
        for pending in flying {
            let index = self.of(pending);
            self.all[index].in_flight += 1;
        }
    }

    // ---- asking for rows ----

    /// What to ask the input for now.
    pub fn wants(&mut self) -> Vec<Want> {
        let mut wants = Vec::new();
        wants.extend(self.to_read.take().map(Want::Of));
        self.want_test(&mut wants);
        let mut teams_have_more = false;
        for bucket in &mut self.all[1..] {
            teams_have_more |= !bucket.exhausted;
            if let (Some(team), true) = (&bucket.team, bucket.queue.len() < AHEAD_OF_TEAM)
                && !bucket.asked
                && !bucket.exhausted
            {
                bucket.asked = true;
                wants.push(Want::Of(team.clone()));
            }
        }
        let room = self.all[COMMON].queue.len() < AHEAD;
        if room && !teams_have_more && !self.any_asked && !self.any_exhausted {
            self.any_asked = true;
            wants.push(Want::Any);
        }
        wants
    }

    fn want_test(&mut self, wants: &mut Vec<Want>) {
        let Learning::Looking { limited, asked, without_rows, .. } = &mut self.learning else { return };
        if asked.is_some() {
            return;
        }
        let other = |(team, left): &(&TeamId, &u64)| *team != limited && **left > 0 && !without_rows.contains(*team);
        let recent = &self.recent;
        let used = |team: &TeamId| recent.iter().filter(|(_, of)| of == team).count();
        match self
            .left_of
            .iter()
            .filter(other)
            .min_by_key(|(team, left)| (used(team), std::cmp::Reverse(**left), *team))
        {
            Some((team, _)) => {
                *asked = Some(team.clone());
                wants.push(Want::Of(team.clone()));
            }
            None => self.learning = Learning::Waiting,
        }
    }

    /// A batch came: what it was for is no longer outstanding.
    pub fn came(&mut self, want: &Want, rows: usize, exhausted: bool) {
        match want {
            Want::Any => {
                self.any_asked = false;
                self.any_exhausted |= exhausted;
            }
            Want::Of(team) => {
                if self.reading.as_ref() == Some(team) {
                    self.reading = None;
                }
                if let Learning::Looking { asked, without_rows, .. } = &mut self.learning
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
        let testing = matches!(&self.learning, Learning::Looking { asked: Some(_), .. });
        self.any_asked || testing || self.reading.is_some() || self.all.iter().any(|bucket| bucket.asked)
    }

    /// Takes rows out of their queues.
    pub fn take_rows_of(&mut self, parked: impl Fn(&Pending) -> bool) -> Vec<Pending> {
        let mut taken = Vec::new();
        for bucket in &mut self.all {
            for row in std::mem::take(&mut bucket.queue) {
                if parked(&row) { taken.push(row) } else { bucket.queue.push_back(row) }
            }
        }
        taken
    }
}
