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
    /// A row of `limited` got a 429; a row of another workspace is needed.
    Looking {
        limited: TeamId,
        accepted: u32,
        asked: Option<TeamId>,
        without_rows: HashSet<TeamId>,
    },
    /// The probe is in flight.
    Testing {
        limited: TeamId,
        accepted: u32,
        line: u64,
    },
}

#[derive(Debug)]
pub(super) struct Detection {
    state: DetectionState,
    pub recent: RecentCalls,
    /// The end of the pause of each workspace that was refused during the pause of the common bucket; `None` is for
    /// rows without a workspace.
    paused: HashMap<Option<TeamId>, Duration>,
}

fn looking(limited: TeamId, accepted: u32) -> DetectionState {
    DetectionState::Looking { limited, accepted, asked: None, without_rows: HashSet::new() }
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
        let would_tell = is_pause_of_a_window(common, latency, now) || chance(common, latency) <= TOO_MUCH_BY_CHANCE;
        if let (DetectionState::Waiting, Some(team), true) = (&self.state, job.addressed_team(), would_tell) {
            self.state = looking(team.clone(), 0);
        }
    }

    /// The index in the common queue of a row to be sent as a probe, if one is due.
    pub fn test_row(&mut self, common: &RateBucket, left_of: &HashMap<TeamId, u64>, now: Duration) -> Option<usize> {
        let DetectionState::Looking { limited, asked, without_rows, .. } = &self.state else { return None };
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
        if let DetectionState::Looking { limited, accepted, .. } = &self.state {
            self.state = DetectionState::Testing { limited: limited.clone(), accepted: *accepted, line };
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
    /// A single bucket may have got a token while the probe was in flight. Unless the pause rules that out, so many
    /// probes have to be accepted that coincidence would accept all of them in one of a hundred runs.
    pub fn on_answer(
        &mut self,
        line: u64,
        accepted: Option<bool>,
        sent_at: Duration,
        now: Duration,
        common: &RateGate,
    ) -> Option<BucketKind> {
        let DetectionState::Testing { limited, line: tested, accepted: before } = &self.state else { return None };
        if *tested != line {
            return None;
        }
        let Some(accepted) = accepted else {
            self.state = DetectionState::Waiting;
            return None;
        };
        if accepted && before + 1 < tests_wanted(common, sent_at, now) {
            self.state = looking(limited.clone(), before + 1);
            return None;
        }
        let kind = if accepted { BucketKind::Team } else { BucketKind::Org };
        self.state = DetectionState::Known(kind);
        Some(kind)
    }

    /// The workspace to request a row of for a probe: the one with the fewest calls.
    pub fn request_row(&mut self, queue: &VecDeque<Job>, left_of: &HashMap<TeamId, u64>) -> Option<TeamId> {
        let DetectionState::Looking { limited, asked: None, without_rows, .. } = &self.state else { return None };
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

/// Whether the pause rules out that a token arrives while a probe is in flight. The two usual fixed pauses (slack.md,
/// "Rate limits") show nothing.
fn is_pause_of_a_window(common: &RateGate, latency: Duration, now: Duration) -> bool {
    let pause = common.paused_until().saturating_sub(now);
    pause > 2 * latency + WHOLE_SECONDS && !FIXED_PAUSES.contains(&pause.as_secs())
}

/// The probability that a single token bucket accepts a row during its pause: about rate times latency.
fn chance(common: &RateGate, latency: Duration) -> f64 {
    let rate = common.per_minute().unwrap_or(0.0);
    rate / MINUTE.as_secs_f64() * latency.as_secs_f64()
}

fn tests_wanted(common: &RateGate, sent_at: Duration, now: Duration) -> u32 {
    let latency = now.saturating_sub(sent_at);
    if is_pause_of_a_window(common, latency, sent_at) {
        return 1;
    }
    let chance = chance(common, latency);
    (1..MOST_TESTS).find(|&tests| chance.powi(tests.cast_signed()) < RIGHT_BY_CHANCE).unwrap_or(MOST_TESTS)
}
