//! The configuration of a stand-in.

use super::faults::{FaultRates, RepeatedReply, ReplyScript, per_mille};
use super::limiter::LimitKind;
use super::sessions::SessionStore;
use std::collections::HashMap;
use std::time::Duration;

/// By default every session is alive, there are no limits, faults or delays, and the token is
/// [`StandInToken::default`].
#[derive(Debug)]
pub struct StandInConfig {
    /// On the loopback address; 0 for a free port.
    pub port: u16,
    pub store: SessionStore,
    pub tokens: Vec<StandInToken>,
    /// Each method has its own limit.
    pub limits: MethodLimits,
    /// Random faults, only for `admin.users.session.invalidate`.
    pub faults: FaultRates,
    /// Scripted answers, only for `admin.users.session.invalidate`.
    pub script: ReplyScript,
    /// The behaviour of `admin.users.session.resetBulk`.
    pub bulk: BulkConfig,
    pub latency: Latency,
    /// Users for `admin.users.list`. Other users with sessions are active, with an address made from their id:
    /// `u1@example.com` for `U1`.
    pub users: Vec<StandInUser>,
    /// Maximum number of calls kept for [`super::Server::calls`] and [`super::Server::bulks`], from the start.
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
    /// Scripted answers for calls with this user. The first user of the call that has one left decides.
    pub by_user: HashMap<String, RepeatedReply>,
    /// Scripted replies for every other call.
    pub every: Option<RepeatedReply>,
    /// Random faults, drawn from the first user of the call and how often that user was the first.
    pub faults: FaultRates,
    /// Queued jobs are done after this many further calls of any method; 0 for immediately.
    pub done_after: u64,
}

/// A token with its owner and lifetime.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StandInToken {
    /// As in the `Authorization` header.
    pub text: String,
    /// As in `x-oauth-scopes`, separated by commas.
    pub scopes: String,
    pub identity: TokenIdentity,
    /// After how many accepted calls of `admin.users.session.invalidate` and `resetBulk` it ends, and how.
    pub ends: Option<(u64, TokenEnd)>,
}

impl Default for StandInToken {
    /// A user token with both scopes that doesn't end.
    fn default() -> Self {
        Self::named("xoxp-stand-in-0001")
    }
}

impl StandInToken {
    /// A user token with both scopes that doesn't end.
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
    /// Whether the app is installed in the whole organization.
    pub is_enterprise_install: bool,
    /// In seconds, for a rotating token.
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

/// The limit of a method and its answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limit {
    pub kind: LimitKind,
    pub scope: LimitScope,
    /// The `Retry-After` of a refusal.
    pub retry_after: RetryAfter,
    /// The HTTP status of a refusal.
    pub status: LimitStatus,
}

impl Limit {
    /// With one bucket per token, and 429s with the true wait.
    #[must_use]
    pub fn of(kind: LimitKind) -> Self {
        Self { kind, ..Self::default() }
    }
}

/// Which calls of a method share a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LimitScope {
    /// Calls with the same token.
    #[default]
    Token,
    /// Calls with the same token and workspace. Calls without a workspace share a bucket of the token.
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
    /// This many seconds, regardless of the true wait.
    Fixed(u64),
}

/// The HTTP status of a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LimitStatus {
    /// 429 with `ratelimited` in JSON, as documented.
    #[default]
    TooManyRequests,
    /// 200 with the same body, which slack.md considers possible.
    Ok,
    /// 503 with an HTML page, as from a limiting proxy.
    Unavailable,
}

/// The delay of answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Latency {
    /// No delay.
    #[default]
    None,
    Fixed(Duration),
    /// The same for each call of a session, evenly distributed between the two over all sessions; the shorter one
    /// without a session.
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
