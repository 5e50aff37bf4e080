//! What a plan knows, and what follows from it: calls and times.

use crate::model::{InvalidRow, LimitUse, Rate, RateChoice, SessionKind, Timestamp, USERS_PER_CALL};
use crate::output::text::without_userinfo;
use serde::{Serialize, Serializer};
use std::time::Duration;

/// What is sent as whole users, and what one by one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BulkPlan {
    /// The listing of `--bulk`; `None` with `--whole-users`.
    pub listing: Option<String>,
    pub users: u64,
    /// Calls of `resetBulk`.
    pub calls: u64,
    /// Rows that are sent one by one.
    pub sessions: u64,
}

impl BulkPlan {
    /// `None` without a limit. Each method has its own, but a fixed rate is that of the whole run.
    #[must_use]
    pub fn duration(&self, rate: RateChoice) -> Option<Duration> {
        match rate {
            RateChoice::Auto { .. } => time_at(rate, self.calls).max(time_at(rate, self.sessions)),
            RateChoice::Fixed(_) | RateChoice::Unlimited => time_at(rate, self.calls + self.sessions),
        }
    }

    /// Whether it saves more than half of the time.
    fn is_worth_it(&self, rate: RateChoice, rows: u64) -> bool {
        self.duration(rate).zip(time_at(rate, rows)).is_some_and(|(with, without)| with < without / 2)
    }
}

/// What reading and checking the input has found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PlanFacts {
    pub input: String,
    /// How long ago the input was listed, according to its file.
    #[serde(rename = "input_age_seconds", serialize_with = "seconds")]
    pub input_age: Option<Duration>,
    pub output: String,
    /// Rows of the input: the sum of the six numbers below.
    pub rows: u64,
    /// Rows that will be sent, naming their session by `user_id`.
    pub by_user: u64,
    /// Rows that will be sent, naming their session by `team_id`.
    pub by_team: u64,
    pub invalid: u64,
    /// Rows whose session stands on an earlier line.
    pub duplicates: u64,
    pub protected: u64,
    /// Rows that an earlier run on these results has ended.
    pub already_done: u64,
    pub invalid_examples: Vec<InvalidRow>,
    /// Workspaces among the rows to send.
    pub workspaces: u64,
    /// The few with the most rows, most first.
    pub busiest_workspaces: Vec<WorkspaceRows>,
    /// Users among the rows to send.
    pub users: u64,
    /// `None` if all rows are sent one by one.
    pub bulk: Option<BulkPlan>,
    /// What `--bulk` would save more than half of the time with.
    #[serde(skip)]
    pub bulk_offer: Option<BulkPlan>,
    /// The kind of their sessions that ends, if not all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub only: Option<SessionKind>,
    /// The users that `--confirm-users` is to name.
    pub users_to_confirm: Option<u64>,
    /// Rows to send that name no user: while there is one, `resetBulk` can't take the run's place.
    pub rows_without_user: u64,
    /// How fast it will be sent.
    #[serde(rename = "pace", serialize_with = "pace")]
    pub rate: RateChoice,
    /// Calls a minute that the last run on this host and organization found that one bucket accepts.
    pub learnt_per_minute: Option<f64>,
    /// Who else draws on the limits that it needs, and what is known of them.
    pub limits: Vec<LimitUse>,
    pub now: Timestamp,
    pub api_host: String,
    /// The proxy that the environment names; shown without its credentials.
    #[serde(serialize_with = "proxy")]
    pub proxy: Option<String>,
    /// `None` for a rehearsal.
    #[serde(flatten)]
    pub identity: Option<PlanIdentity>,
}

/// What `--plan-id` compares, so that people can compare it too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlanIdentity {
    pub plan_id: String,
    /// Of the input, decompressed.
    pub content_sha256: String,
    /// Of the listing of `--bulk`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listing_sha256: Option<String>,
    /// The user ids, session ids and addresses that `--protect` names.
    pub protect_ids: usize,
    /// The token's organization or workspace; `None` without a token.
    pub organization: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WorkspaceRows {
    pub team_id: String,
    pub rows: u64,
}

/// How long `calls` calls take; `None` if only the network limits them. `--rate auto` sends a minute's worth at once, and as much in
/// every minute after that.
pub(super) fn time_at(rate: RateChoice, calls: u64) -> Option<Duration> {
    match rate {
        RateChoice::Auto { start, .. } => spaced(calls.saturating_sub(at_once(start)), start.per_minute()),
        RateChoice::Fixed(rate) => spaced(calls.saturating_sub(1), rate.per_minute()),
        RateChoice::Unlimited => None,
    }
}

/// The calls that `--rate auto` sends at once.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count of calls")]
pub(super) fn at_once(start: Rate) -> u64 {
    (start.per_minute() as u64).max(1)
}

/// How long calls take at so many a minute, one interval each; `None` if it is longer than a [`Duration`] can be.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "an estimate")]
pub fn spaced(calls: u64, per_minute: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(calls as f64 * 60.0 / per_minute).ok()
}

fn pace<S: Serializer>(rate: &RateChoice, serializer: S) -> Result<S::Ok, S::Error> {
    match rate {
        RateChoice::Auto { .. } => serializer.serialize_str("auto"),
        RateChoice::Fixed(rate) => serializer.collect_map([("fixed", rate.per_minute())]),
        RateChoice::Unlimited => serializer.serialize_str("unlimited"),
    }
}

#[expect(clippy::ref_option, reason = "serde gives a reference to the field")]
fn seconds<S: Serializer>(duration: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    duration.map(|duration| duration.as_secs()).serialize(serializer)
}

#[expect(clippy::ref_option, reason = "serde gives a reference to the field")]
fn proxy<S: Serializer>(proxy: &Option<String>, serializer: S) -> Result<S::Ok, S::Error> {
    proxy.as_deref().map(without_userinfo).serialize(serializer)
}

impl PlanFacts {
    #[must_use]
    pub fn to_send(&self) -> u64 {
        self.by_user + self.by_team
    }

    /// The calls that it takes, if nothing has to be sent again.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.bulk.as_ref().map_or_else(|| self.to_send(), |plan| plan.calls + plan.sessions)
    }

    /// How long the run will take; `None` without a limit.
    #[must_use]
    pub fn duration(&self) -> Option<Duration> {
        self.bulk.as_ref().map_or_else(|| time_at(self.rate, self.to_send()), |plan| plan.duration(self.rate))
    }

    /// With this offer, if it is worth it and the run isn't one of whole users.
    #[must_use]
    pub fn offering(self, offer: Option<BulkPlan>) -> Self {
        let offer = offer.filter(|offer| self.bulk.is_none() && offer.is_worth_it(self.rate, self.to_send()));
        Self { bulk_offer: offer, ..self }
    }

    /// When it would end, were it begun now.
    #[must_use]
    pub fn ends_at(&self) -> Option<Timestamp> {
        let millis = i64::try_from(self.duration()?.as_millis()).ok()?;
        Some(Timestamp::from_millis(self.now.as_millis().checked_add(millis)?))
    }

    /// `resetBulk` calls that would end every session of the users named; `None` if a row names no user.
    #[must_use]
    pub fn reset_bulk_calls(&self) -> Option<u64> {
        (self.users > 0 && self.rows_without_user == 0).then(|| self.users.div_ceil(USERS_PER_CALL as u64))
    }
}
