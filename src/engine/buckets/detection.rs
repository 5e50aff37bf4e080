//! One bucket or many: when a probe is due, and what is concluded.
//!
//! What is believed is in [`super::belief`]. During a pause that a limit asked for, rows of other workspaces are sent as probes,
//! one at a time, for as long as an accepted one would say much about the buckets. Buckets per workspace are concluded from
//! high odds and an accepted probe only, because calls are then made during the pauses of others, and given up for good when
//! the odds turn: a way of counting that nobody thought of can raise the odds, but a probe inside a real pause isn't accepted.
//! One bucket for all needs little, because it only costs time; after that no probes are sent.

use super::RateBucket;
use super::belief::{Belief, Shown};
use crate::engine::call_window::MINUTE;
use crate::engine::job::Job;
use crate::engine::rate_gate::Pace;
use crate::model::{BucketKind, TeamId};
use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Duration;

/// Odds at which every workspace has a bucket of its own.
const TEAM: f64 = 200.0;

/// Odds at which there is one bucket for all.
const ORG: f64 = 0.05;

/// Odds at which separate buckets are given up, and a probe above the common rate is not worth its price.
const EVEN: f64 = 1.0;

/// A test is due if its being accepted would multiply the odds by this.
const TELLING: f64 = 1.5;

/// Once a test was refused, none is sent in a pause any more, and one above the common rate only at these odds.
const AGAIN: f64 = 20.0;

/// Probes in the pause after one refusal, and above the common rate.
const MOST_TESTS: u32 = 8;
const MOST_ABOVE: u32 = 30;

/// When rows of other workspaces are sent above the common rate, at the price of one refusal: if pauses have shown nothing for
/// the time of so many calls, and so many rows are left.
const PATIENCE: f64 = 20.0;
const WORTHWHILE: u64 = 100;

/// The search for a test row in the pause of the common bucket.
#[derive(Debug, Default)]
struct Search {
    sent: u32,
    in_flight: Option<u64>,
    /// Whether it goes on above the common rate, not in a pause.
    is_above: bool,
    asked: Option<TeamId>,
    without_rows: HashSet<TeamId>,
}

impl Search {
    fn is_over(&self) -> bool {
        self.sent >= if self.is_above { MOST_ABOVE } else { MOST_TESTS }
    }
}

/// Finds out whether workspaces share a limit.
#[derive(Debug)]
pub(super) struct Detection {
    kind: Option<BucketKind>,
    /// `None` if the kind is given.
    pub belief: Option<Belief>,
    search: Option<Search>,
    was_test_accepted: bool,
    was_test_refused: bool,
    /// Whether workspaces that were taken to have buckets of their own turned out to share one.
    was_wrong: bool,
    /// The last refusal or test.
    last_sign: Option<Duration>,
    /// The workspaces that were refused in the pause of the common bucket, and until when each has to wait; `None` stands
    /// for the rows that name no workspace.
    paused: HashMap<Option<TeamId>, Duration>,
}

impl Detection {
    /// Calls without a limit are made as one bucket: weighing each answer would take longer than making the call.
    pub fn new(known: Option<BucketKind>, pace: Pace, workspaces: usize) -> Self {
        let limits = match pace {
            Pace::Auto { start, most } => Some((start, most)),
            // Nothing is expected of the limit but that it is above 20 a minute.
            Pace::Every(_) => Some((20.0, 300.0)),
            Pace::Unlimited => None,
        };
        let limits = limits.filter(|_| known.is_none() && workspaces > 1);
        let belief = limits.map(|(start, most)| Belief::new(start, most));
        Self {
            kind: known,
            belief,
            search: None,
            was_test_accepted: false,
            was_test_refused: false,
            was_wrong: false,
            last_sign: None,
            paused: HashMap::new(),
        }
    }

    pub fn kind(&self) -> Option<BucketKind> {
        self.kind
    }

    /// Whether a row for a test was requested from the input and has not come.
    pub fn awaits_row(&self) -> bool {
        self.search.as_ref().is_some_and(|search| search.asked.is_some())
    }

    pub fn on_sent(&mut self, job: &Job, now: Duration) {
        if let Some(belief) = &mut self.belief {
            belief.on_sent(job.addressed_team(), now);
        }
    }

    /// Records a pause for the row's workspace. It stays valid whatever is found out about the buckets.
    pub fn record_pause(&mut self, job: &Job, now: Duration, until: Duration) {
        if self.belief.is_none() || self.kind == Some(BucketKind::Team) {
            return;
        }
        self.paused.retain(|_, until| *until > now);
        let paused = self.paused.entry(job.addressed_team().cloned()).or_default();
        *paused = until.max(*paused);
    }

    /// The pauses that are not over.
    pub fn pauses(&self) -> &HashMap<Option<TeamId>, Duration> {
        &self.paused
    }

