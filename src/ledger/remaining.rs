//! `--remaining`: the input's rows that still need processing, in the input's own shape.
//!
//! The file is replaced or removed only while it is what a run on the same results wrote: the manifest has its hash. Each run
//! removes it before its first row, since rows of it may be done soon, and writes a new one at its end.

use super::manifest::Manifest;
use super::paths::{RunFiles, is_there, remaining_beside};
use super::scan::Recorded;
use crate::files::atomic::AtomicFile;
use crate::files::{Fingerprint, Hashing, PRIVATE, during, fingerprint};
use crate::model::{Remaining, Status};
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Whether a row remains, by its line and by the status that it would end with unsent.
pub type Keep<'a> = &'a dyn Fn(u64, Option<Status>) -> bool;

/// Writes the rows that remain, and returns how many these are. The manifest has the file's hash before it is there, so that
/// the next run takes it for its own wherever this one dies.
///
/// # Errors
/// If the input can't be read again, the file or the manifest can't be written, or another file is there by now.
pub fn write(
    copy_rows: impl FnOnce(Keep<'_>, &mut dyn Write) -> io::Result<u64>,
    recorded: &Recorded,
    strict: bool,
    manifest: &mut Manifest,
    files: &RunFiles,
) -> io::Result<u64> {
    manifest.remaining = None;
    if recorded.done().len() >= manifest.input.rows && recorded.remaining(strict) == 0 {
        return Ok(0);
    }
    let path = &files.remaining;
    let unwritten = during("write", path);
    // A row that the run didn't reach has no record, but it may be protected, or a duplicate of one that has.
    let keep = |line: u64, rejected: Option<Status>| {
        recorded.remains(line, strict) && rejected.is_none_or(|status| status.remains(strict))
    };
    let file = AtomicFile::create(path, PRIVATE).map_err(unwritten)?;
    let mut out = Hashing::new(file);
    let rows = copy_rows(&keep, &mut out)?;
    if rows == 0 {
        return Ok(0);
    }
    let (file, Fingerprint { sha256, bytes }) = out.finish();
    manifest.remaining = Some(Remaining { path: path.to_string_lossy().into(), rows, sha256, bytes });
    manifest.save_counted(recorded, &files.manifest)?;
    if is_there(path)? {
        let taken = "another file was put there since the run began";
        return Err(unwritten(io::Error::new(io::ErrorKind::AlreadyExists, taken)));
    }
    file.commit().map_err(unwritten)?;
    Ok(rows)
}

/// Whether a run may write its remaining rows at their path: nothing is there, or what `known`, a manifest's record, describes.
///
/// # Errors
/// If it can't be read.
pub fn is_free_or_ours(files: &RunFiles, known: Option<&Remaining>) -> io::Result<bool> {
    if !is_there(&files.remaining)? {
        return Ok(true);
    }
    // Archived results have it under a name that their manifest doesn't know.
    let default = remaining_beside(&files.results);
    match known {
        Some(known) if Path::new(&known.path) == files.remaining || default == files.remaining => {
            holds(&files.remaining, known)
        }
        Some(_) | None => Ok(false),
    }
}

/// Removes what an earlier run left, at its path of then and at the one of now; rows that are sent from now on are in it.
/// Returns the path of a file that somebody has changed since, which stays.
///
/// # Errors
/// If it can't be read or removed.
pub fn remove_stale(files: &RunFiles, known: &Remaining) -> io::Result<Option<PathBuf>> {
    let mut changed = None;
    for path in [PathBuf::from(&known.path), files.remaining.clone()] {
        if !is_there(&path)? {
            continue;
        }
        if holds(&path, known)? {
            fs::remove_file(&path).map_err(during("remove", &path))?;
        } else {
            changed = Some(path);
        }
    }
    Ok(changed)
}

/// Whether the file at `path` is the one that `known` describes.
pub(super) fn is_known(path: &Path, known: Option<&Remaining>) -> io::Result<bool> {
    Ok(match known {
        Some(known) => is_there(path)? && holds(path, known)?,
        None => false,
    })
}

fn holds(path: &Path, known: &Remaining) -> io::Result<bool> {
    if fs::metadata(path).map_err(during("look at", path))?.len() != known.bytes {
        return Ok(false);
    }
    Ok(fingerprint(path)?.sha256 == known.sha256)
}
