//! Output files for programs.

use super::style::WEAKENED;
use crate::files::atomic;
use serde::Serialize;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::Duration;

/// For files that name people and their sessions.
pub(super) const PRIVATE: u32 = 0o600;

/// Indented, with a line break at the end.
pub(super) fn json_text(object: &impl Serialize) -> String {
    let mut text = serde_json::to_string_pretty(object).expect("texts, numbers and lists of them");
    text.push('\n');
    text
}

/// Replaces the file at `path` atomically, with `mode` regardless of the umask. If `path` is a symbolic link, its
/// target is replaced. A special file (`/dev/stdout`, a pipe) is written directly.
///
/// # Errors
/// If the temporary file can't be written or renamed.
pub(super) fn replace(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    if fs::metadata(path).is_ok_and(|found| !found.is_file()) {
        return write_special(path, text);
    }
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    atomic::replace(&path, mode, |file| file.write_all(text.as_bytes()))
}

/// Writes to a pipe or device, for at most 5 s, because a pipe may have no reader.
fn write_special(path: &Path, text: &str) -> io::Result<()> {
    let (end, ended) = sync_channel(1);
    let (path, text) = (path.to_owned(), text.to_owned());
    let write = move || OpenOptions::new().write(true).open(path)?.write_all(text.as_bytes());
    thread::Builder::new().name("report".to_owned()).spawn(move || end.send(write()))?;
    ended
        .recv_timeout(PATIENCE)
        .unwrap_or_else(|_| Err(io::Error::new(io::ErrorKind::TimedOut, "no process is reading it")))
}

/// Whether the file at `path` begins like `ours`, as far as it goes. True for an empty, missing or special file.
///
/// # Errors
/// If it can't be read.
pub(super) fn begins_as(path: &Path, ours: &str) -> io::Result<bool> {
    match fs::metadata(path) {
        Ok(found) if found.is_file() => {}
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(_) | Err(_) => return Ok(true),
    }
    let mut start = Vec::with_capacity(ours.len());
    File::open(path)?.take(ours.len() as u64).read_to_end(&mut start)?;
    Ok(ours.as_bytes().starts_with(&start))
}

/// Maximum number of lines that wait for the reader of a pipe.
const QUEUE: usize = 8192;

/// Maximum time to wait for the reader at the end.
const PATIENCE: Duration = Duration::from_secs(5);

/// Writes lines, one write each. A regular file is written directly; a pipe, whose reader may be blocked, by a thread
/// with a bounded queue.
#[derive(Debug)]
pub(super) enum LineSink {
    File(File),
    Pipe {
        queue: SyncSender<String>,
        /// The result of the thread.
        ended: Receiver<io::Result<()>>,
    },
}

#[derive(Debug)]
pub(super) enum Closed {
    Whole,
    TooSlow,
    Failed(io::Error),
}

#[derive(Debug)]
pub(super) enum Taken {
    /// Written or queued.
    Yes,
    LeftOut,
    Failed(io::Error),
}

impl LineSink {
    /// Opens `path` for appending, with mode [`PRIVATE`]. An incomplete last line is ended first.
    ///
    /// # Errors
    /// If it can't be opened or read.
    pub(super) fn append(path: &Path) -> io::Result<Self> {
        let regular = fs::metadata(path).map_or(true, |found| found.is_file());
        if !regular {
            if fs::metadata(path).is_ok_and(|found| found.file_type().is_fifo()) {
                tracing::info!("--events {} is a pipe; the run begins as soon as a program reads it", path.display());
            }
            return Self::pipe(OpenOptions::new().write(true).open(path)?);
        }
        let mut file = OpenOptions::new().read(true).append(true).create(true).mode(PRIVATE).open(path)?;
        let mode = file.metadata()?.permissions().mode();
        if mode & 0o077 != 0 && file.set_permissions(Permissions::from_mode(PRIVATE)).is_err() {
            let (path, mode) = (path.display(), mode & 0o777);
            tracing::warn!(target: WEAKENED, "{path} names people and can be read by others (mode {mode:04o}): chmod 600 it");
        }
        if ends_torn(&mut file)? {
            file.write_all(b"\n")?;
        }
        Ok(Self::File(file))
    }

