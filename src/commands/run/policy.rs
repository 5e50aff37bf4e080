//! Converts settings and survey to the engine's policy.

use super::Preflight;
use crate::cli::Settings;
use crate::commands::quota;
use crate::engine::policy::Policy;
use crate::model::{TeamId, Timestamp};

pub fn of(settings: &Settings, prepared: &Preflight, started: Timestamp) -> Policy {
    let survey = &prepared.survey;
    let (bulk_rows, bulk_users) = survey.whole.as_ref().map_or((0, 0), |whole| (whole.rows, whole.users));
    Policy {
        pace: settings.pace.rate.into(),
        bucket: settings.pace.bucket,
        shares_limit: quota::is_shared(&settings.remote),
        workers: settings.pace.workers.map(u32::from),
        retries: settings.remote.calls.retries,
        max_failures: settings.safety.max_failures,
        deadline: settings.safety.deadline,
        max_retry_after: settings.remote.calls.max_retry_after,
        canary: !settings.safety.no_canary,
        strict: prepared.is_strict(settings),
        seed: started.as_millis().unsigned_abs() ^ u64::from(std::process::id()),
        workspaces: survey.addressed.iter().map(|(team, rows)| (team.clone(), *rows)).collect(),
        rows: survey.rows,
        to_send: survey.sendable - bulk_rows,
        bulk_users,
        is_one_workspace: survey.workspaces.len() == 1 && survey.workspaces.values().sum::<u64>() == survey.sendable,
        earlier: *prepared.output.recorded.tally().counts(),
        earlier_teams: successful_teams(prepared),
    }
}

fn successful_teams(prepared: &Preflight) -> Vec<TeamId> {
    let teams = prepared.output.recorded.tally().teams().iter();
    teams.filter(|(_, rows)| rows.successes() > 0).map(|(team, _)| team.clone()).collect()
}
