//! Slack as the runs see it: it knows which sessions live.

use super::play::{Play, Trouble, team_id, user_id};
use crate::dice::Dice;
use slack_revoke::engine::clock::Clock;
use slack_revoke::engine::ports::{Permit, Refreshed, Request, SessionApi};
use slack_revoke::model::{Answer, ErrorCode, Fault, Reply, SessionTarget, UserId};
use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const MINUTE: Duration = Duration::from_mins(1);

#[derive(Debug, Clone, Default)]
pub(super) struct Seen {
    pub(super) users_in_bulk: BTreeSet<usize>,
    /// Calls of single sessions and of `resetBulk`.
    pub(super) calls: [u64; 2],
    pub(super) limited: u64,
}

pub(super) struct OrganizationState {
    pub(super) play: Play,
    pub(super) dice: Dice,
    pub(super) clock: Clock,
    pub(super) sent: [VecDeque<Duration>; 2],
    pub(super) seen: Seen,
}

#[derive(Clone)]
pub(super) struct Organization(pub(super) Arc<Mutex<OrganizationState>>);

impl Organization {
    pub(super) fn new(play: Play, clock: Clock, dice: Dice) -> Self {
        let sent = [VecDeque::new(), VecDeque::new()];
        Self(Arc::new(Mutex::new(OrganizationState { play, dice, clock, sent, seen: Seen::default() })))
    }
}

impl OrganizationState {
    fn answer(&mut self, request: &Request) -> Answer {
        let method = usize::from(matches!(request, Request::Users(_)));
        self.seen.calls[method] += 1;
        if let Some(pause) = self.wait_for_limit(method) {
            self.seen.limited += 1;
            return Answer::RateLimited { retry_after: Some(pause) };
        }
        let faults = &mut self.play.trouble.faults;
        if *faults == 0 || self.dice.chance(0.7) {
            return self.act(request);
        }
        *faults -= 1;
        match self.dice.between(0, 2) {
            0 => Answer::Fault(Fault::NotConnected),
            1 => Answer::Refused(ErrorCode::from("service_unavailable")),
            _ => {
                self.act(request);
                Answer::Fault(Fault::Timeout)
            }
        }
    }

    /// Until the method takes a call, if it doesn't take this one.
    fn wait_for_limit(&mut self, method: usize) -> Option<Duration> {
        let (now, sent) = (self.clock.elapsed(), &mut self.sent[method]);
        while sent.front().is_some_and(|at| *at + MINUTE <= now) {
            sent.pop_front();
        }
        let most = self.play.trouble.per_minute.filter(|most| sent.len() >= *most);
        if most.is_none() {
            sent.push_back(now);
        }
        most.and_then(|_| sent.front()).map(|first| (*first + MINUTE).saturating_sub(now))
    }

    fn act(&mut self, request: &Request) -> Answer {
        match request {
            Request::Session(target) => self.invalidate(target),
            Request::Users(users) => {
                let number = |user: &UserId| user.as_str()[1..].parse().expect("one of ours");
                self.reset_bulk(&users.iter().map(number).collect())
            }
        }
    }

    fn invalidate(&mut self, target: &SessionTarget) -> Answer {
        let (session, (_, id)) = (target.session().get(), target.identifier());
        let owner = self.play.sessions.get(&session).filter(|_| self.play.alive.contains(&session));
        match owner.filter(|(user, team)| id == user_id(*user) || id == team_id(*team)) {
            None => Answer::Refused(ErrorCode::SessionNotFound),
            Some((user, _)) if self.play.trouble.primary_owners.contains(user) => {
                Answer::Refused(ErrorCode::from("cannot_invalidate_primary_owner"))
            }
            Some(_) => {
                self.play.alive.remove(&session);
                Answer::Ok
            }
        }
    }

    fn reset_bulk(&mut self, users: &BTreeSet<usize>) -> Answer {
        self.seen.users_in_bulk.extend(users);
        let Trouble { primary_owners, not_in_bulk, bulk_fails, .. } = &self.play.trouble;
        if *bulk_fails {
            return Answer::Refused(ErrorCode::from("user_session_reset_failed"));
        }
        let refused: BTreeSet<usize> =
            users.iter().copied().filter(|user| primary_owners.contains(user) || not_in_bulk.contains(user)).collect();
        if !refused.is_empty() && self.dice.chance(0.5) {
            return Answer::Refused(ErrorCode::from("cannot_reset_primary_owner"));
        }
        let ends = |session: &u64| {
            let user = self.play.sessions[session].0;
            users.contains(&user) && !refused.contains(&user)
        };
        let ended: BTreeSet<u64> = self.play.alive.iter().copied().filter(ends).collect();
        self.play.alive.retain(|session| !ended.contains(session));
        if refused.is_empty() { Answer::Ok } else { Answer::Refused(ErrorCode::FailedForSomeUsers) }
    }
}

impl SessionApi for Organization {
    fn call(&self, _permit: Permit, request: Request) -> impl Future<Output = Option<Reply>> + Send + 'static {
        let this = self.clone();
        async move {
            tokio::time::sleep(Duration::from_millis(100)).await;
            let answer = this.0.lock().expect("no panic before").answer(&request);
            Some(Reply { http_status: Some(200), ..Reply::bare(answer) })
        }
    }

    async fn refresh_token(&self) -> Refreshed {
        Refreshed::Unchanged
    }
}
