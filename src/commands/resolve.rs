//! `resolve`: adds missing users to rows, by session or e-mail address.

mod check;

use crate::cli::{self, Environment, RemoteSettings, ResolveArgs};
use crate::commands::listing::filter::ListedPeople;
use crate::commands::listing::{Directory, ListError, ListProgress, Lister, Pages, block_on};
use crate::commands::outputs::{created, unwritable};
use crate::commands::rehearsal::{Rehearsal, folder_of};
use crate::commands::rows::{read_input, read_rows};
use crate::error::RunError;
use crate::input::{Content, Rules};
use crate::ledger::input_age;
use crate::ledger::paths;
use crate::ledger::table::Table;
use crate::model::{
    EmailAddress, ExitStatus, Fields, IdColumns, InputSource, Rejection, Row, SessionId, TeamId, UserId,
};
use crate::output::{Console, WEAKENED, counted, thousands};
use crate::slack::ActiveSession;
use check::{LISTED, ListedSessions};
use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

/// # Errors
/// Errors before the first call, or if the output can't be written.
pub fn resolve(typed: ResolveArgs, console: &Console) -> Result<ExitStatus, RunError> {
    let ResolveArgs { source, delimiter, column, check, output, remote } = typed;
    let names = cli::columns(&column)?;
    let settings = RemoteSettings::resolve(remote, &source, &Environment::capture())?;
    // Checked before a listing that may take an hour.
    if let Some(output) = output.as_deref()
        && paths::is_there(output).map_err(|error| unwritable(&error))?
    {
        created(output)?;
    }
    output.as_deref().map_or(Ok(()), paths::check_writable).map_err(|error| unwritable(&error))?;
    let listed_at = match &source {
        InputSource::File(path) => input_age::at(path),
        InputSource::Stdin | InputSource::Stream(_) => None,
    };
    let rules = Rules { takes_emails: true, ..Rules::default() };
    let content = read_input(&source, delimiter, names, rules, settings.rehearse)?;
    let ids = content.header().columns();
    block_on(async {
        let input = match &source {
            InputSource::File(path) => Some(path.as_path()),
            InputSource::Stdin | InputSource::Stream(_) => output.as_deref(),
        };
        let rehearsal = settings.rehearse.then(|| Rehearsal::open(folder_of(input))).transpose()?;
        let (mut lister, _) = Lister::connect(&settings, rehearsal).await?;
        let mut wanted = Wanted { listed: check.then(ListedSessions::default), ..Wanted::default() };
        read_rows(&content, |row| wanted.note(ids, row)).await?;
        match Directory::look_up(&mut lister, &ListedPeople::at(wanted.addresses.clone())).await {
            Ok(directory) => wanted.directory = directory,
            Err(error) => return Ok(error.end(Some("nothing was written; run the same command again"))),
        }
        let mut progress = ListProgress::new(console, lister.clock());
        let found = find(&mut lister, &mut wanted, &mut progress).await;
        lister.close().await;
        match found {
            Ok(()) => {}
            Err(error @ ListError::Incomplete(_)) => error.print(Some("rows may stay unresolved because of it")),
            Err(error) => return Ok(error.end(Some("nothing was written; run the same command again"))),
        }
        let rows = write(&content, ids, &wanted, output.as_deref()).await?;
        if let Some((output, listed_at)) = output.as_deref().zip(listed_at) {
            // The sessions are as old as the input, even though their users were just listed.
            if let Err(error) = input_age::set(output, listed_at) {
                tracing::warn!(target: WEAKENED, "{error}; a run takes the list for younger than it is");
            }
        }
        print_totals(&wanted, &rows, output, console);
        Ok(if rows.unresolved + rows.unlisted == 0 { ExitStatus::Success } else { ExitStatus::RowsFailed })
    })
}

/// How to find the user of a row without one.
enum Nameless {
    Session(SessionId, Option<TeamId>),
    Address(EmailAddress),
    /// Something else than an address.
    NoAddress(String),
}

