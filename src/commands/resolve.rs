//! `resolve`: the owners of sessions, for rows that do not name them.

use crate::cli::{InputSource, ResolveArgs};
use crate::commands::columns::Ids;
use crate::commands::list::{created, unwritable};
use crate::commands::listing::{Halt, Lister, PAGE, Progress, block_on};
use crate::commands::rows::{content, each};
use crate::domain::{Fields, Rejection, Row, SessionId, TeamId, UserId};
use crate::error::RunError;
use crate::exit::ExitStatus;
use crate::report::{Console, WEAKENED, counted};
use crate::settings::{Environment, RemoteSettings};
use crate::slack::{ActiveSession, ListQuery};
use crate::store::input::Content;
use crate::store::listed;
use crate::store::table::Table;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// Resolves.
///
/// # Errors
/// What stops it before its first call, and where the rows cannot be written.
pub fn resolve(typed: ResolveArgs, console: &Console) -> Result<ExitStatus, RunError> {
    let ResolveArgs { source, delimiter, output, remote } = typed;
    let settings = RemoteSettings::resolve(remote, &source, &Environment::capture())?;
    if let Some(output) = output.as_deref().filter(|output| output.exists()) {
        // Refused now, not after an hour of listing.
        created(output)?;
    }
    let listed_at = match &source {
        InputSource::File(path) => listed::at(path),
        InputSource::Stdin => None,
    };
    let content = content(source, delimiter)?;
    let ids = Ids::find(content.header().fields());
    block_on(async {
        let (mut lister, _) = Lister::connect(&settings)?;
        let mut wanted = Wanted::default();
        each(&content, |row| wanted.note(&ids, row)).await?;
        let mut progress = Progress::new(console, lister.clock());
        if let Err(halt) = find(&mut lister, &mut wanted, &mut progress).await {
            return Ok(halt.end(Some("nothing was written; run the same command again")));
        }
        let (resolved, unresolved) = write(&content, &ids, &wanted, output.as_deref()).await?;
        if let Some((output, listed_at)) = output.as_deref().zip(listed_at) {
            // The rows are those of the input, however fresh their users are.
            if let Err(error) = listed::set(output, listed_at) {
                tracing::warn!(target: WEAKENED, "{error}; a run takes the list for younger than it is");
            }
        }
        tell(&wanted, resolved, unresolved, output, console);
        Ok(ExitStatus::Success)
    })
}

impl Ids {
    /// The session of a row that names no user; none where there is nothing to look for.
    fn nameless(&self, row: &Row) -> Option<(SessionId, Option<TeamId>)> {
        let text = |index: Option<usize>| index.and_then(|index| row.fields.get(index)).map_or("", str::trim);
        if matches!(row.target, Err(Rejection::Columns { .. })) || !text(self.user).is_empty() {
            return None;
        }
        let session = SessionId::parse(text(self.session)).ok()?;
        match text(self.team) {
            "" => Some((session, None)),
            team => TeamId::parse(team).ok().map(|team| (session, Some(team))),
        }
    }
}

/// The workspace that rows name beside a session, and the user once found.
type Owner = (Option<TeamId>, Option<UserId>);

/// What is looked for: memory goes with the input.
#[derive(Default)]
struct Wanted {
    owners: HashMap<SessionId, Vec<Owner>>,
    open: u64,
    unreadable: u64,
}

impl Wanted {
    fn note(&mut self, ids: &Ids, row: &Row) {
        let Some((session, team)) = ids.nameless(row) else { return };
        let owners = self.owners.entry(session).or_default();
        if owners.iter().all(|(known, _)| *known != team) {
            owners.push((team, None));
            self.open += 1;
        }
    }

    fn take(&mut self, session: &ActiveSession) {
        let Some(owners) = self.owners.get_mut(&session.session_id) else { return };
        for (team, user) in owners.iter_mut().filter(|(_, user)| user.is_none()) {
            if team.as_ref().is_none_or(|team| fits(team, &session.team_id)) {
                *user = Some(session.user_id.clone());
                self.open -= 1;
            }
        }
    }

