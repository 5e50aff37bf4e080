//! `--remaining`: the input's rows whose sessions are not known to be gone, in the input's own shape.

use super::files::{PRIVATE, during};
use super::input::{Content, CopyError};
use super::scan::Recorded;
use crate::domain::Status;
use atomic_write_file::AtomicWriteFile;
use atomic_write_file::unix::OpenOptionsExt as _;
use std::fs;
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// Writes the rows that remain, or removes the file of an earlier run where none does: it would be fed back by mistake.
/// `rows` are the input's. Gives the number of rows written.
///
/// # Errors
/// Where the input cannot be read again, or the file cannot be written; one of an earlier run then stays as it was.
pub fn write(content: &Content, recorded: &Recorded, rows: u64, strict: bool, path: &Path) -> io::Result<u64> {
    let unwritten = during("write", path);
    if recorded.done().len() >= rows && recorded.remaining(strict) == 0 {
        return remove(path).map(|()| 0);
    }
    // A row that the run didn't reach has no record, but it may be protected, or a duplicate of one that has.
    let keep = |line, rejected: Option<Status>| {
        recorded.remains(line, strict) && rejected.is_none_or(|status| status.remains(strict))
    };
    let mut file = AtomicWriteFile::options().mode(PRIVATE).preserve_mode(false).open(path).map_err(unwritten)?;
    let written = content.copy_rows(keep, &mut file).map_err(|error| match error {
        CopyError::Input(error) => io::Error::other(error.to_string()),
        CopyError::Output(error) => unwritten(error),
    })?;
    if written == 0 {
        drop(file);
        return remove(path).map(|()| 0);
    }
    file.commit().map_err(unwritten)?;
    Ok(written)
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(during("remove", path)(error)),
        Ok(()) | Err(_) => Ok(()),
    }
}