/// `None` if there is nothing to look up. An address takes precedence over a session.
fn nameless(ids: IdColumns, row: &Row) -> Option<Nameless> {
    let text = |index: Option<usize>| index.and_then(|index| row.fields.get(index)).map_or("", str::trim);
    if matches!(row.target, Err(Rejection::Columns { .. })) || !text(ids.user).is_empty() {
        return None;
    }
    if let Some(address) = EmailAddress::parse(text(ids.email)) {
        return Some(Nameless::Address(address));
    }
    match (SessionId::parse(text(ids.session)), text(ids.team), text(ids.email)) {
        (Ok(session), "", _) => Some(Nameless::Session(session, None)),
        (Ok(session), team, _) => TeamId::parse(team).ok().map(|team| Nameless::Session(session, Some(team))),
        (Err(_), _, "") => None,
        (Err(_), _, text) => Some(Nameless::NoAddress(text.to_owned())),
    }
}

fn session_of(ids: IdColumns, row: &Row) -> Option<SessionId> {
    SessionId::parse(row.fields.get(ids.session?)?).ok()
}

/// The workspace in the rows of a session, and the user once found.
type TeamOwner = (Option<TeamId>, Option<UserId>);

/// Sessions and addresses to look up. Memory grows with the input.
#[derive(Default)]
struct Wanted {
    addresses: BTreeSet<EmailAddress>,
    directory: Directory,
    /// With `--check`.
    listed: Option<ListedSessions>,
    owners: HashMap<SessionId, Vec<TeamOwner>>,
    open: u64,
    unreadable: u64,
}

impl Wanted {
    fn note(&mut self, ids: IdColumns, row: &Row) {
        if let (Some(listed), Some(session)) = (&mut self.listed, session_of(ids, row)) {
            listed.note(session);
        }
        let (session, team) = match nameless(ids, row) {
            Some(Nameless::Session(session, team)) => (session, team),
            Some(Nameless::Address(address)) => {
                self.addresses.insert(address);
                return;
            }
            Some(Nameless::NoAddress(_)) | None => return,
        };
        let owners = self.owners.entry(session).or_default();
        if owners.iter().all(|(known, _)| *known != team) {
            owners.push((team, None));
            self.open += 1;
        }
    }

    /// Whether another page may be useful.
    fn is_open(&self) -> bool {
        self.open > 0 || self.listed.as_ref().is_some_and(ListedSessions::is_open)
    }

    fn take(&mut self, session: &ActiveSession) {
        if let Some(listed) = &mut self.listed {
            listed.take(session);
        }
        let Some(owners) = self.owners.get_mut(&session.session_id) else { return };
        for (team, user) in owners.iter_mut().filter(|(_, user)| user.is_none()) {
            if fits(team.as_ref(), session.team_id.as_ref()) {
                *user = Some(session.user_id.clone());
                self.open -= 1;
            }
        }
    }

    /// # Errors
    /// Whose user is unknown, and why.
    fn user(&self, nameless: &Nameless) -> Result<&UserId, String> {
        match nameless {
            Nameless::Session(session, team) => {
                let owners = self.owners.get(session).into_iter().flatten();
                let mut of_team = owners.filter(|(known, _)| known == team);
                of_team.find_map(|(_, user)| user.as_ref()).ok_or_else(|| format!("session {session}"))
            }
            Nameless::Address(address) => self.directory.user(address).map_err(|why| format!("{address} {why}")),
            Nameless::NoAddress(text) => Err(format!("{text:?} isn't an e-mail address")),
        }
    }
}

/// Whether the workspaces match. The organization (`E…`) and unknown workspaces match all.
fn fits(named: Option<&TeamId>, listed: Option<&TeamId>) -> bool {
    let (Some(named), Some(listed)) = (named, listed) else { return true };
    named == listed || named.as_str().starts_with('E') || listed.as_str().starts_with('E')
}

/// Lists until every session is found or there are no more pages.
async fn find(lister: &mut Lister, wanted: &mut Wanted, progress: &mut ListProgress<'_>) -> Result<(), ListError> {
    let mut pages = Pages::new(None, None);
    let (mut read, mut seen) = (0, 0);
    while wanted.is_open() {
        let Some(page) = pages.next(lister).await? else { break };
        read += 1;
        seen += page.sessions.len() as u64;
        wanted.unreadable += page.unreadable.len() as u64;
        page.sessions.iter().for_each(|session| wanted.take(session));
        progress.update(read, seen);
    }
    Ok(())
}

/// Maximum number of unresolved rows in the message.
const MOST_NAMED: usize = 20;

