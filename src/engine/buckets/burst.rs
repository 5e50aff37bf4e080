//! The opening while nobody knows which rows share a limit: on the promises of all workspaces.

use super::{Buckets, COMMON, Detection};
use crate::engine::job::Job;
use crate::engine::rate_gate::Pace;
use crate::model::TeamId;
use std::collections::VecDeque;
use std::time::Duration;

/// The whole calls in a rate.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count of calls, at least 1")]
fn calls_of(per_minute: f64) -> usize {
    per_minute as usize
}

fn bring_forward(queue: &mut VecDeque<Job>, place: usize) {
    if let Some(row) = queue.remove(place) {
        queue.push_front(row);
    }
}

impl Buckets {
    /// While the kind is unknown and nothing was ever refused: whether the common bucket is ready to send its first row.
    ///
    /// The opening goes on while the workspace of the next row has not used up its own promise. Then one more of its
    /// rows is sent: refused, the test row tells the kind at once; accepted, the opening goes on with the promises of
    /// the other workspaces, from further on in the input where it is sorted.
    pub(super) fn open_wide(&mut self, now: Duration) -> bool {
        let Pace::Auto { start, .. } = self.pace else { return true };
        if !matches!(self.detection, Detection::Waiting) {
            return true;
        }
        let recent = &self.recent;
        #[expect(clippy::cast_precision_loss, reason = "calls of a minute")]
        let used_up = |team: &TeamId| recent.count(team) as f64 >= start.floor();
        let common = &mut self.all[COMMON];
        let first = common.queue.front().and_then(Job::addressed_team);
        match (common.gate.is_opening(), self.reopened) {
            (true, false) => {
                if first.is_some_and(used_up) {
                    common.gate.end_opening(now);
                }
                true
            }
            (false, false) => {
                let beyond = |team| recent.count(team) > calls_of(start);
                if common.in_flight == 0 && first.is_some_and(beyond) {
                    self.reopened = true;
                    common.gate.reopen(u32::try_from(self.left_of.len()).unwrap_or(u32::MAX), now);
                }
                true
            }
            (true, true) => {
                let fresh = |row: &Job| row.addressed_team().is_none_or(|team| !used_up(team));
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
                let calls = |row: &Job| row.addressed_team().map(|team| recent.count(team)).filter(|calls| *calls > 0);
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
}
