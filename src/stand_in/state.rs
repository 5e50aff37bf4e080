//! The state of the stand-in. No handler holds its lock while it waits.

use super::arguments::Method;
use super::config::{Limit, LimitScope, MethodLimits, StandInConfig, StandInToken, StandInUser};
use super::config::{TokenEnd, TokenIdentity};
use super::faults::{FaultRates, ReplyScript, ScriptedReply, StandInReply};
use super::interner::{Interner, NameId};
use super::limiter::{BucketCounts, CallBucket};
use super::reset_bulk::BulkQueue;
use super::sessions::{SessionOwner, SessionStore};
use crate::model::ErrorCode;
use axum::http::HeaderValue;
use std::collections::HashMap;
use std::time::Duration;

/// Counts; unless stated otherwise, of calls of `admin.users.session.invalidate`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Stats {
    /// In the order of their first calls.
    pub buckets: Vec<BucketStats>,
    /// Calls of any method that were refused because of the token or its scopes, before any bucket.
    pub unauthorized: u64,
    pub revoked: u64,
    /// Calls for a session that an earlier call had ended. Harmless, and only necessary if that call's answer was
    /// lost.
    pub repeats: u64,
    /// Of these, calls for a session whose `ok: true` was sent.
    pub after_ok: u64,
}

impl Stats {
    /// The sum over all buckets of a method; peaks are those of the busiest one.
    #[must_use]
    pub fn of(&self, method: Method) -> BucketCounts {
        let buckets = self.buckets.iter().filter(|bucket| bucket.method == method);
        buckets.fold(BucketCounts::default(), |sum, bucket| sum.plus(bucket.counts))
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BucketStats {
    pub method: Method,
    pub token: String,
    /// The workspace, if each has its own bucket.
    pub team: Option<String>,
    pub counts: BucketCounts,
}

/// A call of `admin.users.session.invalidate` that reached its bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallRecord {
    /// Arrival in milliseconds since the server's start.
    pub at_ms: u64,
    /// `None` if the arguments are invalid.
    pub session: Option<u64>,
    pub reply: StandInReply,
}

/// Why a token isn't accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Denial {
    pub code: ErrorCode,
    /// The needed scope and those of the token, for `missing_scope`.
    pub scopes: Option<(&'static str, String)>,
}

/// A call with a valid token.
#[derive(Debug)]
pub(super) struct Admission {
    /// Its bucket; [`ServerState::leave`] must be called at the end.
    pub bucket: BucketId,
    pub scopes: HeaderValue,
    /// Accepted, or the true wait.
    pub verdict: Result<(), Duration>,
}

/// Index of a bucket in [`ServerState`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BucketId(usize);

#[derive(Debug)]
struct TokenState {
    number: NameId,
    scopes: HeaderValue,
    token: StandInToken,
    taken: u64,
    end: Option<TokenEnd>,
}

type BucketKey = (Method, NameId, Option<NameId>);

#[derive(Debug)]
pub(super) struct ServerState {
    pub store: SessionStore,
    pub script: ReplyScript,
    pub bulk: BulkQueue,
    pub users: Vec<StandInUser>,
    faults: FaultRates,
    limits: MethodLimits,
    tokens: HashMap<String, TokenState>,
    /// The tokens and workspaces of buckets.
    interner: Interner,
    places: HashMap<BucketKey, BucketId>,
    buckets: Vec<(BucketKey, CallBucket)>,
    log: Vec<CallRecord>,
    log_capacity: usize,
    stats: Stats,
}

impl ServerState {
    pub(super) fn new(config: StandInConfig) -> Self {
        let mut state = Self {
            store: config.store,
            script: config.script,
            bulk: BulkQueue::new(config.bulk, config.log),
            users: config.users,
            faults: config.faults,
            limits: config.limits,
            tokens: HashMap::new(),
            interner: Interner::default(),
            places: HashMap::new(),
            buckets: Vec::new(),
            log: Vec::new(),
            log_capacity: config.log,
            stats: Stats::default(),
        };
        config.tokens.into_iter().for_each(|token| state.accept(token));
        state
    }

    /// Accepts a token from now on.
    pub(super) fn accept(&mut self, token: StandInToken) {
        let number = self.interner.intern(&token.text);
        // Scopes that can't be in a header are omitted.
        let scopes = HeaderValue::from_str(&token.scopes).unwrap_or(HeaderValue::from_static(""));
        self.tokens.insert(token.text.clone(), TokenState { number, scopes, token, taken: 0, end: None });
    }

    /// Ends a token, if it is known.
    pub(super) fn end_token(&mut self, text: &str, end: TokenEnd) {
        if let Some(token) = self.tokens.get_mut(text) {
            token.end = Some(end);
        }
    }

    pub(super) fn identity(&self, text: &str) -> Option<TokenIdentity> {
        self.tokens.get(text).map(|token| token.token.identity.clone())
    }

