//! The output files and the progress of a listing.

use crate::commands::listing::filter::{Filter, Fit};
use crate::commands::listing::{ListError, count};
use crate::commands::outputs::{self, Named, created, unwritable};
use crate::engine::clock::wall;
use crate::error::RunError;
use crate::ledger::input_age;
use crate::ledger::listing::{Listing, OthersFile, Written};
use crate::ledger::table::Table;
use crate::model::{ExitStatus, TeamId};
use crate::output::{self, Console, WEAKENED};
use crate::slack::{ActiveSession, Device, SessionPage};
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::PathBuf;

/// The ids that `run` reads, the device that signed in, and the one seen last.
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

pub struct ListFiles {
    output: PathBuf,
    /// For sessions that don't match the filters.
    others: Option<PathBuf>,
    listing: PathBuf,
}

impl ListFiles {
    pub fn of(output: PathBuf, others: Option<PathBuf>) -> Self {
        Self { listing: Listing::beside(&output), output, others }
    }

    /// Refuses outputs that exist or can't be created, before anything is created.
    fn check(&self) -> Result<(), RunError> {
        let named = [("-o", Some(&self.output)), ("--others", self.others.as_ref())];
        for (flag, path) in named.into_iter().filter_map(|(flag, path)| Some((flag, path?))) {
            outputs::check_new(flag, path)?;
        }
        let Some(others) = &self.others else { return Ok(()) };
        outputs::check_collisions(&[
            Named::kept("the output", &self.output),
            Named::kept("the file that says how far the list is", &self.listing),
            Named::written("--others", "--others", others),
        ])
    }

    /// Records the progress of the `--others` file too, which is as incomplete.
    fn save_others(&self, at: &Listing) -> Result<(), RunError> {
        let noted = self.others.as_deref().zip(at.of_others());
        let saved = noted.map_or(Ok(()), |(path, others)| others.save(&Listing::beside(path)));
        saved.map_err(|error| unwritable(&error))
    }

    fn listings(&self) -> impl Iterator<Item = PathBuf> {
        [Some(self.listing.clone()), self.others.as_deref().map(Listing::beside)].into_iter().flatten()
    }

    /// Removes outputs that have only a header, so that the same command can be run again.
    fn abandon(&self) -> io::Result<()> {
        for path in [Some(&self.output), self.others.as_ref()].into_iter().flatten() {
            match fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
        }
        self.listings().try_for_each(|listing| Listing::remove(&listing))
    }
}

pub struct State {
    table: Table,
    others: Option<Table>,
    pub at: Listing,
    files: Option<ListFiles>,
    /// Sessions of others than `--team` and `--user`.
    foreign: u64,
    /// Flags whose users have no session so far; empty if earlier pages weren't checked.
    unmet: Vec<&'static str>,
}

impl State {
    pub fn on_stdout(fresh: Listing) -> Result<Self, RunError> {
        Self { table: Table::stdout(), others: None, at: fresh, files: None, foreign: 0, unmet: Vec::new() }
            .with_header()
    }

    /// To files. With `resume`, continues an earlier listing.
    pub fn open(files: ListFiles, resume: bool, mut fresh: Listing) -> Result<Self, RunError> {
        fresh.others = files.others.as_ref().map(|path| OthersFile {
            path: path.to_string_lossy().into_owned(),
            rows: 0,
            written: Written::default(),
        });
        // Fails if the file is another program's.
        let earlier = Listing::load(&files.listing).map_err(|error| unusable(&error))?;
        if let Some(others) = &files.others {
            Listing::load(&Listing::beside(others)).map_err(|error| unusable(&error))?;
        }
        let is_there = files.output.try_exists().map_err(|error| unwritable(&error))?;
        match earlier {
            Some(earlier) if resume && !earlier.is_finished() => Self::resume(files, earlier, &fresh),
            Some(_) if resume && is_there => Err(RunError::input(
                format!("{} is complete", files.output.display()),
                "name another file with -o to list afresh",
            )),
            None if resume && is_there => Err(RunError::input(
                format!(
                    "{} has no .listing.json file next to it, so it isn't an interrupted listing",
                    files.output.display()
                ),
                "name another file with -o to list afresh",
            )),
            Some(_) | None => Self::begin(files, fresh),
        }
    }

