//! `plan`: shows what a run would do.

use super::approval;
use super::preflight::Preflight;
use super::remote::Remote;
use super::staleness;
use crate::cli::{Mode, Settings};
use crate::commands::connection;
use crate::commands::console::print;
use crate::commands::quota::{self, LimitKey};
use crate::commands::waiting::blocking;
use crate::engine::bulk_calls;
use crate::engine::clock::wall;
use crate::error::RunError;
use crate::input::InputSummary;
use crate::ledger::manifest::last_learnt;
use crate::model::{ExitStatus, LimitUse, Rate, RateChoice, TeamId};
use crate::output::{self, BulkPlan, Console, PlanFacts, PlanIdentity, WorkspaceRows};
use crate::slack::method::INVALIDATE;
use jiff::tz::TimeZone;
use std::cmp::Reverse;
use std::path::Path;

/// Maximum number of workspaces that are named.
const NAMED: usize = 5;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputFormat {
    Text,
    Json,
}

/// Prints the plan on standard output. Rows that can't be sent don't change the exit status, unless there are no others.
///
/// # Errors
/// If the address or the proxy that a run would use can't be used, the listing of `--bulk` is of another organization, the plan isn't
/// that of `--plan-id`, or it can't be written.
pub async fn show(settings: &Settings, prepared: &Preflight, format: OutputFormat) -> Result<ExitStatus, RunError> {
    let api = connection::api(&settings.remote)?;
    let proxy = connection::proxy(&api)?.map(|proxy| proxy.to_string());
    let organization = approval::organization(settings).await;
    prepared.bulk.iter().try_for_each(|bulk| bulk.check_organization(organization.as_deref()))?;
    let plan = approval::plan(settings, prepared, api.host(), organization.as_deref())?;
    let limit = LimitKey { api: &api, organization: organization.as_deref(), method: INVALIDATE };
    let limits = limit.in_use(&settings.remote, quota::methods(settings)).await.unwrap_or_else(|why| {
        tracing::warn!("the shared state of the rate limit can't be read: {why}");
        Vec::new()
    });
    let facts =
        PlanFacts { identity: Some(approval::identity(&plan)), ..facts(settings, prepared, &limit, limits, proxy) };
    let text = match format {
        OutputFormat::Text => output::plan_text(&facts, &TimeZone::system(), output::stdout_columns()),
        OutputFormat::Json => format!("{}\n", output::plan_json(&facts).trim_end()),
    };
    blocking(move || print(|out| out.write_all(text.as_bytes()))).await?;
    Ok(if prepared.survey.sendable > 0 { ExitStatus::Success } else { ExitStatus::RowsFailed })
}

/// Shows the plan before a run, on standard error.
pub async fn announce(
    settings: &Settings,
    prepared: &Preflight,
    remote: &Remote,
    identity: Option<PlanIdentity>,
    console: &Console,
) {
    let limit = remote.limit();
    // If the state can't be used, the run reports it.
    let limits = limit.in_use(&settings.remote, quota::methods(settings)).await.unwrap_or_default();
    console.plan(|width| {
        let facts = PlanFacts { identity, ..facts(settings, prepared, &limit, limits, remote.proxy()) };
        output::plan_text(&facts, &TimeZone::system(), width)
    });
}

/// The limit that an earlier run in this directory learned.
fn learnt(prepared: &Preflight, host: &str, organization: Option<&str>) -> Option<f64> {
    let folder = prepared.files.as_ref()?.results.parent()?;
    last_learnt(folder, host, organization).map(|learnt| learnt.per_minute)
}

/// A rate that was learned less than a day ago replaces the one that `--rate auto` would start at.
fn start_of(rate: RateChoice, limits: &[LimitUse]) -> RateChoice {
    let learned = limits.iter().filter_map(|limit| limit.learned_per_minute).reduce(f64::min);
    let start = learned.and_then(|per_minute| format!("{per_minute:.0}/min").parse::<Rate>().ok());
    match (rate, start) {
        (RateChoice::Auto { max, .. }, Some(start)) => RateChoice::Auto { start: start.slower_of(max), max },
        (RateChoice::Auto { .. } | RateChoice::Fixed(_) | RateChoice::Unlimited, _) => rate,
    }
}

/// What is sent as whole users, of an input surveyed with this listing.
fn bulk_plan(settings: &Settings, survey: &InputSummary, listing: Option<&Path>) -> Option<BulkPlan> {
    let whole = survey.whole.as_ref()?;
    Some(BulkPlan {
        listing: listing.map(|path| path.display().to_string()),
        users: whole.users,
        calls: bulk_calls(whole.users, !settings.safety.no_canary),
        sessions: survey.sendable - whole.rows,
    })
}

fn facts(
    settings: &Settings,
    prepared: &Preflight,
    limit: &LimitKey<'_>,
    limits: Vec<LimitUse>,
    proxy: Option<String>,
) -> PlanFacts {
    let (survey, host) = (&prepared.survey, limit.api.host());
    let is_known = limits.iter().any(|limit| limit.learned_per_minute.is_some());
    let mut busiest: Vec<(&TeamId, &u64)> = survey.workspaces.iter().collect();
    busiest.sort_by_key(|(team, rows)| (Reverse(**rows), *team));
    let busiest = busiest.into_iter().take(NAMED);
    PlanFacts {
        input: prepared.content.path().to_string(),
        output: prepared.files.as_ref().map_or_else(|| "-".into(), |files| files.results.display().to_string()),
        rows: survey.rows,
        by_user: survey.named_by_user,
        by_team: survey.sendable - survey.named_by_user,
        invalid: survey.invalid,
        duplicates: survey.duplicates,
        protected: survey.protected,
        already_done: survey.already_done,
        invalid_examples: survey.examples.clone(),
        workspaces: survey.workspaces.len() as u64,
        busiest_workspaces: busiest
            .map(|(team, rows)| WorkspaceRows { team_id: team.to_string(), rows: *rows })
            .collect(),
        users: survey.users,
        bulk: bulk_plan(settings, survey, settings.input.bulk.as_deref()),
        bulk_offer: None,
        only: settings.input.only,
        users_to_confirm: survey.whole.as_ref().filter(|_| settings.mode == Mode::Plan).map(|whole| whole.all),
        rows_without_user: survey.without_user,
        rate: start_of(settings.pace.rate, &limits),
        input_age: staleness::of(settings),
        learnt_per_minute: learnt(prepared, host, limit.organization).filter(|_| !is_known),
        limits,
        now: wall(),
        api_host: if settings.mode == Mode::Rehearsal { "the stand-in inside the program".into() } else { host.into() },
        proxy,
        identity: None,
    }
    .offering(prepared.bulk_offer.as_ref().and_then(|(listing, survey)| bulk_plan(settings, survey, Some(listing))))
}
