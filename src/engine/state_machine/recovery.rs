//! Rows without a clear answer: when they are sent again, when their attempts are used up, and when Slack is
//! unavailable. Other rows decide: if they are answered, the row itself is the cause; if rows fail for the first time
//! too, Slack is, and no row loses an attempt.

use super::StateMachine;
use crate::engine::health::OutageChange;
use crate::engine::job::Job;
use crate::engine::retry;
use crate::model::{Event, Reply, StopReason};
use std::time::Duration;

/// How long a run continues without a clear answer if no other row can show the cause: longer than most restarts and
/// failovers, and short enough for a run that will get no answer at all.
const PATIENCE: Duration = Duration::from_mins(2);

/// Minimum number of probes with other rows before a run without any answer ends, regardless of `--retries`, because
/// the first rows may be bad.
const FEWEST_PROBES: u32 = 5;

/// What happens to a row whose attempts are used up.
enum UndecidedVerdict {
    /// The row is the cause: it ends.
    GiveUp,
    /// Other calls will show the cause.
    Open,
    /// Only another attempt can show the cause.
    TryAgain,
    /// Slack is unavailable.
    Unavailable,
}

impl StateMachine {
    pub(super) fn follow_outage(&mut self, change: OutageChange, reply: &Reply) {
        match change {
            OutageChange::Began => {
                let error = retry::error_name(reply).unwrap_or_default();
                self.emit(Event::OutageBegan { error });
                self.forgive_this_streak();
            }
            OutageChange::Ended => self.emit(Event::OutageEnded),
            OutageChange::None | OutageChange::Continues => {}
        }
    }

    /// After an outage was declared: doesn't count the failures since the last clear answer, which were part of it.
    /// Rows that would be next wait, so that other rows show when it is over.
    fn forgive_this_streak(&mut self) {
        let streak = self.health.streak();
        self.retries.forgive(self.buckets.take_rows(Job::has_failed), streak);
        self.in_flight.values_mut().for_each(|call| call.job.forgive(streak));
    }

    /// After faults turned out to be caused by a limit: gives all rows their attempts again.
    pub(super) fn start_over(&mut self) {
        self.retries.start_over(self.buckets.take_rows(Job::has_failed));
        self.in_flight.values_mut().for_each(|call| call.job.start_over());
    }

    pub(super) fn fail(&mut self, mut job: Job, reply: Reply, change: OutageChange) {
        let streak = self.health.streak();
        job.failed(reply, streak);
        if self.health.outage.is_declared() {
            job.forgive(streak);
        }
        // Of users, single calls can do the same.
        let retries = if job.can_fall_back() { self.policy.retries.min(1) } else { self.policy.retries };
        let is_spent = job.tries() > retries;
        let is_split = self.health.has_clear_answer() || !self.has_untried_rows();
        let is_no_wiser = self.health.outage.is_declared() && job.failures_in_a_row() > 1;
        if job.is_for_many() && is_split && (is_spent || change == OutageChange::Began || is_no_wiser) {
            return self.give_up(job);
        }
        let Some(job) = self.unless_suspended(job) else { return };
        let has_tried_enough = job.attempts() > retries && self.is_over();
        if (is_spent || has_tried_enough) && job.can_fall_back() && !job.is_for_many() {
            return self.give_up(job);
        }
        if is_spent || has_tried_enough {
            self.retries.leave_undecided(job);
        } else {
            self.wait(job);
        }
        // The other half of a split call may still be answered.
        let is_half_left = self.buckets.has_bulk_rows();
        if self.health.outage.is_declared() && self.is_over() && !self.may_give_rows_up() && !is_half_left {
            self.stop_as_unavailable();
        }
    }

    fn stop_as_unavailable(&mut self) {
        let last = self.retries.jobs().filter_map(Job::last_reply).next_back();
        let error = last.and_then(retry::error_name).unwrap_or_default();
        self.stop(StopReason::Unavailable { error, detail: "".into() });
    }

    fn wait(&mut self, job: Job) {
        let backoff = retry::backoff(job.tries().max(1), self.seed(job.line(), u64::from(job.calls())));
        // After a pause another row is sent first. If that is answered, this row is the cause.
        let wait = backoff + self.buckets.paused_until(&job).saturating_sub(self.now.at);
        let error = job.last_reply().and_then(retry::error_name).unwrap_or_default();
        self.emit(Event::Retrying { line: job.line(), attempt: job.calls(), error, wait });
        self.retries.wait_until(self.now.at + wait, job);
    }

