//! Sends calls, as gates, workers and waits allow, and requests rows.

use super::{Action, StateMachine};
use crate::engine::clock::Now;
use crate::engine::job::{CallInFlight, Job};
use crate::engine::ports::Permit;
use crate::engine::rate_gate::{NotUntil, Pace};
use crate::engine::user_batch::UserBatcher;
use crate::model::{Event, StopReason};
use std::time::Duration;

/// Calls in flight at most, where the user names no number (contract.md, `--workers`).
const MOST_WORKERS: u32 = 256;

/// The same while the rate or the latency isn't known, or nothing limits the rate.
const WORKERS_WITHOUT_RATE: u32 = 16;

impl StateMachine {
    /// Sends what may be sent, and requests rows. Returns when to call this again if nothing else happens.
    pub fn step(&mut self, now: Now) -> Option<Duration> {
        self.now = now;
        if self.shared.held().next().is_some() {
            self.settle_shared();
        }
        let is_late = self.policy.deadline.is_some_and(|deadline| now.at >= deadline);
        if is_late && self.has_more_to_send() {
            self.stop(StopReason::Deadline);
        }
        self.prepare_rows();
        self.next_call_at = None;
        let report_due = self.report_due();
        if self.stop.is_some() {
            return report_due.filter(|_| !self.is_finished());
        }
        let mut wake = Wake::default();
        // After an announced pause, its answer is processed first.
        if !self.health.is_refreshing() && !self.announced.any() {
            self.send_what_may_go(&mut wake);
        }
        wake.at(self.next_due());
        self.next_call_at = wake.0;
        wake.at(self.policy.deadline.filter(|_| !is_late));
        wake.at(report_due);
        self.emit_estimate();
        let wants_users = self
            .batcher
            .as_ref()
            .is_some_and(|batcher| batcher.wants_rows() && !(batcher.has_failed() && self.buckets.has_enough()));
        let wants = self.buckets.requests(wants_users, now.at);
        self.actions.extend(wants.into_iter().map(Action::RequestRows));
        wake.0
    }

    /// Puts the rows that may be sent into the queues of the buckets. Twice, because undecided rows can be decided
    /// once no other user is left, and which user is next depends on them.
    fn prepare_rows(&mut self) {
        for _ in 0..2 {
            if self.stop.is_none() {
                self.settle_undecided();
            }
            if self.stop.is_some() {
                return;
            }
            self.requeue_due_rows();
            self.gather();
        }
    }

    fn send_what_may_go(&mut self, wake: &mut Wake) {
        let (now, outage) = (self.now.at, &self.health.outage);
        if outage.is_declared() && now < outage.hold_until() {
            wake.at(Some(outage.hold_until()));
            return;
        }
        match self.buckets.take_test_row(now) {
            Ok((permit, job)) => self.send(permit, job),
            Err(closed) => wake.closed(closed),
        }
        let (first, users_first) = (self.buckets.turn(), self.begins_with_users());
        for turn in 0..self.buckets.len() {
            let index = (first + turn) % self.buckets.len();
            if users_first && !self.buckets.is_bulk(index) {
                continue;
            }
            while self.has_free_worker() && self.retries.has_room() {
                match self.buckets.take_row(index, now) {
                    Ok((permit, job)) => self.send(permit, job),
                    Err(closed) => {
                        if closed == Some(NotUntil::UntilRecorded) {
                            self.report(index, true);
                        }
                        wake.closed(closed);
                        break;
                    }
                }
            }
        }
    }

    /// Whether the run's first call is still to be made and is one for a whole user: such calls end the most sessions.
    fn begins_with_users(&self) -> bool {
        let has_users = |batcher: &UserBatcher| batcher.has_rows() || !self.buckets.users_exhausted();
        self.next_call == 0 && (self.buckets.has_bulk_rows() || self.batcher.as_ref().is_some_and(has_users))
    }

    fn send(&mut self, permit: Permit, job: Job) {
        let now = self.now;
        let Some(mut job) = self.unless_spared(job) else { return };
        let is_bulk = job.is_bulk();
        self.next_call += 1;
        self.tally.calls.counts.calls += 1;
        self.tally.calls.counts.bulk_calls += u64::from(is_bulk);
        self.tally.calls.began.get_or_insert(now.at);
        job.sent(now);
        self.buckets.sent(&job, now.at);
        let (id, line, call) = (self.next_call, job.line(), job.calls() + 1);
        // With several rows, each is recorded before the common call.
        let others = job.lines().skip(1).map(|line| Action::Emit(Event::Sending { line, call, is_bulk }));
        self.actions.extend(others);
        let (permit, handle) = permit.tracked(&self.announced);
        self.actions.push(Action::Send { id, permit, request: job.request(), line, call });
        self.in_flight.insert(id, CallInFlight { job, sent_at: now.at, handle });
    }

    /// Every call passes here, so that no row of a fresh token's owner is sent.
    fn unless_spared(&mut self, job: Job) -> Option<Job> {
        if !job.is_of(&self.spared) {
            return Some(job);
        }
        self.buckets.cancel_test(&job);
        if job.user_batch().is_none() {
            self.buckets.ended(&job);
        }
        let (rest, spared) = job.spare(&self.spared, self.now);
        self.release(spared);
        rest
    }

    fn has_free_worker(&self) -> bool {
        let alone = !self.health.canary_answered() || self.health.outage.is_declared();
        let workers = if alone { 1 } else { self.workers() };
        (self.in_flight.len() as u64) < u64::from(workers)
    }

    /// Little's law (rate times latency), plus one.
    fn workers(&self) -> u32 {
        if let Some(workers) = self.policy.workers {
            return workers;
        }
        let (Some(rate), Some(latency)) = (self.estimate, self.throughput.latency()) else {
            return WORKERS_WITHOUT_RATE;
        };
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 2 and 256")]
        let busy = (rate / 60.0 * latency).ceil().clamp(1.0, f64::from(MOST_WORKERS - 1)) as u32;
        busy + 1
    }

    /// The sum over all buckets with rows, limited by the run's rate.
    fn emit_estimate(&mut self) {
        if matches!(self.policy.pace, Pace::Unlimited) {
            return;
        }
        let with_rows = |index: &usize| self.buckets.rows_left(*index) > 0;
        let rates = self.buckets.iter().enumerate().filter(|(index, _)| with_rows(index));
        let sum: f64 = rates.filter_map(|(_, bucket)| bucket.gate.per_minute()).sum();
        let sum = self.buckets.total_per_minute().map_or(sum, |most| most.min(sum));
        // A share changes with every row of every run.
        let is_shared = self.buckets.iter().any(|bucket| bucket.gate.others().runs > 0);
        let least = if is_shared { 0.05 * sum } else { 1e-6 };
        if sum > 0.0 && self.estimate.is_none_or(|before| (before - sum).abs() > least) {
            self.estimate = Some(sum);
            self.emit(Event::Estimate { team: None, per_minute: sum });
        }
    }
}

/// The earliest time at which something may be due.
#[derive(Debug, Default)]
struct Wake(Option<Duration>);

impl Wake {
    fn at(&mut self, at: Option<Duration>) {
        self.0 = match (self.0, at) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
    }

    fn closed(&mut self, closed: Option<NotUntil>) {
        match closed {
            Some(NotUntil::Until(at)) => self.at(Some(at)),
            Some(NotUntil::UntilAnAnswer | NotUntil::UntilRecorded) | None => {}
        }
    }
}
