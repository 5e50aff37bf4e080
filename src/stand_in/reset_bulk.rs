//! `admin.users.session.resetBulk`: its calls and its queue.

use super::config::BulkConfig;
use super::faults::{Effect, InjectedFault, RepeatedReply, ScriptedReply, StandInReply, mix};
use super::sessions::SessionStore;
use crate::model::{ErrorCode, SessionKind};
use std::collections::{HashMap, VecDeque};

/// A call of `admin.users.session.resetBulk` that reached its bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BulkCall {
    /// Empty if its arguments are invalid.
    pub users: Vec<String>,
    pub reply: StandInReply,
}

/// Queued jobs by the number of the call at which each is done.
#[derive(Debug)]
pub(super) struct BulkQueue {
    config: BulkConfig,
    jobs: VecDeque<(u64, Vec<String>, Option<SessionKind>)>,
    calls: u64,
    /// How often each user was the first one of a call.
    named: HashMap<String, u32>,
    log: Vec<BulkCall>,
    log_capacity: usize,
}

impl BulkQueue {
    pub(super) fn new(config: BulkConfig, log_capacity: usize) -> Self {
        Self { config, jobs: VecDeque::new(), calls: 0, named: HashMap::new(), log: Vec::new(), log_capacity }
    }

    /// Counts an accepted call of any method, and does the jobs that are due before it is answered.
    pub(super) fn count_call(&mut self, store: &mut SessionStore) {
        self.calls += 1;
        while let Some((_, users, only)) = self.jobs.pop_front_if(|(due, ..)| *due <= self.calls) {
            store.end_all_of(&users, only);
        }
    }

    /// Answers a call for these users, and queues its job.
    pub(super) fn answer(
        &mut self,
        users: &[&str],
        only: Option<SessionKind>,
        store: &mut SessionStore,
    ) -> StandInReply {
        match self.scripted_reply(users) {
            None => self.real_reply(users, only, store),
            Some(ScriptedReply::Refused(code)) => StandInReply::Refused(code),
            Some(ScriptedReply::Fault(fault, effect)) => {
                let taken = match effect {
                    Effect::None => None,
                    Effect::Done => Some(self.real_reply(users, only, store)),
                };
                match (fault, taken) {
                    (InjectedFault::Slow(_), Some(reply)) => reply,
                    (InjectedFault::Slow(_), None) => self.real_reply(users, only, store),
                    _ => StandInReply::Fault(fault),
                }
            }
        }
    }

    fn real_reply(&mut self, users: &[&str], only: Option<SessionKind>, store: &mut SessionStore) -> StandInReply {
        if users.iter().any(|user| !store.has_user(user)) {
            return StandInReply::Refused(ErrorCode::UserNotFound);
        }
        let users: Vec<String> = users.iter().map(|user| (*user).to_owned()).collect();
        match self.config.done_after {
            0 => store.end_all_of(&users, only),
            after => self.jobs.push_back((self.calls + after, users, only)),
        }
        StandInReply::Ok
    }

    fn scripted_reply(&mut self, users: &[&str]) -> Option<ScriptedReply> {
        let first = users.first().copied().unwrap_or_default();
        let seen = self.named.entry(first.to_owned()).or_default();
        let draw = first.bytes().fold(0, |draw, byte| mix(draw ^ u64::from(byte)));
        let drawn = self.config.faults.draw(draw, *seen);
        *seen += 1;
        let by_user = &mut self.config.by_user;
        let scripted = users.iter().find_map(|user| by_user.get_mut(*user).and_then(RepeatedReply::next));
        scripted
            .or_else(|| self.config.every.as_mut().and_then(RepeatedReply::next))
            .or_else(|| drawn.map(|(fault, effect)| ScriptedReply::Fault(fault, effect)))
    }

    /// Logs a call, unless the log is full.
    pub(super) fn record(&mut self, users: &[&str], reply: &StandInReply) {
        if self.log.len() < self.log_capacity {
            let users = users.iter().map(|user| (*user).to_owned()).collect();
            self.log.push(BulkCall { users, reply: reply.clone() });
        }
    }

    /// The logged calls, in order.
    pub(super) fn calls(&self) -> Vec<BulkCall> {
        self.log.clone()
    }

    /// Does all queued jobs immediately.
    pub(super) fn finish(&mut self, store: &mut SessionStore) {
        self.jobs.drain(..).for_each(|(_, users, only)| store.end_all_of(&users, only));
    }

    /// Number of users whose job isn't done.
    pub(super) fn queued(&self) -> usize {
        self.jobs.iter().map(|(_, users, _)| users.len()).sum()
    }

    /// Replaces the scripted answers.
    pub(super) fn set(&mut self, config: BulkConfig) {
        self.config = config;
    }
}
