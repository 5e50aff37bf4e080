//! `doctor`: checks token, scopes and network for a run.

use crate::cli::{DoctorArgs, Environment, RemoteSettings};
use crate::commands::checks::{self, Check, Checks};
use crate::commands::connection::Connection;
use crate::commands::console::print;
use crate::commands::quota::LimitKey;
use crate::commands::rehearsal::Rehearsal;
use crate::commands::rows::unusable;
use crate::commands::token::{self, Patience, identify};
use crate::commands::waiting::block_on;
use crate::engine::clock::wall;
use crate::error::RunError;
use crate::input::{Input, SurveyOptions};
use crate::model::{CheckMark, ExitStatus, InputSource, RateChoice, TeamId};
use crate::slack::{AuthTest, CallError, method};
use std::path::Path;
use std::time::Duration;

/// Doctor reports the current state, so it doesn't retry.
const ONCE: Patience = Patience { retries: 0, longest_pause: Duration::ZERO };

/// # Errors
/// If the command line contradicts itself, or the input, the address or the proxy can't be used.
pub fn doctor(typed: DoctorArgs) -> Result<ExitStatus, RunError> {
    let DoctorArgs { input, json, remote } = typed;
    let settings = RemoteSettings::resolve(remote, &InputSource::File("".into()), &Environment::capture())?;
    let run = input.as_deref().map(|input| estimate(input, settings.rate)).transpose()?;
    let mut checks = Checks::default();
    let status = examine(&settings, run, &mut checks)?;
    let text = if json { checks.to_json(status.code()) } else { checks.to_text() };
    print(|out| out.write_all(text.as_bytes())).map(|_| status)
}

fn estimate(input: &Path, rate: RateChoice) -> Result<Duration, RunError> {
    let opened = Input::open(InputSource::File(input.to_owned()), &std::env::temp_dir());
    let (_, survey) =
        opened.and_then(|input| input.survey(SurveyOptions::default(), None)).map_err(|error| unusable("", &error))?;
    Ok(checks::takes(survey.sendable, rate))
}

fn examine(settings: &RemoteSettings, run: Option<Duration>, checks: &mut Checks) -> Result<ExitStatus, RunError> {
    let rehearsal = settings.rehearse.then(Rehearsal::bare).transpose()?;
    let found = match &rehearsal {
        Some(rehearsal) => rehearsal.access().map(|(_, token)| token),
        None => block_on(token::find(settings.token.clone())),
    };
    let token = match found {
        Ok(token) => token,
        Err(error) if error.exit_status() == ExitStatus::Denied => {
            let check = Check::failed("token", error.what());
            checks.add(Check { next: error.hint().map(str::to_owned), ..check });
            return Ok(ExitStatus::Denied);
        }
        Err(error) => return Err(error),
    };
    checks.add(if settings.rehearse { checks::stand_in_token() } else { checks::token(&token) });
    let renewable = token.source().is_renewable();
    let connection = match &rehearsal {
        Some(rehearsal) => rehearsal.connect(settings.calls.timeout)?,
        None => Connection::open(settings, token)?,
    };
    checks.add(checks::proxy(connection.proxy.as_ref()));
    block_on(async {
        Ok(match identify(&connection.client, ONCE).await {
            Ok(identified) => {
                connected(&connection, checks);
                let status = whose(&identified.auth, checks);
                checks.extend(checks::times(&identified, run, renewable));
                checks.extend(limits(settings, &connection, &identified.auth).await);
                status
            }
            Err(error) => failed(&connection, &error, checks),
        })
    })
}

/// Who is using the limits of the organization.
async fn limits(settings: &RemoteSettings, connection: &Connection, auth: &AuthTest) -> Vec<Check> {
    let organization = auth.organization().map(TeamId::as_str);
    let limit = LimitKey { api: &connection.api, organization, method: method::INVALIDATE };
    match limit.in_use(settings, &[method::INVALIDATE, method::RESET_BULK, method::LIST]).await {
        Ok(found) => found.iter().map(|limit| checks::limit(limit, wall())).collect(),
        Err(why) => {
            vec![Check::warning("limit", format!("it isn't shared with other runs: {why}")).advise("see --quota")]
        }
    }
}

fn connected(connection: &Connection, checks: &mut Checks) {
    checks.add(checks::connection(connection.api.host(), connection.api.is_https()));
}

fn whose(auth: &AuthTest, checks: &mut Checks) -> ExitStatus {
    checks.add(checks::identity(auth));
    checks.add(checks::organization(auth));
    let scopes = checks::scopes(auth);
    let status = if scopes.mark == CheckMark::Failed { ExitStatus::Denied } else { ExitStatus::Success };
    checks.add(scopes);
    status
}

fn failed(connection: &Connection, error: &CallError, checks: &mut Checks) -> ExitStatus {
    match error {
        CallError::Refused { code, .. } => {
            connected(connection, checks);
            checks.add(Check::failed("identity", error.to_string()).advise(code.hint()));
            if error.objection().is_some() { ExitStatus::Denied } else { ExitStatus::Unavailable }
        }
        CallError::RateLimited { .. } => {
            connected(connection, checks);
            let next = "wait for the pause, then run doctor again; another program with a token of this app may be using the limit";
            checks.add(Check::failed("identity", error.to_string()).advise(next));
            ExitStatus::Unavailable
        }
        CallError::Fault { .. } => {
            let next = "see slack-status.com, and the proxy, the certificates and the network of this machine";
            let what = format!("{}: {error}", connection.api.host());
            checks.add(Check::failed("connection", what).advise(next));
            ExitStatus::Unavailable
        }
    }
}