    /// Counts a call.
    ///
    /// # Errors
    /// If the token isn't accepted.
    pub(super) fn admit(
        &mut self,
        method: Method,
        token: Option<&str>,
        team: Option<&str>,
        now: Duration,
    ) -> Result<Admission, Denial> {
        let (number, scopes) = self.authorize(method, token).inspect_err(|_| self.stats.unauthorized += 1)?;
        let bucket = self.place(method, number, team);
        let verdict = self.buckets[bucket.0].1.arrive(now);
        if verdict.is_ok() {
            self.bulk.count_call(&mut self.store);
            if let (true, Some(token)) = (method.writes(), token.and_then(|token| self.tokens.get_mut(token))) {
                token.count();
            }
        }
        Ok(Admission { bucket, scopes, verdict })
    }

    fn authorize(&self, method: Method, token: Option<&str>) -> Result<(NameId, HeaderValue), Denial> {
        let denied = |code| Err(Denial { code, scopes: None });
        let Some(text) = token else { return denied(ErrorCode::NotAuthed) };
        if method.scope().is_some() && text.starts_with("xoxb-") {
            return denied(ErrorCode::NotAllowedTokenType);
        }
        let Some(state) = self.tokens.get(text) else { return denied(ErrorCode::InvalidAuth) };
        match state.end {
            Some(TokenEnd::Expired) => return denied(ErrorCode::TokenExpired),
            Some(TokenEnd::Revoked) => return denied(ErrorCode::TokenRevoked),
            None => {}
        }
        let granted = |needed: &&str| state.token.scopes.split(',').any(|scope| scope == *needed);
        match method.scope() {
            Some(needed) if !granted(&needed) => {
                let scopes = Some((needed, state.token.scopes.clone()));
                Err(Denial { code: ErrorCode::MissingScope, scopes })
            }
            Some(_) | None => Ok((state.number, state.scopes.clone())),
        }
    }

    pub(super) fn limit(&self, method: Method) -> Limit {
        match method {
            Method::Invalidate => self.limits.invalidate,
            Method::ResetBulk => self.limits.reset_bulk,
            Method::List => self.limits.list,
            Method::ListUsers => self.limits.list_users,
            Method::AuthTest => self.limits.auth_test,
        }
    }

    fn place(&mut self, method: Method, token: NameId, team: Option<&str>) -> BucketId {
        let limit = self.limit(method);
        let team = match limit.scope {
            LimitScope::Token => None,
            LimitScope::Team => team.map(|team| self.interner.intern(team)),
        };
        let key = (method, token, team);
        *self.places.entry(key).or_insert_with(|| {
            self.buckets.push((key, CallBucket::new(limit.kind)));
            BucketId(self.buckets.len() - 1)
        })
    }

    /// All configured users and all with sessions, in the order of their ids.
    pub(super) fn all_users(&self) -> Vec<StandInUser> {
        let made_up = |id: &str| StandInUser {
            id: id.into(),
            email: format!("{}@example.com", id.to_lowercase()),
            is_active: true,
        };
        let is_set_up = |id: &&str| self.users.iter().any(|user| user.id == *id);
        let others = self.store.users().filter(|id| !is_set_up(id)).map(made_up);
        let mut all: Vec<_> = self.users.iter().cloned().chain(others).collect();
        all.sort_by(|one, other| one.id.cmp(&other.id));
        all
    }

    /// Notes that a refusal at `now` asks for a pause of `stated`.
    pub(super) fn pause(&mut self, bucket: BucketId, now: Duration, stated: Duration) {
        self.buckets[bucket.0].1.pause(now, stated);
    }

    /// Notes that a call was answered or its client disconnected.
    pub(super) fn leave(&mut self, bucket: BucketId) {
        self.buckets[bucket.0].1.leave();
    }

    /// Counts an accepted call for `session`, and returns its scripted or random answer.
    pub(super) fn scripted_reply(&mut self, session: u64, owner: SessionOwner<'_>) -> Option<ScriptedReply> {
        let seen = self.store.count_call(session);
        self.stats.repeats += u64::from(seen.revoked);
        self.stats.after_ok += u64::from(seen.confirmed);
        let team = match owner {
            SessionOwner::Team(team) => Some(team),
            SessionOwner::User(_) => None,
        };
        let scripted = self.script.next_reply(session, team);
        scripted.or_else(|| {
            self.faults.draw(session, seen.calls).map(|(fault, effect)| ScriptedReply::Fault(fault, effect))
        })
    }

    /// Logs a call, unless the log is full.
    pub(super) fn record(&mut self, at: Duration, session: Option<u64>, reply: &StandInReply) {
        if self.log.len() < self.log_capacity {
            let at_ms = u64::try_from(at.as_millis()).expect("a server's life in milliseconds");
            self.log.push(CallRecord { at_ms, session, reply: reply.clone() });
        }
    }

    /// The logged calls, in order.
    pub(super) fn calls(&self) -> Vec<CallRecord> {
        self.log.clone()
    }

    pub(super) fn stats(&self) -> Stats {
        let buckets = self.buckets.iter().map(|((method, token, team), bucket)| BucketStats {
            method: *method,
            token: self.interner.text(*token).into(),
            team: team.map(|team| self.interner.text(team).into()),
            counts: bucket.counts(),
        });
        Stats { buckets: buckets.collect(), revoked: self.store.revoked(), ..self.stats.clone() }
    }
}

impl TokenState {
    /// Counts an accepted call, which may end the token.
    fn count(&mut self) {
        self.taken += 1;
        if let Some((calls, end)) = self.token.ends
            && self.taken >= calls
        {
            self.end = Some(end);
        }
    }
}
