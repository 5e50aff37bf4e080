//! `list`: the sessions of the organisation as CSV, an input of `run` as it is.

use crate::cli::{FilterArgs, InputSource, ListArgs};
use crate::commands::listing::filter::{Filter, users_of};
use crate::commands::listing::{Halt, Lister, Pages, Progress, block_on, count};
use crate::domain::{Stamp, TeamId};
use crate::engine::clock::wall;
use crate::error::{RunError, Trouble};
use crate::exit::ExitStatus;
use crate::report::{self, Console, WEAKENED};
use crate::settings::{Environment, RemoteSettings};
use crate::slack::{ActiveSession, Device, Page};
use crate::store::cursor::Cursor;
use crate::store::listed;
use crate::store::paths;
use crate::store::results::CreateError;
use crate::store::table::Table;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

/// The columns: the ids that `run` reads, then the device that signed in and the one last seen.
const COLUMNS: [&str; 13] = [
    "user_id",
    "team_id",
    "session_id",
    "created_device_hardware",
    "created_os",
    "created_os_version",
    "created_slack_client_version",
    "created_ip",
    "recent_device_hardware",
    "recent_os",
    "recent_os_version",
    "recent_slack_client_version",
    "recent_ip",
];

/// Lists. `argv` is the command line as it was typed, for the command that continues the listing.
///
/// # Errors
/// What stops the listing before its first call.
pub fn list(typed: ListArgs, argv: &[OsString], console: &Console) -> Result<ExitStatus, RunError> {
    let ListArgs { filters, output, others, resume, remote } = typed;
    // Nothing is read from standard input, so somebody there can be asked for the token.
    let settings = RemoteSettings::resolve(remote, &InputSource::File(PathBuf::new()), &Environment::capture())?;
    let owner = filters.team.clone().zip(filters.user.clone());
    let filter = filter(filters)?;
    block_on(async {
        let (mut lister, host) = Lister::connect(&settings)?;
        let begun_with = format!("{host}\n{owner:?}\n{}\n{others:?}", filter.canonical());
        let mut state = State::open(output.map(|output| Files::of(output, others)), resume, &begun_with)?;
        let mut progress = Progress::new(console, lister.clock());
        let mut pages = Pages::new(owner, state.at.cursor.clone());
        let end = loop {
            let page = match pages.next(&mut lister).await {
                Ok(Some(page)) => page,
                Ok(None) => break Ok(()),
                Err(halt) => break Err(halt),
            };
            if let Err(error) = state.take(&page, &filter, pages.go_on()) {
                break Err(error.into());
            }
            progress.tell(state.at.pages, state.at.seen);
        };
        Ok(state.conclude(end, argv, console))
    })
}

fn filter(typed: FilterArgs) -> Result<Filter, RunError> {
    let lower = |texts: Vec<String>| texts.into_iter().map(|text| text.to_lowercase()).collect();
    let users = |flag, path: Option<PathBuf>| path.map(|path| users_of(flag, &path)).transpose();
    Ok(Filter {
        ip: typed.ip,
        not_ip: typed.not_ip,
        os: lower(typed.os),
        client: lower(typed.client),
        device: lower(typed.device),
        users: users("--users", typed.users)?,
        excluded: users("--exclude-user", typed.exclude_user)?.unwrap_or_default(),
    })
}

/// Where a listing goes.
struct Files {
    output: PathBuf,
    /// For the sessions that the filters leave out.
    others: Option<PathBuf>,
    cursor: PathBuf,
}

impl Files {
    fn of(output: PathBuf, others: Option<PathBuf>) -> Self {
        Self { cursor: Cursor::beside(&output), output, others }
    }

    /// Refuses a file for the others that is there, or is the output: before anything is made.
    fn check_others(&self) -> Result<(), RunError> {
        let Some(others) = &self.others else { return Ok(()) };
        let is_taken = others.exists() || paths::same_file(others, &self.output).map_err(|error| unwritable(&error))?;
        if !is_taken {
            return Ok(());
        }
        let what = format!("{} exists already, or is the output", others.display());
        Err(RunError::Input(Trouble::new(what, "name another file with --others, or remove it")))
    }

    /// Takes back outputs that hold nothing but their header, so that the same command can be given again.
    fn abandon(&self) -> io::Result<()> {
        std::fs::remove_file(&self.output)?;
        self.others.as_ref().map_or(Ok(()), std::fs::remove_file)?;
        Cursor::remove(&self.cursor)
    }
}

/// The outputs, and how far they are.
struct State {
    table: Table,
    others: Option<Table>,
    at: Cursor,
    files: Option<Files>,
}

impl State {
    fn open(files: Option<Files>, resume: bool, filters: &str) -> Result<Self, RunError> {
        let mut fresh = Cursor::new(filters);
        fresh.began_at_ms = Some(wall().as_millis());
        let Some(files) = files else {
            return begun(Self { table: Table::stdout(), others: None, at: fresh, files: None });
        };
        let output = &files.output;
        let earlier = if resume { Cursor::load(&files.cursor).map_err(|error| unusable(&error))? } else { None };
        match earlier {
            Some(at) if at.filters_sha256 != fresh.filters_sha256 => Err(RunError::Input(Trouble::new(
                format!("{} was begun with other filters, another API, or another --others", output.display()),
                "continue with the filters that it was begun with, or name another file with -o",
            ))),
            Some(at) => {
                let table = Table::resume(output, at.bytes).map_err(|error| unwritable(&error))?;
                let others = files.others.as_ref().map(|others| Table::resume(others, at.others_bytes)).transpose();
                let others = others.map_err(|error| unwritable(&error))?;
                Ok(Self { table, others, at, files: Some(files) })
            }
            None if resume && output.exists() => Err(RunError::Input(Trouble::new(
                format!("{} has no .cursor file beside it: it is complete, or no listing", output.display()),
                "name another file with -o to list afresh",
            ))),
            None => {
                files.check_others()?;
                let table = created(output)?;
                let others = files.others.as_deref().map(created).transpose()?;
                begun(Self { table, others, at: fresh, files: Some(files) })
            }
        }
    }

