//! Syncs a growing file at least once a second, and checks it while it grows.
//!
//! The writer never waits for the disk: written data survives the death of the process, and the sync is only needed
//! for a power loss. A thread does it, and its errors are reported at the next write. The first write after a pause
//! wakes the thread and is synced immediately; later ones at most half a second after the last sync. Without writes
//! the thread sleeps, and the writer checks the file itself before it writes again.

mod wakeup;

use crate::files::{during, identity};
use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use wakeup::Wakeup;

/// Minimum time between two syncs, and maximum time from a write to its sync: half of the second that contract.md
/// promises, so that the sync itself fits into it.
const PERIOD: Duration = Duration::from_millis(500);

/// The state shared by the writer and the thread.
#[derive(Debug)]
pub(super) struct SyncedFile {
    file: File,
    path: PathBuf,
    /// Length written by the writer.
    len: AtomicU64,
    /// The value of `len` at the last sync.
    synced: AtomicU64,
    /// Whether `failure` is set, which the writer checks for every record.
    failed: AtomicBool,
    failure: Mutex<Option<(io::ErrorKind, String)>>,
    wakeup: Wakeup,
}

impl SyncedFile {
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Notes that the file has `len` bytes now.
    pub(super) fn grew_to(&self, len: u64) {
        self.len.store(len, Ordering::SeqCst);
        self.wakeup.notify();
    }

    /// Returns the error of the thread, and keeps returning it: after a failed sync, a successful one doesn't prove
    /// that the lost pages were written.
    pub(super) fn check(&self) -> io::Result<()> {
        if self.wakeup.is_listened_for() {
            self.note(self.look());
        }
        self.noted()
    }

    fn noted(&self) -> io::Result<()> {
        if !self.failed.load(Ordering::Acquire) {
            return Ok(());
        }
        match &*self.failure.lock().unwrap_or_else(PoisonError::into_inner) {
            Some((kind, text)) => Err(io::Error::new(*kind, text.clone())),
            None => Ok(()),
        }
    }

    /// One iteration of the thread.
    pub(super) fn tick(&self) {
        self.note(self.look().and_then(|()| self.sync()));
    }

    fn note(&self, found: io::Result<()>) {
        if let Err(error) = found {
            let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
            failure.get_or_insert_with(|| (error.kind(), error.to_string()));
            self.failed.store(true, Ordering::Release);
        }
    }

    /// Fails if the file was deleted or is shorter than written. To be called before each record: data after a hole
    /// or without a header is lost for readers, and a record joined to a partial one can't be resumed.
    pub(super) fn holds(&self) -> io::Result<Metadata> {
        // Read before the file is examined: the file only grows, so it must be at least this long.
        let len = self.len.load(Ordering::SeqCst);
        let ours = self.file.metadata().map_err(during("look at", &self.path))?;
        if ours.nlink() == 0 {
            return Err(self.lost("was deleted"));
        }
        if ours.len() < len {
            return Err(self.lost("was truncated"));
        }
        Ok(ours)
    }

    /// Fails unless the file has exactly what was written: another program's partial line would be joined to the next
    /// record. Only for the writer. A failure is kept, as in [`check`](Self::check).
    pub(super) fn ends_with_ours(&self) -> io::Result<()> {
        let len = self.len.load(Ordering::SeqCst);
        let found = self.holds().and_then(|ours| if ours.len() > len { Err(self.added_to()) } else { Ok(()) });
        self.note(found);
        self.noted()
    }

    fn added_to(&self) -> io::Error {
        let path = self.path.display();
        io::Error::other(format!(
            "{path} was added to by another program under the run; remove what it added, then resume"
        ))
    }

