//! The state machine of a run: answers, rows and the time go in; what to do comes out. No clock, no I/O, no await.

use super::breaker::{Breaker, Ended, Verdict};
use super::buckets::Buckets;
use super::clock::Now;
use super::gate::{Closed, Pace};
use super::meter::Meter;
use super::outage::{Outage, Turn};
use super::parking::{Parking, Refusal};
use super::pending::{self, Pending};
use super::policy::Policy;
use super::ports::{Batch, Permit, Want};
use super::retry::{self, Class};
use crate::domain::{Answer, Counts, ErrorCode, Event, Outcome, Reply, Row, Snapshot, Status, StopReason, Target};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

/// Calls in flight at most, where the user names no number (contract.md, `--workers`).
const MOST_WORKERS: u32 = 16;

/// Rows that wait for their next attempt; while there are more, no fresh row is sent. It bounds the memory where every
/// call fails at once, and is far above what faults of single rows come to.
const MOST_WAITING: usize = 4096;

/// Names a call while it is in flight.
pub type CallId = u64;

/// What the loop is to do.
#[derive(Debug)]
pub enum Act {
    /// Make a call. The row it is for is `line`, and `call` counts the row's calls from 1.
    Send {
        /// The call's name, to come back with its reply.
        id: CallId,
        /// The gate's leave.
        permit: Permit,
        /// Whom it names.
        target: Target,
        /// The row's line.
        line: u64,
        /// 1 for the row's first call.
        call: u32,
    },
    /// Tell the observer.
    Tell(Event),
    /// Ask the input for rows.
    Ask(Want),
    /// Read the token again.
    RefreshToken,
}

#[derive(Debug)]
struct Flight {
    pending: Pending,
    sent_at: Duration,
}

/// How the token stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    Good,
    /// Being read again since Slack said that it expired; nothing is sent meanwhile.
    Refreshing,
    /// Read again at this moment, and not yet shown to work.
    Fresh(Duration),
}

/// Totals of this run's calls.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Calls {
    /// Calls made.
    pub made: u64,
    /// 429s met.
    pub rate_limited: u64,
    /// Answers that were clear, whatever they said.
    pub clear: u64,
    /// Time in which a pause held rows back.
    pub paused: Duration,
    /// When the first call left.
    pub began: Option<Duration>,
}

/// The state of a run.
#[derive(Debug)]
pub struct Core {
    policy: Policy,
    buckets: Buckets,
    flying: HashMap<CallId, Flight>,
    next_call: CallId,
    waiting: BTreeMap<(Duration, u64), Pending>,
    breaker: Breaker,
    parking: Parking,
    outage: Outage,
    token: Token,
    warned: BTreeSet<Box<str>>,
    meter: Meter,
    counts: Counts,
    ended_by_answer: u64,
    failed: u64,
    calls: Calls,
    canary_answered: bool,
    paused_until: Duration,
    estimate: Option<f64>,
    stop: Option<StopReason>,
}

impl Core {
    /// A run that has not begun.
    #[must_use]
    pub fn new(policy: Policy, now: Now) -> Self {
        Self {
            buckets: Buckets::new(&policy, now.at),
            parking: Parking::new(policy.workspaces.len()),
            counts: policy.earlier,
            canary_answered: !policy.canary,
            policy,
            flying: HashMap::new(),
            next_call: 0,
            waiting: BTreeMap::new(),
            breaker: Breaker::default(),
            outage: Outage::default(),
            token: Token::Good,
            warned: BTreeSet::new(),
            meter: Meter::default(),
            ended_by_answer: 0,
            failed: 0,
            calls: Calls::default(),
            paused_until: Duration::ZERO,
            estimate: None,
            stop: None,
        }
    }

    // ---- what comes in ----

