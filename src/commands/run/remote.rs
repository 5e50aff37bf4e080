//! The other end: Slack, or the stand-in inside the program, and whose token it is.

use super::introduction::Introduction;
use super::{Prepared, address};
use crate::commands::checks::{self, Check, Checks, Mark};
use crate::commands::token;
use crate::commands::waiting::blocking;
use crate::domain::{SessionId, TeamId, UserId};
use crate::engine::clock::wall;
use crate::engine::ports::{RowSource, Want};
use crate::error::{RunError, Trouble};
use crate::rehearsal::{self, REHEARSAL_TOKEN, Server};
use crate::report::why;
use crate::settings::{Mode, Settings};
use crate::slack::{self, ApiUrl, AuthTest, CallError, Client, Proxy, Token};
use crate::store::input::MaybeSent;
use crate::store::manifest::Identity;

/// A client, and what it found at the other end.
pub struct Remote {
    client: Client,
    api: ApiUrl,
    proxy: Option<Proxy>,
    auth: Option<AuthTest>,
    checks: Checks,
    /// Stops when this is dropped.
    _stand_in: Option<Server>,
}

impl Remote {
    /// Finds the token, builds the client, and asks Slack whose token it is. What doctor would have found wrong is told.
    ///
    /// # Errors
    /// Where there is no token or Slack refuses it, the address or the proxy cannot be used, or nobody can tell whose
    /// sessions must be spared.
    pub async fn connect(settings: &Settings, prepared: &Prepared) -> Result<Self, RunError> {
        let (stand_in, api, token) = match settings.mode {
            Mode::Rehearsal => {
                let server = stand_in(prepared).await?;
                let (api, token) = (address::parse(&server.url(), &[])?, token::rehearsal(REHEARSAL_TOKEN)?);
                (Some(server), api, token)
            }
            Mode::Run | Mode::Plan => (
                None,
                address::parse(&settings.calls.api_url, &settings.calls.allow_hosts)?,
                find_token(settings).await?,
            ),
        };
        let proxy = address::proxy(&api)?;
        let mut checks = Checks::default();
        checks.add(token_check(settings.mode, &token));
        checks.add(checks::proxy(proxy.as_ref()));
        let renewable = token.source().is_renewable();
        let config =
            slack::Config { api: api.clone(), token, proxy: proxy.clone(), timeout: settings.calls.timeout, now: wall };
        let client = Client::new(config)
            .map_err(|error| RunError::Unreachable(Trouble::new(error.to_string(), "nothing was sent")))?;
        let answer = Introduction { settings, prepared, client: &client }.make().await?;
        match &answer {
            Ok(identified) => {
                let run = checks::takes(prepared.survey.sendable, settings.pace.rate);
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
        Ok(Self { client, api, proxy, auth, checks, _stand_in: stand_in })
    }

    /// The client.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The host that is called.
    pub fn host(&self) -> &str {
        self.api.host()
    }

    /// The way there, without its credentials.
    pub fn proxy(&self) -> Option<String> {
        self.proxy.as_ref().map(Proxy::to_string)
    }

    /// What was checked, in doctor's order.
    pub fn checks(&self) -> &Checks {
        &self.checks
    }

    /// The user of the token, where Slack said.
    pub fn user(&self) -> Option<&UserId> {
        Some(&self.auth.as_ref()?.user_id)
    }

    /// The organisation of the token, else its workspace, where Slack said.
    pub fn organisation(&self) -> Option<String> {
        let identity = self.identity()?;
        Some(identity.enterprise_id.unwrap_or(identity.team_id))
    }

    /// Whose token it is, for the manifest.
    pub fn identity(&self) -> Option<Identity> {
        let auth = self.auth.as_ref()?;
        let text = |text: &Option<Box<str>>| text.as_deref().unwrap_or_default().to_owned();
        Some(Identity {
            user_id: auth.user_id.to_string(),
            user: text(&auth.user),
            team_id: auth.team_id.as_ref().map(TeamId::to_string).unwrap_or_default(),
            team: text(&auth.team),
            enterprise_id: auth.enterprise_id.as_ref().map(TeamId::to_string),
            url: text(&auth.url),
        })
    }
}

/// A file may be a pipe, a command may hang, and a person takes time.
async fn find_token(settings: &Settings) -> Result<Token, RunError> {
    let choice = settings.token.clone();
    blocking(move || token::find(&choice)).await
}

/// The stand-in, knowing the sessions of the input.
async fn stand_in(prepared: &Prepared) -> Result<Server, RunError> {
    let broken = |error: String| RunError::Internal(format!("the stand-in cannot be started: {error}"));
    let mut source = prepared.content.source(MaybeSent::default()).map_err(|error| broken(error.to_string()))?;
    let mut sessions: Vec<(SessionId, Option<TeamId>, Option<UserId>)> = Vec::new();
    loop {
        source.request(Want::Any);
        let batch = source.next().await.map_err(|error| broken(why(&error)))?;
        sessions.extend(batch.rows.iter().filter_map(|row| {
            let target = row.target.as_ref().ok()?;
            // A row that names a user alone stands for one session of that user.
            let session = target.session().unwrap_or(SessionId::from(row.line));
            Some((session, target.team().cloned(), target.user().cloned()))
        }));
        if batch.exhausted {
            break;
        }
    }
    Server::start(rehearsal::Config::rehearsal(sessions)).map_err(|error| broken(error.to_string()))
}

/// What an answer tells of the other end and of the token.
fn checks_of(api: &ApiUrl, auth: &AuthTest) -> [Check; 4] {
    let connection = checks::connection(api.host(), api.is_https());
    [connection, checks::identity(auth), checks::organisation(auth), checks::scope_of_run(auth)]
}

/// The run goes on without an identity, and says so in words of its own.
fn unknown(error: &CallError) -> Check {
    Check::new("connection", Mark::Care, format!("auth.test: {error}")).advise("whose token this is stays unknown")
}

/// The stand-in's token is from nowhere.
fn token_check(mode: Mode, token: &Token) -> Check {
    match mode {
        Mode::Rehearsal => Check::new("token", Mark::Good, "the stand-in's own"),
        Mode::Run | Mode::Plan => checks::token(token),
    }
}
