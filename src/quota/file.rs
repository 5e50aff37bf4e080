//! Records in files, for runs on one machine: one file per limit, changed under its lock. Not synced, so a power loss
//! may lose a pause.

use super::limits::Backend;
use super::record::BucketRecord;
use crate::files::{during, is_at, private};
use crate::model::Timestamp;
use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, TryLockError};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, FileExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Number of attempts to get the lock. It is normally held for a fraction of a millisecond.
const TRIES: u32 = 250;
const BETWEEN_TRIES: Duration = Duration::from_millis(1);

/// A record has a few kilobytes; a larger file isn't one.
const MOST_BYTES: u64 = 4 * 1024 * 1024;

const NAME: &str = "slack-revoke";

/// The directory of the records: in `$STATE_DIRECTORY`, which systemd sets, otherwise in that of the user. `None` if
/// there is none.
#[must_use]
pub fn folder(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let absolute = |name: &str| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
    // systemd separates several directories with colons.
    let first = |paths: OsString| std::env::split_paths(&paths).next().filter(|path| path.is_absolute());
    let state = variable("STATE_DIRECTORY")
        .and_then(first)
        .or_else(|| absolute("XDG_STATE_HOME").map(|state| state.join(NAME)))
        .or_else(|| absolute("HOME").map(|home| home.join(".local/state").join(NAME)))?;
    Some(state.join("limits"))
}

/// The records in a folder.
#[derive(Debug)]
pub struct FileStore {
    folder: PathBuf,
    now: fn() -> Timestamp,
    was_unreadable: bool,
}

impl FileStore {
    /// Creates nothing before the first step. `now` reads the wall clock.
    #[must_use]
    pub fn new(folder: PathBuf, now: fn() -> Timestamp) -> Self {
        Self { folder, now, was_unreadable: false }
    }

    /// The records whose keys begin with `scope`, with the rest of their keys, without unreadable files.
    #[must_use]
    pub fn look(&self, scope: &str) -> Vec<(String, BucketRecord)> {
        let Ok(entries) = fs::read_dir(&self.folder) else { return Vec::new() };
        let scope = file_name(scope);
        let record = |path: PathBuf| {
            let rest = path.file_stem()?.to_str()?.strip_prefix(&*scope)?.strip_prefix('_')?.replace('_', " ");
            let bytes = crate::files::atomic::read_regular(&path).ok()?;
            Some((rest, BucketRecord::decode(&bytes).0))
        };
        let mut found: Vec<_> = entries.flatten().filter_map(|entry| record(entry.path())).collect();
        found.sort_by(|(one, _), (other, _)| one.cmp(other));
        found
    }

    /// Opens and locks the file of a record. Repeats this if it was replaced or deleted meanwhile.
    async fn open(&self, path: &Path) -> io::Result<File> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
        for _ in 0..TRIES {
            let file = private().read(true).write(true).create(true).truncate(false).open(path)?;
            match file.try_lock() {
                Ok(()) if is_at(&file, path)? => return Ok(file),
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => tokio::time::sleep(BETWEEN_TRIES).await,
                Err(TryLockError::Error(error)) => return Err(error),
            }
        }
        Err(io::Error::new(io::ErrorKind::TimedOut, "another process holds its lock"))
    }

    /// The record, and the length of the file. An unreadable record is reported once and reset.
    fn read(&mut self, file: &mut File, path: &Path) -> io::Result<(BucketRecord, u64)> {
        let mut bytes = Vec::new();
        let length = file.take(MOST_BYTES).read_to_end(&mut bytes)? as u64;
        let (record, is_unreadable) = BucketRecord::decode(&bytes);
        if is_unreadable && !std::mem::replace(&mut self.was_unreadable, true) {
            tracing::warn!("{} can't be read as the state of a rate limit; it begins anew", path.display());
        }
        Ok((record, length))
    }
}

impl Backend for FileStore {
    async fn step<T>(&mut self, key: &str, change: impl Fn(&mut BucketRecord, Timestamp) -> T) -> Result<T, Box<str>> {
        let path = self.folder.join(file_name(key)).with_added_extension("json");
        let failed = |doing| {
            let path = path.clone();
            move |error: io::Error| Box::<str>::from(during(doing, &path)(error).to_string())
        };
        let mut file = self.open(&path).await.map_err(failed("open"))?;
        let (mut record, length) = self.read(&mut file, &path).map_err(failed("read"))?;
        let answer = change(&mut record, (self.now)());
        write(&file, length, &record).map_err(failed("write"))?;
        Ok(answer)
    }
}

/// Written in place. The pause is at the beginning, so that it can be read even if the rest is damaged.
fn write(file: &File, length: u64, record: &BucketRecord) -> io::Result<()> {
    let bytes = record.encode();
    file.write_all_at(&bytes, 0)?;
    if length > bytes.len() as u64 { file.set_len(bytes.len() as u64) } else { Ok(()) }
}

/// A key as a valid file name.
fn file_name(key: &str) -> String {
    key.chars().map(|c| if c.is_ascii_alphanumeric() || matches!(c, '.' | '-') { c } else { '_' }).collect()
}

#[cfg(test)]
mod tests;
