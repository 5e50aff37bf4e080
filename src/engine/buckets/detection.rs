//! Detects whether workspaces share a limit: when a probe is due, and what its answer means.

use super::RateBucket;
use super::recent_calls::RecentCalls;
use crate::engine::call_window::MINUTE;
use crate::engine::job::Job;
use crate::engine::rate_gate::RateGate;
use crate::model::{BucketKind, TeamId};
use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Duration;

/// Maximum probability that all probes were accepted by coincidence.
const RIGHT_BY_CHANCE: f64 = 0.01;

/// No probe is sent if a single bucket would accept it with a higher probability than this.
const TOO_MUCH_BY_CHANCE: f64 = 0.1;

/// Pauses are rounded up to whole seconds.
const WHOLE_SECONDS: Duration = Duration::from_secs(1);

/// Pauses in seconds that servers use regardless of their limit.
const FIXED_PAUSES: [u64; 2] = [30, 60];

const MOST_TESTS: u32 = 4;

#[derive(Debug)]
enum DetectionState {
    Known(BucketKind),
    /// No useful 429 so far.
    Waiting,
    /// A row of a workspace got a 429; a row of another one is needed.
    Looking {
        refusal: LimitedCall,
        accepted: u32,
        asked: Option<TeamId>,
        without_rows: HashSet<TeamId>,
    },
    /// The probe is in flight.
    Testing {
        refusal: LimitedCall,
        accepted: u32,
        line: u64,
    },
}

/// The 429 whose pause is probed.
#[derive(Debug, Clone)]
struct LimitedCall {
    limited: TeamId,
    sent_at: Duration,
    pause: Duration,
}

#[derive(Debug)]
pub(super) struct Detection {
    state: DetectionState,
    pub recent: RecentCalls,
    /// The end of the pause of each workspace that was refused during the pause of the common bucket; `None` is for
    /// rows without a workspace.
    paused: HashMap<Option<TeamId>, Duration>,
}

fn looking(refusal: LimitedCall, accepted: u32) -> DetectionState {
    DetectionState::Looking { refusal, accepted, asked: None, without_rows: HashSet::new() }
}

impl Detection {
    pub fn new(known: Option<BucketKind>) -> Self {
        let state = known.map_or(DetectionState::Waiting, DetectionState::Known);
        Self { state, recent: RecentCalls::default(), paused: HashMap::new() }
    }

    pub fn kind(&self) -> Option<BucketKind> {
        match self.state {
            DetectionState::Known(kind) => Some(kind),
            DetectionState::Waiting | DetectionState::Looking { .. } | DetectionState::Testing { .. } => None,
        }
    }

    /// Whether a row for a probe was requested from the input and hasn't arrived.
    pub fn awaits_row(&self) -> bool {
        matches!(&self.state, DetectionState::Looking { asked: Some(_), .. })
    }

    /// Records a pause for the row's workspace. It stays valid whatever we later learn about the buckets.
    pub fn record_pause(&mut self, job: &Job, now: Duration, until: Duration) {
        if self.kind().is_some() {
            return;
        }
        self.paused.retain(|_, until| *until > now);
        let paused = self.paused.entry(job.addressed_team().cloned()).or_default();
        *paused = until.max(*paused);
    }

    pub fn take_pauses(&mut self) -> HashMap<Option<TeamId>, Duration> {
        std::mem::take(&mut self.paused)
    }

    /// Whether a row of this workspace may be sent during the pause of the common bucket; not if the workspace is
    /// paused itself.
    fn may_be_tested(&self, team: &TeamId) -> bool {
        !self.paused.contains_key(&Some(team.clone()))
    }

    /// Handles a 429 for a row sent at `sent_at`: a probe is due if the kind is unknown and coincidence is unlikely.
    pub fn on_limited(&mut self, job: &Job, sent_at: Duration, now: Duration, common: &RateGate) {
        let latency = now.saturating_sub(sent_at);
        if let Some(team) = job.addressed_team() {
            self.recent.take_back(sent_at, team);
        }
        let (DetectionState::Waiting, Some(team)) = (&self.state, job.addressed_team()) else { return };
        let pause = common.paused_until().saturating_sub(now);
        let refusal = LimitedCall { limited: team.clone(), sent_at, pause };
        if refusal.chance(common, now, now + latency) <= TOO_MUCH_BY_CHANCE {
            self.state = looking(refusal, 0);
        }
    }

    /// The index in the common queue of a row to be sent as a probe, if one is due.
    pub fn test_row(&mut self, common: &RateBucket, left_of: &HashMap<TeamId, u64>, now: Duration) -> Option<usize> {
        let DetectionState::Looking { refusal: LimitedCall { limited, .. }, asked, without_rows, .. } = &self.state
        else {
            return None;
        };
        if now >= common.gate.paused_until() {
            self.state = DetectionState::Waiting;
            return None;
        }
        // A pause for another reason than a limit applies to all workspaces.
        if now < common.gate.held_until() {
            return None;
        }
        let place = self.best_row(&common.queue, limited);
        let is_unread = |(team, left): (&TeamId, &u64)| {
            team != limited
                && *left > 0
                && self.may_be_tested(team)
                && !without_rows.contains(team)
                && self.would_tell(self.recent.count(team), limited)
        };
        if place.is_none() && asked.is_none() && !left_of.iter().any(is_unread) {
            self.state = DetectionState::Waiting;
        }
        place
    }

    pub fn start_test(&mut self, line: u64) {
        if let DetectionState::Looking { refusal, accepted, .. } = &self.state {
            self.state = DetectionState::Testing { refusal: refusal.clone(), accepted: *accepted, line };
        }
    }

    /// Whether a probe would be conclusive: not if the workspace may have used up its own limit.
    fn would_tell(&self, calls: usize, limited: &TeamId) -> bool {
        calls * 5 <= self.recent.count(limited) * 4
    }

