//! The server: Slack or the stand-in, and the owner of the token.

use super::Preflight;
use super::api::RunApi;
use super::introduction::{Introduction, owner};
use crate::cli::{Mode, Settings};
use crate::commands::checks::{self, Check, Checks};
use crate::commands::connection::{self, Connection};
use crate::commands::listing;
use crate::commands::quota::LimitKey;
use crate::commands::rehearsal::{Rehearsal, folder_of};
use crate::commands::token;
use crate::error::RunError;
use crate::model::{Identity, TeamId, UserId};
use crate::output;
use crate::slack::method::INVALIDATE;
use crate::slack::{ApiUrl, AuthTest, CallError, Proxy, Token};

pub struct Remote {
    calls: RunApi,
    api: ApiUrl,
    proxy: Option<Proxy>,
    auth: Option<AuthTest>,
    checks: Checks,
    /// The stand-in stops when this is dropped.
    rehearsal: Option<Rehearsal>,
}

impl Remote {
    /// Finds the token, builds the client, and asks Slack whose token it is. What doctor would have found wrong is told.
    ///
    /// # Errors
    /// Where there is no token or Slack refuses it, the address or the proxy can't be used, or nobody can tell whose
    /// sessions must be spared.
    pub async fn connect(settings: &Settings, prepared: &Preflight) -> Result<Self, RunError> {
        let (rehearsal, api, token) = match settings.mode {
            Mode::Rehearsal => {
                let results = prepared.files.as_ref().map(|files| &*files.results);
                let rehearsal = Rehearsal::of_run(&prepared.content, folder_of(results)).await?;
                let (api, token) = rehearsal.access()?;
                (Some(rehearsal), api, token)
            }
            Mode::Run | Mode::Plan => {
                (None, connection::api(&settings.remote)?, token::find(settings.remote.token.clone()).await?)
            }
        };
        let mut checks = Checks::default();
        checks.add(token_check(settings.mode, &token));
        let renewable = token.source().is_renewable();
        let Connection { client, api, proxy } = Connection::to(api, token, settings.remote.calls.timeout)?;
        let client = client.only(settings.input.only);
        checks.add(checks::proxy(proxy.as_ref()));
        let answer = Introduction { settings, prepared, client: &client }.make().await?;
        match &answer {
            Ok(identified) => {
                check_scope_to_verify(settings, &identified.auth)?;
                let run = checks::takes(prepared.most_calls(settings), settings.pace.rate);
                checks.extend(checks_of(&api, &identified.auth));
                checks.extend(checks::times(identified, Some(run), renewable));
                checks.warn();
            }
            Err(error) => {
                checks.warn();
                checks.add(unknown(error));
            }
        }
        let auth = answer.ok().map(|identified| identified.auth);
        let calls = RunApi::new(settings, prepared, client, auth.as_ref().map(|auth| &auth.user_id));
        Ok(Self { calls, api, proxy, auth, checks, rehearsal })
    }

    /// Saves the stand-in's sessions, for a later `list` or `verify`.
    pub fn keep_rehearsal(&self) {
        self.rehearsal.iter().for_each(Rehearsal::keep);
    }

    pub fn api(&self) -> &RunApi {
        &self.calls
    }

    pub fn host(&self) -> &str {
        self.api.host()
    }

    /// The rate limit of the calls for single rows.
    pub fn limit(&self) -> LimitKey<'_> {
        LimitKey { api: &self.api, organization: self.organization(), method: INVALIDATE }
    }

    /// The organization of the token, otherwise its workspace; `None` if unknown.
    pub fn organization(&self) -> Option<&str> {
        self.auth.as_ref()?.organization().map(TeamId::as_str)
    }

    /// The proxy without its credentials.
    pub fn proxy(&self) -> Option<String> {
        self.proxy.as_ref().map(Proxy::to_string)
    }

    /// In the order of `doctor`.
    pub fn checks(&self) -> &Checks {
        &self.checks
    }

    /// The token's own user; `None` if unknown.
    pub fn user(&self) -> Option<&UserId> {
        Some(&self.auth.as_ref()?.user_id)
    }

    /// ` in Acme (E0ACME) as ir-oncall`, as far as it is known.
    pub fn place_and_actor(&self) -> String {
        let Some(auth) = &self.auth else { return String::new() };
        let place = match (auth.team.as_deref().map(output::clean), auth.organization()) {
            (Some(name), Some(id)) => format!(" in {name} ({id})"),
            (Some(name), None) => format!(" in {name}"),
            (None, Some(id)) => format!(" in {id}"),
            (None, None) => String::new(),
        };
        let actor = auth.user.as_deref().map_or_else(|| auth.user_id.to_string().into(), output::clean);
        format!("{place} as {actor}")
    }

    /// For the manifest.
    pub fn identity(&self) -> Option<Identity> {
        self.auth.as_ref().map(|auth| (&owner(auth)).into())
    }
}

/// The checks of a successful `auth.test`.
fn checks_of(api: &ApiUrl, auth: &AuthTest) -> [Check; 4] {
    let connection = checks::connection(api.host(), api.is_https());
    [connection, checks::identity(auth), checks::organization(auth), checks::scope_of_run(auth)]
}

/// Without the scope, `--then-verify` would fail after the last row.
fn check_scope_to_verify(settings: &Settings, auth: &AuthTest) -> Result<(), RunError> {
    if settings.safety.then_verify.is_some() && auth.has_scope(listing::SCOPE) == Some(false) {
        let what = format!("--then-verify lists sessions, and the token lacks the user scope {}", listing::SCOPE);
        return Err(RunError::token(
            what,
            "nothing was sent; add the scope to the app, then install it again, or leave out the flag",
        ));
    }
    Ok(())
}

/// The run continues without an identity, and prints its own warning.
fn unknown(error: &CallError) -> Check {
    Check::warning("connection", format!("auth.test: {error}")).advise("whose token this is stays unknown")
}

/// The stand-in's token has no source.
fn token_check(mode: Mode, token: &Token) -> Check {
    match mode {
        Mode::Rehearsal => checks::stand_in_token(),
        Mode::Run | Mode::Plan => checks::token(token),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::{Input, SurveyOptions};
    use crate::model::ExitStatus;
    use crate::model::InputSource;
    use std::fs;

    /// The stand-in's sessions are read from the input, so an unreadable input isn't an internal error.
    #[tokio::test]
    async fn an_input_that_the_stand_in_cannot_read_is_an_input_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("in.csv");
        fs::write(&path, "session_id,team_id\n1,T1\n2,T1\n").unwrap();
        let input = Input::open(InputSource::File(path.clone()), folder.path()).unwrap();
        let (content, _) = input.survey(SurveyOptions::default(), None).unwrap();
        fs::write(&path, "").unwrap();
        let error = Rehearsal::of_run(&content, folder.path()).await.err().unwrap();
        assert_eq!(error.exit_status(), ExitStatus::Usage, "{error:?}");
    }
}