    /// Records the listing as unfinished before the output is created, so that a partial output is never taken for a
    /// complete one.
    fn begin(files: ListFiles, fresh: Listing) -> Result<Self, RunError> {
        files.check()?;
        fresh.save(&files.listing).map_err(|error| unwritable(&error))?;
        files.save_others(&fresh)?;
        let table = created(&files.output)?;
        let others = files.others.as_deref().map(created).transpose().inspect_err(|_| {
            // They have no rows, and would block the next start, which reports them if they can't be removed.
            let _ = fs::remove_file(&files.output);
            let _ = files.listings().try_for_each(|listing| Listing::remove(&listing));
        })?;
        Self { table, others, at: fresh, files: Some(files), foreign: 0, unmet: Vec::new() }.with_header()
    }

    fn resume(files: ListFiles, earlier: Listing, now: &Listing) -> Result<Self, RunError> {
        let refused = |what: &str, next: &str| {
            Err(RunError::input(format!("{} was begun with {what}", files.output.display()), next))
        };
        if earlier.is_others {
            return refused("another -o, and has what that listing excludes", "continue the listing in that -o");
        }
        let others = |listing: &Listing| listing.others.as_ref().map(|others| others.path.clone());
        if earlier.filters != now.filters || earlier.api_host != now.api_host || others(&earlier) != others(now) {
            return refused(
                "other filters, another API, or another --others",
                "continue with the filters that it was begun with, or name another file with -o",
            );
        }
        match (&earlier.organization, &now.organization) {
            (Some(earlier), Some(now)) if earlier != now => {
                return refused(
                    &format!("a token of {earlier}, and this one belongs to {now}"),
                    "continue with a token of the same organization, or name another file with -o",
                );
            }
            (Some(_), None) => {
                return Err(RunError::unreachable(
                    "Slack doesn't say which organization this token belongs to, and the listing was begun with one",
                    "nothing was listed; run the same command again",
                ));
            }
            (Some(_), Some(_)) | (None, _) => {}
        }
        let table = Table::resume(&files.output, earlier.output.bytes).map_err(|error| unwritable(&error))?;
        let other = files.others.as_deref().zip(earlier.others.as_ref());
        let others = other.map(|(path, others)| Table::resume(path, others.written.bytes)).transpose();
        let others = others.map_err(|error| unwritable(&error))?;
        files.save_others(&earlier)?;
        let is_begun = earlier.output.bytes > 0;
        let this = Self { table, others, at: earlier, files: Some(files), foreign: 0, unmet: Vec::new() };
        if is_begun { Ok(this) } else { this.with_header() }
    }

    fn with_header(mut self) -> Result<Self, RunError> {
        self.table.row(COLUMNS);
        if let Some(others) = &mut self.others {
            others.row(COLUMNS);
        }
        self.flush()?;
        self.save()?;
        Ok(self)
    }