    /// A call was answered, or broke off. Gives the kind if another one is concluded.
    pub fn on_answer(&mut self, job: &Job, sent_at: Duration, now: Duration, shown: Shown) -> Option<BucketKind> {
        let was_test = self.cancel_test(job);
        let is_refused = matches!(shown, Shown::Refused { .. });
        self.was_test_accepted |= was_test && shown == Shown::Accepted;
        self.was_test_refused |= was_test && is_refused;
        if is_refused || (was_test && self.last_sign.is_some()) {
            self.last_sign = Some(now);
        }
        let belief = self.belief.as_mut()?;
        belief.on_answer(job.addressed_team(), sent_at, now, shown);
        let odds = belief.odds();
        let before = self.kind;
        self.kind = match before {
            Some(BucketKind::Team) if odds >= EVEN => before,
            _ if odds >= TEAM && self.was_test_accepted && !self.was_wrong => Some(BucketKind::Team),
            _ if odds <= ORG || before.is_some() => Some(BucketKind::Org),
            _ => None,
        };
        self.was_wrong |= before == Some(BucketKind::Team) && self.kind != before;
        if self.kind.is_some() || (self.was_test_refused && odds < AGAIN) {
            self.search = None;
        } else if is_refused && !self.was_test_refused && job.addressed_team().is_some() {
            // One above the common rate is over.
            self.search = self.search.take().filter(|search| !search.is_above).or_else(|| Some(Search::default()));
        }
        self.kind.filter(|_| self.kind != before)
    }

    /// A call is no longer in flight. True if it was the test.
    pub fn cancel_test(&mut self, job: &Job) -> bool {
        let of_test = self.search.as_mut().filter(|search| search.in_flight == Some(job.line()));
        of_test.is_some_and(|search| search.in_flight.take().is_some())
    }

    /// Whether enough time would be gained to send rows above the common rate.
    fn is_worthwhile(&self, common: &RateBucket, now: Duration) -> bool {
        let is_likely = |belief: &Belief| belief.odds() >= if self.was_test_refused { AGAIN } else { EVEN };
        let patience = || common.gate.per_minute().map_or(Duration::MAX, |rate| MINUTE.mul_f64(PATIENCE / rate));
        self.kind.is_none()
            && common.left >= WORTHWHILE
            && self.last_sign.is_some_and(|at| now.saturating_sub(at) >= patience())
            && self.belief.as_ref().is_some_and(is_likely)
    }

    /// The place in the common queue of a row to be sent as a test, if one is due and there.
    pub fn test_row(&mut self, common: &RateBucket, now: Duration) -> Option<usize> {
        let is_paused = now < common.gate.paused_until();
        let is_done = |search: &Search| search.is_above && (is_paused || search.is_over());
        if self.search.as_ref().is_some_and(|search| is_done(search) || search.is_above == is_paused) {
            self.search = None;
        }
        if !is_paused && self.search.is_none() && self.is_worthwhile(common, now) {
            self.search = Some(Search { is_above: true, ..Search::default() });
        }
        let search = self.search.as_ref()?;
        // A pause that isn't a limit's is no workspace's either.
        if now < common.gate.held_until() || search.in_flight.is_some() || search.is_over() {
            return None;
        }
        self.best_row(&common.queue, now)
    }

    pub fn start_test(&mut self, line: u64) {
        if let Some(search) = &mut self.search {
            search.sent += 1;
            search.in_flight = Some(line);
        }
    }

    /// How much a test of this workspace is worth, if it is worth one. A row of a paused workspace must not be sent past the
    /// pause of the common bucket.
    fn worth(&self, team: &TeamId, now: Duration) -> Option<f64> {
        if self.paused.get(&Some(team.clone())).is_some_and(|until| *until > now) {
            return None;
        }
        let belief = self.belief.as_ref()?;
        let (factor, probability) = belief.expected(team, now);
        let is_above = self.search.as_ref().is_some_and(|search| search.is_above);
        (is_above || factor >= TELLING || belief.odds() >= TEAM).then_some(probability)
    }

    /// The place of the row whose workspace is most likely to have room, if its answer would show anything.
    fn best_row(&self, queue: &VecDeque<Job>, now: Duration) -> Option<usize> {
        let mut seen = HashSet::new();
        let firsts = queue.iter().enumerate().filter_map(|(place, job)| Some((place, job.addressed_team()?)));
        let firsts = firsts.filter(|(_, team)| seen.insert(*team));
        let worth = firsts.filter_map(|(place, team)| Some((self.worth(team, now)?, place)));
        worth.reduce(|best, other| if other.0 > best.0 { other } else { best }).map(|(_, place)| place)
    }

    /// The workspace of which a row for a test has to be requested.
    pub fn request_row(
        &mut self,
        common: &RateBucket,
        left_of: &HashMap<TeamId, u64>,
        now: Duration,
    ) -> Option<TeamId> {
        let search = self.search.as_ref().filter(|search| search.asked.is_none() && search.in_flight.is_none())?;
        // A row that is there waits only for its place in the rate of the run.
        let is_in_time = search.is_above != (now < common.gate.paused_until());
        if !is_in_time || search.is_over() || self.best_row(&common.queue, now).is_some() {
            return None;
        }
        let belief = self.belief.as_ref()?;
        let is_candidate = |(team, left): &(&TeamId, &u64)| **left > 0 && !search.without_rows.contains(*team);
        let fewest_calls =
            |(team, left): &(&TeamId, &u64)| (belief.recent(team).count(), std::cmp::Reverse(**left), (*team).clone());
        let mut teams: Vec<_> = left_of.iter().filter(is_candidate).collect();
        teams.sort_by_cached_key(fewest_calls);
        let team =
            teams.into_iter().map(|(team, _)| team).take(3).find(|team| self.worth(team, now).is_some()).cloned();
        if let Some(search) = &mut self.search {
            search.asked.clone_from(&team);
        }
        team
    }

    /// Rows of this workspace came, for whatever reason they were requested.
    pub fn received(&mut self, team: &TeamId, rows: usize) {
        if let Some(search) = self.search.as_mut().filter(|search| search.asked.as_ref() == Some(team)) {
            search.asked = None;
            if rows == 0 {
                search.without_rows.insert(team.clone());
            }
        }
    }
}
