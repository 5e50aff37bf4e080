//! What the kept files have in common: who may read them, and whether a path still leads to them.

pub mod atomic;

use atomic::{NOFOLLOW, open_regular};
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

/// Only the owner reads what a run leaves behind: it names people and their sessions. The umask can only narrow this.
pub(crate) const PRIVATE: u32 = 0o600;

/// Options that create a file as [`PRIVATE`], and open none through a symbolic link: that would be another one's.
pub(crate) fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.mode(PRIVATE).custom_flags(NOFOLLOW);
    options
}

/// Adds to an error what was being done, and to which file; its kind stays.
pub(crate) fn during(doing: &str, path: &Path) -> impl Fn(io::Error) -> io::Error + Copy {
    move |error| io::Error::new(error.kind(), format!("can't {doing} {}: {error}", path.display()))
}

/// Makes a new file's name survive a power loss. Some filesystems cannot sync a folder, and none needs it for anything
/// else, so a refusal is not an error.
pub(crate) fn sync_folder_of(path: &Path) {
    let _ = atomic::sync_folder_of(path);
}

/// A file's identity, whatever it is called: device and inode.
pub(crate) fn identity(metadata: &fs::Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

/// A file as it was when it was looked at: which one it is, and how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileSnapshot {
    identity: (u64, u64),
    len: u64,
}

impl FileSnapshot {
    pub(crate) fn of(file: &File) -> io::Result<Self> {
        let metadata = file.metadata()?;
        Ok(Self { identity: identity(&metadata), len: metadata.len() })
    }

    pub(crate) fn len(self) -> u64 {
        self.len
    }
}

/// Whether `path` leads to the open `file`, rather than to nothing or to another file that took its name.
pub(crate) fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    match fs::metadata(path) {
        Ok(there) => Ok(identity(&there) == identity(&file.metadata()?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fingerprint {
    /// SHA-256 in lower-case hexadecimal, as `sha256sum` prints it.
    pub sha256: String,
    pub bytes: u64,
}

/// Takes the fingerprint of what is written through it.
pub(crate) struct Hashing<W> {
    out: W,
    hash: Sha256,
    bytes: u64,
}

impl<W: Write> Hashing<W> {
    pub(crate) fn new(out: W) -> Self {
        Self { out, hash: Sha256::new(), bytes: 0 }
    }

    /// What was written to, and the fingerprint of what was.
    pub(crate) fn finish(self) -> (W, Fingerprint) {
        (self.out, Fingerprint { sha256: hex(&self.hash.finalize()), bytes: self.bytes })
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.hash.update(&bytes[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Reads a whole file and takes its fingerprint.
///
/// # Errors
/// If the file cannot be opened or read.
pub fn fingerprint(path: &Path) -> io::Result<Fingerprint> {
    fingerprint_of_beginning(path, u64::MAX)
}

/// As [`fingerprint`], of the first `bytes`, or of all if there are fewer.
///
/// # Errors
/// As [`fingerprint`].
pub fn fingerprint_of_beginning(path: &Path, bytes: u64) -> io::Result<Fingerprint> {
    let file = open_regular(path).map_err(during("read", path))?;
    fingerprint_of(&mut file.take(bytes)).map_err(during("read", path))
}

/// Takes the fingerprint of what is read.
///
/// # Errors
/// If it can't be read.
pub(crate) fn fingerprint_of(content: &mut impl Read) -> io::Result<Fingerprint> {
    let mut out = BufWriter::with_capacity(64 * 1024, Hashing::new(io::sink()));
    io::copy(content, &mut out)?;
    Ok(out.into_inner().map_err(io::IntoInnerError::into_error)?.finish().1)
}

/// The SHA-256 of a text, as `sha256sum` prints it.
pub(crate) fn sha256_hex(text: &[u8]) -> String {
    hex(&Sha256::digest(text))
}

/// Lower-case hexadecimal, as `sha256sum` prints it.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_what_sha256sum_prints() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("abc");
        fs::write(&path, "abc").unwrap();
        let print = fingerprint(&path).unwrap();
        assert_eq!(print.sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(print.bytes, 3);
        assert!(fingerprint(&folder.path().join("none")).unwrap_err().to_string().contains("none"));
    }

    #[test]
    fn a_path_that_was_taken_over_is_told_from_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let file = File::create(&path).unwrap();
        assert!(is_at(&file, &path).unwrap());
        fs::remove_file(&path).unwrap();
        assert!(!is_at(&file, &path).unwrap());
        fs::write(&path, "").unwrap();
        assert!(!is_at(&file, &path).unwrap());
    }
}
