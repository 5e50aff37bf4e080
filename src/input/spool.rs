//! A copy of what can be read only once, in a file that has no name and goes with its last handle.

use super::error::Trouble;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Bytes written between two looks at the disk.
const STEP: u64 = 1 << 20;

/// What stays free: a little file can unpack to more than any disk has, and others write there too.
const LEAST_FREE: u64 = 16 << 20;

/// The free bytes of the file system of a directory; `None` if it doesn't say.
pub(super) type Look = fn(&Path) -> Option<u64>;

pub(super) struct Spool {
    pub(super) file: File,
    dir: PathBuf,
    written: u64,
    look: Look,
}

impl Spool {
    pub(super) fn create(dir: &Path, look: Look) -> Result<Self, Trouble> {
        let file = tempfile::tempfile_in(dir).map_err(|cause| Trouble::Spool { dir: dir.into(), cause })?;
        Ok(Self { file, dir: dir.into(), written: 0, look })
    }

    /// Appends a chunk.
    ///
    /// # Errors
    /// [`Trouble::NoRoom`], in which only the bytes so far are needed; [`Trouble::Spool`] if it can't be written.
    pub(super) fn write(&mut self, chunk: &[u8]) -> Result<(), Trouble> {
        let before = self.written;
        self.written += chunk.len() as u64;
        if self.written / STEP > before / STEP
            && let Some(free) = (self.look)(&self.dir).filter(|free| *free < LEAST_FREE)
        {
            return Err(Trouble::NoRoom { dir: self.dir.clone(), needed: self.written, available: before + free });
        }
        self.file.write_all(chunk).map_err(|cause| Trouble::Spool { dir: self.dir.clone(), cause })
    }
}

/// Asks the file system.
pub(super) fn free(dir: &Path) -> Option<u64> {
    rustix::fs::statvfs(dir).ok().map(|found| found.f_bavail.saturating_mul(found.f_frsize))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_leaves_room_on_the_disk() {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = Spool::create(folder.path(), |_| Some(LEAST_FREE - 1)).unwrap();
        spool.write(&vec![0; 1 << 19]).unwrap();
        let trouble = spool.write(&vec![0; 1 << 20]).unwrap_err();
        assert!(matches!(trouble, Trouble::NoRoom { needed: 1_572_864, available: 17_301_503, .. }), "{trouble}");
        let mut spool = Spool::create(folder.path(), free).unwrap();
        spool.write(&vec![0; 2 << 20]).unwrap();
        assert!(free(folder.path()).is_some_and(|free| free > 0));
    }
}
