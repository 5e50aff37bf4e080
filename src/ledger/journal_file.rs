//! The journal's file: lock and header.

use crate::files::atomic::has_no_locks;
use crate::files::{during, is_at, private};
use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

const MAGIC: &str = "slack-revoke journal ";
const VERSION: &str = "1";
pub(super) const HEADER_LEN: usize = 64;

#[derive(Debug, thiserror::Error)]
pub enum LockError {
    #[error(
        "{} is in use by another run{}; wait for it to end, or name another file with -o",
        .path.display(), .pid.map(|pid| format!(" (process {pid})")).unwrap_or_default()
    )]
    Held {
        path: PathBuf,
        /// The other process; `None` if it has just started.
        pid: Option<u32>,
    },
    /// The file is something else, and isn't changed.
    #[error("{} isn't a journal of slack-revoke; move it away, or name another file with -o", .0.display())]
    NotAJournal(PathBuf),
    #[error("{} is of version {version}, this program writes {VERSION}; resume with the program that began the run", .path.display())]
    OtherVersion { path: PathBuf, version: String },
    /// A run needs a lock, because two runs with one output would send every row twice.
    #[error("{} can't be locked ({error}): nothing would keep a second run off the same results", .path.display())]
    NoLocks { path: PathBuf, error: io::Error },
    /// The file couldn't be created, opened or locked.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// The meaning of the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum JournalKind {
    Unset,
    Lines,
    All,
}

impl JournalKind {
    const EVERY: [(Self, &'static str); 3] = [(Self::Unset, "unset"), (Self::Lines, "lines"), (Self::All, "all  ")];

    pub fn header(self, pid: u32) -> [u8; HEADER_LEN] {
        let word = Self::EVERY.iter().find(|(kind, _)| *kind == self).map_or("", |(_, word)| word);
        let text = format!("{MAGIC}{VERSION} pid {pid:010} marks {word}");
        let mut header = [b' '; HEADER_LEN];
        header[..text.len()].copy_from_slice(text.as_bytes());
        header[HEADER_LEN - 1] = b'\n';
        header
    }
}

/// Number of attempts to get a lock that another process only checks, as `report` does for a moment.
const LOOKS: u32 = 200;

/// Together about one second.
const BETWEEN_LOOKS: Duration = Duration::from_millis(5);

/// Opens and locks the file, and repeats this if the path leads to another file by then.
pub(super) fn lock_file(path: &Path) -> Result<File, LockError> {
    let context = during("lock", path);
    if fs::symlink_metadata(path).is_ok_and(|found| found.is_symlink()) {
        return Err(LockError::NotAJournal(path.to_owned()));
    }
    let mut looks = 0;
    loop {
        let file = private().read(true).write(true).create(true).truncate(false).open(path).map_err(context)?;
        if !file.metadata().map_err(context)?.is_file() {
            return Err(LockError::NotAJournal(path.to_owned()));
        }
        match locked(file, path)? {
            Locked::Ours(file) => return Ok(file),
            Locked::Gone => {}
            Locked::LookedAt if looks < LOOKS => {
                looks += 1;
                thread::sleep(BETWEEN_LOOKS);
            }
            Locked::LookedAt => return Err(LockError::Held { path: path.to_owned(), pid: None }),
        }
    }
}

#[derive(Debug)]
pub(super) enum Locked {
    Ours(File),
    /// A run that ends removes the file while it holds the lock, so the lock is on a removed file.
    Gone,
    /// Not held by a run; another process only checks it.
    LookedAt,
}

pub(super) fn locked(file: File, path: &Path) -> Result<Locked, LockError> {
    let context = during("lock", path);
    match file.try_lock() {
        Ok(()) if is_at(&file, path).map_err(context)? => Ok(Locked::Ours(file)),
        Ok(()) => Ok(Locked::Gone),
        // A shared lock is only possible if all other processes only check it.
        Err(TryLockError::WouldBlock) if file.try_lock_shared().is_ok() => Ok(Locked::LookedAt),
        Err(TryLockError::WouldBlock) => {
            let pid = read_header(&file, path).ok().flatten().and_then(|header| header.pid);
            Err(LockError::Held { path: path.to_owned(), pid })
        }
        Err(TryLockError::Error(error)) if has_no_locks(&error) => {
            Err(LockError::NoLocks { path: path.to_owned(), error })
        }
        Err(TryLockError::Error(error)) => Err(context(error).into()),
    }
}

pub(super) struct JournalHeader {
    /// `None` if it was lost in a power loss.
    pub pid: Option<u32>,
    pub kind: JournalKind,
}

/// `None` if the header is incomplete.
pub(super) fn read_header(file: &File, path: &Path) -> Result<Option<JournalHeader>, LockError> {
    let mut header = [0; HEADER_LEN];
    let mut len = 0;
    while len < HEADER_LEN {
        match file.read_at(&mut header[len..], len as u64).map_err(during("read", path))? {
            0 => break,
            count => len += count,
        }
    }
    let not_ours = || LockError::NotAJournal(path.to_owned());
    // A power loss kept the name of the file but not its content, so it isn't known what was sent.
    if len > 0 && header[..len].iter().all(|byte| *byte == 0) {
        return Ok(Some(JournalHeader { pid: None, kind: JournalKind::All }));
    }
    if len < HEADER_LEN {
        let ours = JournalKind::Unset.header(0);
        let known = len.min(MAGIC.len());
        return if header[..known] == ours[..known] { Ok(None) } else { Err(not_ours()) };
    }
    let text = str::from_utf8(&header).map_err(|_| not_ours())?;
    let (version, rest) = text.strip_prefix(MAGIC).and_then(|rest| rest.split_once(' ')).ok_or_else(not_ours)?;
    if version != VERSION {
        return Err(LockError::OtherVersion { path: path.to_owned(), version: version.to_owned() });
    }
    parse_header(rest).map(Some).ok_or_else(not_ours)
}

fn parse_header(rest: &str) -> Option<JournalHeader> {
    let (pid, kind) = rest.strip_prefix("pid ")?.split_once(" marks ")?;
    let known = JournalKind::EVERY.iter().find(|(_, word)| word.trim_end() == kind.trim_end());
    Some(JournalHeader { pid: Some(pid.parse().ok()?), kind: known?.0 })
}
