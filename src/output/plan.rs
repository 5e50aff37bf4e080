//! The plan: what a run would do, before anything is sent.

mod bulk;

use super::files::json_text;
use super::text::{clean, counted, format_duration, local, rate, thousands, without_userinfo, wrapped};
use crate::model::{InvalidRow, LimitUse, Rate, RateChoice, SessionKind, Timestamp};
pub use bulk::BulkPlan;
use jiff::tz::TimeZone;
use serde::{Serialize, Serializer};
use std::time::Duration;

/// Users that one `admin.users.session.resetBulk` takes (slack.md, "The sibling methods").
const USERS_A_BULK: u64 = 1000;

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
fn time_at(rate: RateChoice, calls: u64) -> Option<Duration> {
    match rate {
        RateChoice::Auto { start, .. } => spaced(calls.saturating_sub(at_once(start)), start.per_minute()),
        RateChoice::Fixed(rate) => spaced(calls.saturating_sub(1), rate.per_minute()),
        RateChoice::Unlimited => None,
    }
}

/// The calls that `--rate auto` sends at once.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count of calls")]
fn at_once(start: Rate) -> u64 {
    (start.per_minute() as u64).max(1)
}

/// How long so many calls take, one interval each.
#[expect(clippy::cast_precision_loss, reason = "a duration in words")]
fn spaced(calls: u64, per_minute: f64) -> Option<Duration> {
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
        (self.users > 0 && self.rows_without_user == 0).then(|| self.users.div_ceil(USERS_A_BULK))
    }
}

/// What `plan --json` prints: the facts, and `to_send`, `calls`, `estimated_seconds`, `ends_at`, `reset_bulk_calls` from them.
#[must_use]
pub fn plan_json(facts: &PlanFacts) -> String {
    #[derive(Serialize)]
    struct Plan<'a> {
        #[serde(flatten)]
        facts: &'a PlanFacts,
        to_send: u64,
        calls: u64,
        estimated_seconds: Option<u64>,
        /// For `--bulk`.
        #[serde(skip_serializing_if = "Option::is_none")]
        estimated_seconds_without_bulk: Option<u64>,
        bulk_offer: Option<Offer<'a>>,
        ends_at: Option<String>,
        reset_bulk_calls: Option<u64>,
    }
    #[derive(Serialize)]
    struct Offer<'a> {
        #[serde(flatten)]
        plan: &'a BulkPlan,
        estimated_seconds: Option<u64>,
    }
    let seconds = |duration: Option<Duration>| duration.map(|duration| duration.as_secs());
    let is_bulk = facts.bulk.as_ref().is_some_and(|plan| plan.listing.is_some());
    let plan = Plan {
        facts,
        to_send: facts.to_send(),
        calls: facts.calls(),
        estimated_seconds: seconds(facts.duration()),
        estimated_seconds_without_bulk: is_bulk.then(|| seconds(time_at(facts.rate, facts.to_send()))).flatten(),
        bulk_offer: facts
            .bulk_offer
            .as_ref()
            .map(|plan| Offer { plan, estimated_seconds: seconds(plan.duration(facts.rate)) }),
        ends_at: facts.ends_at().map(Timestamp::rfc3339),
        reset_bulk_calls: facts.reset_bulk_calls(),
    };
    json_text(&plan)
}

/// Where the values begin, behind their names.
const INDENT: usize = 12;

/// The plan for a reader with so many columns. `zone` is that of the local clock.
#[must_use]
pub fn plan_text(facts: &PlanFacts, zone: &TimeZone, width: Option<usize>) -> String {
    let age = facts.input_age.map(|age| format!(", {} old", format_duration(age))).unwrap_or_default();
    let rows = counted(facts.rows, "row", "rows");
    let mut lines = vec![format!("{:<11} {}: {rows}{age}", "input", clean(&facts.input))];
    lines.extend(facts.identity.as_ref().map(|plan| format!("{:<11} SHA-256 {}", "", plan.content_sha256)));
    lines.push(match facts.to_send() {
        0 => format!("{:<11} nothing: a run would make no call", "to send"),
        rows => format!("{:<11} {}{}", "to send", counted(rows, "row", "rows"), form(facts)),
    });
    lines.extend(not_sent(facts));
    lines.extend(workspaces(facts));
    if facts.users > 0 {
        lines.push(format!("{:<11} {}", "users", thousands(facts.users)));
    }
    lines.push(format!("{:<11} {}", "time", time(facts, zone)));
    lines.extend(facts.limits.iter().map(|limit| format!("{:<11} {}", "limit", limit_words(limit, facts.now))));
    lines.extend(learnt(facts));
    lines.push(format!("{:<11} {}{}", "API host", clean(&facts.api_host), proxy_words(facts)));
    lines.push(format!("{:<11} {}", "results", clean(&facts.output)));
    lines.extend(facts.identity.iter().flat_map(identity));
    let indented = |line: String| wrapped(&line, width, INDENT);
    let mut lines: Vec<_> = lines.into_iter().map(indented).collect();
    lines.extend(bulk::notes(facts).map(|text| wrapped(&text, width, 0)));
    lines.join("\n") + "\n"
}

/// The id that can be approved, and what it doesn't say by itself.
fn identity(plan: &PlanIdentity) -> [String; 2] {
    let place = match &plan.organization {
        Some(organization) => format!("in {}", clean(organization)),
        None => "in any organization, because none is known".into(),
    };
    let protected = counted(plan.protect_ids as u64, "id", "ids");
    [format!("{:<11} {}", "plan id", plan.plan_id), format!("{:<11} {place}, with {protected} in --protect", "")]
}

