//! What an answer does: to the gate, to its row, to the run.

use super::{Action, CallInFlight, StateMachine};
use crate::engine::clock::Now;
use crate::engine::health::breaker::{EndedRow, Verdict};
use crate::engine::health::outage::OutageChange;
use crate::engine::health::suspended::Scope;
use crate::engine::health::token::Expiry;
use crate::engine::job::Job;
use crate::engine::retry::{self, Class};
use crate::model::{Answer, ErrorCode, Event, Outcome, Reply, Row, Status, StopReason, TeamId};
use std::collections::HashSet;
use std::time::Duration;

impl StateMachine {
    pub(super) fn warn(&mut self, warning: Option<&str>) {
        if let Some(text) = warning
            && self.warned.len() < 100
            && self.warned.insert(text.into())
        {
            self.emit(Event::Warning(text.into()));
        }
    }

    pub(super) fn teach_the_gate(&mut self, call: &CallInFlight, reply: &Reply, class: Class, now: Now) {
        let gate = self.buckets.answered(&call.job);
        let accepted = match class {
            Class::RateLimited { pause: asked, stated } => {
                let pause = gate.refused(call.sent_at, now.at, asked);
                self.calls.rate_limited += 1;
                let (line, team) = (call.job.line(), self.bucket_team(&call.job));
                let stated = stated.then_some(asked);
                self.emit(Event::RateLimited { line, team, pause, stated });
                self.keep_pause(&call.job, pause, asked, now);
                Some(false)
            }
            Class::Transient { .. } => {
                match (reply.wait, reply.http_status) {
                    (Some(pause), _) => {
                        gate.hold(now.at, pause);
                        self.keep_pause(&call.job, pause, pause, now);
                    }
                    // An answer that made no sense was let through to be made.
                    (None, Some(_)) => gate.accepted(call.sent_at),
                    // A broken connection says nothing of the limit.
                    (None, None) => {}
                }
                None
            }
            Class::Revoked
            | Class::AlreadyGone
            | Class::NotFound
            | Class::Row
            | Class::SuspectRow
            | Class::Workspace
            | Class::TokenExpired
            | Class::Run => {
                gate.accepted(call.sent_at);
                Some(true)
            }
        };
        if let Some(kind) = self.buckets.tested(&call.job, accepted, call.sent_at, now.at) {
            self.buckets.recount(self.in_flight.values().map(|call| &call.job));
            self.emit(Event::BucketKnown(kind));
        } else if accepted == Some(false) {
            self.buckets.limited(&call.job, call.sent_at, now.at);
        }
    }

    /// A bucket is closed for `pause`, of which the server asked for `asked`; the rest is our own caution.
    fn keep_pause(&mut self, job: &Job, pause: Duration, asked: Duration, now: Now) {
        self.count_pause(now.at, pause);
        self.buckets.paused(job, now.at, now.at + pause);
        if asked > self.policy.max_retry_after {
            self.stop(StopReason::RetryAfter { pause: asked });
        }
        self.withdraw_calls_like(job);
    }

    /// Takes back the permits of calls to a paused bucket that have not sent anything.
    fn withdraw_calls_like(&self, paused: &Job) {
        let bucket = self.buckets.of(paused);
        let flights = self.in_flight.values().filter(|call| self.buckets.of(&call.job) == bucket);
        flights.for_each(|call| call.handle.withdraw());
    }

    /// Time lost to pauses, those of several buckets at once counted once.
    fn count_pause(&mut self, now: Duration, pause: Duration) {
        let until = now + pause;
        self.calls.paused += until.saturating_sub(self.paused_until.max(now));
        self.paused_until = self.paused_until.max(until);
    }

    fn bucket_team(&self, job: &Job) -> Option<TeamId> {
        let index = self.buckets.of(job);
        self.buckets.iter().nth(index).and_then(|bucket| bucket.team.clone())
    }

    pub(super) fn decide(&mut self, call: CallInFlight, reply: Reply, class: Class, turn: OutageChange, now: Now) {
        let CallInFlight { mut job, sent_at, handle } = call;
        handle.answered();
        if class.is_decision() {
            self.token.accepted(sent_at);
        }
        if matches!(class, Class::RateLimited { .. }) {
            job.limited();
            return self.send_again(job);
        }
        let ambiguous = matches!(class, Class::Transient { ambiguous: true });
        job.attempted(ambiguous || self.shared.may_have_ended(&job));
        self.shared.answered(&job, class);
        if ambiguous {
            self.in_doubt.extend(job.lines());
        }
        let (done, may_be_gone) = (job.done(), job.may_be_gone());
        match class {
            Class::AlreadyGone | Class::NotFound | Class::Row | Class::SuspectRow if job.user_batch().is_some() => {
                self.refuse_users(job, reply, class, now);
            }
            Class::NotFound if !may_be_gone && self.is_in_flight_elsewhere(&job) => {
                self.shared.hold(job, reply);
            }
            Class::Revoked => self.succeed(job, done, reply, now),
            Class::AlreadyGone => self.succeed(job, Status::AlreadyRevoked, reply, now),
            Class::NotFound => self.settle(job, retry::not_found_status(may_be_gone), reply, now),
            Class::Row => {
                self.settle(job, retry::refused_status(&reply.answer, may_be_gone), reply, now);
            }
            Class::SuspectRow => self.suspect(job, reply, now),
            Class::Transient { .. } => self.fail(job, reply, turn, now),
            Class::Workspace => self.suspend(job, reply, now),
            Class::TokenExpired => self.refresh(job, sent_at),
            Class::RateLimited { .. } => {}
            Class::Run => {
                self.send_again(job);
                if let Answer::Refused(code) = reply.answer {
                    self.stop(StopReason::Refused { code, detail: reply.detail });
                }
            }
        }
    }

