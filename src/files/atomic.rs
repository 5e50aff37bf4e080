//! Atomic replacement: a file is written under a temporary name in the same directory, synced, and renamed. Readers
//! find the old file or the new one, and an unfinished file is removed.
//!
//! A temporary file is locked while it is written, so that leftovers of killed processes can be recognized and
//! removed.

use rustix::fs::OFlags;
use rustix::io::Errno;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// For opening the program's own files: a symbolic link in their place could lead to a foreign file.
pub const NOFOLLOW: i32 = OFlags::NOFOLLOW.bits().cast_signed();

const INFIX: &[u8] = b".slack-revoke.";
const SUFFIX: &[u8] = b".tmp";

/// Maximum number of bytes of the target's name in a temporary name, so that the total stays within the limit of file
/// systems.
const MOST_OF_NAME: usize = 200;

/// Number of temporary names to try.
const TRIES: u32 = 100;

/// A temporary file, which is removed if it is dropped before [`Self::commit`].
#[derive(Debug)]
pub struct AtomicFile {
    file: File,
    temporary: PathBuf,
    target: PathBuf,
    is_committed: bool,
}

impl AtomicFile {
    /// Creates a temporary file for `target` with the given mode, regardless of the umask. A symbolic link at
    /// `target` is replaced, not followed.
    ///
    /// # Errors
    /// If it can't be created in the directory of `target`.
    pub fn create(target: &Path, mode: u32) -> io::Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        remove_leftovers(target);
        for _ in 0..TRIES {
            let temporary = temporary(target, NEXT.fetch_add(1, Ordering::Relaxed))?;
            match create_locked(&temporary, mode) {
                Ok(Some(file)) => return Ok(Self { file, temporary, target: target.to_owned(), is_committed: false }),
                Ok(None) => {}
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::Error::new(io::ErrorKind::AlreadyExists, "temporary files of earlier runs are in the way"))
    }

    /// Syncs the file and renames it to its target.
    ///
    /// # Errors
    /// If that fails. The target is unchanged then, unless only the sync of the directory failed.
    pub fn commit(mut self) -> io::Result<()> {
        supported(self.file.sync_all())?;
        fs::rename(&self.temporary, &self.target)?;
        self.is_committed = true;
        sync_folder_of(&self.target)
    }
}

/// Replaces `target` with what `write` writes. If that fails, `target` is unchanged.
///
/// # Errors
/// If the file can't be created, written or renamed.
pub fn replace<T>(target: &Path, mode: u32, write: impl FnOnce(&mut AtomicFile) -> io::Result<T>) -> io::Result<T> {
    let mut file = AtomicFile::create(target, mode)?;
    let written = write(&mut file)?;
    file.commit()?;
    Ok(written)
}

impl Write for AtomicFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for AtomicFile {
    fn drop(&mut self) {
        if !self.is_committed && is_at(&self.file, &self.temporary).unwrap_or(true) {
            let _ = fs::remove_file(&self.temporary);
        }
    }
}

/// `None` if another process removed the file before it was locked.
fn create_locked(temporary: &Path, mode: u32) -> io::Result<Option<File>> {
    let file = OpenOptions::new().write(true).create_new(true).custom_flags(NOFOLLOW).mode(mode).open(temporary)?;
    lock(file, temporary, mode).inspect_err(|_| drop(fs::remove_file(temporary)))
}

fn lock(file: File, temporary: &Path, mode: u32) -> io::Result<Option<File>> {
    // Without locks, leftovers of killed processes aren't removed.
    if let Err(TryLockError::WouldBlock) = file.try_lock() {
        return Ok(None);
    }
    // Some file systems don't support modes.
    if file.metadata()?.permissions().mode() & 0o777 != mode {
        let _ = file.set_permissions(Permissions::from_mode(mode));
    }
    Ok(is_at(&file, temporary)?.then_some(file))
}

fn temporary(target: &Path, number: u32) -> io::Result<PathBuf> {
    let mut name = beginning(target)?;
    name.extend_from_slice(format!("{}-{number}", std::process::id()).as_bytes());
    name.extend_from_slice(SUFFIX);
    Ok(target.with_file_name(OsString::from_vec(name)))
}

/// `.NAME.slack-revoke.`
fn beginning(target: &Path) -> io::Result<Vec<u8>> {
    let names_none = || io::Error::new(io::ErrorKind::InvalidInput, "it names no file");
    let name = target.file_name().ok_or_else(names_none)?.as_bytes();
    Ok([b".", &name[..name.len().min(MOST_OF_NAME)], INFIX].concat())
}

/// Removes temporary files of `target` that killed processes left. Those of running processes are locked. Failures
/// aren't reported, because leftovers do no harm.
pub fn remove_leftovers(target: &Path) {
    let Ok(beginning) = beginning(target) else { return };
    let Ok(entries) = fs::read_dir(folder_of(target)) else { return };
    for entry in entries.flatten().filter(|entry| is_temporary(&entry.file_name(), &beginning)) {
        let path = folder_of(target).join(entry.file_name());
        let open = OpenOptions::new().write(true).custom_flags(NOFOLLOW).open(&path);
        if let Ok(file) = open
            && file.metadata().is_ok_and(|found| found.is_file())
            && file.try_lock().is_ok()
            && is_at(&file, &path).unwrap_or(false)
        {
            let _ = fs::remove_file(&path);
        }
    }
}

/// `beginning`, a process, a number, and the suffix.
fn is_temporary(name: &OsStr, beginning: &[u8]) -> bool {
    let Some(middle) = name.as_bytes().strip_prefix(beginning).and_then(|rest| rest.strip_suffix(SUFFIX)) else {
        return false;
    };
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    str::from_utf8(middle)
        .ok()
        .and_then(|middle| middle.split_once('-'))
        .is_some_and(|(process, number)| is_number(process) && is_number(number))
}

