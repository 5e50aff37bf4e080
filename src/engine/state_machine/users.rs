//! Whole users: many rows share a call, and one user must not make the others fail.

use super::StateMachine;
use crate::engine::job::Job;
use crate::engine::retry::{self, Class};
use crate::engine::user_batch::{MOST_USERS, UserBatcher};
use crate::model::{Answer, ErrorCode, Outcome, Reply, Row, Status, UserId};
use std::collections::HashSet;

impl StateMachine {
    /// Collects the rows of the next call once all earlier calls are decided, so that the state of every user is
    /// known; the rate of calls leaves enough time. The first user is sent alone. Until there is a clear answer,
    /// another single user is sent to find out whether the first ones are the cause.
    pub(super) fn gather(&mut self) {
        let waits = !self.retries.is_empty();
        let is_busy = !self.in_flight.is_empty() || self.buckets.has_rows() || (waits && !self.tries_other_users());
        let Some(batcher) = self.batcher.as_mut().filter(|_| !is_busy) else { return };
        if waits {
            let groups = self.retries.jobs().filter_map(Job::user_batch);
            let in_doubt: HashSet<UserId> = groups.flat_map(|user_batch| user_batch.users().iter().cloned()).collect();
            batcher.pass_over(|user| in_doubt.contains(user));
        } else {
            batcher.take_back();
        }
        let most = if self.health.canary_answered() && !waits { MOST_USERS } else { 1 };
        let mut answered = Vec::new();
        if let Some(user_batch) = batcher.gather(most, self.buckets.exhausted(), &mut answered) {
            self.buckets.expect(1 + batcher.calls_left());
            self.buckets.push(Job::users(user_batch));
        }
        for (row, outcome) in answered {
            let outcome =
                Outcome { finished_at: self.now.wall, status: status_of(&row, &outcome), ..(*outcome).clone() };
            self.record(Box::new(row), outcome);
        }
    }

    /// Whether another user is tried, to find out whether Slack answers at all.
    pub(super) fn tries_other_users(&self) -> bool {
        let are_there = |batcher: &UserBatcher| {
            !batcher.has_passed_enough() && (batcher.has_other_rows() || !self.buckets.exhausted())
        };
        !self.health.has_clear_answer() && self.retries.has_room() && self.batcher.as_ref().is_some_and(are_there)
    }

    /// Keeps the final answer for the users; their later rows end with it without a call.
    pub(super) fn remember(&mut self, job: &Job, status: Status, reply: &Reply) {
        if let (Some(batcher), Some(user_batch)) = (&mut self.batcher, job.user_batch()) {
            batcher.answer(user_batch.users(), job.outcome(status, reply.clone(), self.now));
        }
    }

    /// Handles a refusal that one user may have caused: a call for several users is split. Only a user who is refused
    /// alone counts for the breaker.
    pub(super) fn refuse_users(&mut self, job: Job, reply: Reply, class: Class) {
        let in_part = matches!(&reply.answer, Answer::Refused(ErrorCode::FailedForSomeUsers));
        if in_part {
            self.tally.doubt(job.lines());
        }
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

    /// The second half is sent after the first one is decided.
    pub(super) fn try_both(&mut self, (first, second): (Job, Job)) {
        self.buckets.was_split();
        self.buckets.push_first(second);
        self.buckets.push_first(first);
    }
}

/// A row that an earlier run may have sent is `unknown` instead of `failed`.
fn status_of(row: &Row, outcome: &Outcome) -> Status {
    match (outcome.status, &outcome.error) {
        (Status::Failed, Some(error)) => {
            retry::refused_status(&Answer::Refused(ErrorCode::from(&**error)), row.may_have_been_sent)
        }
        (status, _) => status,
    }
}
