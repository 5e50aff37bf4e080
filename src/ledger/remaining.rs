//! `--remaining`: the rows that still need processing, in the input's format.
//!
//! The file is only replaced or removed if a run with the same results wrote it, as its hash in the manifest shows.
//! Each run removes it before its first row, because its rows may be processed soon, and writes a new one at the end.

use super::manifest::Manifest;
use super::paths::{RunFiles, is_there, remaining_beside};
use super::scan::Recorded;
use crate::files::atomic::AtomicFile;
use crate::files::{Fingerprint, Hashing, PRIVATE, during, fingerprint};
use crate::model::{Remaining, Status};
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Whether a row remains, from its line and a function that returns the status with which it would end without being
/// sent.
pub type Keep<'a> = &'a dyn Fn(u64, &dyn Fn() -> Option<Status>) -> bool;

/// Writes the remaining rows and returns their number. The hash is saved in the manifest before the file is created,
/// so that the next run recognizes the file even if this one is killed in between.
///
/// # Errors
/// If the input can't be read, the file or the manifest can't be written, or another file exists at the path.
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
    // A row without a record may be protected, or a duplicate of one with a record.
    let keep = |line: u64, rejected: &dyn Fn() -> Option<Status>| {
        recorded.remains(line, strict) && rejected().is_none_or(|status| status.remains(strict))
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

/// Whether the path is free or has the file that `known`, from the manifest, describes.
///
/// # Errors
/// If it can't be read.
pub fn is_free_or_ours(files: &RunFiles, known: Option<&Remaining>) -> io::Result<bool> {
    if !is_there(&files.remaining)? {
        return Ok(true);
    }
    // With archived results, it has another name than in their manifest.
    let default = remaining_beside(&files.results);
    match known {
        Some(known) if Path::new(&known.path) == files.remaining || default == files.remaining => {
            holds(&files.remaining, known)
        }
        Some(_) | None => Ok(false),
    }
}

/// Removes the file of an earlier run at its old and its current path, because its rows are about to be sent. Returns
/// the path of a file that was changed, which is kept.
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
