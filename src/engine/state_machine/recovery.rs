//! Rows without a clear answer: when they are sent again, when their attempts are used up, and when it is Slack that is
//! away. Other rows decide: if they are answered, the trouble is the row's own; if rows that never failed fail too, it is
//! Slack's, and costs no row an attempt.

use super::{CallInFlight, StateMachine};
use crate::engine::clock::Now;
use crate::engine::health::outage::OutageChange;
use crate::engine::job::Job;
use crate::engine::retry::{self, Class};
use crate::model::{Event, Reply, StopReason};
use std::time::Duration;

/// So long a run goes on without a clear answer if no other row can show whose fault it is: longer than most restarts and
/// failovers take, and short enough for a run that will get no answer at all.
const PATIENCE: Duration = Duration::from_mins(2);

/// Probes with other rows before a run that never got an answer ends, whatever `--retries` says: the first rows may be bad.
const FEWEST_PROBES: u32 = 5;

/// Rows that wait for their next attempt; while there are more, no fresh row is sent. It bounds the memory where every
/// call fails at once, and is far above what faults of single rows come to.
pub(super) const MOST_WAITING: usize = 4096;

/// What becomes of a row whose attempts are used up.
enum Verdict {
    /// The trouble is its own: it ends.
    GiveUp,
    /// Other calls will show whose trouble it is.
    Open,
    /// Nothing but another attempt can show it.
    TryAgain,
    /// Slack is away.
    Unavailable,
}

impl StateMachine {
    /// Keeps track of whether Slack answers anybody.
    pub(super) fn follow_outage(&mut self, call: &CallInFlight, reply: &Reply, class: Class, now: Now) -> OutageChange {
        let (job, sent_at) = (&call.job, call.sent_at);
        self.canary_answered |= class.is_decision();
        match class {
            // It comes ahead of whatever would have answered the call.
            Class::RateLimited { .. } => OutageChange::RowOnly,
            Class::Transient { .. } => {
                // A call for many users stands for many rows, unless others were answered while it failed.
                let is_news = !job.is_own_trouble() && (job.is_for_many() || !job.has_failed());
                let seed = self.seed(job.line(), self.next_call);
                let turn = self.outage.transient(reply, is_news, sent_at, now.at, seed);
                if turn == OutageChange::Began {
                    let error = retry::error_name(reply).unwrap_or_default();
                    self.emit(Event::OutageBegan { error });
                    self.forgive_this_streak();
                }
                turn
            }
            Class::Revoked
            | Class::AlreadyGone
            | Class::NotFound
            | Class::Row
            | Class::SuspectRow
            | Class::Workspace
            | Class::TokenExpired
            | Class::Run => {
                self.calls.clear += 1;
                if !self.outage.is_ended_by(sent_at) {
                    return OutageChange::RowOnly;
                }
                self.streak += 1;
                if self.outage.clear() {
                    self.emit(Event::OutageEnded);
                }
                OutageChange::RowOnly
            }
        }
    }

    /// An outage is declared: what failed since the last clear answer was part of it, and is not held against the rows.
    /// Those that were to go next wait, so that other rows show when it is over.
    fn forgive_this_streak(&mut self) {
        let streak = self.streak;
        for job in self.buckets.take_rows_of(Job::has_failed).into_iter().chain(self.undecided.drain(..)) {
            self.waiting.insert((Duration::ZERO, job.line()), job);
        }
        let in_flight = self.in_flight.values_mut().map(|call| &mut call.job);
        self.waiting.values_mut().chain(in_flight).for_each(|job| job.forgive(streak));
    }

    /// A row got no clear answer.
    pub(super) fn fail(&mut self, mut job: Job, reply: Reply, turn: OutageChange, now: Now) {
        let streak = self.streak;
        job.failed(reply, streak);
        if self.outage.is_declared() {
            job.forgive(streak);
        }
        let is_spent = job.tries() > self.policy.retries;
        let is_split = self.calls.clear > 0 || !self.has_untried_rows();
        let is_no_wiser = self.outage.is_declared() && job.failures_in_a_row() > 1;
        if job.is_for_many() && is_split && (is_spent || turn == OutageChange::Began || is_no_wiser) {
            return self.give_up(job, now);
        }
        let Some(job) = self.unless_suspended(job) else { return };
        let has_tried_enough = job.attempts() > self.policy.retries && self.is_over(now.at);
        if is_spent || has_tried_enough {
            self.undecided.push(job);
        } else {
            self.wait(job, now);
        }
        // Of a call that was split, the other half may be answered.
        let is_half_left = self.batcher.is_some() && self.buckets.has_rows();
        if self.outage.is_declared() && self.is_over(now.at) && !self.may_give_rows_up() && !is_half_left {
            self.stop_as_unavailable();
        }
    }

    fn stop_as_unavailable(&mut self) {
        let last = self.waiting.values().chain(&self.undecided).filter_map(Job::last_reply).next_back();
        let error = last.and_then(retry::error_name).unwrap_or_default();
        self.stop(StopReason::Unavailable { error, detail: "".into() });
    }

