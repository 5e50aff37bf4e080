//! The journal, `OUTPUT.journal`: the lock of a run on its output, and the list of rows that may have been sent.
//!
//! **Why the list.** Slack answers `session_not_found` both for a session that never existed and for one that is
//! gone. If a run dies after sending a row and before recording the answer, only the list shows the next run that
//! `session_not_found` means `already_revoked` for this row; for a row that was never sent, it means `not_found`
//! (contract.md, "Results"). So a row is listed before its call is made, and a run that stops by itself removes the
//! rows that were clearly refused. `kill -9` loses no entry. A power loss may lose those of the last second, and with
//! them this distinction, but never causes a row to be skipped.
//!
//! **Why a separate file.** The results may be replaced by another tool, and a lock on a replaced file has no effect.
//! The lock belongs to the kernel and ends with its process, so the journal of a dead run can be locked again.
//!
//! **Format.** A text header of 64 bytes with version, process, and the kind of list; then 8 bytes per line, little
//! endian. `unset`: locked, but no run has begun. `lines`: every row that may have been sent is listed. `all`: a list
//! was lost, so any row may have been sent.

pub use super::journal_file::LockError;
use super::journal_file::{HEADER_LEN, JournalKind, lock_file, read_header};
use super::sync::Syncer;
use crate::files::atomic::{self, has_no_locks, open_regular};
use crate::files::{PRIVATE, during, is_at, sync_folder_of};
use crate::model::PossiblySent;
use roaring::RoaringTreemap;
use std::fs::{self, File, TryLockError};
use std::io::{self, BufReader, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

const FIRST_ENTRY: u64 = HEADER_LEN as u64;
const ENTRY_LEN: u64 = 8;
/// After a power loss, data that wasn't written may be zeros. No row is on line 0.
const NO_ENTRY: [u8; 8] = [0; 8];

/// The lock on the output, with the list of the last run unchanged. When it is dropped, a new journal is removed.
#[derive(Debug)]
pub struct Lock {
    file: File,
    path: PathBuf,
    pid: u32,
    kind: JournalKind,
}

impl Lock {
    /// Locks the journal at `path`, which is created if it is missing. `pid` is shown to others who find it locked.
    ///
    /// # Errors
    /// [`LockError::Held`] immediately, without waiting; or if the file isn't a journal or can't be written.
    pub fn acquire(path: &Path, pid: u32) -> Result<Self, LockError> {
        let file = lock_file(path)?;
        let kind = read_header(&file, path)?.map_or(JournalKind::Unset, |header| header.kind);
        file.write_all_at(&kind.header(pid), 0).map_err(during("write", path))?;
        Ok(Self { file, path: path.to_owned(), pid, kind })
    }

    /// Whether a run holds the journal at `path`. Changes nothing, so that it works on a read-only disk.
    ///
    /// # Errors
    /// If the file exists and can't be opened.
    pub fn is_held(path: &Path) -> io::Result<bool> {
        let file = match open_regular(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(during("read", path)(error)),
        };
        match file.try_lock_shared() {
            Ok(()) => Ok(false),
            Err(TryLockError::WouldBlock) => Ok(true),
            // A run can't start without file locks, so none is active here.
            Err(TryLockError::Error(error)) if has_no_locks(&error) => Ok(false),
            Err(TryLockError::Error(error)) => Err(during("look at the lock of", path)(error)),
        }
    }

    /// The list of the last run; `None` without a journal.
    ///
    /// # Errors
    /// If the file can't be read.
    pub fn listed(&self) -> io::Result<Option<PossiblySent>> {
        match self.kind {
            JournalKind::Unset => Ok(None),
            JournalKind::All => Ok(Some(PossiblySent::All)),
            JournalKind::Lines => {
                Ok(Some(PossiblySent::Lines(entries(&self.path).map_err(during("read", &self.path))?)))
            }
        }
    }

    /// Copies the list of the last run to `path`, for a run that resumes there. Returns false if there is none.
    ///
    /// # Errors
    /// If it can't be copied.
    pub fn copy_list(&self, path: &Path) -> io::Result<bool> {
        if self.kind == JournalKind::Unset {
            return Ok(false);
        }
        let copied = atomic::replace(path, PRIVATE, |copy| io::copy(&mut open_regular(&self.path)?, copy));
        copied.map(|_| true).map_err(during("write", path))
    }

    /// Starts an empty list, for a run that starts with the first row.
    ///
    /// # Errors
    /// If the file can't be written.
    pub fn begin(mut self) -> io::Result<Journal> {
        // If the process dies here, `unset` is left, which is read as "no list".
        self.set(JournalKind::Unset)?;
        self.file.set_len(FIRST_ENTRY).map_err(during("write", &self.path))?;
        self.set(JournalKind::Lines)?;
        self.into_journal(PossiblySent::default())
    }

    /// Continues the list, or with [`PossiblySent::All`] marks it as incomplete. If no row may have been sent, an
    /// empty list is started.
    ///
    /// # Errors
    /// If the file can't be written.
    pub fn resume(mut self, maybe_sent: &PossiblySent) -> io::Result<Journal> {
        match (maybe_sent, self.kind) {
            (PossiblySent::Lines(lines), _) if lines.is_empty() => self.begin(),
            (PossiblySent::Lines(_), JournalKind::Lines) => self.into_journal(maybe_sent.clone()),
            (PossiblySent::Lines(_), JournalKind::Unset | JournalKind::All) | (PossiblySent::All, _) => {
                self.set(JournalKind::All)?;
                self.into_journal(PossiblySent::All)
            }
        }
    }

    fn set(&mut self, kind: JournalKind) -> io::Result<()> {
        self.file.write_all_at(&kind.header(self.pid), 0).map_err(during("write", &self.path))?;
        self.kind = kind;
        Ok(())
    }

    fn into_journal(self, before: PossiblySent) -> io::Result<Journal> {
        let context = during("write", &self.path);
        let len = self.file.metadata().map_err(context)?.len();
        let end = len - len.saturating_sub(FIRST_ENTRY) % ENTRY_LEN;
        self.file.set_len(end).and_then(|()| self.file.sync_all()).map_err(context)?;
        sync_folder_of(&self.path);
        let file = self.file.try_clone().map_err(context)?;
        let syncer = Syncer::start(&file, &self.path, end)?;
        Ok(Journal { file, path: self.path.clone(), pid: self.pid, before, end, entries: Vec::new(), syncer })
    }
}

impl Drop for Lock {
    /// A journal of a run that never began is useless. Another file at its path belongs to another run.
    fn drop(&mut self) {
        if self.kind == JournalKind::Unset && is_at(&self.file, &self.path).is_ok_and(|still| still) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn entries(path: &Path) -> io::Result<RoaringTreemap> {
    let mut reader = BufReader::new(open_regular(path)?);
    reader.read_exact(&mut [0; HEADER_LEN])?;
    let (mut lines, mut entry) = (RoaringTreemap::new(), NO_ENTRY);
    loop {
        match reader.read_exact(&mut entry) {
            Ok(()) if entry != NO_ENTRY => lines.insert(u64::from_le_bytes(entry)),
            Ok(()) => false,
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(lines),
            Err(error) => return Err(error),
        };
    }
}

/// The journal of a running run. When it is dropped, the file stays for the next run, and the lock ends.
#[derive(Debug)]
pub struct Journal {
    file: File,
    path: PathBuf,
    pid: u32,
    before: PossiblySent,
    /// Position of the next entry. A partial write is overwritten by the next.
    end: u64,
    /// Buffer for entries.
    entries: Vec<u8>,
    syncer: Syncer,
}

impl Journal {
    /// Lists the rows of these lines with one write, before their calls are made. When this returns, the entries
    /// survive the death of the process.
    ///
    /// # Errors
    /// If an entry can't be written, or the journal was deleted, and with it the lock. None of the rows may be sent
    /// then.
    pub fn mark_sent(&mut self, lines: impl IntoIterator<Item = u64>) -> io::Result<()> {
        self.syncer.synced_file().check()?;
        self.entries.clear();
        self.entries.extend(lines.into_iter().flat_map(u64::to_le_bytes));
        self.file.write_all_at(&self.entries, self.end).map_err(during("write", &self.path))?;
        self.end += self.entries.len() as u64;
        self.syncer.synced_file().grew_to(self.end);
        Ok(())
    }

    /// Ends a run that stopped by itself, so that it knows which sessions without a record may be gone: those
    /// `in_doubt`, and those that earlier runs left open. Other rows that it sent were clearly refused and are
    /// removed from the list. Rows in `done` stay on it, because their records may be lost later. The output stays
    /// locked as long as the returned lock lives.
    ///
    /// # Errors
    /// If the list can't be written or was deleted. It has too many rows then, never too few.
    pub fn settle(self, done: &RoaringTreemap, in_doubt: &[u64]) -> io::Result<Lock> {
        let Self { file, path, pid, before, syncer, .. } = self;
        syncer.finish()?;
        let PossiblySent::Lines(before) = before else { return Ok(Lock { file, path, pid, kind: JournalKind::All }) };
        let listed = entries(&path).map_err(during("read", &path))?;
        let open = (before | in_doubt.iter().copied().collect::<RoaringTreemap>()) - done;
        let kept = (&listed & done) | open;
        if kept != listed {
            rewrite(&file, pid, &kept).map_err(during("write", &path))?;
        }
        Ok(Lock { file, path, pid, kind: JournalKind::Lines })
    }

    /// Ends a run that hasn't reached every row. The list is synced and kept.
    ///
    /// # Errors
    /// If it can't be synced or was deleted.
    pub fn finish(self) -> io::Result<()> {
        self.syncer.finish()
    }

    /// Ends a complete run and removes the file. The lock is held until it is removed.
    ///
    /// # Errors
    /// If the file can't be removed.
    pub fn remove(self) -> io::Result<()> {
        let context = during("remove", &self.path);
        if is_at(&self.file, &self.path).map_err(context)? {
            fs::remove_file(&self.path).map_err(context)?;
        }
        Ok(())
    }
}

/// Replaces the list. Until it is synced, the header says that any row may have been sent.
fn rewrite(file: &File, pid: u32, lines: &RoaringTreemap) -> io::Result<()> {
    let set = |kind: JournalKind| file.write_all_at(&kind.header(pid), 0).and_then(|()| file.sync_all());
    set(JournalKind::All)?;
    let entries: Vec<u8> = lines.iter().flat_map(u64::to_le_bytes).collect();
    file.write_all_at(&entries, FIRST_ENTRY)?;
    file.set_len(FIRST_ENTRY + entries.len() as u64)?;
    file.sync_all()?;
    set(JournalKind::Lines)
}

#[cfg(test)]
mod tests;