    /// Rows came.
    pub fn on_batch(&mut self, batch: Batch, now: Now, acts: &mut Vec<Act>) {
        self.buckets.came(&batch.want, batch.rows.len(), batch.exhausted);
        for row in batch.rows {
            if let Some(outcome) = pending::unsent(&row, now) {
                self.record(Box::new(row), outcome, acts);
            } else if let Ok(pending) = Pending::new(row) {
                self.admit(pending);
            }
        }
    }

    fn admit(&mut self, pending: Pending) {
        if self.parking.holds(&pending) {
            self.buckets.ended(&pending);
        } else {
            self.buckets.push(pending);
        }
    }

    /// The answer to a call came.
    pub fn on_reply(&mut self, id: CallId, reply: Reply, now: Now, acts: &mut Vec<Act>) {
        let Some(flight) = self.flying.remove(&id) else { return };
        self.meter.ended(now.at, now.at.saturating_sub(flight.sent_at));
        self.warn(reply.warning.as_deref(), acts);
        let class = retry::classify(&reply);
        self.follow_outage(&flight, &reply, class, now, acts);
        self.teach_the_gate(&flight, &reply, class, now, acts);
        self.decide(flight, reply, class, now, acts);
    }

    /// The token was read again; `changed` says whether it is another one.
    pub fn on_token(&mut self, changed: bool, now: Now, acts: &mut Vec<Act>) {
        if changed {
            self.token = Token::Fresh(now.at);
            acts.push(Act::Tell(Event::TokenRefreshed));
        } else {
            self.token = Token::Good;
            self.stop(StopReason::Refused { code: ErrorCode::TokenExpired, detail: Box::default() }, acts);
        }
    }

    /// A call that was asked for was not made after all.
    pub fn on_not_sent(&mut self, id: CallId) {
        if let Some(flight) = self.flying.remove(&id) {
            self.buckets.answered(&flight.pending);
            self.calls.made -= 1;
        }
    }

    /// Stops sending. The first reason stands.
    pub fn stop(&mut self, reason: StopReason, acts: &mut Vec<Act>) {
        if self.stop.is_none() {
            self.stop = Some(reason.clone());
            acts.push(Act::Tell(Event::Stopping(reason)));
        }
    }

    // ---- what an answer does ----

    fn warn(&mut self, warning: Option<&str>, acts: &mut Vec<Act>) {
        if let Some(text) = warning
            && self.warned.len() < 100
            && self.warned.insert(text.into())
        {
            acts.push(Act::Tell(Event::Warning(text.into())));
        }
    }

    fn follow_outage(&mut self, flight: &Flight, reply: &Reply, class: Class, now: Now, acts: &mut Vec<Act>) {
        if !matches!(class, Class::Transient { .. }) {
            self.calls.clear += 1;
            self.canary_answered = true;
            if self.outage.clear() {
                acts.push(Act::Tell(Event::OutageEnded));
            }
            return;
        }
        // Without a single answer so far it is no outage that would be waited for: the first row to use up its attempts
        // ends the run.
        if self.calls.clear == 0 {
            return;
        }
        let error = retry::error_name(reply).unwrap_or_default();
        let line = flight.pending.line();
        if self.outage.transient(line, now.at, self.seed(line, self.next_call)) == Turn::Began {
            acts.push(Act::Tell(Event::OutageBegan { error: error.clone() }));
        }
        if self.outage.lasts(now.at) > self.policy.max_retry_after {
            self.stop(StopReason::Unavailable { error }, acts);
        }
    }