    fn pipe(mut file: File) -> io::Result<Self> {
        let (queue, lines) = sync_channel::<String>(QUEUE);
        let (end, ended) = sync_channel(1);
        let body = move || {
            let _ = end.send(lines.iter().try_for_each(|line| file.write_all(line.as_bytes())));
        };
        thread::Builder::new().name("events".to_owned()).spawn(body)?;
        Ok(Self::Pipe { queue, ended })
    }

    /// `line` has its line break.
    pub(super) fn take(&mut self, line: String) -> Taken {
        match self {
            Self::File(file) => file.write_all(line.as_bytes()).map_or_else(Taken::Failed, |()| Taken::Yes),
            Self::Pipe { queue, ended } => match queue.try_send(line) {
                Ok(()) => Taken::Yes,
                Err(TrySendError::Full(_)) => Taken::LeftOut,
                Err(TrySendError::Disconnected(_)) => Taken::Failed(failure(ended)),
            },
        }
    }

    /// Waits until a pipe has been written, at most 5 s.
    pub(super) fn close(self) -> Closed {
        match self {
            Self::File(_) => Closed::Whole,
            Self::Pipe { queue, ended } => {
                drop(queue);
                match ended.recv_timeout(PATIENCE) {
                    Ok(Ok(())) => Closed::Whole,
                    Ok(Err(error)) => Closed::Failed(error),
                    Err(RecvTimeoutError::Timeout) => Closed::TooSlow,
                    Err(RecvTimeoutError::Disconnected) => Closed::Failed(io::ErrorKind::BrokenPipe.into()),
                }
            }
        }
    }
}

fn failure(ended: &Receiver<io::Result<()>>) -> io::Error {
    ended.recv().ok().and_then(Result::err).unwrap_or_else(|| io::ErrorKind::BrokenPipe.into())
}

/// Whether the file isn't empty and doesn't end with a line break.
fn ends_torn(file: &mut File) -> io::Result<bool> {
    if file.metadata()?.len() == 0 {
        return Ok(false);
    }
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    Ok(last != *b"\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_file_is_replaced_atomically_with_its_mode() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.prom");
        replace(&path, "old, and longer\n", 0o600).unwrap();
        assert_eq!(mode(&path), 0o600);
        let reader = File::open(&path).unwrap();
        replace(&path, "new\n", 0o644).unwrap();
        assert_eq!((fs::read_to_string(&path).unwrap().as_str(), mode(&path)), ("new\n", 0o644));
        assert_eq!(io::read_to_string(reader).unwrap(), "old, and longer\n");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_link_stays_a_link_and_a_device_is_written_to() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("real"), folder.path().join("link"));
        fs::write(&file, "old").unwrap();
        symlink(&file, &link).unwrap();
        replace(&link, "new", 0o600).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "new");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        replace(Path::new("/dev/null"), "text", 0o600).unwrap();
        assert!(replace(&folder.path().join("no/such/folder"), "text", 0o600).is_err());
    }

    #[test]
    fn lines_are_added_and_a_torn_one_is_ended_first() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events");
        for (before, want) in [("", "x\n"), ("a\n", "a\nx\n"), ("a\ntor", "a\ntor\nx\n")] {
            fs::write(&path, before).unwrap();
            let mut sink = LineSink::append(&path).unwrap();
            assert!(matches!(sink.take("x\n".to_owned()), Taken::Yes));
            assert_eq!(fs::read_to_string(&path).unwrap(), want, "at once, before the sink is closed");
            assert!(matches!(sink.close(), Closed::Whole));
        }
        fs::remove_file(&path).unwrap();
        drop(LineSink::append(&path).unwrap());
        assert_eq!(mode(&path), 0o600);
    }

    #[test]
    fn a_full_pipe_does_not_block() {
        let (mut reader, writer) = io::pipe().unwrap();
        let fd: std::os::fd::OwnedFd = writer.into();
        let mut sink = LineSink::pipe(File::from(fd)).unwrap();
        let line = format!("{}\n", "x".repeat(4095));
        let taken = (0..QUEUE * 2).filter(|_| matches!(sink.take(line.clone()), Taken::Yes)).count();
        assert!((QUEUE..QUEUE * 2).contains(&taken), "{taken}");
        let text = thread::spawn(move || io::read_to_string(&mut reader).unwrap());
        assert!(matches!(sink.close(), Closed::Whole));
        assert_eq!(text.join().unwrap().len(), taken * line.len());
    }
}