    /// The index of the row whose workspace had the fewest calls, if a probe with it would be conclusive.
    fn best_row(&self, queue: &VecDeque<Job>, limited: &TeamId) -> Option<usize> {
        let calls_of = |job: &Job| {
            let team = job.addressed_team().filter(|team| *team != limited && self.may_be_tested(team))?;
            Some(self.recent.count(team))
        };
        let rows = queue.iter().enumerate().filter_map(|(place, job)| Some((calls_of(job)?, place)));
        rows.min().filter(|(calls, _)| self.would_tell(*calls, limited)).map(|(_, place)| place)
    }

    /// Handles the answer to the call for `line`, which may be the probe; `accepted` is `None` if it is inconclusive.
    /// Returns the kind once it is known.
    ///
    /// So many probes have to be accepted that a single bucket would accept all of them in one of a hundred runs.
    pub fn on_answer(
        &mut self,
        line: u64,
        accepted: Option<bool>,
        sent_at: Duration,
        now: Duration,
        common: &RateGate,
    ) -> Option<BucketKind> {
        let DetectionState::Testing { refusal, line: tested, accepted: before } = &self.state else { return None };
        if *tested != line {
            return None;
        }
        let Some(accepted) = accepted else {
            self.state = DetectionState::Waiting;
            return None;
        };
        let wanted = tests_wanted(refusal.chance(common, sent_at, now));
        if accepted && wanted.is_none_or(|wanted| before + 1 < wanted) {
            let next = wanted.map(|_| looking(refusal.clone(), before + 1));
            self.state = next.unwrap_or(DetectionState::Waiting);
            return None;
        }
        let kind = if accepted { BucketKind::Team } else { BucketKind::Org };
        self.state = DetectionState::Known(kind);
        Some(kind)
    }

    /// The workspace to request a row of for a probe: the one with the fewest calls.
    pub fn request_row(&mut self, queue: &VecDeque<Job>, left_of: &HashMap<TeamId, u64>) -> Option<TeamId> {
        let DetectionState::Looking { refusal: LimitedCall { limited, .. }, asked: None, without_rows, .. } =
            &self.state
        else {
            return None;
        };
        // An available row only waits for the limit of the run.
        if self.best_row(queue, limited).is_some() {
            return None;
        }
        let is_candidate = |(team, left): &(&TeamId, &u64)| {
            *team != limited && **left > 0 && self.may_be_tested(team) && !without_rows.contains(*team)
        };
        let fewest_calls =
            |(team, left): &(&TeamId, &u64)| (self.recent.count(team), std::cmp::Reverse(**left), (*team).clone());
        let team = left_of.iter().filter(is_candidate).min_by_key(fewest_calls).map(|(team, _)| team.clone());
        if team.is_none() {
            self.state = DetectionState::Waiting;
        } else if let DetectionState::Looking { asked, .. } = &mut self.state {
            asked.clone_from(&team);
        }
        team
    }

    /// Rows of this workspace arrived.
    pub fn received(&mut self, team: &TeamId, rows: usize) {
        if let DetectionState::Looking { asked, without_rows, .. } = &mut self.state
            && asked.as_ref() == Some(team)
        {
            *asked = None;
            if rows == 0 {
                without_rows.insert(team.clone());
            }
        }
    }
}

impl LimitedCall {
    /// The probability that a single bucket accepts a probe sent at `sent_at` and answered at `now`: about its rate times the time
    /// in which it may have got a token, which its pause doesn't rule out. The usual fixed pauses (slack.md, "Rate limits") rule
    /// out nothing.
    fn chance(&self, common: &RateGate, sent_at: Duration, now: Duration) -> f64 {
        let latency = now.saturating_sub(sent_at);
        let filling = if FIXED_PAUSES.contains(&self.pause.as_secs()) {
            now.saturating_sub(self.sent_at)
        } else if self.pause > 2 * latency + WHOLE_SECONDS {
            return 0.0;
        } else {
            latency
        };
        common.per_minute().unwrap_or(0.0) / MINUTE.as_secs_f64() * filling.as_secs_f64()
    }
}

/// How many probes have to be accepted; `None` if that many would show nothing.
fn tests_wanted(chance: f64) -> Option<u32> {
    (1..=MOST_TESTS).find(|&tests| chance.powi(tests.cast_signed()) < RIGHT_BY_CHANCE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::rate_gate::Pace;

    /// A bucket that fills once a second, and a 429 for a call sent at zero.
    fn wanted(pause: u64, sent_at: u64, latency_ms: u64) -> Option<u32> {
        let common = RateGate::new(Pace::Every(Duration::from_secs(1)));
        let refusal = LimitedCall {
            limited: TeamId::parse("T0001").unwrap(),
            sent_at: Duration::ZERO,
            pause: Duration::from_secs(pause),
        };
        let sent_at = Duration::from_secs(sent_at);
        tests_wanted(refusal.chance(&common, sent_at, sent_at + Duration::from_millis(latency_ms)))
    }

    #[test]
    fn the_longer_a_single_bucket_had_to_fill_the_more_probes_are_wanted() {
        // The pause of a window: it rules a token out, also later.
        assert_eq!((wanted(57, 0, 50), wanted(57, 5, 50)), (Some(1), Some(1)));
        // The pause of a bucket: only while the probe is in flight.
        assert_eq!((wanted(1, 0, 50), wanted(1, 0, 300), wanted(1, 0, 900)), (Some(2), Some(4), None));
        // The same pause whatever happened: a token may have come long before.
        assert_eq!((wanted(60, 0, 50), wanted(30, 0, 50), wanted(60, 3, 50)), (Some(2), Some(2), None));
    }
}