    fn owner(&self, session: SessionId, team: Option<&TeamId>) -> Option<&UserId> {
        let owners = self.owners.get(&session)?;
        owners.iter().find(|(known, _)| known.as_ref() == team).and_then(|(_, user)| user.as_ref())
    }
}

/// The organisation (`E…`) stands for any of its workspaces.
fn fits(named: &TeamId, listed: &TeamId) -> bool {
    named == listed || named.as_str().starts_with('E') || listed.as_str().starts_with('E')
}

/// Lists until every session is found, or there are no more.
async fn find(lister: &mut Lister, wanted: &mut Wanted, progress: &mut Progress<'_>) -> Result<(), Halt> {
    let mut query = ListQuery { owner: None, cursor: None, limit: PAGE };
    let (mut pages, mut seen) = (0, 0);
    while wanted.open > 0 {
        let page = lister.page(&query).await?;
        pages += 1;
        seen += page.sessions.len() as u64;
        wanted.unreadable += page.unreadable as u64;
        page.sessions.iter().for_each(|session| wanted.take(session));
        progress.tell(pages, seen);
        query.cursor = page.next_cursor;
        if query.cursor.is_none() {
            break;
        }
    }
    Ok(())
}

/// Writes every row; gives how many were resolved, and how many could not be.
async fn write(content: &Content, ids: &Ids, wanted: &Wanted, output: Option<&Path>) -> Result<(u64, u64), RunError> {
    let mut table = output.map_or_else(|| Ok(Table::stdout()), created)?;
    let columns = content.header().fields();
    let user_column = ids.user.unwrap_or(columns.len());
    table.row(with(columns, user_column, Some("user_id"), ids.user.is_none(), 0));
    let (mut resolved, mut unresolved, mut failed) = (0, 0, None);
    each(content, |row| {
        let nameless = ids.nameless(row);
        let owner = nameless.as_ref().and_then(|(session, team)| wanted.owner(*session, team.as_ref()));
        match (&nameless, owner) {
            (Some(_), Some(_)) => resolved += 1,
            (Some(_), None) => unresolved += 1,
            (None, _) => {}
        }
        // A row with too many fields must not become a good one: it stays as long as it was.
        let beyond = match row.target {
            Err(Rejection::Columns { found, expected }) => found.saturating_sub(expected),
            Ok(_) | Err(_) => 0,
        };
        table.row(with(&row.fields, user_column, owner.map(UserId::as_str), ids.user.is_none(), beyond));
        if failed.is_none() {
            failed = table.flush_beyond(64 * 1024).err();
        }
    })
    .await?;
    failed.map_or_else(|| table.finish(), Err).map_err(|error| unwritable(&error))?;
    Ok((resolved, unresolved))
}

/// The fields with the user in its column, or behind the others where there is none; and `beyond` empty ones.
fn with<'a>(
    fields: &'a Fields,
    column: usize,
    user: Option<&'a str>,
    is_new: bool,
    beyond: usize,
) -> impl Iterator<Item = &'a str> {
    let kept = fields.iter().enumerate().map(move |(index, field)| match user {
        Some(user) if index == column && field.trim().is_empty() => user,
        Some(_) | None => field,
    });
    kept.chain(is_new.then(|| user.unwrap_or_default())).chain(std::iter::repeat_n("", beyond))
}

fn tell(wanted: &Wanted, resolved: u64, unresolved: u64, output: Option<PathBuf>, console: &Console) {
    console.note(&format!("{} resolved", counted(resolved, "row", "rows")));
    if unresolved > 0 {
        let rows = counted(unresolved, "row", "rows");
        tracing::warn!("{rows} not resolved: no such session is listed any more, or the ids do not belong together");
    }
    if wanted.unreadable > 0 && unresolved > 0 {
        let sessions = counted(wanted.unreadable, "listed session", "listed sessions");
        tracing::warn!("{sessions} could not be read; they may be some of those");
    }
    if let Some(output) = output {
        console.note(&format!("written: {}", output.display()));
    }
}
