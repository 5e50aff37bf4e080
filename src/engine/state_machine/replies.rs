//! Handles answers: their effect on the gate, the row and the run.

use super::{Action, StateMachine};
use crate::engine::buckets::Shown;
use crate::engine::health::{AnswerVerdict, BreakerVerdict, EndedRow, FaultVerdict, Scope};
use crate::engine::job::{CallInFlight, Job};
use crate::engine::retry::{self, Class};
use crate::model::{Answer, BucketKind, Event, Outcome, Reply, Row, Status, StopReason, TeamId};
use std::collections::HashSet;
use std::time::Duration;

/// The pause after a 503 that is caused by a limit and doesn't ask for one. Such limits usually count by the second.
const UNSTATED_PAUSE_OF_503: Duration = Duration::from_secs(1);

impl StateMachine {
    pub(super) fn warn(&mut self, warning: Option<&str>) {
        if let Some(text) = warning
            && self.warned.len() < 100
            && self.warned.insert(text.into())
        {
            self.emit(Event::Warning(text.into()));
        }
    }

    pub(super) fn update_bucket(&mut self, call: &CallInFlight, reply: &Reply, class: Class, fault: FaultVerdict) {
        let now = self.now;
        let gate = self.buckets.answered(&call.job);
        let shown = match class {
            Class::RateLimited { pause: asked, stated } => {
                let pause = gate.refused(call.sent_at, now.at, asked);
                self.tally.calls.counts.rate_limited += 1;
                let (line, team) = (call.job.line(), self.bucket_team(&call.job));
                let (stated, is_bulk) = (stated.then_some(asked), call.job.is_bulk());
                self.emit(Event::RateLimited { line, team, is_bulk, pause, stated });
                self.keep_pause(&call.job, pause, asked);
                Shown::Refused { stated }
            }
            Class::Transient { .. } if fault != FaultVerdict::Fault => {
                let pause = gate.refused(call.sent_at, now.at, reply.wait.unwrap_or(UNSTATED_PAUSE_OF_503));
                self.keep_pause(&call.job, pause, reply.wait.unwrap_or_default());
                Shown::Refused { stated: reply.wait }
            }
            Class::Transient { .. } => {
                match (reply.wait, reply.http_status) {
                    (Some(pause), _) => {
                        gate.hold(now.at, pause);
                        self.keep_pause(&call.job, pause, pause);
                    }
                    // A nonsensical answer shows that the limiter let the call pass.
                    (None, Some(_)) => gate.accepted(call.sent_at, now.at),
                    // A broken connection says nothing about the limit.
                    (None, None) => {}
                }
                Shown::Nothing
            }
            Class::Revoked
            | Class::AlreadyGone
            | Class::NotFound
            | Class::Row
            | Class::SuspectRow
            | Class::Workspace
            | Class::TokenExpired
            | Class::Run => {
                gate.accepted(call.sent_at, now.at);
                Shown::Accepted
            }
        };
        if let Some(kind) = self.buckets.on_answer(&call.job, call.sent_at, now.at, shown) {
            self.buckets.recount(self.in_flight.values().map(|call| &call.job));
            self.emit(Event::BucketKnown(kind));
            if kind == BucketKind::Org {
                // The pause of one workspace is now that of all.
                self.withdraw_calls_like(&call.job);
            }
        }
    }

    /// Pauses a bucket. The server asked for `asked`; `pause` may be longer as a precaution.
    fn keep_pause(&mut self, job: &Job, pause: Duration, asked: Duration) {
        let now = self.now.at;
        self.tally.pause(now, pause);
        self.buckets.record_pause(job, now, now + pause);
        if asked > self.policy.max_retry_after {
            self.stop(StopReason::RetryAfter { pause: asked });
        }
        self.withdraw_calls_like(job);
    }

    /// Withdraws the permits of calls to a paused bucket that have not sent anything.
    fn withdraw_calls_like(&self, paused: &Job) {
        let bucket = self.buckets.of(paused);
        let flights = self.in_flight.values().filter(|call| self.buckets.of(&call.job) == bucket);
        flights.for_each(|call| call.handle.withdraw());
    }

    fn bucket_team(&self, job: &Job) -> Option<TeamId> {
        let index = self.buckets.of(job);
        self.buckets.iter().nth(index).and_then(|bucket| bucket.team.clone())
    }

