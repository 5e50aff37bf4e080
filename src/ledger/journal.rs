//! The journal, `OUTPUT.journal`: one run's lock on its output, and the list of the rows that it may have sent.
//!
//! **Why the list.** Slack answers `session_not_found` both for a session that never was and for one that is gone. If a
//! run dies between sending a row and recording its answer, only the list tells the next run that this row's
//! `session_not_found` means `already_revoked`; for a row that was never sent it stays `not_found` (contract.md, "Results").
//! So a line is listed before its call goes out, and a run that stops by itself takes those off again whose refusal was clear. `kill -9` loses none of them; a power loss can lose those of the last
//! second, and with them the difference, but never makes a row be left out.
//!
//! **Why a side file.** The results may be replaced by another tool, and a lock on a file that was replaced locks nobody
//! out. The lock is the kernel's and dies with its process: what a dead run left behind is simply locked again.
//!
//! **Format.** A header of 64 bytes, text: version, process, and what the list means; then 8 bytes for each line, little
//! endian. `unset`: locked, no run begun. `lines`: every row that may have been sent is listed. `all`: an earlier list was
//! lost, so any row may have been.

pub use super::journal_file::LockError;
use super::journal_file::{HEADER_LEN, Marks, lock_file, read_header};
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
/// Where data never arrived, after a power loss, there are zeros; no row is on line 0.
const NO_ENTRY: [u8; 8] = [0; 8];

/// The output, locked for this process; what the last run listed is still as it was. Dropped, it leaves no trace where
/// there was none before.
#[derive(Debug)]
pub struct Lock {
    file: File,
    path: PathBuf,
    pid: u32,
    marks: Marks,
}

impl Lock {
    /// Locks the journal at `path`, which is made where it is missing. `pid` is told to whoever finds it held.
    ///
    /// # Errors
    /// [`LockError::Held`] at once, without waiting; and where the file is no journal or cannot be written.
    pub fn acquire(path: &Path, pid: u32) -> Result<Self, LockError> {
        let file = lock_file(path)?;
        let marks = read_header(&file, path)?.map_or(Marks::Unset, |header| header.marks);
        file.write_all_at(&marks.header(pid), 0).map_err(during("write", path))?;
        Ok(Self { file, path: path.to_owned(), pid, marks })
    }

    /// Whether a run holds the journal at `path` now. Makes nothing and changes nothing, so that it can be asked of results
    /// on a read-only disk.
    ///
    /// # Errors
    /// Where the file is there and cannot be opened.
    pub fn is_held(path: &Path) -> io::Result<bool> {
        let file = match open_regular(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(during("read", path)(error)),
        };
        match file.try_lock_shared() {
            Ok(()) => Ok(false),
            Err(TryLockError::WouldBlock) => Ok(true),
            // Without locks no run is under way there.
            Err(TryLockError::Error(error)) if has_no_locks(&error) => Ok(false),
            Err(TryLockError::Error(error)) => Err(during("look at the lock of", path)(error)),
        }
    }

