//! The state machine of a run: answers, rows and times are passed in, and actions are returned. No clock, no I/O, no
//! await.
//!
//! This file has the inputs. [`replies`] handles answers, [`recovery`] unclear ones, [`dispatch`] sends, [`users`]
//! batches whole users, [`shared`] handles other runs with the same limit, and [`status`] reports.

mod dispatch;
mod recovery;
mod replies;
mod shared;
mod status;
mod users;

use super::buckets::{Buckets, Shown};
use super::clock::Now;
use super::health::{FaultVerdict, Health};
use super::job::{self, CallInFlight, Job};
use super::permit::AnnouncedPauses;
use super::policy::Policy;
use super::ports::{Batch, LimitReport, Permit, Refreshed, Request, Want};
use super::retry;
use super::retry_queue::RetryQueue;
use super::shared_sessions::SharedSessions;
use super::tally::RunTally;
use super::throughput::Throughput;
use super::user_batch::UserBatcher;
use crate::model::{ErrorCode, Event, Reply, StopReason, Target, UserId};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::Duration;

pub use super::tally::CallTotals;

/// Identifies a call in flight.
pub type CallId = u64;

/// An action for the event loop.
#[derive(Debug)]
pub enum Action {
    /// Make a call for the row on `line`, or for several rows of which it is the first. `call` counts the calls of
    /// the row from 1.
    Send {
        id: CallId,
        permit: Permit,
        request: Request,
        line: u64,
        call: u32,
    },
    /// Pass an event to the observer.
    Emit(Event),
    RequestRows(Want),
    RefreshToken,
    /// Report to the other runs with the limit of this bucket.
    Report {
        bucket: usize,
        report: LimitReport,
    },
}

#[derive(Debug)]
pub struct StateMachine {
    policy: Policy,
    /// The time of the current input.
    now: Now,
    buckets: Buckets,
    /// For whole users.
    batcher: Option<UserBatcher>,
    in_flight: BTreeMap<CallId, CallInFlight>,
    next_call: CallId,
    announced: AnnouncedPauses,
    retries: RetryQueue,
    health: Health,
    shared: SharedSessions,
    /// Owners of fresh tokens, whose rows aren't sent.
    spared: HashSet<UserId>,
    warned: BTreeSet<Box<str>>,
    throughput: Throughput,
    tally: RunTally,
    estimate: Option<f64>,
    /// Whether it was reported that the state of the limit can't be shared.
    is_alone: bool,
    /// When the next call may be made, if it only waits for a time.
    next_call_at: Option<Duration>,
    stop: Option<StopReason>,
    /// Actions that the loop hasn't taken yet.
    actions: Vec<Action>,
}

impl StateMachine {
    #[must_use]
    pub fn new(policy: Policy, now: Now) -> Self {
        let deadline = policy.deadline.map(|deadline| now.at + deadline);
        let policy = Policy { deadline, ..policy };
        Self {
            now,
            buckets: Buckets::new(&policy, now.at),
            batcher: (policy.bulk_users > 0).then(|| UserBatcher::new(policy.bulk_users)),
            in_flight: BTreeMap::new(),
            next_call: 0,
            announced: AnnouncedPauses::default(),
            retries: RetryQueue::default(),
            health: Health::new(&policy),
            shared: SharedSessions::default(),
            spared: HashSet::new(),
            warned: BTreeSet::new(),
            throughput: Throughput::default(),
            tally: RunTally::new(&policy),
            estimate: None,
            is_alone: false,
            next_call_at: None,
            stop: None,
            actions: Vec::new(),
            policy,
        }
    }

    /// Takes the actions since the last call, in order.
    pub fn actions(&mut self) -> std::vec::Drain<'_, Action> {
        self.actions.drain(..)
    }

    fn emit(&mut self, event: Event) {
        self.actions.push(Action::Emit(event));
    }

    pub fn on_batch(&mut self, batch: Batch, now: Now) {
        self.now = now;
        self.buckets.received(&batch.want, batch.rows.len(), batch.exhausted);
        for row in batch.rows {
            match (&row.target, &mut self.batcher) {
                (Ok(Target::User(_)), Some(batcher)) => batcher.take(row),
                (Ok(_) | Err(_), _) => {
                    if let Some(outcome) = job::unsent(&row, now) {
                        self.record(Box::new(row), outcome);
                    } else if let Ok(job) = Job::new(row) {
                        self.admit(job);
                    }
                }
            }
        }
    }

    fn admit(&mut self, job: Job) {
        if let Some(job) = self.unless_suspended(job) {
            self.buckets.push(job);
        }
    }

    /// Puts a row back at the head of its queue, unless its workspace is suspended.
    fn send_again(&mut self, job: Job) {
        if let Some(job) = self.unless_suspended(job) {
            self.buckets.push_first(job);
        }
    }

    fn unless_suspended(&mut self, job: Job) -> Option<Job> {
        if self.health.is_suspended(&job) {
            self.buckets.ended(&job);
            return None;
        }
        Some(job)
    }

    pub fn on_reply(&mut self, id: CallId, reply: Reply, now: Now) {
        let Some(call) = self.in_flight.remove(&id) else { return };
        self.now = now;
        self.throughput.ended(now.at, now.at.saturating_sub(call.sent_at));
        self.warn(reply.warning.as_deref());
        let class = retry::classify(&reply);
        let seed = self.seed(call.job.line(), self.next_call);
        let verdict = self.health.on(&call, &reply, class, now.at, seed);
        self.follow_outage(verdict.outage, &reply);
        if verdict.fault == FaultVerdict::NowLimit {
            self.start_over();
        }
        self.update_bucket(&call, &reply, class, verdict.fault);
        self.decide(call, reply, class, verdict);
    }

    /// The token was read again.
    pub fn on_token(&mut self, refreshed: Refreshed, now: Now) {
        self.now = now;
        let is_changed = matches!(refreshed, Refreshed::Changed | Refreshed::OtherOwner { .. });
        self.health.token_read(is_changed.then_some(now.at));
        match refreshed {
            Refreshed::Changed => self.emit(Event::TokenRefreshed),
            Refreshed::OtherOwner { owner, is_spared } => {
                if is_spared {
                    self.spared.insert(owner.id.clone());
                }
                self.emit(Event::TokenRefreshed);
                self.emit(Event::OtherOwner { owner, is_spared });
            }
            Refreshed::Unidentified(reason) => self.stop(reason),
            Refreshed::Unchanged => self.stop_as_expired(Box::default()),
            Refreshed::Failed(why) => self.stop_as_expired(why),
        }
    }

    fn stop_as_expired(&mut self, detail: Box<str>) {
        self.stop(StopReason::Refused { code: ErrorCode::TokenExpired, detail });
    }

    /// A call wasn't made. Its rows wait as before.
    pub fn on_not_sent(&mut self, id: CallId, now: Now) {
        let Some(CallInFlight { mut job, sent_at, handle }) = self.in_flight.remove(&id) else { return };
        self.now = now;
        handle.answered();
        self.tally.calls.counts.calls -= 1;
        self.tally.calls.counts.bulk_calls -= u64::from(job.is_bulk());
        job.not_sent();
        self.buckets.answered(&job);
        self.buckets.on_answer(&job, sent_at, now.at, Shown::Nothing);
        self.send_again(job);
    }

    /// Stops sending. The first reason is kept.
    pub fn stop(&mut self, reason: StopReason) {
        if self.stop.is_none() {
            self.stop = Some(reason.clone());
            self.in_flight.values().for_each(|call| call.handle.withdraw());
            self.emit(Event::Stopping(reason));
        }
    }
}

#[cfg(test)]
mod tests;
