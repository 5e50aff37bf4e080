//! How a stand-in is set up.

use super::faults::{FaultRates, RepeatedReply, ReplyScript, per_mille};
use super::limiter::LimitKind;
use super::sessions::SessionStore;
use std::collections::HashMap;
use std::time::Duration;

/// Everything that a stand-in begins with. The default is the friendliest one: every session lives, no limit, no
/// trouble, an answer at once, and [`StandInToken::default`] is good.
#[derive(Debug)]
pub struct StandInConfig {
    /// Of the loopback address; 0 takes a free one.
    pub port: u16,
    pub store: SessionStore,
    pub tokens: Vec<StandInToken>,
    /// Limits by method; each method counts for itself.
    pub limits: MethodLimits,
    /// Random faults, for `admin.users.session.invalidate` alone.
    pub faults: FaultRates,
    /// Scripted answers, for `admin.users.session.invalidate` alone.
    pub script: ReplyScript,
    /// `admin.users.session.resetBulk`: its trouble, and when what it has queued is done.
    pub bulk: BulkConfig,
    pub latency: Latency,
    /// Users as `admin.users.list` shows them. Others that have sessions are active, with an address made up from their id:
    /// `u1@example.com` for `U1`.
    pub users: Vec<StandInUser>,
    /// How many calls of `admin.users.session.invalidate` are kept for [`super::Server::calls`], and how many of
    /// `admin.users.session.resetBulk` for [`super::Server::bulks`]: the first ones.
    pub log: usize,
}

impl Default for StandInConfig {
    fn default() -> Self {
        Self {
            port: 0,
            store: SessionStore::everything(),
            tokens: vec![StandInToken::default()],
            limits: MethodLimits::default(),
            faults: FaultRates::default(),
            script: ReplyScript::default(),
            bulk: BulkConfig::default(),
            latency: Latency::None,
            users: Vec::new(),
            log: 0,
        }
    }
}

/// A user as the stand-in is set up with one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StandInUser {
    pub id: String,
    pub email: String,
    /// `false` for a deactivated account.
    pub is_active: bool,
}

/// How `admin.users.session.resetBulk` behaves.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BulkConfig {
    /// Scripted answers for every call that names this user; the first user in the call that has one left decides.
    pub by_user: HashMap<String, RepeatedReply>,
    /// Scripted replies for every other call.
    pub every: Option<RepeatedReply>,
    /// Trouble by chance, drawn by the call's first user and how often that user was named.
    pub faults: FaultRates,
    /// What is queued is done when so many more calls of any method have been let through; 0 is at once.
    pub done_after: u64,
}

/// A token, whom it speaks for, and how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StandInToken {
    /// As it stands in the `Authorization` header.
    pub text: String,
    /// As they stand in `x-oauth-scopes`, separated by commas.
    pub scopes: String,
    pub identity: TokenIdentity,
    /// After how many calls of `admin.users.session.invalidate` and `resetBulk` that were let through it ends, and how.
    pub ends: Option<(u64, TokenEnd)>,
}

impl Default for StandInToken {
    /// A user token with both scopes, without an end.
    fn default() -> Self {
        Self::named("xoxp-stand-in-0001")
    }
}

impl StandInToken {
    /// A token of this text, with both scopes, without an end.
    #[must_use]
    pub fn named(text: &str) -> Self {
        Self {
            text: text.into(),
            scopes: "admin.users:read,admin.users:write".into(),
            identity: TokenIdentity::default(),
            ends: None,
        }
    }
}

/// How a token comes to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TokenEnd {
    /// Later calls get `token_expired`.
    Expired,
    /// Later calls get `token_revoked`.
    Revoked,
}

#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct TokenIdentity {
    pub url: String,
    /// The organization's or workspace's name.
    pub team: String,
    pub user: String,
    /// `E…` for an organization's token, else `T…`.
    pub team_id: String,
    pub user_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enterprise_id: Option<String>,
    /// Whether the token was given by the whole organization.
    pub is_enterprise_install: bool,
    /// Seconds that a rotating token has left.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_in: Option<u64>,
}

impl Default for TokenIdentity {
    fn default() -> Self {
        Self {
            url: "https://stand-in.enterprise.slack.com/".into(),
            team: "Stand-in".into(),
            user: "org-admin".into(),
            team_id: "E0STANDIN".into(),
            user_id: "W0STANDIN".into(),
            enterprise_id: Some("E0STANDIN".into()),
            is_enterprise_install: true,
            expires_in: None,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MethodLimits {
    pub invalidate: Limit,
    pub reset_bulk: Limit,
    pub list: Limit,
    pub list_users: Limit,
    pub auth_test: Limit,
}

/// How one method is limited, and how it says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limit {
    pub kind: LimitKind,
    pub scope: LimitScope,
    /// What a refusal says about coming back.
    pub retry_after: RetryAfter,
    /// Which HTTP status a refusal has.
    pub status: LimitStatus,
}

impl Limit {
    /// This count, one bucket for a token, and honest 429s.
    #[must_use]
    pub fn of(kind: LimitKind) -> Self {
        Self { kind, ..Self::default() }
    }
}

/// Which calls of a method share a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LimitScope {
    /// Those with the same token.
    #[default]
    Token,
    /// Those with the same token that name the same workspace; those that name none are one bucket of the token's.
    Team,
}

/// The `Retry-After` of a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RetryAfter {
    /// The true wait in whole seconds, rounded up.
    #[default]
    True,
    Missing,
    Zero,
    /// The true end of the wait as an HTTP date, rounded up to its whole second.
    HttpDate,
    /// This many seconds, be it more or less than the truth.
    Fixed(u64),
}

/// The HTTP status of a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LimitStatus {
    /// 429 with `ratelimited` in JSON, as documented.
    #[default]
    TooManyRequests,
    /// 200 with the same body, which slack.md holds possible.
    Ok,
    /// 503 with a page of HTML, as proxies limit.
    Unavailable,
}

/// How long an answer takes beyond its making.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Latency {
    /// No delay.
    #[default]
    None,
    Fixed(Duration),
    /// As long for one session every time, evenly spread between the two over all sessions; without a session the
    /// shorter one.
    Between(Duration, Duration),
}

impl Latency {
    /// The delay of a call for `session`.
    pub(super) fn of(self, session: Option<u64>) -> Duration {
        match self {
            Self::None => Duration::ZERO,
            Self::Fixed(delay) => delay,
            Self::Between(least, most) => {
                let part = session.map_or(0, |session| per_mille(0, session, 0));
                least + most.saturating_sub(least) * part / 1000
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latency_is_a_sessions_own() {
        let (least, most) = (Duration::from_millis(30), Duration::from_millis(80));
        let latency = Latency::Between(least, most);
        let delays: Vec<_> = (0..1000).map(|session| latency.of(Some(session))).collect();
        assert!(delays.iter().all(|&delay| (least..most).contains(&delay)));
        let tenth = Duration::from_millis(5);
        assert!(delays.iter().any(|&delay| delay < least + tenth));
        assert!(delays.iter().any(|&delay| delay + tenth > most));
        assert_eq!(latency.of(Some(7)), latency.of(Some(7)));
        assert_eq!(latency.of(None), least);
        assert_eq!(Latency::Fixed(most).of(Some(1)), most);
        assert_eq!(Latency::None.of(Some(1)), Duration::ZERO);
    }
}
