//! `--plan-id`: a run that differs from the approved plan sends nothing.

use super::Preflight;
use crate::cli::Settings;
use crate::commands::connection::Connection;
use crate::commands::token::{self, Patience, identify};
use crate::error::RunError;
use crate::ledger::plan_id::{Difference, PlanParts};
use crate::model::{Approval, TeamId};
use crate::output::{self, PlanIdentity, counted};
use crate::slack::SLACK_HOSTS;
use std::time::Duration;

/// Number of digits of an id that are displayed.
const SHOWN: usize = 12;

/// The plan of this run.
///
/// # Errors
/// If it isn't that of `--plan-id`. An id made without a token is accepted for any organization.
pub(super) fn plan(
    settings: &Settings,
    prepared: &Preflight,
    host: &str,
    organization: Option<&str>,
) -> Result<PlanParts, RunError> {
    let here = parts(settings, prepared, host, organization);
    let Some(Approval { plan_id, .. }) = &settings.approval else { return Ok(here) };
    let candidates = [here.without_organization(), here];
    if let Some(plan) = candidates.iter().find(|plan| plan.id() == *plan_id) {
        return Ok(plan.clone());
    }
    let [_, here] = candidates;
    Err(other_plan(plan_id, &here, prepared.survey.rows))
}

fn parts(settings: &Settings, prepared: &Preflight, host: &str, organization: Option<&str>) -> PlanParts {
    let survey = &prepared.survey;
    PlanParts {
        content_sha256: survey.identity.content_sha256.clone(),
        content_bytes: survey.identity.content_bytes,
        columns: survey.columns,
        delimiter: survey.delimiter,
        protections: prepared.protections(),
        allow_self: settings.safety.allow_self,
        allow_unowned: settings.safety.allow_unowned,
        identify: settings.input.identify_by,
        whole_users: settings.input.whole_users,
        only: settings.input.only,
        bulk: prepared.bulk.as_ref().map(|listing| listing.sha256.clone()),
        api_host: host.into(),
        organization: organization.map(Into::into),
    }
}

fn other_plan(planned: &str, here: &PlanParts, rows: u64) -> RunError {
    let planned_text = format!("the plan with the id {}… is another one", &planned[..SHOWN]);
    let differences: Vec<_> = here.differences(planned, &SLACK_HOSTS).iter().map(Difference::to_string).collect();
    if !differences.is_empty() {
        let what = format!("{planned_text}: {}", differences.join("; "));
        return RunError::input(what, "nothing was sent; give the flags of the plan, or have the new plan approved");
    }
    let what = format!(
        "{planned_text}: its input, its columns, its --protect, its --bulk listing or its organization differ. Here the input has SHA-256 {} and {}, \
         --protect names {}, the SHA-256 of the listing is {}, and the organization is {}",
        here.content_sha256,
        counted(rows, "row", "rows"),
        counted(here.protections.ids() as u64, "id", "ids"),
        here.bulk.as_deref().unwrap_or("none"),
        here.organization.as_deref().unwrap_or("unknown")
    );
    RunError::input(what, "nothing was sent; compare with the lines that `plan` printed, or have the new plan approved")
}

/// The id and its parts, for comparison by people.
pub(super) fn identity(plan: &PlanParts) -> PlanIdentity {
    PlanIdentity {
        plan_id: plan.id(),
        content_sha256: plan.content_sha256.clone(),
        listing_sha256: plan.bulk.clone(),
        protect_ids: plan.protections.ids(),
        organization: plan.organization.clone(),
    }
}

/// The organization of the token, if there is one. This is the only call of a plan.
pub(super) async fn organization(settings: &Settings) -> Option<String> {
    settings.remote.token.as_ref()?;
    let found = ask(settings).await;
    let warn = |why: &String| {
        tracing::warn!(target: output::WEAKENED, "the plan id holds for any organization, because the token's isn't known: {why}");
    };
    found.inspect_err(warn).ok().flatten()
}

async fn ask(settings: &Settings) -> Result<Option<String>, String> {
    let unusable = |error: RunError| error.what().into_owned();
    let token = token::find(settings.remote.token.clone()).await.map_err(unusable)?;
    let client = Connection::open(&settings.remote, token).map_err(unusable)?.client;
    let identified = identify(&client, Patience { retries: 0, longest_pause: Duration::ZERO }).await;
    let auth = identified.map_err(|error| format!("auth.test: {error}"))?.auth;
    Ok(auth.organization().map(TeamId::to_string))
}