    pub(super) fn decide(&mut self, call: CallInFlight, reply: Reply, class: Class, verdict: AnswerVerdict) {
        let CallInFlight { mut job, handle, .. } = call;
        handle.answered();
        if matches!(class, Class::RateLimited { .. }) {
            job.limited();
            return self.send_again(job);
        }
        let ambiguous = matches!(class, Class::Transient { ambiguous: true });
        job.attempted(ambiguous || self.shared.may_have_ended(&job));
        self.shared.answered(&job, class);
        if ambiguous {
            self.tally.doubt(job.lines());
        }
        let (done, may_be_gone) = (job.done(), job.may_be_gone());
        match class {
            Class::AlreadyGone | Class::NotFound | Class::Row | Class::SuspectRow if job.is_bulk() => {
                self.refuse_users(job, reply, class);
            }
            Class::NotFound if !may_be_gone && self.is_in_flight_elsewhere(&job) => {
                self.shared.hold(job, reply);
            }
            Class::Revoked => self.succeed(job, done, reply),
            Class::AlreadyGone => self.succeed(job, Status::AlreadyRevoked, reply),
            Class::NotFound => self.settle(job, retry::not_found_status(may_be_gone), reply),
            Class::Row => self.settle(job, retry::refused_status(&reply.answer, may_be_gone), reply),
            Class::SuspectRow => self.suspect(job, reply),
            Class::Transient { .. } => self.fail(job, reply, verdict.outage),
            Class::Workspace => self.refuse_workspace(job, reply, verdict.scope),
            Class::TokenExpired | Class::Run => {
                if let Some(job) = self.unless_other_method(job, &reply) {
                    self.send_again(job);
                    self.follow_scope(verdict.scope, reply);
                }
            }
            Class::RateLimited { .. } => {}
        }
    }

    /// Handles a problem that concerns more than the row.
    fn follow_scope(&mut self, scope: Scope, reply: Reply) {
        match (scope, reply.answer) {
            (Scope::Workspace(team), Answer::Refused(code)) => self.emit(Event::Parked { team, code }),
            (Scope::Token, _) => self.actions.push(Action::RefreshToken),
            (Scope::Run(reason), _) => self.stop(reason),
            (Scope::Row | Scope::Workspace(_) | Scope::SuspendedWorkspace | Scope::OlderToken, _) => {}
        }
    }

    fn is_in_flight_elsewhere(&self, job: &Job) -> bool {
        let also_on = job.also_on();
        !also_on.is_empty() && self.in_flight.values().any(|call| also_on.contains(&call.job.line()))
    }

    /// Ends rows whose session wasn't found while a call for another row of the session was in flight.
    pub(super) fn settle_shared(&mut self) {
        let in_flight: HashSet<u64> = self.in_flight.values().map(|call| call.job.line()).collect();
        let is_decided = |job: &Job| !job.also_on().iter().any(|line| in_flight.contains(line));
        for (job, reply) in self.shared.release(is_decided) {
            let may_be_gone = job.may_be_gone() || self.shared.may_have_ended(&job);
            self.settle(job, retry::not_found_status(may_be_gone), reply);
        }
    }

    fn succeed(&mut self, job: Job, status: Status, reply: Reply) {
        let released = self.health.breaker.success();
        self.release(released);
        self.remember(&job, status, &reply);
        self.end(job, status, reply);
    }

    pub(super) fn settle(&mut self, job: Job, status: Status, reply: Reply) {
        let released = self.health.breaker.settle();
        self.release(released);
        self.end(job, status, reply);
    }

    pub(super) fn suspect(&mut self, job: Job, reply: Reply) {
        let Answer::Refused(code) = reply.answer.clone() else { return };
        let status = retry::refused_status(&reply.answer, job.may_be_gone());
        self.buckets.ended(&job);
        let mut rows = Vec::with_capacity(1);
        job.end(status, reply, self.now, |row, outcome| rows.push(EndedRow { row, outcome }));
        match self.health.breaker.suspect(&code, rows) {
            BreakerVerdict::Failed(rows) => self.release(rows),
            BreakerVerdict::Held => {}
            BreakerVerdict::Tripped(code) => self.stop(StopReason::Breaker { code }),
        }
    }

    /// Handles a refusal of the workspace class. Rows of a suspended workspace are dropped without a record, so that
    /// a resumed run sends them again.
    fn refuse_workspace(&mut self, job: Job, reply: Reply, scope: Scope) {
        if scope == Scope::Row {
            return if job.is_bulk() {
                self.refuse_users(job, reply, Class::SuspectRow);
            } else {
                self.suspect(job, reply);
            };
        }
        self.follow_scope(scope, reply);
        self.buckets.ended(&job);
        let health = &self.health;
        let mut dropped = self.buckets.take_rows(|row| health.is_suspended(row));
        dropped.extend(self.retries.take_rows(|row| health.is_suspended(row)));
        for job in dropped {
            self.buckets.ended(&job);
        }
    }

    pub(super) fn release(&mut self, rows: Vec<EndedRow>) {
        for EndedRow { row, outcome } in rows {
            self.record(row, outcome);
        }
    }

    fn end(&mut self, job: Job, status: Status, reply: Reply) {
        self.buckets.ended(&job);
        job.end(status, reply, self.now, |row, outcome| self.record(row, outcome));
    }

    pub(super) fn record(&mut self, row: Box<Row>, outcome: Outcome) {
        let (event, stop) = self.tally.end(row, outcome);
        self.emit(event);
        if let Some(reason) = stop {
            self.stop(reason);
        }
    }

    pub(super) fn seed(&self, line: u64, call: u64) -> u64 {
        self.policy.seed ^ line.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ call.wrapping_mul(0xD1B5_4A32_D192_ED03)
    }
}
