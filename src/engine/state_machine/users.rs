//! Whole users: many rows share a call, and one user must not cost the others theirs.

use super::StateMachine;
use crate::engine::job::Job;
use crate::engine::retry::{self, Class};
use crate::engine::user_batch::{MOST_USERS, UserBatcher};
use crate::model::{Answer, ErrorCode, Outcome, Reply, Row, Status, UserId};
use std::collections::HashSet;

impl StateMachine {
    /// Gathers the rows of the next call, once every call before it is settled: what became of a user is known then, and
    /// twenty calls a minute for a thousand users each leave time enough. The first user goes alone. Until there is a clear
    /// answer, another user alone shows whether it is the first ones' own trouble that there is none.
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

    /// Whether a user who was not asked for yet is tried, to see whether Slack answers at all.
    pub(super) fn tries_other_users(&self) -> bool {
        let are_there = |batcher: &UserBatcher| {
            !batcher.has_passed_enough() && (batcher.has_other_rows() || !self.buckets.exhausted())
        };
        !self.health.has_clear_answer() && self.retries.has_room() && self.batcher.as_ref().is_some_and(are_there)
    }

    /// Remembers the final answer for the users: their later rows end with it, without a call.
    pub(super) fn remember(&mut self, job: &Job, status: Status, reply: &Reply) {
        if let (Some(batcher), Some(user_batch)) = (&mut self.batcher, job.user_batch()) {
            batcher.answer(user_batch.users(), job.outcome(status, reply.clone(), self.now));
        }
    }

    /// A refusal that may be of one user: of many users, each half is tried by itself. Only one who is refused alone counts
    /// for the breaker; the halves on the way there say nothing new.
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
