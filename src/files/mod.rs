//! Modes, identity and fingerprints of files.

pub mod atomic;

use atomic::{NOFOLLOW, open_regular};
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

/// Files of a run name people and their sessions, so only the owner may read them. The umask can only restrict this
/// further.
pub(crate) const PRIVATE: u32 = 0o600;

/// Options that create a file with mode [`PRIVATE`] and don't follow symbolic links.
pub(crate) fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.mode(PRIVATE).custom_flags(NOFOLLOW);
    options
}

/// Adds the operation and the file to an error, and keeps its kind.
pub(crate) fn during(doing: &str, path: &Path) -> impl Fn(io::Error) -> io::Error + Copy {
    move |error| io::Error::new(error.kind(), format!("can't {doing} {}: {error}", path.display()))
}

/// Syncs the directory of a new file, so that its name survives a power loss. Errors are ignored, because some file
/// systems don't support it.
pub(crate) fn sync_folder_of(path: &Path) {
    let _ = atomic::sync_folder_of(path);
}

/// Device and inode, which identify a file regardless of its name.
pub(crate) fn identity(metadata: &fs::Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

/// The identity and length of a file at a moment.
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

/// Whether `path` still leads to the open `file`.
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

/// Computes the fingerprint of what is written through it.
pub(crate) struct Hashing<W> {
    out: W,
    hash: Sha256,
    bytes: u64,
}

impl<W: Write> Hashing<W> {
    pub(crate) fn new(out: W) -> Self {
        Self { out, hash: Sha256::new(), bytes: 0 }
    }

    /// Returns the writer and the fingerprint.
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

/// # Errors
/// If the file can't be opened or read.
pub fn fingerprint(path: &Path) -> io::Result<Fingerprint> {
    fingerprint_of_beginning(path, u64::MAX)
}

/// The fingerprint of the first `bytes`, or of the whole file if it is shorter.
///
/// # Errors
/// As [`fingerprint`].
pub fn fingerprint_of_beginning(path: &Path, bytes: u64) -> io::Result<Fingerprint> {
    let file = open_regular(path).map_err(during("read", path))?;
    fingerprint_of(&mut file.take(bytes)).map_err(during("read", path))
}

/// # Errors
/// If it can't be read.
pub(crate) fn fingerprint_of(content: &mut impl Read) -> io::Result<Fingerprint> {
    let mut out = BufWriter::with_capacity(64 * 1024, Hashing::new(io::sink()));
    io::copy(content, &mut out)?;
    Ok(out.into_inner().map_err(io::IntoInnerError::into_error)?.finish().1)
}

/// In lower-case hexadecimal, as `sha256sum` prints it.
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