/// Which identifier goes beside `session_id`.
fn form(facts: &PlanFacts) -> String {
    if let Some(plan) = &facts.bulk {
        return bulk::form(plan, facts.to_send());
    }
    match (facts.by_user, facts.by_team) {
        (0, 0) => String::new(),
        (_, 0) => ", named by user_id".to_owned(),
        (0, _) => ", named by team_id".to_owned(),
        (user, team) => format!(", {} named by user_id and {} by team_id", thousands(user), thousands(team)),
    }
}

/// Rows that stay here, and why.
fn not_sent(facts: &PlanFacts) -> Vec<String> {
    let numbers = [
        ("done before", facts.already_done),
        ("protected", facts.protected),
        ("duplicate", facts.duplicates),
        ("invalid", facts.invalid),
    ];
    let present = numbers.into_iter().filter(|(_, rows)| *rows > 0);
    let mut lines: Vec<_> =
        present.map(|(name, rows)| format!("{name:<11} {}", counted(rows, "row", "rows"))).collect();
    let examples = &facts.invalid_examples;
    lines.extend(examples.iter().map(|row| format!("{:<11} line {}: {}", "", row.line, clean(&row.text))));
    let more = facts.invalid.saturating_sub(examples.len() as u64);
    if more > 0 && !examples.is_empty() {
        lines.push(format!("{:<11} and {} more", "", thousands(more)));
    }
    lines
}

fn workspaces(facts: &PlanFacts) -> Option<String> {
    let named: Vec<_> = facts
        .busiest_workspaces
        .iter()
        .map(|team| format!("{} {}", clean(&team.team_id), thousands(team.rows)))
        .collect();
    let more = if facts.workspaces > named.len() as u64 { ", …" } else { "" };
    let list = if named.is_empty() { String::new() } else { format!(" ({}{more})", named.join(", ")) };
    (facts.workspaces > 0).then(|| format!("{:<11} {}{list}", "workspaces", thousands(facts.workspaces)))
}

fn time(facts: &PlanFacts, zone: &TimeZone) -> String {
    if facts.to_send() == 0 {
        return "nothing to send".to_owned();
    }
    let Some(duration) = facts.duration() else { return "as fast as the network allows".to_owned() };
    let pace = match facts.rate {
        RateChoice::Auto { start, max } => auto_words(start, max),
        RateChoice::Fixed(fixed) => format!("at {}/min", rate(fixed.per_minute())),
        RateChoice::Unlimited => "without a limit".to_owned(),
    };
    let ends = facts
        .ends_at()
        .map(|end| format!("; started now, it ends at {}{}", end.rfc3339_seconds(), beside_utc(&local(end, zone))));
    let about = if duration < Duration::from_secs(1) { "a few seconds".to_owned() } else { format_duration(duration) };
    format!("{about} {pace}{}", ends.unwrap_or_default())
}

fn auto_words(start: Rate, max: Rate) -> String {
    let first = match at_once(start) {
        1 => String::new(),
        calls => format!(", the first {calls} at once"),
    };
    let less = if max.is_faster_than(start) { "; less if Slack allows more" } else { "" };
    format!("at {}/min{first}{less}", rate(start.per_minute()))
}

/// Who draws on a limit, until when it is closed, and what was learned of it.
#[must_use]
pub fn limit_words(limit: &LimitUse, now: Timestamp) -> String {
    let mut parts = Vec::new();
    if let Some(until) = limit.closed_until {
        let left = u64::try_from(until.as_millis() - now.as_millis()).unwrap_or(0);
        parts.push(format!("closed for {} more", format_duration(Duration::from_millis(left))));
    }
    if !limit.runs.is_empty() {
        let (runs, rows) = (limit.runs.len() as u64, limit.runs.iter().map(|run| run.rows_left).sum());
        let incident = if limit.runs.iter().any(|run| run.incident) { ", an incident among them" } else { "" };
        let named: Vec<_> =
            limit.runs.iter().map(|run| format!("{} on {}", clean(&run.run_id), clean(&run.host))).collect();
        let who = counted(runs, "other run draws on it", "other runs draw on it");
        parts.push(format!("{who} with {} left{incident} ({})", counted(rows, "row", "rows"), named.join(", ")));
    }
    if let (Some(per_minute), Some(age)) = (limit.learned_per_minute, limit.age(now)) {
        parts.push(format!("{}/min was learned {} ago, and is the start", rate(per_minute), format_duration(age)));
    }
    format!("{}: {}", clean(&limit.limit), parts.join("; "))
}

/// What the last run learnt is offered and never taken by itself: the limit may have another user today.
fn learnt(facts: &PlanFacts) -> Option<String> {
    let per_minute = facts.learnt_per_minute?.floor();
    let time = format_duration(spaced(facts.calls().saturating_sub(1), per_minute)?);
    let offer = format!(
        "the last run found {}/min: {time} at that rate; --start-rate {per_minute}/min starts at it",
        rate(per_minute)
    );
    (matches!(facts.rate, RateChoice::Auto { .. }) && facts.to_send() > 0).then(|| format!("{:<11} {offer}", ""))
}

/// The local time in brackets, if it differs from UTC.
fn beside_utc(local: &str) -> String {
    if local.ends_with(" UTC") { String::new() } else { format!(" ({local})") }
}

fn proxy_words(facts: &PlanFacts) -> String {
    facts.proxy.as_deref().map(|proxy| format!(", through the proxy {}", without_userinfo(proxy))).unwrap_or_default()
}

#[cfg(test)]
mod tests;
