//! Checks the files that a command names: no two are the same file, none replaces another program's, and each can be written.

use crate::error::RunError;
use crate::ledger::journal::{Lock, LockError};
use crate::ledger::listing::Listing;
use crate::ledger::paths::{self, RunFiles};
use crate::ledger::results::CreateError;
use crate::ledger::table::Table;
use crate::model::{InputRecord, TokenSource};
use std::io;
use std::path::{Path, PathBuf};

pub(super) struct Named<'a> {
    /// The flag, or what the file is.
    pub(super) name: &'static str,
    /// The flag that changes its name; `None` if the file is read, or written by another command.
    pub(super) flag: Option<&'static str>,
    pub(super) path: &'a Path,
}

impl<'a> Named<'a> {
    /// A file that is read, or written by another command.
    pub(super) fn kept(name: &'static str, path: &'a Path) -> Self {
        Self { name, flag: None, path }
    }

    /// A file that is written, whose name `flag` changes.
    pub(super) fn written(name: &'static str, flag: &'static str, path: &'a Path) -> Self {
        Self { name, flag: Some(flag), path }
    }
}

/// Locks the results, so that no other run works on them.
///
/// # Errors
/// If one does, or the lock can't be written.
pub(super) fn acquire(files: &RunFiles) -> Result<Lock, RunError> {
    Lock::acquire(&files.journal, std::process::id()).map_err(|error| match error {
        LockError::Held { .. } => {
            RunError::locked(error.to_string(), "nothing was sent, and that run goes on undisturbed")
        }
        LockError::NotAJournal(_) | LockError::OtherVersion { .. } => {
            RunError::input(error.to_string(), "nothing was sent")
        }
        LockError::NoLocks { .. } => {
            let next = "nothing was sent; name a file on a filesystem with locks, such as a local disk, with -o";
            RunError::unwritable(error.to_string(), next)
        }
        LockError::Io(error) => {
            RunError::unwritable(error.to_string(), "nothing was sent; free space, or name another file with -o")
        }
    })
}

/// Refuses two names of one file, also through a link. Each file that is written is compared with those before it.
///
/// # Errors
/// If one of them would be overwritten.
pub(super) fn check_collisions(all: &[Named<'_>]) -> Result<(), RunError> {
    for (index, written) in all.iter().enumerate() {
        let Some(flag) = written.flag else { continue };
        for other in &all[..index] {
            // A file that can't be compared can't be opened either; that error is reported when it is opened.
            if paths::same_file(written.path, other.path).unwrap_or(false) {
                let what = format!("{} would overwrite {}: {}", written.name, other.name, written.path.display());
                return Err(RunError::input(what, format!("name another file with {flag}")));
            }
        }
    }
    Ok(())
}

/// Refuses a file that would be replaced or appended to, unless it is empty or an earlier output.
///
/// # Errors
/// If it does, or can't be read.
pub(super) fn check_foreign(
    flag: &str,
    path: &Path,
    holds_ours: impl FnOnce(&Path) -> io::Result<bool>,
) -> Result<(), RunError> {
    if holds_ours(path).map_err(|error| unwritable_by(flag, path, &error))? {
        return Ok(());
    }
    let what = format!("{flag} {}: the file is there already, and slack-revoke didn't write it", path.display());
    Err(RunError::input(what, format!("move it away, or name another file with {flag}")))
}

/// Checks that a file can be written later.
///
/// # Errors
/// Exit code 7 if it can't.
pub(super) fn check_writable(flag: &str, path: &Path) -> Result<(), RunError> {
    paths::check_writable(path).map_err(|error| unwritable_by(flag, path, &error))
}

/// Checks that a file doesn't exist yet and can be created.
///
/// # Errors
/// If there is one, or if it couldn't be written.
pub(super) fn check_new(flag: &str, path: &Path) -> Result<(), RunError> {
    if paths::is_there(path).map_err(|error| unwritable(&error))? {
        return Err(exists_already(flag, path));
    }
    paths::check_writable(path).map_err(|error| unwritable(&error))
}

fn exists_already(flag: &str, path: &Path) -> RunError {
    let is_unfinished = || Listing::of(path).is_ok_and(|listing| listing.is_some_and(|listing| !listing.is_finished()));
    let resume = if flag == "-o" && is_unfinished() { "; list --resume continues it" } else { "" };
    let hint = format!("name another file with {flag}, or remove it{resume}");
    RunError::input(format!("{} exists already", path.display()), hint)
}

/// Creates a list, or the rows of `resolve`, at `-o`.
pub(super) fn created(output: &Path) -> Result<Table, RunError> {
    Table::create(output).map_err(|error| match error {
        CreateError::Exists(path) => exists_already("-o", &path),
        CreateError::Held(_) => RunError::locked(error.to_string(), "nothing was listed"),
        CreateError::Io(error) => unwritable(&error),
    })
}

pub(super) fn unwritable(error: &io::Error) -> RunError {
    match error.kind() {
        io::ErrorKind::WouldBlock => RunError::locked(error.to_string(), "wait for it to end"),
        _ => {
            RunError::unwritable(error.to_string(), "free space or fix permissions there, or name another file with -o")
        }
    }
}

/// Where the input of a run may be: at the path given to the run, which may be another machine's, or beside its results.
pub(super) fn inputs(input: &InputRecord, results: &Path) -> Vec<PathBuf> {
    let given = PathBuf::from(&input.path);
    let beside = given.file_name().map(|name| results.with_file_name(name));
    let beside = beside.filter(|beside| !paths::same_file(beside, &given).unwrap_or(false));
    [Some(given).filter(|given| given.as_os_str() != "-"), beside].into_iter().flatten().collect()
}

pub(super) fn token_file(token: Option<&TokenSource>) -> Option<&Path> {
    match token? {
        TokenSource::File(path) | TokenSource::Credential(path) => Some(path),
        TokenSource::Env | TokenSource::Command(_) | TokenSource::Prompt => None,
    }
}

fn unwritable_by(flag: &str, path: &Path, error: &io::Error) -> RunError {
    let what = format!("{flag} {} can't be written: {error}", path.display());
    RunError::unwritable(what, format!("nothing was sent; name another file with {flag}"))
}