    fn teach_the_gate(&mut self, flight: &Flight, reply: &Reply, class: Class, now: Now, acts: &mut Vec<Act>) {
        let gate = self.buckets.answered(&flight.pending);
        let accepted = match class {
            Class::RateLimited { pause, stated } => {
                let pause = gate.refused(flight.sent_at, now.at, pause);
                self.calls.rate_limited += 1;
                self.count_pause(now.at, pause);
                let team = self.bucket_team(&flight.pending);
                acts.push(Act::Tell(Event::RateLimited { line: flight.pending.line(), team, pause, stated }));
                if pause > self.policy.max_retry_after {
                    self.stop(StopReason::RetryAfter { pause }, acts);
                }
                Some(false)
            }
            // A broken connection says nothing of the limit; an answer that made no sense was let through to be made.
            Class::Transient { .. } if reply.http_status.is_none() => None,
            Class::Transient { .. } => {
                gate.accepted(flight.sent_at);
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
        if let Some(kind) = self.buckets.tested(&flight.pending, accepted, now.at) {
            self.buckets.recount(self.flying.values().map(|flight| &flight.pending));
            acts.push(Act::Tell(Event::BucketKnown(kind)));
        } else if accepted == Some(false) {
            self.buckets.limited(&flight.pending);
        }
    }

    /// Time lost to pauses, those of several buckets at once counted once.
    fn count_pause(&mut self, now: Duration, pause: Duration) {
        let until = now + pause;
        self.calls.paused += until.saturating_sub(self.paused_until.max(now));
        self.paused_until = self.paused_until.max(until);
    }

    fn bucket_team(&self, pending: &Pending) -> Option<crate::domain::TeamId> {
        let index = self.buckets.of(pending);
        self.buckets.iter().nth(index).and_then(|bucket| bucket.team.clone())
    }

    fn decide(&mut self, flight: Flight, reply: Reply, class: Class, now: Now, acts: &mut Vec<Act>) {
        let Flight { mut pending, sent_at } = flight;
        if matches!(class, Class::RateLimited { .. }) {
            pending.limited();
            self.buckets.push_first(pending);
            return;
        }
        let ambiguous = matches!(class, Class::Transient { ambiguous: true });
        pending.attempted(ambiguous, !self.outage.is_declared());
        match class {
            Class::Revoked => self.succeed(pending, Status::Revoked, reply, now, acts),
            Class::AlreadyGone => self.succeed(pending, Status::AlreadyRevoked, reply, now, acts),
            Class::NotFound => {
                let status = retry::not_found_status(pending.may_be_gone());
                self.settle(pending, status, reply, now, acts);
            }
            Class::Row => {
                let status = retry::refused_status(pending.may_be_gone());
                self.settle(pending, status, reply, now, acts);
            }
            Class::SuspectRow => self.suspect(pending, reply, now, acts),
            Class::Transient { .. } => self.again(pending, reply, now, acts),
            Class::Workspace => self.park(&pending, &reply, acts),
            Class::TokenExpired => self.refresh(pending, sent_at, acts),
            Class::RateLimited { .. } => {}
            Class::Run => {
                self.buckets.push_first(pending);
                if let Answer::Refused(code) = reply.answer {
                    self.stop(StopReason::Refused { code, detail: reply.detail }, acts);
                }
            }
        }
    }

    fn succeed(&mut self, pending: Pending, status: Status, reply: Reply, now: Now, acts: &mut Vec<Act>) {
        self.token = match self.token {
            Token::Fresh(_) => Token::Good,
            Token::Good | Token::Refreshing => self.token,
        };
        let released = self.breaker.success();
        self.release(released, acts);
        self.end(pending, status, reply, now, acts);
    }

    fn settle(&mut self, pending: Pending, status: Status, reply: Reply, now: Now, acts: &mut Vec<Act>) {
        let released = self.breaker.settle();
        self.release(released, acts);
        self.end(pending, status, reply, now, acts);
    }

    fn suspect(&mut self, pending: Pending, reply: Reply, now: Now, acts: &mut Vec<Act>) {
        let Answer::Refused(code) = reply.answer.clone() else { return };
        let status = retry::refused_status(pending.may_be_gone());
        self.buckets.ended(&pending);
        let (row, outcome) = pending.end(status, reply, now);
        match self.breaker.suspect(&code, Ended { row, outcome }) {
            Verdict::Failed(rows) => self.release(rows, acts),
            Verdict::Held => {}
            Verdict::Tripped(code) => self.stop(StopReason::Breaker { code }, acts),
        }
    }

    fn again(&mut self, pending: Pending, reply: Reply, now: Now, acts: &mut Vec<Act>) {
        if pending.tries() > self.policy.retries {
            let status = retry::refused_status(pending.may_be_gone());
            let error = retry::error_name(&reply).unwrap_or_default();
            self.settle(pending, status, reply, now, acts);
            if self.calls.clear == 0 {
                self.stop(StopReason::Unavailable { error }, acts);
            }
            return;
        }
        let wait = retry::backoff(pending.tries(), self.seed(pending.line(), u64::from(pending.calls())));
        let error = retry::error_name(&reply).unwrap_or_default();
        acts.push(Act::Tell(Event::Retrying { line: pending.line(), attempt: pending.calls(), error, wait }));
        self.waiting.insert((now.at + wait, pending.line()), pending);
    }

    fn park(&mut self, pending: &Pending, reply: &Reply, acts: &mut Vec<Act>) {
        let Answer::Refused(code) = reply.answer.clone() else { return };
        match self.parking.refused(pending, &code) {
            Refusal::Parked(team) => acts.push(Act::Tell(Event::Parked { team, code })),
            Refusal::KnownAlready => {}
            Refusal::Everywhere => self.stop(StopReason::Workspaces { code }, acts),
        }
        self.buckets.ended(pending);
        let parking = &self.parking;
        let queued = self.buckets.take_rows_of(|row| parking.holds(row));
        let waiting = self.waiting.extract_if(.., |_, row| parking.holds(row)).map(|(_, row)| row);
        for parked in queued.into_iter().chain(waiting) {
            self.buckets.ended(&parked);
        }
    }

    /// A token that expired is read again once; one that was read since this call left is tried first.
    fn refresh(&mut self, pending: Pending, sent_at: Duration, acts: &mut Vec<Act>) {
        self.buckets.push_first(pending);
        match self.token {
            Token::Good => {
                self.token = Token::Refreshing;
                acts.push(Act::RefreshToken);
            }
            Token::Fresh(since) if sent_at >= since => {
                self.stop(StopReason::Refused { code: ErrorCode::TokenExpired, detail: Box::default() }, acts);
            }
            Token::Refreshing | Token::Fresh(_) => {}
        }
    }

    fn release(&mut self, rows: Vec<Ended>, acts: &mut Vec<Act>) {
        for Ended { row, outcome } in rows {
            self.record(row, outcome, acts);
        }
    }

    fn end(&mut self, pending: Pending, status: Status, reply: Reply, now: Now, acts: &mut Vec<Act>) {
        self.buckets.ended(&pending);
        let (row, outcome) = pending.end(status, reply, now);
        self.record(row, outcome, acts);
    }

    fn record(&mut self, row: Box<Row>, outcome: Outcome, acts: &mut Vec<Act>) {
        let status = outcome.status;
        self.counts.add(status);
        acts.push(Act::Tell(Event::Ended { row, outcome }));
        if matches!(status, Status::Invalid | Status::Duplicate | Status::Protected) {
            return;
        }
        self.ended_by_answer += 1;
        let strictly = self.policy.strict && status == Status::NotFound;
        self.failed += u64::from(strictly || matches!(status, Status::Failed | Status::Unknown));
        if self.policy.max_failures.reached(self.failed, self.ended_by_answer) {
            self.stop(StopReason::MaxFailures { failed: self.failed, of: self.ended_by_answer }, acts);
        }
    }

    fn seed(&self, line: u64, call: u64) -> u64 {
        self.policy.seed ^ line.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ call.wrapping_mul(0xD1B5_4A32_D192_ED03)
    }

    // ---- what goes out ----

    /// Sends what may be sent, and asks for rows. Gives the moment at which to come back where nothing else happens.
    pub fn step(&mut self, now: Now, acts: &mut Vec<Act>) -> Option<Duration> {
        if self.policy.deadline.is_some_and(|deadline| now.at >= deadline) && !self.is_finished() {
            self.stop(StopReason::Deadline, acts);
        }
        if self.stop.is_some() {
            return None;
        }
        self.wake_the_waiting(now.at);
        let mut wake = Wake::default();
        wake.at(self.policy.deadline);
        wake.at(self.waiting.first_key_value().map(|((due, _), _)| *due));
        if self.token != Token::Refreshing {
            self.send_what_may_go(now, &mut wake, acts);
        }
        self.tell_the_estimate(acts);
        acts.extend(self.buckets.wants().into_iter().map(Act::Ask));
        wake.0
    }

    fn wake_the_waiting(&mut self, now: Duration) {
        while let Some(entry) = self.waiting.first_entry()
            && entry.key().0 <= now
        {
            self.buckets.push_first(entry.remove());
        }
    }

    fn send_what_may_go(&mut self, now: Now, wake: &mut Wake, acts: &mut Vec<Act>) {
        if self.outage.is_declared() && now.at < self.outage.hold_until() {
            wake.at(Some(self.outage.hold_until()));
            return;
        }
        if let Some((permit, pending)) = self.buckets.take_test(now.at) {
            self.send(permit, pending, now, acts);
        }
        let first = self.buckets.next_turn();
        for turn in 0..self.buckets.len() {
            let index = (first + turn) % self.buckets.len();
            while self.has_a_worker() && self.waiting.len() < MOST_WAITING {
                match self.buckets.ask(index, now.at) {
                    Ok((permit, pending)) => self.send(permit, pending, now, acts),
                    Err(closed) => {
                        wake.closed(closed);
                        break;
                    }
                }
            }
        }
    }

    fn send(&mut self, permit: Permit, mut pending: Pending, now: Now, acts: &mut Vec<Act>) {
        self.next_call += 1;
        self.calls.made += 1;
        self.calls.began.get_or_insert(now.at);
        pending.sent(now);
        self.buckets.sent(&pending, now.at);
        let (id, line, call) = (self.next_call, pending.line(), pending.calls() + 1);
        acts.push(Act::Send { id, permit, target: pending.target().clone(), line, call });
        self.flying.insert(id, Flight { pending, sent_at: now.at });
    }

    fn has_a_worker(&self) -> bool {
        let alone = !self.canary_answered || self.outage.is_declared();
        let workers = if alone { 1 } else { self.workers() };
        (self.flying.len() as u64) < u64::from(workers)
    }

    /// Little's law, with one to spare: calls in flight are the rate times the latency.
    fn workers(&self) -> u32 {
        if let Some(workers) = self.policy.workers {
            return workers;
        }
        let (Some(rate), Some(latency)) = (self.estimate, self.meter.latency()) else { return MOST_WORKERS };
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 2 and 16")]
        let busy = (rate / 60.0 * latency.as_secs_f64()).ceil().clamp(1.0, f64::from(MOST_WORKERS - 1)) as u32;
        busy + 1
    }

    /// The sum over the buckets that still have rows.
    fn tell_the_estimate(&mut self, acts: &mut Vec<Act>) {
        if matches!(self.policy.pace, Pace::Unlimited) {
            return;
        }
        let with_rows = |index: &usize| self.buckets.rows_left(*index) > 0;
        let rates = self.buckets.iter().enumerate().filter(|(index, _)| with_rows(index));
        let sum: f64 = rates.filter_map(|(_, bucket)| bucket.gate.per_minute()).sum();
        if sum > 0.0 && self.estimate.is_none_or(|before| (before - sum).abs() > 1e-6) {
            self.estimate = Some(sum);
            acts.push(Act::Tell(Event::Estimate { team: None, per_minute: sum }));
        }
    }

    // ---- how it stands ----

    /// Whether nothing more will happen.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        let nothing_waits = self.waiting.is_empty() && !self.buckets.has_rows() && self.buckets.exhausted();
        self.flying.is_empty() && (self.stop.is_some() || nothing_waits)
    }

    /// Whether no call will be made any more.
    #[must_use]
    pub fn stopped(&self) -> Option<&StopReason> {
        self.stop.as_ref()
    }

    /// Whether rows were asked for and have not come.
    #[must_use]
    pub fn awaits_rows(&self) -> bool {
        self.buckets.outstanding()
    }

    /// The last thing before the end: rows that the breaker held back have failed after all, unless it tripped.
    pub fn close(&mut self, acts: &mut Vec<Act>) {
        let held = self.breaker.settle();
        self.release(held, acts);
    }

    /// Totals of the calls.
    #[must_use]
    pub fn calls(&self) -> Calls {
        self.calls
    }

    /// Whether a workspace was set aside.
    #[must_use]
    pub fn any_parked(&self) -> bool {
        self.parking.any()
    }

    /// Calls a minute at the end; none without a limit.
    #[must_use]
    pub fn estimate(&self) -> Option<f64> {
        self.estimate
    }

    /// The kind of bucket, once known.
    #[must_use]
    pub fn bucket_kind(&self) -> Option<crate::domain::BucketKind> {
        self.buckets.kind()
    }

    /// Rows by status, those of earlier runs included.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// The lines in flight.
    pub fn lines_in_flight(&self) -> impl Iterator<Item = u64> {
        self.flying.values().map(|flight| flight.pending.line())
    }

    /// How the run stands now.
    pub fn snapshot(&mut self, now: Now) -> Snapshot {
        let began = self.calls.began.unwrap_or(now.at);
        let left = |index: usize| self.buckets.rows_left(index);
        let open_at = self.buckets.iter().enumerate().filter(|(index, _)| left(*index) > 0);
        let opens = open_at.map(|(_, bucket)| bucket.gate.closed_until()).min();
        let recent = self.meter.per_minute(now.at, began);
        Snapshot {
            counts: self.counts,
            total: self.policy.rows,
            already_done: self.policy.earlier.ended(),
            in_flight: u32::try_from(self.flying.len()).unwrap_or(u32::MAX),
            rate_limited: self.calls.rate_limited,
            calls: self.calls.made,
            elapsed: now.at.saturating_sub(began),
            pause: opens.and_then(|at| at.checked_sub(now.at)).filter(|pause| !pause.is_zero()),
            per_minute: self.estimate,
            recent_per_minute: recent,
            eta: self.eta(now.at, recent),
            bucket: self.buckets.kind(),
            outage: self.outage.is_declared(),
            stopping: self.stop.is_some(),
        }
    }

    /// The time of the bucket that will take longest, at its present estimate.
    #[expect(clippy::cast_precision_loss, reason = "a count of rows")]
    fn eta(&self, now: Duration, recent: f64) -> Option<Duration> {
        let of_bucket = |(index, bucket): (usize, &super::buckets::Bucket)| {
            let rate = bucket.gate.per_minute().unwrap_or(recent);
            let left = self.buckets.rows_left(index) as f64;
            let pause = bucket.gate.closed_until().saturating_sub(now).as_secs_f64();
            (left > 0.0).then_some(pause + left * 60.0 / rate)
        };
        let longest = self
            .buckets
            .iter()
            .enumerate()
            .filter_map(of_bucket)
            .fold(None, |most: Option<f64>, seconds| Some(most.map_or(seconds, |most| most.max(seconds))));
        longest.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
    }
}

/// The earliest of the moments at which something may be due.
#[derive(Debug, Default)]
struct Wake(Option<Duration>);

impl Wake {
    fn at(&mut self, at: Option<Duration>) {
        self.0 = match (self.0, at) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
    }

    fn closed(&mut self, closed: Option<Closed>) {
        match closed {
            Some(Closed::Until(at)) => self.at(Some(at)),
            Some(Closed::UntilAnAnswer) | None => {}
        }
    }
}

#[cfg(test)]
mod tests;
