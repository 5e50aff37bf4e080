//! The state machine of a run: answers, rows and the time go in; what to do comes out. No clock, no I/O, no await.
//!
//! Here is what comes in. What an answer does is in [`replies`], and in [`recovery`] if it is not clear; what goes out in [`dispatch`], what whole users need besides
//! in [`users`], how it stands in [`status`].

mod dispatch;
mod recovery;
mod replies;
mod status;
mod users;

use super::buckets::Buckets;
use super::clock::Now;
use super::health::breaker::Breaker;
use super::health::outage::Outage;
use super::health::suspended::SuspendedWorkspaces;
use super::health::token::TokenState;
use super::job::{self, Job};
use super::permit::{AnnouncedPauses, CallHandle};
use super::policy::Policy;
use super::ports::{Batch, Permit, Refreshed, Request, Want};
use super::retry;
use super::shared_sessions::SharedSessions;
use super::throughput::Throughput;
use super::user_batch::UserBatcher;
use crate::model::{Counts, ErrorCode, Event, Reply, StopReason, Target, UserId};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::time::Duration;

/// Names a call while it is in flight.
pub type CallId = u64;

/// What the loop is to do.
#[derive(Debug)]
pub enum Action {
    /// Make a call. The row it is for is `line`, and `call` counts the row's calls from 1.
    Send {
        /// The call's name, to come back with its reply.
        id: CallId,
        /// The gate's leave.
        permit: Permit,
        /// What it asks for.
        request: Request,
        /// The row's line; of several rows the first one's.
        line: u64,
        /// 1 for the row's first call.
        call: u32,
    },
    /// Hand an event to the observer.
    Emit(Event),
    /// Ask the input for rows.
    RequestRows(Want),
    /// Read the token again.
    RefreshToken,
}

#[derive(Debug)]
struct CallInFlight {
    job: Job,
    sent_at: Duration,
    handle: CallHandle,
}

/// Totals of this run's calls.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct CallTotals {
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
pub struct StateMachine {
    policy: Policy,
    buckets: Buckets,
    /// Where whole users are asked for.
    batcher: Option<UserBatcher>,
    in_flight: HashMap<CallId, CallInFlight>,
    next_call: CallId,
    announced: AnnouncedPauses,
    waiting: BTreeMap<(Duration, u64), Job>,
    /// Rows whose attempts are used up, until it is known whose fault that is.
    undecided: Vec<Job>,
    /// Lines of rows that have not ended, one of whose attempts in this run may have taken effect.
    in_doubt: BTreeSet<u64>,
    breaker: Breaker,
    suspended: SuspendedWorkspaces,
    shared: SharedSessions,
    outage: Outage,
    /// Counts the clear answers, but late ones: failures with the same number had none between them.
    streak: u64,
    token: TokenState,
    /// Users of fresh tokens; their rows are not sent.
    spared: HashSet<UserId>,
    warned: BTreeSet<Box<str>>,
    throughput: Throughput,
    counts: Counts,
    ended_by_answer: u64,
    failed: u64,
    calls: CallTotals,
    canary_answered: bool,
    paused_until: Duration,
    estimate: Option<f64>,
    stop: Option<StopReason>,
    /// What the loop is to do, until it takes it.
    actions: Vec<Action>,
}

impl StateMachine {
    /// A run that has not begun.
    #[must_use]
    pub fn new(policy: Policy, now: Now) -> Self {
        Self {
            buckets: Buckets::new(&policy, now.at),
            suspended: SuspendedWorkspaces::new(policy.is_one_workspace, policy.earlier_teams.iter().cloned()),
            breaker: Breaker::new(policy.earlier.successes() > 0),
            counts: policy.earlier,
            canary_answered: !policy.canary,
            batcher: policy.whole_users.map(UserBatcher::new),
            policy,
            in_flight: HashMap::new(),
            next_call: 0,
            announced: AnnouncedPauses::default(),
            waiting: BTreeMap::new(),
            undecided: Vec::new(),
            shared: SharedSessions::default(),
            in_doubt: BTreeSet::new(),
            outage: Outage::default(),
            streak: 0,
            token: TokenState::default(),
            spared: HashSet::new(),
            warned: BTreeSet::new(),
            throughput: Throughput::default(),
            ended_by_answer: 0,
            failed: 0,
            calls: CallTotals::default(),
            paused_until: Duration::ZERO,
            estimate: None,
            stop: None,
            actions: Vec::new(),
        }
    }

    /// Takes what is to be done since the last time, in its order.
    pub fn actions(&mut self) -> std::vec::Drain<'_, Action> {
        self.actions.drain(..)
    }

    fn emit(&mut self, event: Event) {
        self.actions.push(Action::Emit(event));
    }

    /// Rows came.
    pub fn on_batch(&mut self, batch: Batch, now: Now) {
        self.buckets.came(&batch.want, batch.rows.len(), batch.exhausted);
        for row in batch.rows {
            match (&row.target, &mut self.batcher) {
                (Ok(Target::User(_)), Some(batcher)) => batcher.take(row),
                _ => {
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

    /// Back to the head of its queue, unless its workspace was suspended meanwhile.
    fn send_again(&mut self, job: Job) {
        if let Some(job) = self.unless_suspended(job) {
            self.buckets.push_first(job);
        }
    }

    fn unless_suspended(&mut self, job: Job) -> Option<Job> {
        if self.suspended.holds(&job) {
            self.buckets.ended(&job);
            return None;
        }
        Some(job)
    }

    /// The answer to a call came.
    pub fn on_reply(&mut self, id: CallId, reply: Reply, now: Now) {
        let Some(call) = self.in_flight.remove(&id) else { return };
        self.throughput.ended(now.at, now.at.saturating_sub(call.sent_at));
        self.warn(reply.warning.as_deref());
        let class = retry::classify(&reply);
        let turn = self.follow_outage(&call, &reply, class, now);
        self.teach_the_gate(&call, &reply, class, now);
        self.decide(call, reply, class, turn, now);
    }

    /// The token was read again.
    pub fn on_token(&mut self, refreshed: Refreshed, now: Now) {
        let detail = match refreshed {
            Refreshed::Changed => {
                self.token.changed(now.at);
                return self.emit(Event::TokenRefreshed);
            }
            Refreshed::OtherOwner { owner, is_spared } => {
                self.token.changed(now.at);
                if is_spared {
                    self.spared.insert(owner.id.clone());
                }
                self.emit(Event::TokenRefreshed);
                return self.emit(Event::OtherOwner { owner, is_spared });
            }
            Refreshed::Unidentified(reason) => {
                self.token.not_changed();
                return self.stop(reason);
            }
            Refreshed::Unchanged => Box::default(),
            Refreshed::Failed(why) => why,
        };
        self.token.not_changed();
        self.stop(StopReason::Refused { code: ErrorCode::TokenExpired, detail });
    }

    /// A call that was asked for was not made after all: its rows wait as before.
    pub fn on_not_sent(&mut self, id: CallId, now: Now) {
        let Some(CallInFlight { mut job, sent_at, handle }) = self.in_flight.remove(&id) else { return };
        handle.answered();
        self.calls.made -= 1;
        job.not_sent();
        self.buckets.answered(&job);
        self.buckets.tested(&job, None, sent_at, now.at);
        self.send_again(job);
    }

    /// Stops sending. The first reason stands.
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
