//! The file that was surveyed: whether it still is what it was then.

use super::error::Trouble;
use super::identity::Meter;
use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::sync::{Arc, Mutex, PoisonError};

const CHUNK: usize = 64 * 1024;

/// When a file was last changed, as the system keeps it. Nobody can set `changed` back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    bytes: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    fn of(file: &Metadata) -> Self {
        Self {
            bytes: file.size(),
            modified: (file.mtime(), file.mtime_nsec()),
            changed: (file.ctime(), file.ctime_nsec()),
        }
    }
}

/// A regular file as it is on the disk, compressed or not.
#[derive(Debug, Clone)]
pub(super) struct Original {
    pub(super) file: Arc<File>,
    /// When it was last known to be what was surveyed.
    seen: Arc<Mutex<Stamp>>,
}

impl Original {
    /// A file that is about to be surveyed.
    pub(super) fn new(file: Arc<File>) -> io::Result<Self> {
        let seen = Stamp::of(&file.metadata()?);
        Ok(Self { file, seen: Arc::new(Mutex::new(seen)) })
    }

    /// Fails if the surveyed bytes aren't there any more. Cheap while nobody touches the file; if somebody does, its bytes
    /// decide, so that rows that are appended, or other rights, don't stop a run.
    pub(super) fn check(&self, sha256: &str, bytes: u64) -> Result<(), Trouble> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Stamp::of(&self.file.metadata().map_err(Trouble::Unreadable)?);
        if *seen == now {
            return Ok(());
        }
        if now.bytes < bytes || self.sha256_of_first(bytes).map_err(Trouble::Unreadable)? != sha256 {
            return Err(Trouble::Changed);
        }
        *seen = now;
        Ok(())
    }

    fn sha256_of_first(&self, bytes: u64) -> io::Result<String> {
        let (mut meter, mut at, mut chunk) = (Meter::new(None), 0, vec![0; CHUNK]);
        while at < bytes {
            let most = usize::try_from(bytes - at).map_or(CHUNK, |left| left.min(CHUNK));
            match self.file.read_at(&mut chunk[..most], at) {
                Ok(0) => break,
                Ok(read) => {
                    meter.update(&chunk[..read]);
                    at += read as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(meter.finish().0)
    }
}
