//! What an answer does: to the gate, to its row, to the run.

use super::{Command, Core, Flight};
use crate::engine::breaker::{Ended, Verdict};
use crate::engine::clock::Now;
use crate::engine::outage::Turn;
use crate::engine::pending::Pending;
use crate::engine::retry::{self, Class};
use crate::engine::suspended::Refusal;
use crate::engine::token::Expiry;
use crate::model::{Answer, ErrorCode, Event, Outcome, Reply, Row, Status, StopReason, TeamId};
use std::collections::HashSet;
use std::time::Duration;

impl Core {
    pub(super) fn warn(&mut self, warning: Option<&str>) {
        if let Some(text) = warning
            && self.warned.len() < 100
            && self.warned.insert(text.into())
        {
            self.emit(Event::Warning(text.into()));
        }
    }

    pub(super) fn teach_the_gate(&mut self, flight: &Flight, reply: &Reply, class: Class, now: Now) {
        let gate = self.buckets.answered(&flight.pending);
        let accepted = match class {
            Class::RateLimited { pause: asked, stated } => {
                let pause = gate.refused(flight.sent_at, now.at, asked);
                self.calls.rate_limited += 1;
                let (line, team) = (flight.pending.line(), self.bucket_team(&flight.pending));
                let stated = stated.then_some(asked);
                self.emit(Event::RateLimited { line, team, pause, stated });
                self.keep_pause(&flight.pending, pause, asked, now);
                Some(false)
            }
            Class::Transient { .. } => {
                match (reply.wait, reply.http_status) {
                    (Some(pause), _) => {
                        gate.hold(now.at, pause);
                        self.keep_pause(&flight.pending, pause, pause, now);
                    }
                    // An answer that made no sense was let through to be made.
                    (None, Some(_)) => gate.accepted(flight.sent_at),
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
                gate.accepted(flight.sent_at);
                Some(true)
            }
        };
        if let Some(kind) = self.buckets.tested(&flight.pending, accepted, flight.sent_at, now.at) {
            self.buckets.recount(self.flying.values().map(|flight| &flight.pending));
            self.emit(Event::BucketKnown(kind));
        } else if accepted == Some(false) {
            self.buckets.limited(&flight.pending, flight.sent_at, now.at);
        }
    }

    /// A bucket is closed for `pause`, of which the server asked for `asked`; the rest is our own caution.
    fn keep_pause(&mut self, pending: &Pending, pause: Duration, asked: Duration, now: Now) {
        self.count_pause(now.at, pause);
        self.buckets.paused(pending, now.at, now.at + pause);
        if asked > self.policy.max_retry_after {
            self.stop(StopReason::RetryAfter { pause: asked });
        }
        self.withdraw_calls_like(pending);
    }

    /// Takes back the permits of calls to a paused bucket that have not sent anything.
    fn withdraw_calls_like(&self, paused: &Pending) {
        let bucket = self.buckets.of(paused);
        let flights = self.flying.values().filter(|flight| self.buckets.of(&flight.pending) == bucket);
        flights.for_each(|flight| flight.handle.withdraw());
    }

    /// Time lost to pauses, those of several buckets at once counted once.
    fn count_pause(&mut self, now: Duration, pause: Duration) {
        let until = now + pause;
        self.calls.paused += until.saturating_sub(self.paused_until.max(now));
        self.paused_until = self.paused_until.max(until);
    }

    fn bucket_team(&self, pending: &Pending) -> Option<TeamId> {
        let index = self.buckets.of(pending);
        self.buckets.iter().nth(index).and_then(|bucket| bucket.team.clone())
    }

    pub(super) fn decide(&mut self, flight: Flight, reply: Reply, class: Class, turn: Turn, now: Now) {
        let Flight { mut pending, sent_at, handle } = flight;
        handle.answered();
        if class.is_decision() {
            self.token.accepted(sent_at);
        }
        if matches!(class, Class::RateLimited { .. }) {
            pending.limited();
            return self.send_again(pending);
        }
        let ambiguous = matches!(class, Class::Transient { ambiguous: true });
        pending.attempted(ambiguous || self.shared.may_have_ended(&pending));
        self.shared.answered(&pending, class);
        if ambiguous {
            self.in_doubt.extend(pending.lines());
        }
        let (done, may_be_gone) = (pending.done(), pending.may_be_gone());
        match class {
            Class::AlreadyGone | Class::NotFound | Class::Row | Class::SuspectRow if pending.group().is_some() => {
                self.refuse_users(pending, reply, class, now);
            }
            Class::NotFound if !may_be_gone && self.is_in_flight_elsewhere(&pending) => {
                self.shared.hold(pending, reply);
            }
            Class::Revoked => self.succeed(pending, done, reply, now),
            Class::AlreadyGone => self.succeed(pending, Status::AlreadyRevoked, reply, now),
            Class::NotFound => self.settle(pending, retry::not_found_status(may_be_gone), reply, now),
            Class::Row => {
                self.settle(pending, retry::refused_status(&reply.answer, may_be_gone), reply, now);
            }
            Class::SuspectRow => self.suspect(pending, reply, now),
            Class::Transient { .. } => self.fail(pending, reply, turn, now),
            Class::Workspace => self.suspend(pending, reply, now),
            Class::TokenExpired => self.refresh(pending, sent_at),
            Class::RateLimited { .. } => {}
            Class::Run => {
                self.send_again(pending);
                if let Answer::Refused(code) = reply.answer {
                    self.stop(StopReason::Refused { code, detail: reply.detail });
                }
            }
        }
    }

    /// Whether a call is in flight for the same session under its other name.
    fn is_in_flight_elsewhere(&self, pending: &Pending) -> bool {
        let also_on = pending.also_on();
        !also_on.is_empty() && self.flying.values().any(|flight| also_on.contains(&flight.pending.line()))
    }

    /// Ends the rows whose session was not found while it was being ended under its other name.
    pub(super) fn settle_shared(&mut self, now: Now) {
        let flying: HashSet<u64> = self.flying.values().map(|flight| flight.pending.line()).collect();
        let is_decided = |pending: &Pending| !pending.also_on().iter().any(|line| flying.contains(line));
        for (pending, reply) in self.shared.release(is_decided) {
            let may_be_gone = pending.may_be_gone() || self.shared.may_have_ended(&pending);
            self.settle(pending, retry::not_found_status(may_be_gone), reply, now);
        }
    }

    fn succeed(&mut self, pending: Pending, status: Status, reply: Reply, now: Now) {
        let released = self.breaker.success();
        self.release(released);
        self.suspended.ended(&pending);
        self.remember(&pending, status, &reply, now);
        self.end(pending, status, reply, now);
    }

    pub(super) fn settle(&mut self, pending: Pending, status: Status, reply: Reply, now: Now) {
        let released = self.breaker.settle();
        self.release(released);
        self.end(pending, status, reply, now);
    }

    pub(super) fn suspect(&mut self, pending: Pending, reply: Reply, now: Now) {
        let Answer::Refused(code) = reply.answer.clone() else { return };
        let status = retry::refused_status(&reply.answer, pending.may_be_gone());
        self.buckets.ended(&pending);
        let mut rows = Vec::with_capacity(1);
        pending.end(status, reply, now, |row, outcome| rows.push(Ended { row, outcome }));
        match self.breaker.suspect(&code, rows) {
            Verdict::Failed(rows) => self.release(rows),
            Verdict::Held => {}
            Verdict::Tripped(code) => self.stop(StopReason::Breaker { code }),
        }
    }

    fn suspend(&mut self, pending: Pending, reply: Reply, now: Now) {
        let Answer::Refused(code) = reply.answer.clone() else { return };
        match self.suspended.refused(&pending, &code) {
            Refusal::OfRow if pending.group().is_some() => {
                return self.refuse_users(pending, reply, Class::SuspectRow, now);
            }
            Refusal::OfRow => return self.suspect(pending, reply, now),
            Refusal::Suspended(team) => self.emit(Event::Parked { team, code }),
            Refusal::KnownAlready => {}
            Refusal::Everywhere => self.stop(StopReason::Workspaces { code }),
        }
        self.buckets.ended(&pending);
        let suspended = &self.suspended;
        let queued = self.buckets.take_rows_of(|row| suspended.holds(row));
        let waiting = self.waiting.extract_if(.., |_, row| suspended.holds(row)).map(|(_, row)| row);
        let undecided = self.undecided.extract_if(.., |row| suspended.holds(row));
        for held in queued.into_iter().chain(waiting).chain(undecided) {
            self.buckets.ended(&held);
        }
    }

    fn refresh(&mut self, pending: Pending, sent_at: Duration) {
        self.send_again(pending);
        match self.token.expired(sent_at) {
            Expiry::Refresh => self.commands.push(Command::RefreshToken),
            Expiry::SendAgain => {}
            Expiry::GiveUp => {
                self.stop(StopReason::Refused { code: ErrorCode::TokenExpired, detail: Box::default() });
            }
        }
    }

    pub(super) fn release(&mut self, rows: Vec<Ended>) {
        for Ended { row, outcome } in rows {
            self.record(row, outcome);
        }
    }

    fn end(&mut self, pending: Pending, status: Status, reply: Reply, now: Now) {
        self.buckets.ended(&pending);
        pending.end(status, reply, now, |row, outcome| self.record(row, outcome));
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