    /// Writes the rows of a page, and the progress if another page follows.
    pub fn add_page(&mut self, page: &SessionPage, filter: &Filter, goes_on: bool) -> Result<(), RunError> {
        if self.at.pages == 0 {
            self.unmet = filter.lists().map(|(flag, _)| flag).collect();
        }
        for session in &page.sessions {
            let is_in =
                |list: &str| filter.lists().any(|(flag, users)| flag == list && users.contains(&session.user_id));
            self.unmet.retain(|flag| !is_in(flag));
            if !filter.asks_for(session) {
                self.foreign += 1;
                continue;
            }
            let fit = filter.fit(session);
            self.at.unknown_addresses += u64::from(fit == Fit::UnknownAddress);
            if fit == Fit::Yes {
                self.at.rows += 1;
                write(&mut self.table, session);
            } else if let Some((table, others)) = self.others.as_mut().zip(self.at.others.as_mut()) {
                others.rows += 1;
                write(table, session);
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
        self.at.output.bytes = self.table.len();
        if let Some((at, table)) = self.at.others.as_mut().zip(self.others.as_ref()) {
            at.written.bytes = table.len();
        }
        let saved = self.files.as_ref().map_or(Ok(()), |files| self.at.save(&files.listing));
        saved.map_err(|error| unwritable(&error))
    }

    /// Finishes the listing. The time of the file is set before the list counts as finished.
    fn finish(&mut self) -> Result<(), RunError> {
        let Some(files) = &self.files else { return Ok(()) };
        if let Err(error) = input_age::set(&files.output, self.at.began_at) {
            tracing::warn!(target: WEAKENED, "{error}; a copy of the list is taken for younger than it is");
        }
        let finished = self.at.finish(wall(), &files.output, files.others.as_deref());
        finished.map_err(|error| unwritable(&error))?;
        // Before the list itself: if it is cut off here, the list can be continued, and both are recorded again.
        files.save_others(&self.at)?;
        self.at.save(&files.listing).map_err(|error| unwritable(&error))
    }

    /// Finishes the listing and prints how it ended.
    pub fn conclude(
        mut self,
        end: Result<(), ListError>,
        argv: &[OsString],
        console: &Console,
    ) -> Result<ExitStatus, RunError> {
        if self.at.unreadable > 0 {
            let sessions = output::counted(self.at.unreadable, "session", "sessions");
            tracing::warn!(
                target: WEAKENED,
                "{sessions} could not be read, because the user or the session id is missing or malformed; the list is not \
                 complete"
            );
        }
        if self.at.unknown_addresses > 0 {
            let sessions = output::counted(self.at.unknown_addresses, "session has", "sessions have");
            tracing::warn!(
                target: WEAKENED,
                "{sessions} no address, or one that can't be read, and may be in any range: left out by --ip or --not-ip"
            );
        }
        for flag in self.unmet.iter().filter(|_| end.is_ok()) {
            tracing::warn!(target: WEAKENED, "none of the users in {flag} has a session: check that it is the right file");
        }
        if self.foreign > 0 {
            let sessions = output::counted(self.foreign, "session", "sessions");
            tracing::warn!(target: WEAKENED, "Slack gave {sessions} that --team and --user don't ask for; they are left out");
        }
        let (pages, seen, rows) = (self.at.pages, self.at.seen, self.at.rows);
        console.note(&format!("{}, {} listed", count(pages, seen), output::thousands(rows)));
        let Err(error) = end else {
            self.finish()?;
            if self.at.unreadable > 0 {
                return Ok(ExitStatus::RowsFailed);
            }
            if let Some(files) = &self.files {
                console.note(&format!("the list is complete: {}", files.output.display()));
            }
            return Ok(ExitStatus::Success);
        };
        let next = match &self.files {
            Some(files) if pages == 0 => match files.abandon() {
                Ok(()) => "nothing was listed; run the same command again".into(),
                Err(error) => error.to_string(),
            },
            Some(files) if matches!(error, ListError::Incomplete(_)) => format!(
                "to list again from the start, remove {} and {}, or name another file with -o",
                files.output.display(),
                files.listing.display()
            ),
            Some(_) => format!("continue with: {}", output::resume_command(argv)),
            None => "the list is not complete; with -o FILE it could be continued".into(),
        };
        Ok(error.end(Some(&next)))
    }
}

fn unusable(error: &io::Error) -> RunError {
    RunError::input(error.to_string(), "remove it and the output, and list afresh")
}

fn write(table: &mut Table, session: &ActiveSession) {
    let id = session.session_id.to_string();
    let ids = [session.user_id.as_str(), session.team_id.as_ref().map_or("", TeamId::as_str), &id];
    let devices = [&session.created, &session.recent].into_iter().flat_map(|device| columns(device.as_ref()));
    table.foreign_row(ids.into_iter().chain(devices));
}

fn columns(device: Option<&Device>) -> [&str; 5] {
    let Some(device) = device else { return [""; 5] };
    let Device { device_hardware, os, os_version, slack_client_version, ip } = device;
    [device_hardware, os, os_version, slack_client_version, ip].map(|text| text.as_deref().unwrap_or_default())
}