    /// Ends or resends the rows whose attempts are used up, once the cause is known.
    pub(super) fn settle_undecided(&mut self) {
        for job in self.retries.take_undecided() {
            match self.verdict(&job) {
                UndecidedVerdict::GiveUp => self.give_up(job),
                UndecidedVerdict::Open => self.retries.leave_undecided(job),
                UndecidedVerdict::TryAgain => self.wait(job),
                UndecidedVerdict::Unavailable => {
                    self.retries.leave_undecided(job);
                    self.stop_as_unavailable();
                }
            }
        }
    }

    fn verdict(&self, job: &Job) -> UndecidedVerdict {
        if !job.has_failed_in(self.health.streak()) {
            return UndecidedVerdict::GiveUp;
        }
        if self.health.outage.is_declared() {
            let gives_up = self.is_over() && self.may_give_rows_up();
            return if gives_up { UndecidedVerdict::GiveUp } else { UndecidedVerdict::TryAgain };
        }
        if self.has_untried_rows() || !self.in_flight.is_empty() {
            return UndecidedVerdict::Open;
        }
        if job.is_own_trouble() && !self.health.outage.has_evidence() {
            return UndecidedVerdict::GiveUp;
        }
        match (self.is_over(), self.may_give_rows_up()) {
            (false, _) => UndecidedVerdict::TryAgain,
            (true, true) => UndecidedVerdict::GiveUp,
            (true, false) => UndecidedVerdict::Unavailable,
        }
    }

    /// Whether there was no clear answer for longer than the run waits.
    fn is_over(&self) -> bool {
        let (declared, answered) = (self.health.outage.is_declared(), self.health.has_clear_answer());
        let lasts = self.health.outage.lasts(self.now.at);
        if declared && answered {
            return lasts > self.policy.max_retry_after;
        }
        let is_patient = self.policy.retries > 0 && (answered || self.health.outage.may_pass());
        if is_patient {
            return lasts >= PATIENCE.min(self.policy.max_retry_after);
        }
        let fewest = if self.has_untried_rows() { FEWEST_PROBES } else { 0 };
        !declared || self.health.outage.probes() > self.policy.retries.max(fewest)
    }

    /// Whether rows may end without a clear answer: if no other row can show more, and Slack is available. If Slack
    /// never answered, no row ends.
    fn may_give_rows_up(&self) -> bool {
        let declared = self.health.outage.is_declared();
        let slack_is_there = self.health.outage.slack_answered() || (self.health.has_clear_answer() && !declared);
        slack_is_there && !self.has_untried_rows()
    }

    /// Whether there are rows to send that haven't failed.
    pub(super) fn has_untried_rows(&self) -> bool {
        let may_come = self.tries_other_users() || !self.buckets.sessions_exhausted();
        self.retries.has_room() && (may_come || self.buckets.any_row(|row| !row.has_failed()))
    }

    /// Ends a row without a clear answer, or splits a call for many users.
    fn give_up(&mut self, mut job: Job) {
        let Some(reply) = job.take_reply() else { return };
        let Some(job) = self.unless_single(job, &reply) else { return };
        match job.split(false) {
            Ok(split) => self.try_both(split),
            Err(alone) => {
                let status = retry::refused_status(&reply.answer, alone.may_be_gone_untold());
                self.settle(alone, status, reply);
            }
        }
    }

    /// Puts rows whose backoff is over back into their queues. Until there is a clear answer, rows that haven't
    /// failed are sent first: at a slow rate, a few rows would use up their attempts before an outage is detected.
    /// During a declared outage, rows that failed are only sent if there are no others, one at a time.
    pub(super) fn requeue_due_rows(&mut self) {
        while self.may_requeue()
            && let Some(job) = self.retries.pop_due(self.now.at)
        {
            self.send_again(job);
        }
    }

    /// When the next waiting row is due, if it may be sent then.
    pub(super) fn next_due(&self) -> Option<Duration> {
        self.retries.next_due().filter(|_| self.may_requeue())
    }

    fn may_requeue(&self) -> bool {
        let is_probing = || !self.in_flight.is_empty() || self.buckets.any_row(Job::has_failed);
        let others_go_first = self.health.outage.is_suspected() && self.has_untried_rows();
        !(others_go_first || self.health.outage.is_declared() && is_probing())
    }
}
