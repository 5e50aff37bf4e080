//! Whole users in the plan: `--whole-users`, `--bulk`, and the offer of it.

use super::facts::{BulkPlan, PlanFacts, time_at};
use crate::output::text::{clean, counted, format_duration, thousands};
use std::time::Duration;

impl BulkPlan {
    fn parts(&self) -> String {
        let calls = counted(self.calls, "bulk call", "bulk calls");
        let users = counted(self.users, "user", "users");
        match self.sessions {
            0 => format!("{users} in {calls}"),
            sessions => format!("{users} in {calls} and {} one by one", counted(sessions, "session", "sessions")),
        }
    }
}

/// What stands behind the number of rows to send.
pub(super) fn form(plan: &BulkPlan, rows: u64) -> String {
    match plan.listing {
        None => format!(", as whole users: {} of admin.users.session.resetBulk", counted(plan.calls, "call", "calls")),
        Some(_) => {
            format!(", {} of them with their users by admin.users.session.resetBulk", thousands(rows - plan.sessions))
        }
    }
}

/// What nobody must overlook, and other ways.
pub(super) fn notes(facts: &PlanFacts) -> Option<String> {
    match (&facts.bulk, &facts.bulk_offer) {
        (Some(plan), _) => match &plan.listing {
            Some(listing) => (facts.to_send() > 0).then(|| both_ways(facts, plan, listing)),
            None => (facts.users > 0).then(|| whole_users(facts)),
        },
        (None, Some(offer)) => Some(offered(facts, offer)),
        (None, None) => facts.reset_bulk_calls().map(|calls| every_session(facts.users, calls)),
    }
}

pub(super) fn about(duration: Duration) -> String {
    if duration < Duration::from_secs(1) { "a few seconds".to_owned() } else { format_duration(duration) }
}

fn in_words(duration: Option<Duration>) -> String {
    duration.map_or_else(|| "as fast as the network allows".into(), |time| format!("about {}", about(time)))
}

fn both_ways(facts: &PlanFacts, plan: &BulkPlan, listing: &str) -> String {
    let without = in_words(time_at(facts.rate, facts.to_send()));
    let confirm = facts.users_to_confirm.map(|users| format!(" --confirm-users {users} confirms the number."));
    format!(
        "{}: {}. Without --bulk: {without}. Sessions of these users that began after {} was listed end too. Slack queues it; verify \
         proves it.{}",
        plan.parts(),
        in_words(facts.duration()),
        clean(listing),
        confirm.unwrap_or_default()
    )
}

fn offered(facts: &PlanFacts, offer: &BulkPlan) -> String {
    let listing = offer.listing.as_deref().map(clean).unwrap_or_default();
    format!(
        "With --bulk {listing} the same sessions end sooner: {}, {} instead of {}.",
        offer.parts(),
        in_words(offer.duration(facts.rate)),
        in_words(facts.duration())
    )
}

fn every_session(users: u64, calls: u64) -> String {
    format!(
        "Every row names its user: to end all sessions of these {}, {} of admin.users.session.resetBulk would be enough \
         (asynchronous, and not only the sessions listed).",
        counted(users, "user", "users"),
        counted(calls, "call", "calls")
    )
}

/// With the number that a run without a terminal has to name.
fn whole_users(facts: &PlanFacts) -> String {
    let confirm =
        facts.users_to_confirm.map(|users| format!(" --confirm-users {users} confirms it without a terminal."));
    let (users, confirm) = (counted(facts.users, "user", "users"), confirm.unwrap_or_default());
    match facts.only {
        None => format!(
            "EVERY session of {users} will end, including those that aren't listed, on all devices. Slack queues it; verify \
             proves it.{confirm}"
        ),
        Some(kind) => format!(
            "EVERY {} session of {users} will end, including those that aren't listed. Slack queues it; verify can't tell such \
             a session from another one.{confirm}",
            kind.as_str()
        ),
    }
}