    /// Checks [`holds`](Self::holds) and that the path leads to the file.
    fn look(&self) -> io::Result<()> {
        let ours = self.holds()?;
        match fs::metadata(&self.path) {
            Ok(there) if identity(&there) == identity(&ours) => Ok(()),
            Ok(_) => Err(self.lost("was replaced by another file")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(self.lost("was moved away")),
            Err(error) => Err(during("look at", &self.path)(error)),
        }
    }

    fn lost(&self, how: &str) -> io::Error {
        let path = self.path.display();
        io::Error::other(format!("{path} {how} under the run; put it back, or resume to send its lost rows again"))
    }

    fn sync(&self) -> io::Result<()> {
        let len = self.len.load(Ordering::SeqCst);
        if len != self.synced.load(Ordering::Relaxed) {
            self.file.sync_data().map_err(during("sync", &self.path))?;
            self.synced.store(len, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Whether nothing is left to sync, or a failure makes it pointless.
    fn is_at_rest(&self) -> bool {
        let failed = self.failed.load(Ordering::Acquire);
        failed || self.len.load(Ordering::SeqCst) == self.synced.load(Ordering::Relaxed)
    }

    /// The loop of the thread.
    fn keep_synced(&self) {
        let mut rest = PERIOD;
        while self.wakeup.rest(rest) {
            self.tick();
            let ticked = monotonic();
            if !self.wakeup.listen(|| self.is_at_rest()) {
                return;
            }
            rest = PERIOD.saturating_sub(monotonic().saturating_duration_since(ticked));
        }
    }
}

/// Only for the interval between syncs.
#[expect(clippy::disallowed_methods, reason = "paces the syncs on their own thread, never the run")]
fn monotonic() -> Instant {
    Instant::now()
}

#[derive(Debug)]
pub(super) struct Syncer {
    synced_file: Arc<SyncedFile>,
    thread: Option<JoinHandle<()>>,
}

impl Syncer {
    /// Starts the thread for `file`, which is at `path` and has `len` bytes.
    pub(super) fn start(file: &File, path: &Path, len: u64) -> io::Result<Self> {
        let synced_file = Arc::new(SyncedFile {
            file: file.try_clone().map_err(during("open", path))?,
            path: path.to_owned(),
            len: AtomicU64::new(len),
            // Unsynced data of an earlier run is synced at the first iteration.
            synced: AtomicU64::new(u64::MAX),
            failed: AtomicBool::new(false),
            failure: Mutex::new(None),
            wakeup: Wakeup::default(),
        });
        let kept = Arc::clone(&synced_file);
        let thread = thread::Builder::new().name("sync".into()).spawn(move || kept.keep_synced())?;
        Ok(Self { synced_file, thread: Some(thread) })
    }

    pub(super) fn synced_file(&self) -> &Arc<SyncedFile> {
        &self.synced_file
    }

    /// Ends the thread and syncs a last time.
    pub(super) fn finish(mut self) -> io::Result<()> {
        self.stop();
        self.synced_file.tick();
        self.synced_file.check()
    }

    /// Waits for the thread, because its handle keeps the file and its lock open.
    fn stop(&mut self) {
        self.synced_file.wakeup.stop();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Syncer {
    fn drop(&mut self) {
        self.stop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watching(folder: &Path) -> (PathBuf, Syncer) {
        let path = folder.join("kept");
        fs::write(&path, "12345678").unwrap();
        let file = File::options().append(true).open(&path).unwrap();
        let syncer = Syncer::start(&file, &path, 8).unwrap();
        (path, syncer)
    }

    #[test]
    fn a_file_lost_under_the_run_is_told_by_how_it_was_lost() {
        type Loss = fn(&Path);
        let losses: [(&str, Loss); 4] = [
            ("was deleted", |path| fs::remove_file(path).unwrap()),
            ("was truncated", |path| File::options().write(true).open(path).unwrap().set_len(7).unwrap()),
            ("was moved away", |path| fs::rename(path, path.with_extension("old")).unwrap()),
            ("was replaced", |path| {
                fs::rename(path, path.with_extension("old")).unwrap();
                fs::write(path, "12345678").unwrap();
            }),
        ];
        for (want, lose) in losses {
            let folder = tempfile::tempdir().unwrap();
            let (path, syncer) = watching(folder.path());
            syncer.synced_file().tick();
            syncer.synced_file().check().unwrap();
            lose(&path);
            syncer.synced_file().tick();
            let text = syncer.synced_file().check().unwrap_err().to_string();
            assert!(text.contains(want) && text.contains("kept"), "{text}");
            assert!(syncer.finish().is_err(), "a failure is never forgotten");
        }
    }

    #[test]
    fn what_grew_is_synced_and_the_file_closed_at_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let (path, syncer) = watching(folder.path());
        fs::write(&path, "123456789").unwrap();
        syncer.synced_file().grew_to(9);
        syncer.synced_file().tick();
        assert_eq!(syncer.synced_file().synced.load(Ordering::Relaxed), 9);
        syncer.finish().unwrap();
    }

    fn until(reached: impl Fn() -> bool) {
        while !reached() {
            thread::yield_now();
        }
    }

    #[test]
    fn while_nothing_is_written_the_thread_sleeps_and_the_writer_looks_itself() {
        let folder = tempfile::tempdir().unwrap();
        let (path, syncer) = watching(folder.path());
        let synced_file = syncer.synced_file();
        until(|| synced_file.wakeup.is_listened_for());
        assert_eq!(synced_file.synced.load(Ordering::Relaxed), 8);
        synced_file.check().unwrap();
        fs::remove_file(&path).unwrap();
        assert!(synced_file.check().unwrap_err().to_string().contains("was deleted"));
    }

    #[test]
    fn a_write_wakes_the_thread_whenever_it_comes() {
        let folder = tempfile::tempdir().unwrap();
        let (path, syncer) = watching(folder.path());
        let synced_file = syncer.synced_file();
        for (len, content) in [(9, "123456789"), (10, "1234567890"), (11, "12345678901")] {
            fs::write(&path, content).unwrap();
            synced_file.grew_to(len);
            until(|| synced_file.synced.load(Ordering::Relaxed) == len);
        }
        until(|| synced_file.wakeup.is_listened_for());
        synced_file.check().unwrap();
    }
}
