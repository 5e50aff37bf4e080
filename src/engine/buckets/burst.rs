//! The initial burst while it is unknown which rows share a limit: it relies on what Slack promises to every workspace.

use super::{Buckets, COMMON};
use crate::engine::job::Job;
use crate::engine::rate_gate::Pace;
use crate::model::TeamId;
use std::collections::{HashSet, VecDeque};
use std::time::Duration;

#[derive(Debug, Default)]
pub(super) enum Burst {
    /// The rows as they come.
    #[default]
    InOrder,
    /// Continued with workspaces from further on in the input.
    Extended { looked_for: HashSet<TeamId>, reading: Option<Reading> },
}

/// A workspace whose rows are read for the burst.
#[derive(Debug)]
pub(super) struct Reading {
    team: TeamId,
    is_requested: bool,
}

impl Burst {
    pub fn take_request(&mut self) -> Option<TeamId> {
        let Self::Extended { reading: Some(reading), .. } = self else { return None };
        (!std::mem::replace(&mut reading.is_requested, true)).then(|| reading.team.clone())
    }

    pub fn is_reading(&self) -> bool {
        matches!(self, Self::Extended { reading: Some(_), .. })
    }

    pub fn received(&mut self, team: &TeamId) {
        if let Self::Extended { reading, .. } = self {
            reading.take_if(|reading| reading.team == *team);
        }
    }
}

/// The whole calls in a rate.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count of calls, at least 1")]
fn calls_of(per_minute: f64) -> usize {
    per_minute as usize
}

fn move_to_front(queue: &mut VecDeque<Job>, place: usize) {
    if let Some(row) = queue.remove(place) {
        queue.push_front(row);
    }
}

impl Buckets {
    /// While the kind is unknown and nothing was ever refused: whether the common bucket is ready to send its first row.
    ///
    /// The burst continues while the workspace of the next row has not used up its own promise. Then one more of its rows is
    /// sent. If that is refused, a test row shows the kind at once; if it is accepted, the burst continues with the promises
    /// of the other workspaces, whose rows are further on in a sorted input. False while such rows are being read.
    pub(super) fn prepare_burst(&mut self, now: Duration) -> bool {
        let Pace::Auto { start, .. } = self.pace else { return true };
        if !self.detection.is_waiting() {
            return true;
        }
        let recent = &self.detection.recent;
        #[expect(clippy::cast_precision_loss, reason = "calls of a minute")]
        let used_up = |team: &TeamId| recent.count(team) as f64 >= start.floor();
        let common = &mut self.all[COMMON];
        let first = common.queue.front().and_then(Job::addressed_team);
        match (common.gate.is_in_burst(), &mut self.burst) {
            (true, Burst::InOrder) => {
                if first.is_some_and(used_up) {
                    common.gate.end_burst(now);
                }
                true
            }
            (false, burst @ Burst::InOrder) => {
                let beyond = |team| recent.count(team) > calls_of(start);
                if common.in_flight == 0 && first.is_some_and(beyond) {
                    *burst = Burst::Extended { looked_for: HashSet::new(), reading: None };
                    common.gate.extend_burst(u32::try_from(self.left_of.len()).unwrap_or(u32::MAX), now);
                }
                true
            }
            (true, Burst::Extended { looked_for, reading }) => {
                let fresh = |row: &Job| row.addressed_team().is_none_or(|team| !used_up(team));
                let Some(place) = common.queue.iter().position(fresh) else {
                    if reading.is_some() {
                        return false;
                    }
                    let unread = |team: &TeamId| !used_up(team) && !looked_for.contains(team);
                    let mut unread: Vec<&TeamId> =
                        self.left_of.iter().filter(|(team, left)| **left > 0 && unread(team)).map(|it| it.0).collect();
                    unread.sort_unstable();
                    // One of them stays untouched: it is the one to be tested.
                    let Some(next) = unread.get(1).map(|_| unread[0].clone()) else {
                        common.gate.end_burst(now);
                        return true;
                    };
                    looked_for.insert(next.clone());
                    *reading = Some(Reading { team: next, is_requested: false });
                    return false;
                };
                move_to_front(&mut common.queue, place);
                true
            }
            (false, Burst::Extended { .. }) => {
                // One workspace after another is brought to its limit: spread evenly, no limit would ever be met.
                let calls = |row: &Job| row.addressed_team().map(|team| recent.count(team)).filter(|calls| *calls > 0);
                let most = (0..common.queue.len())
                    .max_by_key(|&place| (calls(&common.queue[place]), std::cmp::Reverse(place)));
                move_to_front(&mut common.queue, most.unwrap_or(0));
                true
            }
        }
    }
}