#[derive(Default)]
struct ResolvedRows {
    resolved: u64,
    unresolved: u64,
    /// With `--check`: rows that aren't listed with their session and user.
    unlisted: u64,
    /// Lines of the first unresolved rows, and why.
    named: Vec<(u64, String)>,
}

impl ResolvedRows {
    fn count(&mut self, line: u64, user: &Result<&UserId, String>) {
        let Err(why) = user else {
            self.resolved += 1;
            return;
        };
        self.unresolved += 1;
        if self.named.len() < MOST_NAMED {
            self.named.push((line, why.clone()));
        }
    }
}

async fn write(
    content: &Content,
    ids: IdColumns,
    wanted: &Wanted,
    output: Option<&Path>,
) -> Result<ResolvedRows, RunError> {
    let mut table = output.map_or_else(|| Ok(Table::stdout()), created)?;
    let columns = content.header().fields();
    let user_column = ids.user.unwrap_or(columns.len());
    let head = with(columns, user_column, Some("user_id"), ids.user.is_none());
    table.row(head.chain(wanted.listed.is_some().then_some(LISTED)));
    let (mut rows, mut failed) = (ResolvedRows::default(), None);
    read_rows(content, |row| {
        let user = nameless(ids, row).map(|nameless| wanted.user(&nameless));
        if let Some(user) = &user {
            rows.count(row.line, user);
        }
        let user = user.and_then(Result::ok);
        // A row with too many fields must stay invalid, so its number of fields is kept.
        let beyond = match row.target {
            Err(Rejection::Columns { found, expected }) => found.saturating_sub(expected),
            Ok(_) | Err(_) => 0,
        };
        let own = ids.user.and_then(|index| UserId::parse(row.fields.get(index)?).ok());
        let listed = wanted.listed.as_ref().map(|all| all.verdict(session_of(ids, row), user.or(own.as_ref())));
        rows.unlisted += u64::from(listed.is_some_and(|listed| listed != "yes"));
        let fields = with(&row.fields, user_column, user.map(UserId::as_str), ids.user.is_none());
        table.row(fields.chain(listed).chain(std::iter::repeat_n(SURPLUS, beyond)));
        if failed.is_none() {
            failed = table.flush_beyond(64 * 1024).err();
        }
    })
    .await?;
    failed.map_or_else(|| table.finish(), Err).map_err(|error| unwritable(&error))?;
    Ok(rows)
}

/// Replaces a cell beyond the header's columns. An empty one wouldn't count as surplus.
const SURPLUS: &str = "surplus";

/// The fields with the user in its column, or as the last one if there is no such column.
fn with<'a>(fields: &'a Fields, column: usize, user: Option<&'a str>, is_new: bool) -> impl Iterator<Item = &'a str> {
    let kept = fields.iter().enumerate().map(move |(index, field)| match user {
        Some(user) if index == column && field.trim().is_empty() => user,
        Some(_) | None => field,
    });
    kept.chain(is_new.then(|| user.unwrap_or_default()))
}

fn print_totals(wanted: &Wanted, rows: &ResolvedRows, output: Option<PathBuf>, console: &Console) {
    console.note(&format!("{} resolved", counted(rows.resolved, "row", "rows")));
    if rows.unresolved > 0 {
        let named: Vec<_> = rows.named.iter().map(|(line, why)| format!("line {line} ({why})")).collect();
        let others = rows.unresolved - named.len() as u64;
        let others = if others == 0 { String::new() } else { format!(" and {} more", thousands(others)) };
        tracing::error!(
            "{} not resolved, because the session is no longer listed, the ids don't belong together, or the address isn't that of \
             one user: {}{others}",
            counted(rows.unresolved, "row", "rows"),
            named.join(", ")
        );
    }
    if rows.unlisted > 0 {
        let rows = counted(rows.unlisted, "row isn't", "rows aren't");
        tracing::error!("{rows} listed by Slack with their session and user: see the column {LISTED}");
    }
    if wanted.unreadable > 0 && rows.unresolved + rows.unlisted > 0 {
        let sessions = counted(wanted.unreadable, "listed session", "listed sessions");
        tracing::warn!(target: WEAKENED, "{sessions} could not be read; they may be some of those");
    }
    if let Some(output) = output {
        console.note(&format!("written: {}", output.display()));
    }
}
