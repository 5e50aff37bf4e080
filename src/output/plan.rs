//! The plan: what a run would do, before anything is sent.

mod bulk;
mod facts;

use super::files::json_text;
use super::text::{clean, counted, format_duration, local, rate, thousands, without_userinfo, wrapped};
use crate::model::{LimitUse, Rate, RateChoice, Timestamp};
pub use facts::{BulkPlan, PlanFacts, PlanIdentity, WorkspaceRows, spaced};
use facts::{at_once, time_at};
use jiff::tz::TimeZone;
use serde::Serialize;
use std::time::Duration;

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
fn identity(plan: &PlanIdentity) -> impl Iterator<Item = String> {
    let place = match &plan.organization {
        Some(organization) => format!("in {}", clean(organization)),
        None => "in any organization, because none is known".into(),
    };
    let protected = counted(plan.protect_ids as u64, "id", "ids");
    let listing =
        plan.listing_sha256.as_ref().map(|sha256| format!("{:<11} and the listing with SHA-256 {sha256}", ""));
    let lines =
        [format!("{:<11} {}", "plan id", plan.plan_id), format!("{:<11} {place}, with {protected} in --protect", "")];
    lines.into_iter().chain(listing)
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
    format!("{} {pace}{}", bulk::about(duration), ends.unwrap_or_default())
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