    /// What the last run listed; none where it left no journal.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub fn listed(&self) -> io::Result<Option<PossiblySent>> {
        match self.marks {
            Marks::Unset => Ok(None),
            Marks::All => Ok(Some(PossiblySent::All)),
            Marks::Lines => Ok(Some(PossiblySent::Lines(entries(&self.path).map_err(during("read", &self.path))?))),
        }
    }

    /// Copies the list of the last run to `path`, for a resumption there; false, and nothing is made, where there is none.
    ///
    /// # Errors
    /// Where it cannot be copied.
    pub fn copy_list(&self, path: &Path) -> io::Result<bool> {
        if self.marks == Marks::Unset {
            return Ok(false);
        }
        let copied = atomic::replace(path, PRIVATE, |copy| io::copy(&mut open_regular(&self.path)?, copy));
        copied.map(|_| true).map_err(during("write", path))
    }

    /// Begins an empty list, for a run that starts with the first row.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn begin(mut self) -> io::Result<Journal> {
        // A death in between leaves `unset`, which reads as "no list": the careful side.
        self.set(Marks::Unset)?;
        self.file.set_len(FIRST_ENTRY).map_err(during("write", &self.path))?;
        self.set(Marks::Lines)?;
        self.into_journal(PossiblySent::default())
    }

    /// Goes on with the list as it is, or with [`PossiblySent::All`] as one that has lost entries. Where no row is in doubt,
    /// an empty list is begun.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn resume(mut self, maybe_sent: &PossiblySent) -> io::Result<Journal> {
        match (maybe_sent, self.marks) {
            (PossiblySent::Lines(lines), _) if lines.is_empty() => self.begin(),
            (PossiblySent::Lines(_), Marks::Lines) => self.into_journal(maybe_sent.clone()),
            (PossiblySent::Lines(_), Marks::Unset | Marks::All) | (PossiblySent::All, _) => {
                self.set(Marks::All)?;
                self.into_journal(PossiblySent::All)
            }
        }
    }

    fn set(&mut self, marks: Marks) -> io::Result<()> {
        self.file.write_all_at(&marks.header(self.pid), 0).map_err(during("write", &self.path))?;
        self.marks = marks;
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
    /// A journal that no run has begun says nothing; it only would be found lying about. If another file has its name by now,
    /// that one is another run's.
    fn drop(&mut self) {
        if self.marks == Marks::Unset && is_at(&self.file, &self.path).is_ok_and(|still| still) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// The lines that a journal lists.
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

/// The list of a run under way. Dropped, it stays for the next run; the lock ends.
#[derive(Debug)]
pub struct Journal {
    file: File,
    path: PathBuf,
    pid: u32,
    before: PossiblySent,
    /// Where the next entry goes. A write that failed in the middle is written over by the next.
    end: u64,
    /// Entries on their way into the file.
    entries: Vec<u8>,
    syncer: Syncer,
}

impl Journal {
    /// Lists the rows of these lines in one write, before their calls go out. When this returns, the entries survive the
    /// death of the process.
    ///
    /// # Errors
    /// Where an entry cannot be written, or the journal was lost since, and with it the lock: then none of the rows must be
    /// sent.
    pub fn mark_sent(&mut self, lines: impl IntoIterator<Item = u64>) -> io::Result<()> {
        self.syncer.synced_file().check()?;
        self.entries.clear();
        self.entries.extend(lines.into_iter().flat_map(u64::to_le_bytes));
        self.file.write_all_at(&self.entries, self.end).map_err(during("write", &self.path))?;
        self.end += self.entries.len() as u64;
        self.syncer.synced_file().grew_to(self.end);
        Ok(())
    }

    /// Ends a run that stopped by itself, and so knows which of the rows without a record may be gone: those `in_doubt`, and
    /// those that earlier runs left open. The others that it sent got a clear refusal, and are taken off the list. Rows in
    /// `done` stay on it: their records may be lost one day. The output stays locked as long as the returned lock lives.
    ///
    /// # Errors
    /// If the list can't be written, or was lost under the run. It names too many rows then, or any, and never too few.
    pub fn settle(self, done: &RoaringTreemap, in_doubt: &[u64]) -> io::Result<Lock> {
        let Self { file, path, pid, before, syncer, .. } = self;
        syncer.finish()?;
        let PossiblySent::Lines(before) = before else { return Ok(Lock { file, path, pid, marks: Marks::All }) };
        let listed = entries(&path).map_err(during("read", &path))?;
        let open = (before | in_doubt.iter().copied().collect::<RoaringTreemap>()) - done;
        let kept = (&listed & done) | open;
        if kept != listed {
            rewrite(&file, pid, &kept).map_err(during("write", &path))?;
        }
        Ok(Lock { file, path, pid, marks: Marks::Lines })
    }

    /// Ends a run that has not reached every row: the list is synced and stays.
    ///
    /// # Errors
    /// Where it cannot be synced, or was lost under the run.
    pub fn finish(self) -> io::Result<()> {
        self.syncer.finish()
    }

    /// Ends a complete run: no row is in flight, and the file goes. The lock is held until it is gone.
    ///
    /// # Errors
    /// Where the file cannot be removed.
    pub fn remove(self) -> io::Result<()> {
        let context = during("remove", &self.path);
        if is_at(&self.file, &self.path).map_err(context)? {
            fs::remove_file(&self.path).map_err(context)?;
        }
        Ok(())
    }
}

/// Replaces the list; until all of it is on the disk, any row may have been sent.
fn rewrite(file: &File, pid: u32, lines: &RoaringTreemap) -> io::Result<()> {
    let set = |marks: Marks| file.write_all_at(&marks.header(pid), 0).and_then(|()| file.sync_all());
    set(Marks::All)?;
    let entries: Vec<u8> = lines.iter().flat_map(u64::to_le_bytes).collect();
    file.write_all_at(&entries, FIRST_ENTRY)?;
    file.set_len(FIRST_ENTRY + entries.len() as u64)?;
    file.sync_all()?;
    set(Marks::Lines)
}

#[cfg(test)]
mod tests;