    fn wait(&mut self, job: Job, now: Now) {
        let backoff = retry::backoff(job.tries().max(1), self.seed(job.line(), u64::from(job.calls())));
        // After a pause another row goes first: if that is answered, the trouble is this row's own.
        let wait = backoff + self.buckets.paused_until(&job).saturating_sub(now.at);
        let error = job.last_reply().and_then(retry::error_name).unwrap_or_default();
        self.emit(Event::Retrying { line: job.line(), attempt: job.calls(), error, wait });
        self.waiting.insert((now.at + wait, job.line()), job);
    }

    /// Ends or sends again the rows whose attempts are used up, as soon as it is known whose fault that is.
    pub(super) fn settle_undecided(&mut self, now: Now) {
        for job in std::mem::take(&mut self.undecided) {
            match self.verdict(&job, now.at) {
                Verdict::GiveUp => self.give_up(job, now),
                Verdict::Open => self.undecided.push(job),
                Verdict::TryAgain => self.wait(job, now),
                Verdict::Unavailable => {
                    self.undecided.push(job);
                    self.stop_as_unavailable();
                }
            }
        }
    }

    fn verdict(&self, job: &Job, now: Duration) -> Verdict {
        if !job.has_failed_in(self.streak) {
            return Verdict::GiveUp;
        }
        if self.outage.is_declared() {
            let gives_up = self.is_over(now) && self.may_give_rows_up();
            return if gives_up { Verdict::GiveUp } else { Verdict::TryAgain };
        }
        if self.has_untried_rows() || !self.in_flight.is_empty() {
            return Verdict::Open;
        }
        if job.is_own_trouble() && !self.outage.has_evidence() {
            return Verdict::GiveUp;
        }
        match (self.is_over(now), self.may_give_rows_up()) {
            (false, _) => Verdict::TryAgain,
            (true, true) => Verdict::GiveUp,
            (true, false) => Verdict::Unavailable,
        }
    }

    /// Whether there has been no clear answer for longer than is waited for.
    fn is_over(&self, now: Duration) -> bool {
        let (declared, answered) = (self.outage.is_declared(), self.calls.clear > 0);
        let lasts = self.outage.lasts(now);
        if declared && answered {
            return lasts > self.policy.max_retry_after;
        }
        let is_patient = self.policy.retries > 0 && (answered || self.outage.may_pass());
        if is_patient {
            return lasts >= PATIENCE.min(self.policy.max_retry_after);
        }
        let fewest = if self.has_untried_rows() { FEWEST_PROBES } else { 0 };
        !declared || self.outage.probes() > self.policy.retries.max(fewest)
    }

    /// Whether rows may end without a clear answer: if no other row can tell more, and it is not that Slack is away. What a
    /// run that Slack never answered has sent is not ended.
    fn may_give_rows_up(&self) -> bool {
        let declared = self.outage.is_declared();
        let slack_is_there = self.outage.slack_answered() || (self.calls.clear > 0 && !declared);
        slack_is_there && !self.has_untried_rows()
    }

    /// Whether rows that have not failed before can be sent now.
    pub(super) fn has_untried_rows(&self) -> bool {
        let may_come = self.tries_other_users() || (self.batcher.is_none() && !self.buckets.exhausted());
        self.waiting.len() < MOST_WAITING && (may_come || self.buckets.any_row(|row| !row.has_failed()))
    }

    /// The last word on a row without a clear answer. Of many users, each half is tried by itself.
    fn give_up(&mut self, mut job: Job, now: Now) {
        let Some(reply) = job.take_reply() else { return };
        match job.split(false) {
            Ok(split) => self.try_both(split),
            Err(alone) => {
                let status = retry::refused_status(&reply.answer, alone.may_be_gone_untold());
                self.settle(alone, status, reply, now);
            }
        }
    }

    /// Puts rows whose backoff is over back into their queues. Rows that have not failed go first until there is a clear
    /// answer: at a slow pace a few rows would use up their attempts in an outage before it shows. In a declared outage those
    /// that failed go only when there is no other one, and one at a time.
    pub(super) fn wake_the_waiting(&mut self, now: Duration) {
        while self.may_wake()
            && let Some(entry) = self.waiting.first_entry()
            && entry.key().0 <= now
        {
            let job = entry.remove();
            self.send_again(job);
        }
    }

    /// When the first waiting row is due, if it may be sent then.
    pub(super) fn wakes_at(&self) -> Option<Duration> {
        self.waiting.first_key_value().map(|((due, _), _)| *due).filter(|_| self.may_wake())
    }

    fn may_wake(&self) -> bool {
        let is_probing = || !self.in_flight.is_empty() || self.buckets.any_row(Job::has_failed);
        let others_go_first = self.outage.is_suspected() && self.has_untried_rows();
        !(others_go_first || self.outage.is_declared() && is_probing())
    }
}
