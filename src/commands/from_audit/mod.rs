//! `from-audit`: converts Slack's audit log to an input of `run`.

mod filter;
mod sessions;

use crate::cli::{self, FromAuditArgs};
use crate::commands::outputs::{Named, check_collisions, check_new, unwritable};
use crate::error::RunError;
use crate::input::audit::{AuditFormat, AuditProblem, FoundEntry, LeftOut, read_audit_log};
use crate::ledger::input_age;
use crate::ledger::table::Table;
use crate::model::{ExitStatus, InputSource, UserId};
use crate::output::{Console, WEAKENED, counted, thousands};
use filter::AuditFilter;
use sessions::SessionsSeen;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Totals of the entries.
#[derive(Default)]
struct AuditTotals {
    /// All entries, including other values.
    entries: u64,
    /// Entries that don't match the filters.
    unmatched: u64,
    left_out: BTreeMap<LeftOut, u64>,
    /// Users of entries without a session.
    users: BTreeSet<UserId>,
    /// The `--path` of the first nested entry.
    likely_path: Option<String>,
}

/// # Errors
/// If a file can't be read or has no entries, or the output can't be written.
pub fn from_audit(typed: FromAuditArgs, console: &Console) -> Result<ExitStatus, RunError> {
    let format = AuditFormat {
        path: typed.path.unwrap_or_default(),
        columns: cli::columns(&typed.column)?,
        delimiter: typed.delimiter,
    };
    check_outputs(&typed.sources, typed.output.as_deref(), typed.users_output.as_deref())?;
    let filter = AuditFilter::new(typed.filters);
    let (mut totals, mut seen) = (AuditTotals::default(), SessionsSeen::default());
    for source in &typed.sources {
        let read = read_audit_log(source, &format, &mut |found| totals.take(&found, &filter, &mut seen));
        read.map_err(|problem| unusable(source, &problem))?;
    }
    for _ in 0..seen.remove_shared() {
        totals.left_out(LeftOut::SeveralUsers);
    }
    totals.check_any(&format)?;
    write_users(typed.users_output.as_deref(), &totals.users)?;
    write_sessions(typed.output.as_deref(), &seen)?;
    totals.tell(&seen, typed.output, typed.users_output, console);
    let is_unreadable = totals.left_out.keys().any(|reason| reason.is_unreadable());
    Ok(if is_unreadable { ExitStatus::RowsFailed } else { ExitStatus::Success })
}

fn unusable(source: &InputSource, problem: &AuditProblem) -> RunError {
    RunError::input(problem.to_string(), problem.hint()).at(source)
}

/// Refuses outputs that exist or can't be created, before anything is read.
fn check_outputs(sources: &[InputSource], output: Option<&Path>, users: Option<&Path>) -> Result<(), RunError> {
    let read = sources.iter().filter_map(|source| match source {
        InputSource::File(path) => Some(Named::kept("an input", path)),
        InputSource::Stdin | InputSource::Stream(_) => None,
    });
    let outputs = [("the output", "-o", output), ("--users-output", "--users-output", users)];
    let written = outputs.into_iter().filter_map(|(name, flag, path)| Some(Named::written(name, flag, path?)));
    check_collisions(&read.chain(written).collect::<Vec<_>>())?;
    outputs
        .into_iter()
        .filter_map(|(_, flag, path)| Some((flag, path?)))
        .try_for_each(|(flag, path)| check_new(flag, path))
}

fn write_sessions(output: Option<&Path>, seen: &SessionsSeen) -> Result<(), RunError> {
    let mut table = output.map_or_else(|| Ok(Table::stdout()), Table::replace).map_err(|error| unwritable(&error))?;
    seen.write(&mut table).and_then(|()| table.finish()).map_err(|error| unwritable(&error))?;
    // The output is as old as its newest entry, so that `run` can warn about old lists.
    if let Some((output, at)) = output.zip(seen.newest())
        && let Err(error) = input_age::set(output, at)
    {
        tracing::warn!(target: WEAKENED, "{error}; a run takes the list for younger than it is");
    }
    Ok(())
}

fn write_users(output: Option<&Path>, users: &BTreeSet<UserId>) -> Result<(), RunError> {
    let Some(output) = output else { return Ok(()) };
    let mut table = Table::replace(output).map_err(|error| unwritable(&error))?;
    table.row(["user_id"]);
    for user in users {
        table.row([user.as_str()]);
    }
    table.finish().map_err(|error| unwritable(&error))
}

impl AuditTotals {
    fn take(&mut self, found: &FoundEntry<'_>, filter: &AuditFilter, seen: &mut SessionsSeen) {
        self.entries += 1;
        let entry = match found {
            FoundEntry::Entry(entry) => entry,
            FoundEntry::Other(_) => {
                self.likely_path = self.likely_path.take().or_else(|| found.likely_path());
                return self.left_out(LeftOut::NotAnEntry);
            }
            FoundEntry::NoPath => return self.left_out(LeftOut::NoPath),
        };
        match filter.matches(entry) {
            Ok(true) => {}
            Ok(false) => {
                self.unmatched += 1;
                return;
            }
            Err(reason) => return self.left_out(reason),
        }
        match entry.session() {
            Ok(session) => seen.add(session, entry),
            Err(reason) => {
                self.users.extend(entry.user().filter(|_| reason == LeftOut::NoSession));
                self.left_out(reason);
            }
        }
    }

    fn left_out(&mut self, reason: LeftOut) {
        *self.left_out.entry(reason).or_default() += 1;
    }

    /// Fails if there are no entries, which would otherwise look like a log in which nothing happened.
    fn check_any(&self, format: &AuditFormat) -> Result<(), RunError> {
        let of = |reason| self.left_out.get(&reason).copied().unwrap_or(0);
        if self.entries == 0 {
            return Err(RunError::input("there is no audit log entry", "check that it is the right file"));
        }
        if of(LeftOut::NoPath) + of(LeftOut::NotAnEntry) < self.entries {
            return Ok(());
        }
        let what = format!("none of {} is an audit log entry", counted(self.entries, "value", "values"));
        let hint = match (&self.likely_path, &*format.path) {
            (Some(path), "") => format!("the entries are nested: add --path {path}"),
            (Some(path), given) => format!("the entries are nested deeper: use --path {given}.{path}"),
            (None, "") => "if the entries are nested, say where with --path, such as --path event.original".into(),
            (None, given) => format!("look for the entries in the file: nothing like one is at {given}"),
        };
        Err(RunError::input(what, hint))
    }

    fn tell(&self, seen: &SessionsSeen, output: Option<PathBuf>, users: Option<PathBuf>, console: &Console) {
        let (entries, sessions) =
            (counted(self.entries, "entry", "entries"), counted(seen.len(), "session", "sessions"));
        console
            .note(&format!("{entries} read, {} don't match the filters, {sessions} found", thousands(self.unmatched)));
        for (reason, count) in &self.left_out {
            let (word, meaning) = reason.describe();
            let line = format!("left out: {word} {}: {meaning}", thousands(*count));
            if reason.is_unreadable() {
                tracing::warn!(target: WEAKENED, "{line}");
            } else {
                console.note(&line);
            }
        }
        let written = [(output, ""), (users, " (users of entries without a session id)")];
        for (path, what) in written.into_iter().filter_map(|(path, what)| Some((path?, what))) {
            console.note(&format!("written: {}{what}", path.display()));
        }
    }
}