    /// Keeps a page: first its rows, then, if the listing `goes_on` behind it, that it was read.
    fn take(&mut self, page: &Page, filter: &Filter, goes_on: bool) -> Result<(), RunError> {
        for session in &page.sessions {
            if filter.passes(session) {
                self.at.kept += 1;
                write(&mut self.table, session);
            } else if let Some(others) = &mut self.others {
                write(others, session);
            }
        }
        self.flush()?;
        self.at.pages += 1;
        self.at.seen += (page.sessions.len() + page.unreadable.len()) as u64;
        self.at.unreadable += page.unreadable.len() as u64;
        self.at.cursor.clone_from(&page.next_cursor);
        if goes_on { self.save() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), RunError> {
        let others = |others: &mut Option<Table>| others.as_mut().map_or(Ok(()), Table::flush);
        self.table.flush().and_then(|()| others(&mut self.others)).map_err(|error| unwritable(&error))
    }

    fn save(&mut self) -> Result<(), RunError> {
        self.at.bytes = self.table.len();
        self.at.others_bytes = self.others.as_ref().map_or(0, Table::len);
        let saved = self.files.as_ref().map_or(Ok(()), |files| self.at.save(&files.cursor));
        saved.map_err(|error| unwritable(&error))
    }

    fn conclude(self, end: Result<(), Halt>, argv: &[OsString], console: &Console) -> ExitStatus {
        let Self { at, files, .. } = self;
        if at.unreadable > 0 {
            let sessions = report::counted(at.unreadable, "session", "sessions");
            tracing::warn!(
                target: WEAKENED,
                "{sessions} could not be read, because the user or the session id is missing or malformed; the list is not \
                 complete"
            );
        }
        console.note(&format!("{}, {} listed", count(at.pages, at.seen), report::thousands(at.kept)));
        match end {
            Ok(()) => {
                let removed = files.as_ref().map_or(Ok(()), |files| Cursor::remove(&files.cursor));
                if let Err(error) = removed {
                    tracing::warn!(target: report::WEAKENED, "{error}");
                }
                if let Some(Files { output, .. }) = files {
                    note_began(&output, &at);
                    if at.unreadable == 0 {
                        console.note(&format!("the list is complete: {}", output.display()));
                    }
                }
                if at.unreadable == 0 { ExitStatus::Success } else { ExitStatus::RowsFailed }
            }
            Err(halt) => {
                let next = match files {
                    Some(files) if at.pages == 0 => match files.abandon() {
                        Ok(()) => "nothing was listed; run the same command again".into(),
                        Err(error) => error.to_string(),
                    },
                    Some(_) => format!("continue with: {}", report::resume_command(argv)),
                    None => "the list is not complete; with -o FILE it could be continued".into(),
                };
                halt.end(Some(&next))
            }
        }
    }
}

/// The list is as old as its beginning: `run` warns where that is long ago.
fn note_began(output: &Path, at: &Cursor) {
    let set = at.began_at_ms.map_or(Ok(()), |began| listed::set(output, Stamp::from_millis(began)));
    if let Err(error) = set {
        tracing::warn!(target: report::WEAKENED, "{error}; a run takes the list for younger than it is");
    }
}

/// Writes the header, and notes that nothing was read yet: an output without its cursor counts as complete.
fn begun(mut state: State) -> Result<State, RunError> {
    state.table.row(COLUMNS);
    if let Some(others) = &mut state.others {
        others.row(COLUMNS);
    }
    state.flush()?;
    state.save()?;
    Ok(state)
}

/// Makes the output.
pub(super) fn created(output: &Path) -> Result<Table, RunError> {
    Table::create(output).map_err(|error| match error {
        CreateError::Exists(path) => RunError::Input(Trouble::new(
            format!("{} exists already", path.display()),
            "name another file with -o, or remove it; --resume continues a listing that was interrupted",
        )),
        CreateError::Io(error) => unwritable(&error),
    })
}

pub(super) fn unwritable(error: &io::Error) -> RunError {
    match error.kind() {
        io::ErrorKind::WouldBlock => RunError::Locked(Trouble::new(error.to_string(), "wait for its end")),
        _ => RunError::Unwritable(Trouble::new(
            error.to_string(),
            "make room or rights there, or name another file with -o",
        )),
    }
}

fn unusable(error: &io::Error) -> RunError {
    RunError::Input(Trouble::new(error.to_string(), "remove it and the output, and list afresh"))
}

fn write(table: &mut Table, session: &ActiveSession) {
    let id = session.session_id.to_string();
    let ids = [session.user_id.as_str(), session.team_id.as_ref().map_or("", TeamId::as_str), &id];
    let devices = [&session.created, &session.recent].into_iter().flat_map(|device| columns(device.as_ref()));
    table.row(ids.into_iter().chain(devices));
}

fn columns(device: Option<&Device>) -> [&str; 5] {
    let Some(device) = device else { return [""; 5] };
    let Device { device_hardware, os, os_version, slack_client_version, ip } = device;
    [device_hardware, os, os_version, slack_client_version, ip].map(|text| text.as_deref().unwrap_or_default())
}
