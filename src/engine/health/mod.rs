//! Decides what a bad answer is a problem of: the row, its workspace, the token, or the whole run.

mod breaker;
mod outage;
mod overload;
mod suspended;
mod token;

use super::job::{CallInFlight, Job};
use super::policy::Policy;
use super::retry::Class;
use crate::model::{Answer, Reply, StopReason, TeamId};
use breaker::Breaker;
pub use breaker::{BreakerVerdict, EndedRow};
use outage::Outage;
pub use outage::OutageChange;
pub use overload::FaultVerdict;
use overload::Overload;
use std::time::Duration;
use suspended::SuspendedWorkspaces;
use token::TokenHealth;

/// The state of everything that can fail more than one row.
#[derive(Debug)]
pub struct Health {
    pub outage: Outage,
    overload: Overload,
    /// Of the calls for whole users, which have a limit of their own.
    bulk_overload: Overload,
    /// Used when rows end, not when their answers arrive, because it holds rows.
    pub breaker: Breaker,
    suspended: SuspendedWorkspaces,
    token: TokenHealth,
    has_clear_answer: bool,
    /// Number of clear answers, without late ones. Failures with the same number had no clear answer between them.
    streak: u64,
    canary_answered: bool,
}

#[derive(Debug)]
pub struct AnswerVerdict {
    pub outage: OutageChange,
    pub scope: Scope,
    pub fault: FaultVerdict,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// Only the row, or no problem at all.
    Row,
    /// The workspace, which is suspended now.
    Workspace(TeamId),
    /// A workspace that was suspended while this call was in flight.
    SuspendedWorkspace,
    /// The token, which has to be read again.
    Token,
    /// An older token. The call is repeated with the newer one.
    OlderToken,
    /// Every later row would fail too.
    Run(StopReason),
}

impl Health {
    pub fn new(policy: &Policy) -> Self {
        Self {
            outage: Outage::default(),
            overload: Overload::default(),
            bulk_overload: Overload::default(),
            breaker: Breaker::new(policy.earlier.successes() > 0),
            suspended: SuspendedWorkspaces::new(policy.is_one_workspace, policy.earlier_teams.iter().cloned()),
            token: TokenHealth::default(),
            has_clear_answer: false,
            streak: 0,
            canary_answered: !policy.canary,
        }
    }

    /// Handles the answer to a call. `seed` is for the backoff in an outage.
    pub fn on(&mut self, call: &CallInFlight, reply: &Reply, class: Class, now: Duration, seed: u64) -> AnswerVerdict {
        let (job, sent_at) = (&call.job, call.sent_at);
        if class.is_decision() {
            self.canary_answered = true;
            self.token.accepted(sent_at);
        }
        let outage = match class {
            // A limiter answers before the service does, so this shows nothing about an outage.
            Class::RateLimited { .. } => OutageChange::None,
            Class::Transient { .. } => {
                // A call for many users counts again when it is retried, unless other rows were answered meanwhile.
                let is_news = !job.is_own_trouble() && (job.is_for_many() || !job.has_failed());
                self.outage.transient(reply, is_news, sent_at, now, seed)
            }
            Class::Revoked
            | Class::AlreadyGone
            | Class::NotFound
            | Class::Row
            | Class::SuspectRow
            | Class::Workspace
            | Class::TokenExpired
            | Class::Run => self.clear_answer(sent_at),
        };
        let overload = if job.is_bulk() { &mut self.bulk_overload } else { &mut self.overload };
        let fault = overload.on(job, reply, class);
        AnswerVerdict { outage, scope: self.scope(call, reply, class), fault }
    }

    fn clear_answer(&mut self, sent_at: Duration) -> OutageChange {
        self.has_clear_answer = true;
        if !self.outage.is_ended_by(sent_at) {
            return OutageChange::None;
        }
        self.streak += 1;
        if self.outage.clear() { OutageChange::Ended } else { OutageChange::None }
    }

    fn scope(&mut self, call: &CallInFlight, reply: &Reply, class: Class) -> Scope {
        let code = if let Answer::Refused(code) = &reply.answer { Some(code) } else { None };
        match class {
            Class::Revoked | Class::AlreadyGone => {
                self.suspended.ended(&call.job);
                Scope::Row
            }
            Class::TokenExpired => self.token.expired(call.sent_at),
            Class::Workspace => code.map_or(Scope::Row, |code| self.suspended.refused(&call.job, code)),
            Class::Run => code.map_or(Scope::Row, |code| {
                Scope::Run(StopReason::Refused { code: code.clone(), detail: reply.detail.clone() })
            }),
            Class::NotFound | Class::RateLimited { .. } | Class::Transient { .. } | Class::Row | Class::SuspectRow => {
                Scope::Row
            }
        }
    }

    pub fn is_suspended(&self, job: &Job) -> bool {
        self.suspended.holds(job)
    }

    pub fn any_suspended(&self) -> bool {
        self.suspended.any()
    }

    /// Whether the token is being read again; nothing may be sent meanwhile.
    pub fn is_refreshing(&self) -> bool {
        self.token.is_refreshing()
    }

    /// The token was read again. `changed_at` is `None` if it is the same or there is none.
    pub fn token_read(&mut self, changed_at: Option<Duration>) {
        self.token.read(changed_at);
    }

    pub fn has_clear_answer(&self) -> bool {
        self.has_clear_answer
    }

    pub fn canary_answered(&self) -> bool {
        self.canary_answered
    }

    pub fn streak(&self) -> u64 {
        self.streak
    }
}
