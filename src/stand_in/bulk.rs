//! `admin.users.session.resetBulk`: what was asked for, and what is queued and not done yet.

use super::config::Bulk;
use super::faults::{Effect, Fault, Prescribed, Scripted, StandInReply, mix};
use super::sessions::Population;
use crate::model::ErrorCode;
use std::collections::{HashMap, VecDeque};

/// One call of `admin.users.session.resetBulk` that reached its bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BulkCall {
    /// The users that it named; none where its arguments could not be read.
    pub users: Vec<String>,
    /// The answer.
    pub told: StandInReply,
}

/// The jobs that were queued, by the number of the call with which each is done.
#[derive(Debug)]
pub(super) struct BulkQueue {
    config: Bulk,
    jobs: VecDeque<(u64, Vec<String>)>,
    calls: u64,
    /// How often each user was the first of a call.
    named: HashMap<String, u32>,
    log: Vec<BulkCall>,
    log_room: usize,
}

impl BulkQueue {
    pub(super) fn new(config: Bulk, log_room: usize) -> Self {
        Self { config, jobs: VecDeque::new(), calls: 0, named: HashMap::new(), log: Vec::new(), log_room }
    }

    /// A call of any method was let through: what is due is done before it is answered.
    pub(super) fn count_a_call(&mut self, population: &mut Population) {
        self.calls += 1;
        while let Some((_, users)) = self.jobs.pop_front_if(|(due, _)| *due <= self.calls) {
            population.end_all_of(&users);
        }
    }

    /// The answer to a call for these users, and what it queues.
    pub(super) fn answer(&mut self, users: &[&str], population: &mut Population) -> StandInReply {
        match self.prescribe(users) {
            None => self.truth(users, population),
            Some(Prescribed::Refused(code)) => StandInReply::Refused(code),
            Some(Prescribed::Fault(fault, effect)) => {
                let taken = match effect {
                    Effect::None => None,
                    Effect::Done => Some(self.truth(users, population)),
                };
                match (fault, taken) {
                    (Fault::Slow(_), Some(told)) => told,
                    (Fault::Slow(_), None) => self.truth(users, population),
                    _ => StandInReply::Fault(fault),
                }
            }
        }
    }

    fn truth(&mut self, users: &[&str], population: &mut Population) -> StandInReply {
        if users.iter().any(|user| !population.knows(user)) {
            return StandInReply::Refused(ErrorCode::UserNotFound);
        }
        let users: Vec<String> = users.iter().map(|user| (*user).to_owned()).collect();
        match self.config.done_after {
            0 => population.end_all_of(&users),
            after => self.jobs.push_back((self.calls + after, users)),
        }
        StandInReply::Ok
    }

    fn prescribe(&mut self, users: &[&str]) -> Option<Prescribed> {
        let first = users.first().copied().unwrap_or_default();
        let seen = self.named.entry(first.to_owned()).or_default();
        let lot = first.bytes().fold(0, |lot, byte| mix(lot ^ u64::from(byte)));
        let drawn = self.config.faults.draw(lot, *seen);
        *seen += 1;
        let by_user = &mut self.config.by_user;
        let laid_down = users.iter().find_map(|user| by_user.get_mut(*user).and_then(Scripted::take));
        laid_down
            .or_else(|| self.config.every.as_mut().and_then(Scripted::take))
            .or_else(|| drawn.map(|(fault, effect)| Prescribed::Fault(fault, effect)))
    }

    /// Keeps a call, where there is room left.
    pub(super) fn record(&mut self, users: &[&str], told: &StandInReply) {
        if self.log.len() < self.log_room {
            let users = users.iter().map(|user| (*user).to_owned()).collect();
            self.log.push(BulkCall { users, told: told.clone() });
        }
    }

    /// The calls kept, in the order of their decision.
    pub(super) fn calls(&self) -> Vec<BulkCall> {
        self.log.clone()
    }

    /// How many users' sessions are still to be ended.
    pub(super) fn queued(&self) -> usize {
        self.jobs.iter().map(|(_, users)| users.len()).sum()
    }

    /// Replaces the answers laid down.
    pub(super) fn set(&mut self, config: Bulk) {
        self.config = config;
    }
}
