//! The stand-in for Slack behind `--rehearse`, and the organization that the rehearsals in one folder share.

use super::connection::{self, Connection};
use super::{rows, token};
use crate::error::RunError;
use crate::input::Content;
use crate::ledger::organization::{self, MOST_SESSIONS, RehearsalSession};
use crate::model::{SessionId, TeamId, UserId};
use crate::slack::{ApiUrl, Token};
use crate::stand_in::{REHEARSAL_TOKEN, Server, StandInConfig};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A stand-in that runs until this is dropped.
pub struct Rehearsal {
    server: Server,
    organization: PathBuf,
}

impl Rehearsal {
    /// A stand-in with the organization in `folder`. If there is none yet, a sample organization is created and kept.
    ///
    /// # Errors
    /// If the organization can't be read or written, or the stand-in can't be started.
    pub fn open(folder: &Path) -> Result<Self, RunError> {
        let path = organization::path_in(folder);
        let sessions = if let Some(sessions) = read(&path)? {
            sessions
        } else {
            let sample = sample();
            organization::write(&path, &sample).map_err(|error| unwritable(&error))?;
            sample
        };
        Self::start(StandInConfig::rehearsal([], sessions.into_iter().map(as_tuple)), path)
    }

    /// A stand-in without an organization, for what only asks whose token it is.
    ///
    /// # Errors
    /// If it can't be started.
    pub fn bare() -> Result<Self, RunError> {
        Self::start(StandInConfig::rehearsal([], []), PathBuf::new())
    }

    /// As [`Self::open`], with the results of a rehearsal: without its organization, nothing says what became of its sessions.
    ///
    /// # Errors
    /// Also if there is no organization.
    pub fn reopen(folder: &Path) -> Result<Self, RunError> {
        let path = organization::path_in(folder);
        let Some(sessions) = read(&path)? else {
            let what = format!("{} does not exist, so there is nothing to verify against", path.display());
            return Err(RunError::input(what, "start with slack-revoke run --rehearse in this folder"));
        };
        Self::start(StandInConfig::rehearsal([], sessions.into_iter().map(as_tuple)), path)
    }

    /// A stand-in for a run: the sessions of the input are alive again, and the rest is the organization in `folder`.
    ///
    /// # Errors
    /// If the input can't be read again; and as for [`Self::open`].
    pub async fn of_run(content: &Content, folder: &Path) -> Result<Self, RunError> {
        let path = organization::path_in(folder);
        let kept = read(&path)?.unwrap_or_default().into_iter().map(|session| (session.id, session));
        let mut others: HashMap<_, _> = kept.collect();
        let mut sessions: Vec<(SessionId, Option<TeamId>, Option<UserId>)> = Vec::new();
        rows::read_rows(content, |row| {
            if let Ok(target) = &row.target {
                // A row with a user and no session gets one session, with an id made from its line number.
                let session = target.session().unwrap_or(SessionId::from(row.line));
                others.remove(&session);
                sessions.push((session, target.team().cloned(), target.user().cloned()));
            }
        })
        .await?;
        Self::start(StandInConfig::rehearsal(sessions, others.into_values().map(as_tuple)), path)
    }

    fn start(config: StandInConfig, organization: PathBuf) -> Result<Self, RunError> {
        let server = Server::start(config)
            .map_err(|error| RunError::internal(format!("the stand-in can't be started: {error}")))?;
        Ok(Self { server, organization })
    }

    /// The stand-in's address, and the token that it takes.
    ///
    /// # Errors
    /// Never in practice.
    pub fn access(&self) -> Result<(ApiUrl, Token), RunError> {
        Ok((connection::api_at(&self.server.url(), &[])?, token::rehearsal(REHEARSAL_TOKEN)?))
    }

    /// # Errors
    /// If the proxy that the environment names can't be used.
    pub fn connect(&self, timeout: Duration) -> Result<Connection, RunError> {
        let (api, token) = self.access()?;
        Connection::to(api, token, timeout)
    }

    /// Keeps what became of the sessions, for the next rehearsal in this folder. A failure is a warning: nothing is lost by it.
    pub fn keep(&self) {
        let Some(sessions) = self.server.sessions(MOST_SESSIONS) else { return };
        let kept = sessions.into_iter().map(|(session, is_alive)| RehearsalSession {
            id: SessionId::from(session.id),
            team: session.team.as_deref().and_then(|team| TeamId::parse(team).ok()),
            user: session.user.as_deref().and_then(|user| UserId::parse(user).ok()),
            is_alive,
        });
        if let Err(error) = organization::write(&self.organization, &kept.collect::<Vec<_>>()) {
            tracing::warn!("{error}; a later list or verify --rehearse won't know what this rehearsal ended");
        }
    }
}

/// The folder of a file, whose rehearsals share an organization; the current folder without a file.
pub fn folder_of(file: Option<&Path>) -> &Path {
    file.and_then(Path::parent).filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn read(path: &Path) -> Result<Option<Vec<RehearsalSession>>, RunError> {
    organization::read(path)
        .map_err(|error| RunError::input(error.to_string(), "remove the file, or use another folder"))
}

fn unwritable(error: &std::io::Error) -> RunError {
    RunError::unwritable(error.to_string(), "rehearse in a folder that you can write to")
}

fn as_tuple(session: RehearsalSession) -> (SessionId, Option<TeamId>, Option<UserId>, bool) {
    let RehearsalSession { id, team, user, is_alive } = session;
    (id, team, user, is_alive)
}

/// Sixteen people in three workspaces, with one to four sessions each: as many as the stand-in accepts in one burst.
fn sample() -> Vec<RehearsalSession> {
    const TEAMS: [&str; 3] = ["T0SAMPLEA", "T0SAMPLEB", "T0SAMPLEC"];
    let people = (0..16_u64).flat_map(|person| (0..=person % 4).map(move |session| (person, session)));
    let session = |(person, session): (u64, u64)| {
        let place = usize::try_from(person % 3).unwrap_or_default();
        Some(RehearsalSession {
            id: SessionId::from(7_000_000_000_000 + person * 10 + session),
            team: TeamId::parse(TEAMS[place]).ok(),
            user: Some(UserId::parse(&format!("U0SAMPLE{person:02}")).ok()?),
            is_alive: true,
        })
    };
    people.filter_map(session).collect()
}
