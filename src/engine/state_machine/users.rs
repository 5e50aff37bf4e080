//! Whole users: many rows share a call, and one user must not make the others fail. Rows that are sent one by one continue
//! meanwhile.

use super::StateMachine;
use crate::engine::job::Job;
use crate::engine::retry::{self, Class};
use crate::engine::user_batch::{Answered, UserAnswer, UserBatch, UserBatcher};
use crate::model::{Answer, ErrorCode, Event, Outcome, Reply, Row, Status, USERS_PER_CALL, UserId};
use std::collections::HashSet;

impl StateMachine {
    /// Collects the rows of the next call once all earlier calls are decided, so that the state of every user is
    /// known; the rate of calls leaves enough time. The first user is sent alone. Until there is a clear answer,
    /// another single user is sent to find out whether the first ones are the cause.
    pub(super) fn gather(&mut self) {
        if self.batcher.is_none() {
            return;
        }
        let waits = self.retries.jobs().any(Job::is_bulk);
        let is_busy = self.in_flight.values().any(|call| call.job.is_bulk()) || self.buckets.has_bulk_rows();
        let is_busy = is_busy || (waits && !self.tries_other_users());
        let Some(batcher) = self.batcher.as_mut().filter(|_| !is_busy) else { return };
        if waits {
            let groups = self.retries.jobs().filter_map(Job::user_batch);
            let in_doubt: HashSet<UserId> = groups.flat_map(|user_batch| user_batch.users().iter().cloned()).collect();
            batcher.pass_over(|user| in_doubt.contains(user));
        } else {
            batcher.take_back();
        }
        let is_tried = self.health.canary_answered() && (!self.policy.canary || batcher.is_answered());
        let most = if is_tried && !waits { USERS_PER_CALL } else { 1 };
        let mut answered = Vec::new();
        if let Some(user_batch) = batcher.gather(most, self.buckets.users_exhausted(), &mut answered) {
            self.buckets.expect(1 + batcher.calls_left());
            self.buckets.push(Job::users(user_batch));
        }
        for answered in answered {
            self.follow_answer(answered);
        }
    }

    /// Ends a row of a user who was answered before, or sends it by itself.
    fn follow_answer(&mut self, (row, answer): Answered) {
        match answer {
            UserAnswer::Ended(outcome) => {
                let outcome =
                    Outcome { finished_at: self.now.wall, status: status_of(&row, &outcome), ..(*outcome).clone() };
                self.record(Box::new(row), outcome);
            }
            UserAnswer::Singly { may_be_gone } => {
                let may_have_been_sent = row.may_have_been_sent || may_be_gone;
                self.push_singles(Job::users(UserBatch::of(vec![Row { may_have_been_sent, ..row }])));
            }
        }
    }

    /// Whether another user is tried, to find out whether Slack answers at all.
    pub(super) fn tries_other_users(&self) -> bool {
        let are_there = |batcher: &UserBatcher| {
            !batcher.has_passed_enough() && (batcher.has_other_rows() || !self.buckets.users_exhausted())
        };
        !self.health.has_clear_answer() && self.retries.has_room() && self.batcher.as_ref().is_some_and(are_there)
    }

    /// Keeps the final answer for the users; their later rows end with it without a call.
    pub(super) fn remember(&mut self, job: &Job, status: Status, reply: &Reply) {
        if let (Some(batcher), Some(user_batch)) = (&mut self.batcher, job.user_batch()) {
            if status == Status::Requested {
                batcher.on_clear_answer(true);
            }
            batcher.answer(user_batch.users(), job.outcome(status, reply.clone(), self.now));
        }
    }

    /// Handles a refusal that one user may have caused: a call for several users is split. Only a user who is refused
    /// alone counts for the breaker.
    pub(super) fn refuse_users(&mut self, job: Job, reply: Reply, class: Class) {
        if let Some(batcher) = &mut self.batcher {
            batcher.on_clear_answer(false);
        }
        let in_part = matches!(&reply.answer, Answer::Refused(ErrorCode::FailedForSomeUsers));
        if in_part {
            self.tally.doubt(job.lines());
        }
        let Some(job) = self.unless_single(job, &reply) else { return };
        match job.split(in_part) {
            Ok(split) => self.try_both(split),
            Err(alone) if class == Class::SuspectRow => self.suspect(alone, reply),
            Err(alone) => {
                let status = retry::refused_status(&reply.answer, alone.may_be_gone());
                self.remember(&alone, status, &reply);
                self.settle(alone, status, reply);
            }
        }
    }

    /// Handles a refusal that would stop a run of single calls. Returns the call if it can't be about the method alone, or the rows
    /// can't be sent otherwise.
    pub(super) fn unless_other_method(&mut self, job: Job, reply: &Reply) -> Option<Job> {
        let is_of_method = matches!(&reply.answer, Answer::Refused(code) if code.may_be_of_method());
        match &mut self.batcher {
            Some(batcher) if is_of_method && job.can_fall_back() => batcher.on_refused_method(),
            Some(_) | None => return Some(job),
        }
        self.unless_single(job, reply)
    }

    /// Counts a call that failed. A user who failed alone is ended session by session, if the rows name the sessions; so is everybody
    /// once too many calls have failed. Returns what is still to be done.
    pub(super) fn unless_single(&mut self, job: Job, reply: &Reply) -> Option<Job> {
        let Some(batcher) = self.batcher.as_mut().filter(|_| job.is_bulk()) else { return Some(job) };
        if !self.health.outage.is_declared() {
            batcher.on_failure();
        }
        let all_fail = batcher.has_failed();
        if !job.can_fall_back() || (job.is_for_many() && !all_fail) {
            return Some(job);
        }
        let (line, mut users) = (job.line(), if all_fail { batcher.users_left() } else { 0 });
        let mut singly = vec![job];
        if all_fail {
            singly.extend(self.buckets.take_rows(Job::can_fall_back));
            singly.extend(self.retries.take_rows(Job::can_fall_back));
        }
        for job in singly {
            self.buckets.ended(&job);
            if let (Some(batcher), Some(user_batch)) = (&mut self.batcher, job.user_batch()) {
                batcher.send_singly(user_batch.users(), job.may_be_gone_untold());
            }
            users += job.user_batch().map_or(0, |user_batch| user_batch.users().len() as u64);
            self.push_singles(job);
        }
        self.emit(Event::OneByOne { line, users, error: retry::error_name(reply).unwrap_or_default() });
        None
    }

    fn push_singles(&mut self, job: Job) {
        // What a suspended workspace's rows would get is known: they have no record, so that a resumed run sends them again.
        let singles = job.fall_back().into_iter().filter(|single| !self.health.is_suspended(single));
        singles.for_each(|single| self.buckets.push_single(single));
    }

    /// The first half is sent and settled before the second.
    pub(super) fn try_both(&mut self, (first, second): (Job, Job)) {
        self.buckets.was_split();
        self.buckets.push_first(second);
        self.buckets.push_first(first);
    }
}

/// A row that an earlier run may have sent is not `failed`: nobody knows.
fn status_of(row: &Row, outcome: &Outcome) -> Status {
    match (outcome.status, &outcome.error) {
        (Status::Failed, Some(error)) => {
            retry::refused_status(&Answer::Refused(ErrorCode::from(&**error)), row.may_have_been_sent)
        }
        (status, _) => status,
    }
}