/// Opens a regular file for reading. Refuses anything that could block, such as a FIFO.
///
/// # Errors
/// If it can't be opened or isn't a regular file.
pub fn open_regular(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().read(true).custom_flags(OFlags::NONBLOCK.bits().cast_signed()).open(path)?;
    match file.metadata()? {
        found if found.is_file() => Ok(file),
        found if found.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
        _ => Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")),
    }
}

/// Reads a regular file completely.
///
/// # Errors
/// As for [`open_regular`], or if it can't be read.
pub fn read_regular(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open_regular(path)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Whether locking failed because the file system doesn't support it, such as some network file systems.
#[must_use]
pub fn has_no_locks(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::Unsupported || error.raw_os_error() == Some(Errno::NOLCK.raw_os_error())
}

/// Syncs the directory of `path`, so that a new name survives a power loss.
///
/// # Errors
/// If the sync fails. It isn't an error if the file system doesn't support it or the directory can't be opened.
pub fn sync_folder_of(path: &Path) -> io::Result<()> {
    supported(File::open(folder_of(path)).and_then(|folder| folder.sync_all()))
}

/// Ignores errors that mean that the file system doesn't support an operation.
fn supported(done: io::Result<()>) -> io::Result<()> {
    match done.as_ref().map_err(io::Error::kind) {
        Err(io::ErrorKind::Unsupported | io::ErrorKind::InvalidInput | io::ErrorKind::PermissionDenied) => Ok(()),
        Ok(()) | Err(_) => done,
    }
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let open = file.metadata()?;
    match fs::symlink_metadata(path) {
        Ok(there) => Ok((open.dev(), open.ino()) == (there.dev(), there.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<_> = entries.map(|name| name.to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    fn put(target: &Path, text: &str, mode: u32) -> io::Result<()> {
        replace(target, mode, |file| file.write_all(text.as_bytes()))
    }

    #[test]
    fn a_file_takes_its_place_as_a_whole_or_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.json");
        fs::write(&path, "old, and longer").unwrap();
        let mut file = AtomicFile::create(&path, 0o600).unwrap();
        file.write_all(b"half").unwrap();
        assert_eq!(names(folder.path()).len(), 2);
        drop(file);
        assert_eq!((fs::read_to_string(&path).unwrap().as_str(), names(folder.path()).len()), ("old, and longer", 1));
        for mode in [0o600, 0o644] {
            put(&path, "new", mode).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), "new");
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, mode);
        }
        assert_eq!(names(folder.path()), ["m.json"]);
    }

    #[test]
    fn a_failed_rename_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("taken/deep")).unwrap();
        put(&folder.path().join("taken"), "new", 0o600).unwrap_err();
        assert_eq!(names(folder.path()), ["taken"]);
        assert!(put(&folder.path().join("none/m.json"), "new", 0o600).is_err());
        assert!(AtomicFile::create(Path::new("/"), 0o600).is_err());
    }

    #[test]
    fn links_are_replaced_and_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let (other, path) = (folder.path().join("other"), folder.path().join("m.json"));
        fs::write(&other, "another's").unwrap();
        symlink(&other, &path).unwrap();
        // A link at a guessed temporary name has no effect.
        for number in 0..TRIES / 2 {
            symlink(&other, temporary(&path, number).unwrap()).unwrap();
        }
        put(&path, "new", 0o600).unwrap();
        assert_eq!(fs::read_to_string(&other).unwrap(), "another's");
        assert!(fs::symlink_metadata(&path).unwrap().is_file());
    }

    #[test]
    fn leftovers_of_dead_processes_are_removed_and_nothing_else_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.json");
        let writing = AtomicFile::create(&path, 0o600).unwrap();
        fs::write(folder.path().join(".m.json.slack-revoke.4000000-0.tmp"), "left").unwrap();
        fs::write(folder.path().join(".m.json.slack-revoke.4000000-17.tmp"), "left").unwrap();
        let others = [
            ".m.json.slack-revoke.x-0.tmp",
            ".m.json.slack-revoke.1-.tmp",
            ".m.json.slack-revoke.1-1",
            ".n.json.slack-revoke.1-1.tmp",
            "m.json.slack-revoke.1-1.tmp",
        ];
        for other in others {
            fs::write(folder.path().join(other), "another's").unwrap();
        }
        symlink(&path, folder.path().join(".m.json.slack-revoke.4000000-18.tmp")).unwrap();
        remove_leftovers(&path);
        assert_eq!(names(folder.path()).len(), others.len() + 2, "{:?}", names(folder.path()));
        writing.commit().unwrap();
        assert!(path.exists());
        remove_leftovers(&folder.path().join("none/m.json"));
    }

    #[test]
    fn a_long_name_has_room_for_the_temporary_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x".repeat(255));
        put(&path, "new", 0o600).unwrap();
        fs::write(temporary(&path, 4_000_000_000).unwrap(), "left").unwrap();
        remove_leftovers(&path);
        assert_eq!(names(folder.path()).len(), 1);
    }

    #[test]
    fn what_a_filesystem_cannot_do_is_no_error() {
        for (kind, is_error) in [
            (io::ErrorKind::Unsupported, false),
            (io::ErrorKind::InvalidInput, false),
            (io::ErrorKind::PermissionDenied, false),
            (io::ErrorKind::StorageFull, true),
            (io::ErrorKind::Other, true),
        ] {
            assert_eq!(supported(Err(kind.into())).is_err(), is_error, "{kind:?}");
        }
    }
}
