//! The state of a run, for the loop and for display.

use super::StateMachine;
use crate::engine::buckets::RateBucket;
use crate::engine::clock::Now;
use crate::engine::job::Job;
use crate::engine::run::RunEnd;
use crate::engine::user_batch::UserBatcher;
use crate::model::{Snapshot, StopReason, WaitReason};
use std::time::Duration;

impl StateMachine {
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.in_flight.is_empty() && (self.stop.is_some() || !self.has_more_to_send())
    }

    /// Whether there are rows besides those in flight.
    pub(super) fn has_more_to_send(&self) -> bool {
        let is_gathering = self.batcher.as_ref().is_some_and(UserBatcher::has_rows);
        is_gathering || !self.retries.is_empty() || self.buckets.has_rows() || !self.buckets.exhausted()
    }

    /// The stop reason, if no further call will be made.
    #[must_use]
    pub fn stopped(&self) -> Option<&StopReason> {
        self.stop.as_ref()
    }

    /// Whether requested rows haven't arrived and are still needed.
    #[must_use]
    pub fn awaits_rows(&self) -> bool {
        self.stop.is_none() && self.buckets.outstanding()
    }

    /// Ends the run. Rows held by the breaker have failed if the run wasn't stopped; otherwise they haven't ended. A
    /// run in which every row has ended is complete, even if it was about to stop.
    pub fn close(&mut self) {
        let held = self.health.breaker.held().len() as u64;
        if self.stop.is_none() || self.tally.is_complete_with(held) {
            let held = self.health.breaker.settle();
            self.release(held);
        }
        if self.tally.is_complete_with(0) {
            self.stop = self.stop.take().filter(|reason| reason.entry().outlasts_the_last_row);
        }
    }

    #[must_use]
    pub fn run_end(&self, now: Duration) -> RunEnd {
        let calls = self.tally.calls(now);
        RunEnd {
            stop: self.stop.clone(),
            aborted: false,
            counts: self.tally.counts(),
            calls,
            any_parked: self.health.any_suspended(),
            unrecorded: Vec::new(),
            in_doubt: self.tally.in_doubt().collect(),
            estimate: self.estimate,
            // The lowest limit, because it is suggested as the start of the next run.
            learnt: self.buckets.iter().filter_map(|bucket| bucket.gate.learnt()).reduce(f64::min),
            bucket: self.buckets.kind(),
            elapsed: now.saturating_sub(calls.began.unwrap_or(now)),
            fault: None,
        }
    }

    /// Lines in flight, and those that wait for one of their answers.
    pub fn lines_in_flight(&self) -> impl Iterator<Item = u64> {
        let in_flight = self.in_flight.values().map(|call| &call.job);
        in_flight.chain(self.shared.held()).flat_map(Job::lines)
    }

    pub fn snapshot(&mut self, now: Now) -> Snapshot {
        let began = self.tally.calls.began.unwrap_or(now.at);
        let recent = self.throughput.per_minute(now.at, began);
        Snapshot {
            counts: self.tally.counts(),
            total: self.policy.rows,
            already_done: self.policy.earlier.ended(),
            in_flight: u32::try_from(self.in_flight.len()).unwrap_or(u32::MAX),
            calls: self.tally.calls.counts,
            elapsed: now.at.saturating_sub(began),
            wait: self.current_wait(now.at),
            per_minute: self.estimate,
            recent_per_minute: recent,
            eta: self.eta(now.at, recent),
            bucket: self.buckets.kind(),
            outage: self.health.outage.is_declared(),
            stopping: self.stop.is_some(),
        }
    }

    /// What the run is waiting for, and for how long.
    fn current_wait(&self, now: Duration) -> Option<(WaitReason, Duration)> {
        let until = |at: Duration| at.checked_sub(now).filter(|left| !left.is_zero());
        let next = self.next_call_at.and_then(until)?;
        if self.health.outage.is_declared() {
            return Some((WaitReason::Outage, next));
        }
        let with_rows = self.buckets.iter().enumerate().filter(|(index, _)| self.buckets.rows_left(*index) > 0);
        let opens_first = with_rows.map(|(_, bucket)| &bucket.gate).min_by_key(|gate| gate.paused_until());
        if let Some((gate, pause)) = opens_first.and_then(|gate| Some((gate, until(gate.paused_until())?))) {
            let is_held = gate.held_until() == gate.paused_until();
            return Some((if is_held { WaitReason::ServerBusy } else { WaitReason::RateLimited }, pause));
        }
        let others = || self.buckets.iter().map(|bucket| bucket.gate.others());
        let reason = match self.buckets.has_rows() {
            false => WaitReason::Backoff,
            true if others().any(|others| others.is_incident) => WaitReason::AfterIncident,
            true if others().any(|others| others.runs > 0) => WaitReason::Shared,
            true => WaitReason::Paced,
        };
        Some((reason, next))
    }

    /// The time of the slowest bucket at its current estimate, or that of all rows at the rate of the run if that is
    /// longer.
    #[expect(clippy::cast_precision_loss, reason = "a count of rows")]
    fn eta(&self, now: Duration, recent: f64) -> Option<Duration> {
        let of_bucket = |(index, bucket): (usize, &RateBucket)| {
            let rate = bucket.gate.per_minute().unwrap_or(recent);
            let left = self.buckets.rows_left(index) as f64;
            let pause = bucket.gate.paused_until().saturating_sub(now).as_secs_f64();
            (left > 0.0).then_some(pause + left * 60.0 / rate)
        };
        let left: u64 = (0..self.buckets.len()).map(|index| self.buckets.rows_left(index)).sum();
        let of_all = self.buckets.total_per_minute().map(|most| left as f64 * 60.0 / most);
        let longest = self.buckets.iter().enumerate().filter_map(of_bucket).reduce(f64::max)?;
        let longest = of_all.map_or(longest, |of_all| of_all.max(longest));
        Some(longest).and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
    }
}