    /// Whether a call is in flight for the same session under its other name.
    fn is_in_flight_elsewhere(&self, job: &Job) -> bool {
        let also_on = job.also_on();
        !also_on.is_empty() && self.in_flight.values().any(|call| also_on.contains(&call.job.line()))
    }

    /// Ends the rows whose session was not found while it was being ended under its other name.
    pub(super) fn settle_shared(&mut self, now: Now) {
        let in_flight: HashSet<u64> = self.in_flight.values().map(|call| call.job.line()).collect();
        let is_decided = |job: &Job| !job.also_on().iter().any(|line| in_flight.contains(line));
        for (job, reply) in self.shared.release(is_decided) {
            let may_be_gone = job.may_be_gone() || self.shared.may_have_ended(&job);
            self.settle(job, retry::not_found_status(may_be_gone), reply, now);
        }
    }

    fn succeed(&mut self, job: Job, status: Status, reply: Reply, now: Now) {
        let released = self.breaker.success();
        self.release(released);
        self.suspended.ended(&job);
        self.remember(&job, status, &reply, now);
        self.end(job, status, reply, now);
    }

    pub(super) fn settle(&mut self, job: Job, status: Status, reply: Reply, now: Now) {
        let released = self.breaker.settle();
        self.release(released);
        self.end(job, status, reply, now);
    }

    pub(super) fn suspect(&mut self, job: Job, reply: Reply, now: Now) {
        let Answer::Refused(code) = reply.answer.clone() else { return };
        let status = retry::refused_status(&reply.answer, job.may_be_gone());
        self.buckets.ended(&job);
        let mut rows = Vec::with_capacity(1);
        job.end(status, reply, now, |row, outcome| rows.push(EndedRow { row, outcome }));
        match self.breaker.suspect(&code, rows) {
            Verdict::Failed(rows) => self.release(rows),
            Verdict::Held => {}
            Verdict::Tripped(code) => self.stop(StopReason::Breaker { code }),
        }
    }

    fn suspend(&mut self, job: Job, reply: Reply, now: Now) {
        let Answer::Refused(code) = reply.answer.clone() else { return };
        match self.suspended.refused(&job, &code) {
            Scope::OfRow if job.user_batch().is_some() => {
                return self.refuse_users(job, reply, Class::SuspectRow, now);
            }
            Scope::OfRow => return self.suspect(job, reply, now),
            Scope::Suspended(team) => self.emit(Event::Parked { team, code }),
            Scope::KnownAlready => {}
            Scope::Everywhere => self.stop(StopReason::Workspaces { code }),
        }
        self.buckets.ended(&job);
        let suspended = &self.suspended;
        let queued = self.buckets.take_rows_of(|row| suspended.holds(row));
        let waiting = self.waiting.extract_if(.., |_, row| suspended.holds(row)).map(|(_, row)| row);
        let undecided = self.undecided.extract_if(.., |row| suspended.holds(row));
        for held in queued.into_iter().chain(waiting).chain(undecided) {
            self.buckets.ended(&held);
        }
    }

    fn refresh(&mut self, job: Job, sent_at: Duration) {
        self.send_again(job);
        match self.token.expired(sent_at) {
            Expiry::Refresh => self.actions.push(Action::RefreshToken),
            Expiry::SendAgain => {}
            Expiry::GiveUp => {
                self.stop(StopReason::Refused { code: ErrorCode::TokenExpired, detail: Box::default() });
            }
        }
    }

    pub(super) fn release(&mut self, rows: Vec<EndedRow>) {
        for EndedRow { row, outcome } in rows {
            self.record(row, outcome);
        }
    }

    fn end(&mut self, job: Job, status: Status, reply: Reply, now: Now) {
        self.buckets.ended(&job);
        job.end(status, reply, now, |row, outcome| self.record(row, outcome));
    }

    pub(super) fn record(&mut self, row: Box<Row>, outcome: Outcome) {
        let status = outcome.status;
        self.counts.add(status);
        self.in_doubt.remove(&row.line);
        self.emit(Event::Ended { row, outcome });
        if matches!(status, Status::Invalid | Status::Duplicate | Status::Protected) {
            return;
        }
        self.ended_by_answer += 1;
        let strictly = self.policy.strict && status == Status::NotFound;
        self.failed += u64::from(strictly || matches!(status, Status::Failed | Status::Unknown));
        let is_more_left = self.counts.ended() < self.policy.rows;
        if is_more_left && self.policy.max_failures.reached(self.failed, self.ended_by_answer) {
            self.stop(StopReason::MaxFailures { failed: self.failed, of: self.ended_by_answer });
        }
    }

    pub(super) fn seed(&self, line: u64, call: u64) -> u64 {
        self.policy.seed ^ line.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ call.wrapping_mul(0xD1B5_4A32_D192_ED03)
    }
}
