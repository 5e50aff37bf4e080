//! One bucket or many: the test row, when it is due and what it tells.

use super::{BucketKind, Buckets, COMMON, Detection};
use crate::engine::call_window::MINUTE;
use crate::engine::job::Job;
use crate::engine::ports::{Permit, Want};
use crate::engine::rate_gate::NotUntil;
use crate::model::TeamId;
use std::collections::HashSet;
use std::time::Duration;

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

fn looking(limited: TeamId, accepted: u32) -> Detection {
    Detection::Looking { limited, accepted, asked: None, without_rows: HashSet::new() }
}

impl Buckets {
    /// A row was refused, and its workspace is to wait until then: whatever is learnt of the buckets, that stands.
    pub fn paused(&mut self, job: &Job, now: Duration, until: Duration) {
        if matches!(self.detection, Detection::Done(_)) {
            return;
        }
        self.paused.retain(|_, until| *until > now);
        let paused = self.paused.entry(job.addressed_team().cloned()).or_default();
        *paused = until.max(*paused);
    }

    /// Whether a row of this workspace may go past the pause of the common bucket: not past its own.
    fn may_be_tested(&self, team: &TeamId) -> bool {
        !self.paused.contains_key(&Some(team.clone()))
    }

    /// A row sent at `sent_at` met a limit: where the kind is not known, and chance would not answer, a test is due.
    pub fn limited(&mut self, job: &Job, sent_at: Duration, now: Duration) {
        let latency = now.saturating_sub(sent_at);
        if let Some(team) = job.addressed_team() {
            self.recent.take_back(sent_at, team);
        }
        let would_tell = self.pause_is_of_a_window(latency, now) || self.by_chance(latency) <= TOO_MUCH_BY_CHANCE;
        if let (Detection::Waiting, Some(team), true) = (&self.detection, job.addressed_team(), would_tell) {
            self.detection = looking(team.clone(), 0);
        }
    }

    /// Whether the pause says that no token comes while a test row is under way. The two that servers name whatever
    /// their limit is (slack.md, "Rate limits") say nothing.
    fn pause_is_of_a_window(&self, latency: Duration, now: Duration) -> bool {
        let pause = self.all[COMMON].gate.paused_until().saturating_sub(now);
        pause > 2 * latency + WHOLE_SECONDS && !FIXED_PAUSES.contains(&pause.as_secs())
    }

    /// How likely one bucket for all, a token bucket, takes a row during its pause: about the rate times the latency.
    fn by_chance(&self, latency: Duration) -> f64 {
        let rate = self.all[COMMON].gate.per_minute().unwrap_or(0.0);
        rate / MINUTE.as_secs_f64() * latency.as_secs_f64()
    }

    /// The row to be sent as a test, past the pause of the common bucket.
    ///
    /// # Errors
    /// Without one that is wanted and there, `None`; or when the run has a place for it.
    pub fn take_test(&mut self, now: Duration) -> Result<(Permit, Job), Option<NotUntil>> {
        let Detection::Looking { limited, accepted, .. } = &self.detection else { return Err(None) };
        let (limited, accepted) = (limited.clone(), *accepted);
        if now >= self.all[COMMON].gate.paused_until() {
            self.detection = Detection::Waiting;
            return Err(None);
        }
        // A pause that isn't a limit's is no workspace's either.
        if now < self.all[COMMON].gate.held_until() {
            return Err(None);
        }
        let Some(place) = self.test_row(&limited) else {
            let Detection::Looking { asked, without_rows, .. } = &self.detection else { return Err(None) };
            let unread = |(team, left): (&TeamId, &u64)| {
                *team != limited
                    && *left > 0
                    && self.may_be_tested(team)
                    && !without_rows.contains(team)
                    && self.would_tell(self.recent.count(team), &limited)
            };
            if asked.is_none() && !self.left_of.iter().any(unread) {
                self.detection = Detection::Waiting;
            }
            return Err(None);
        };
        let bucket = &mut self.all[COMMON];
        let permit = self.total.ask(now, || Ok(bucket.gate.ask_past_the_pause()))?;
        let job = bucket.queue.remove(place).ok_or(None)?;
        self.detection = Detection::Testing { limited, accepted, line: job.line() };
        Ok((permit, job))
    }

    /// A workspace with so many calls that it may be used up itself would tell nothing.
    fn would_tell(&self, calls: usize, limited: &TeamId) -> bool {
        calls * 5 <= self.recent.count(limited) * 4
    }

    /// The place in the queue of a row that would tell something.
    fn test_row(&self, limited: &TeamId) -> Option<usize> {
        self.least_used(limited).filter(|(_, calls)| self.would_tell(*calls, limited)).map(|(place, _)| place)
    }

    /// The place in the queue of a row of the workspace, other than `limited`, that had the fewest calls.
    fn least_used(&self, limited: &TeamId) -> Option<(usize, usize)> {
        let of = |job: &Job| {
            let team = job.addressed_team().filter(|team| *team != limited && self.may_be_tested(team))?;
            Some(self.recent.count(team))
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
        job: &Job,
        accepted: Option<bool>,
        sent_at: Duration,
        now: Duration,
    ) -> Option<BucketKind> {
        let Detection::Testing { limited, line, accepted: before } = &self.detection else { return None };
        if *line != job.line() {
            return None;
        }
        let (limited, before) = (limited.clone(), *before);
        let Some(accepted) = accepted else {
            self.detection = Detection::Waiting;
            return None;
        };
        if accepted && before + 1 < self.tests_wanted(sent_at, now) {
            self.detection = looking(limited, before + 1);
            return None;
        }
        let kind = if accepted { BucketKind::Team } else { BucketKind::Org };
        self.detection = Detection::Done(kind);
        if accepted {
            self.split(now);
        }
        self.recent.clear();
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

    /// Asks for a row to test with, of the workspace that had the fewest calls.
    pub(super) fn want_test(&mut self, wants: &mut Vec<Want>) {
        let Detection::Looking { limited, asked: None, .. } = &self.detection else { return };
        // One that is there waits only for its place in the rate of the run.
        if self.test_row(limited).is_some() {
            return;
        }
        let Detection::Looking { limited, asked, without_rows, .. } = &mut self.detection else { return };
        let paused = &self.paused;
        let other = |(team, left): &(&TeamId, &u64)| {
            let paused = paused.contains_key(&Some((*team).clone()));
            *team != limited && **left > 0 && !paused && !without_rows.contains(*team)
        };
        let recent = &self.recent;
        match self
            .left_of
            .iter()
            .filter(other)
            .min_by_key(|(team, left)| (recent.count(team), std::cmp::Reverse(**left), *team))
        {
            Some((team, _)) => {
                *asked = Some(team.clone());
                wants.push(Want::Of(team.clone()));
            }
            None => self.detection = Detection::Waiting,
        }
    }
}
