//! Rows without a clear answer: when they are sent again, when their attempts are used up, and when it is Slack that is
//! away. Other rows decide: if they are answered, the trouble is the row's own; if rows that never failed fail too, it is
//! Slack's, and costs no row an attempt.

use super::StateMachine;
use crate::engine::health::OutageChange;
use crate::engine::job::Job;
use crate::engine::retry;
use crate::model::{Event, Reply, StopReason};
use std::time::Duration;

/// How long a run continues without a clear answer if no other row can show whose fault it is: longer than most restarts and
/// failovers take, and short enough for a run that will get no answer at all.
const PATIENCE: Duration = Duration::from_mins(2);

/// Probes with other rows before a run that never got an answer ends, whatever `--retries` says: the first rows may be bad.
const FEWEST_PROBES: u32 = 5;

/// What happens to a row whose attempts are used up.
enum UndecidedVerdict {
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

    /// An outage is declared: what failed since the last clear answer was part of it, and is not held against the rows.
    /// Those that were to go next wait, so that other rows show when it is over.
    fn forgive_this_streak(&mut self) {
        let streak = self.health.streak();
        self.retries.forgive(self.buckets.take_rows(Job::has_failed), streak);
        self.in_flight.values_mut().for_each(|call| call.job.forgive(streak));
    }

    /// Faults turned out to be a limit's: no row failed for a reason of its own so far.
    pub(super) fn start_over(&mut self) {
        self.retries.start_over(self.buckets.take_rows(Job::has_failed));
        self.in_flight.values_mut().for_each(|call| call.job.start_over());
    }

    /// A row got no clear answer.
    pub(super) fn fail(&mut self, mut job: Job, reply: Reply, change: OutageChange) {
        let streak = self.health.streak();
        job.failed(reply, streak);
        if self.health.outage.is_declared() {
            job.forgive(streak);
        }
        let is_spent = job.tries() > self.policy.retries;
        let is_split = self.health.has_clear_answer() || !self.has_untried_rows();
        let is_no_wiser = self.health.outage.is_declared() && job.failures_in_a_row() > 1;
        if job.is_for_many() && is_split && (is_spent || change == OutageChange::Began || is_no_wiser) {
            return self.give_up(job);
        }
        let Some(job) = self.unless_suspended(job) else { return };
        let has_tried_enough = job.attempts() > self.policy.retries && self.is_over();
        if is_spent || has_tried_enough {
            self.retries.leave_undecided(job);
        } else {
            self.wait(job);
        }
        // Of a call that was split, the other half may be answered.
        let is_half_left = self.batcher.is_some() && self.buckets.has_rows();
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
        // After a pause another row goes first: if that is answered, the trouble is this row's own.
        let wait = backoff + self.buckets.paused_until(&job).saturating_sub(self.now.at);
        let error = job.last_reply().and_then(retry::error_name).unwrap_or_default();
        self.emit(Event::Retrying { line: job.line(), attempt: job.calls(), error, wait });
        self.retries.wait_until(self.now.at + wait, job);
    }

    /// Ends or sends again the rows whose attempts are used up, as soon as it is known whose fault that is.
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

    /// Whether there has been no clear answer for longer than the run waits.
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

    /// Whether rows may end without a clear answer: if no other row can tell more, and it is not that Slack is away. What a
    /// run that Slack never answered has sent is not ended.
    fn may_give_rows_up(&self) -> bool {
        let declared = self.health.outage.is_declared();
        let slack_is_there = self.health.outage.slack_answered() || (self.health.has_clear_answer() && !declared);
        slack_is_there && !self.has_untried_rows()
    }

    /// Whether rows that have not failed before can be sent now.
    pub(super) fn has_untried_rows(&self) -> bool {
        let may_come = self.tries_other_users() || (self.batcher.is_none() && !self.buckets.exhausted());
        self.retries.has_room() && (may_come || self.buckets.any_row(|row| !row.has_failed()))
    }

    /// Ends a row without a clear answer; a call for many users is split instead.
    fn give_up(&mut self, mut job: Job) {
        let Some(reply) = job.take_reply() else { return };
        match job.split(false) {
            Ok(split) => self.try_both(split),
            Err(alone) => {
                let status = retry::refused_status(&reply.answer, alone.may_be_gone_untold());
                self.settle(alone, status, reply);
            }
        }
    }

    /// Puts rows whose backoff is over back into their queues. Rows that have not failed go first until there is a clear
    /// answer: at a slow pace a few rows would use up their attempts in an outage before it shows. In a declared outage those
    /// that failed go only when there is no other one, and one at a time.
    pub(super) fn requeue_due_rows(&mut self) {
        while self.may_requeue()
            && let Some(job) = self.retries.pop_due(self.now.at)
        {
            self.send_again(job);
        }
    }

    /// When the first waiting row is due, if it may be sent then.
    pub(super) fn next_due(&self) -> Option<Duration> {
        self.retries.next_due().filter(|_| self.may_requeue())
    }

    fn may_requeue(&self) -> bool {
        let is_probing = || !self.in_flight.is_empty() || self.buckets.any_row(Job::has_failed);
        let others_go_first = self.health.outage.is_suspected() && self.has_untried_rows();
        !(others_go_first || self.health.outage.is_declared() && is_probing())
    }
}
