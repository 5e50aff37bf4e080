//! The stand-in of `run --rehearse`: Slack's documented limit, and every answer that a good list may get.

use super::config::{BulkConfig, Latency, Limit, MethodLimits, StandInConfig, StandInToken, TokenIdentity};
use super::faults::{Effect, FaultRates, InjectedFault, per_mille};
use super::limiter::LimitKind;
use super::sessions::{Session, SessionStore};
use crate::model::{SessionId, TeamId, UserId};
use std::time::Duration;

/// The only token that it accepts.
pub const REHEARSAL_TOKEN: &str = "xoxp-rehearsal-0000000000-opens-nothing";

const SEED: u64 = 0x510C;
/// Per thousand sessions: gone before the run, so `session_not_found`.
const GONE: u32 = 40;
/// Per thousand sessions: expired, so `session_expired`.
const EXPIRED: u32 = 5;
/// Per thousand first calls: a 503 page, without effect.
const UNAVAILABLE: u32 = 20;
/// Per thousand first calls: `internal_error`, although the session was ended.
const HALF_DONE: u32 = 20;

/// Number of calls until a queued bulk job is done, so that the delay is noticeable.
const QUEUED: u64 = 3;

/// A session's state before the run begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum InitialState {
    Live,
    Gone,
    Expired,
}

impl StandInConfig {
    /// A stand-in for the rows of one input, with the workspace and owner that they name.
    ///
    /// Most sessions are alive, a few are gone or expired, and a few first calls get a fault. This depends only on
    /// the session ids, so that a rehearsal can be repeated, and no row fails. Needs about 50 bytes per row and 30
    /// per user.
    ///
    /// `others` are further sessions, each with whether it is alive. Their users always exist.
    pub fn rehearsal(
        rows: impl IntoIterator<Item = (SessionId, Option<TeamId>, Option<UserId>)>,
        others: impl IntoIterator<Item = (SessionId, Option<TeamId>, Option<UserId>, bool)>,
    ) -> Self {
        let mut store = SessionStore::listed([]);
        for (session, team, user, is_alive) in others {
            if let Some(user) = &user {
                store.add_user(user.as_str());
            }
            if is_alive {
                let (team, user) = (team.map(|team| team.to_string()), user.map(|user| user.to_string()));
                store.put_first(Session { id: session.get(), team, user, expired: false, devices: None });
            }
        }
        for (session, team, user) in rows {
            // The user exists even if the sessions are gone.
            if let Some(user) = &user {
                store.add_user(user.as_str());
            }
            if let Some(session) = to_session(session.get(), team, user) {
                store.put_first(session);
            }
        }
        Self {
            store,
            tokens: vec![StandInToken { identity: identity(), ..StandInToken::named(REHEARSAL_TOKEN) }],
            limits: limits(),
            faults: FaultRates::seeded(SEED)
                .with(InjectedFault::Unavailable, Effect::None, UNAVAILABLE)
                .with(InjectedFault::InternalError, Effect::Done, HALF_DONE)
                .on_first_calls(1),
            bulk: BulkConfig { done_after: QUEUED, ..BulkConfig::default() },
            latency: Latency::Between(Duration::from_millis(30), Duration::from_millis(80)),
            ..Self::default()
        }
    }
}

/// `None` for a session that is gone.
fn to_session(id: u64, team: Option<TeamId>, user: Option<UserId>) -> Option<Session> {
    let expired = match initial_state(id) {
        InitialState::Gone => return None,
        InitialState::Expired => true,
        InitialState::Live => false,
    };
    let (team, user) = (team.map(|team| team.to_string()), user.map(|user| user.to_string()));
    Some(Session { id, team, user, expired, devices: None })
}

fn initial_state(session: u64) -> InitialState {
    match per_mille(!SEED, session, 0) {
        draw if draw < GONE => InitialState::Gone,
        draw if draw < GONE + EXPIRED => InitialState::Expired,
        _ => InitialState::Live,
    }
}

/// Tier 2 with a burst for the admin methods (slack.md, "Rate limits"), Tier 4 for `admin.users.list`, hundreds a
/// minute for `auth.test`.
fn limits() -> MethodLimits {
    let minute = Duration::from_mins(1);
    let tier2 = Limit::of(LimitKind::TokenBucket { calls: 20, per: minute, burst: 40 });
    let hundreds = Limit::of(LimitKind::TokenBucket { calls: 300, per: minute, burst: 100 });
    let tier4 = Limit::of(LimitKind::TokenBucket { calls: 100, per: minute, burst: 100 });
    MethodLimits { invalidate: tier2, reset_bulk: tier2, list: tier2, list_users: tier4, auth_test: hundreds }
}

/// Not a user of the input, whose rows would become the token's own sessions.
fn identity() -> TokenIdentity {
    TokenIdentity {
        url: "https://rehearsal.enterprise.slack.com/".into(),
        team: "Rehearsal".into(),
        user: "rehearsal".into(),
        team_id: "E0REHEARSAL".into(),
        user_id: "W0REHEARSAL".into(),
        enterprise_id: Some("E0REHEARSAL".into()),
        is_enterprise_install: true,
        expires_in: None,
    }
}
